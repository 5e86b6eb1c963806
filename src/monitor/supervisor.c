/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/kill.h"
#include "monitor/task.h"

enum { TASKS_MAX = 10000, CLIENT_OUT_MAX = 64 << 20, ORPHANS_MAX = 64 };

/* A process that ended before its launcher told that it was a task's. */
struct orphan {
    pid_t pid;
    int code, signal;
};

struct supervisor {
    int epoll, listener, signals, directory, client;
    struct buf in, out; /* from and to the client */
    struct list tasks;
    struct list forgotten; /* freed at the end of the turn: an event that names one may be waiting */
    size_t task_count, launchers;
    struct orphan orphans[ORPHANS_MAX];
    size_t orphan_next;
    bool ending;
};

/* What epoll hands back: which descriptor. Tasks' pipes carry the task, with the pipe's number in the lowest bit. */
enum { EVENT_LISTENER = 1, EVENT_SIGNALS = 3, EVENT_DIRECTORY = 5, EVENT_CLIENT = 7, EVENT_TASK = 16 };

static void watch(struct supervisor *supervisor, int fd, uint64_t what, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u64 = what};
    epoll_ctl(supervisor->epoll, operation, fd, &event);
}

/* --- To the client --- */

static void client_drop(struct supervisor *supervisor)
{
    if (supervisor->client >= 0)
        close(supervisor->client);
    supervisor->client = -1;
    buf_deinit(&supervisor->in);
    buf_deinit(&supervisor->out);
    list_each (struct task, task, &supervisor->tasks, link)
        task->watched = false;
}

static void client_flush(struct supervisor *supervisor)
{
    struct buf *out = &supervisor->out;
    while (supervisor->client >= 0 && out->size > 0 && !out->overflowed) {
        ssize_t n = send(supervisor->client, out->data, out->size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR) {
            client_drop(supervisor);
            return;
        }
        if (n > 0)
            buf_consume(out, (size_t)n);
    }
    if (out->overflowed)
        client_drop(supervisor);
    else if (supervisor->client >= 0)
        watch(supervisor, supervisor->client, EVENT_CLIENT, EPOLLIN | (out->size ? EPOLLOUT : 0), EPOLL_CTL_MOD);
}

static void tell(struct supervisor *supervisor, const struct task *task)
{
    if (supervisor->client < 0)
        return;
    struct protocol_task message;
    task_describe(task, &message);
    protocol_put_task(&supervisor->out, &message);
}

/* --- Tasks --- */

static struct task *find_task(struct supervisor *supervisor, const char *name)
{
    list_each (struct task, task, &supervisor->tasks, link)
        if (strcmp(task->name, name) == 0)
            return task;
    return NULL;
}

/* A name is a path below the pod's directory, of our own making: "web/0". */
static bool name_valid(const char *name)
{
    return name[0] && name[0] != '/' && strlen(name) <= TASK_NAME_MAX && !strstr(name, "..");
}

static void start_task(struct supervisor *supervisor, const struct protocol_start *message)
{
    if (!name_valid(message->name) || find_task(supervisor, message->name) || supervisor->ending ||
        supervisor->task_count >= TASKS_MAX) {
        struct protocol_task failed = {.name = message->name,
                                       .state = PROTOCOL_TASK_FAILED,
                                       .text = BYTES_LITERAL("the monitor cannot take this task")};
        protocol_put_task(&supervisor->out, &failed);
        return;
    }
    struct task *task = task_start(message);
    list_append(&supervisor->tasks, &task->link);
    supervisor->task_count++;
    supervisor->launchers += task->launcher > 0;
    for (int pipe = 0; pipe < 2; pipe++)
        if (task->pipes[pipe] >= 0)
            watch(supervisor, task->pipes[pipe], (uint64_t)(uintptr_t)task | (unsigned)pipe, EPOLLIN, EPOLL_CTL_ADD);
    tell(supervisor, task);
}

static bool take_orphan(void *ctx, pid_t pid, int *code, int *signal)
{
    struct supervisor *supervisor = ctx;
    for (size_t i = 0; i < ORPHANS_MAX; i++) {
        struct orphan *orphan = &supervisor->orphans[i];
        if (orphan->pid != pid)
            continue;
        *code = orphan->code;
        *signal = orphan->signal;
        *orphan = (struct orphan){0};
        return true;
    }
    return false;
}

static void process_ended(struct supervisor *supervisor, pid_t pid, int code, int signal)
{
    list_each (struct task, task, &supervisor->tasks, link) {
        if (task->launcher == pid) {
            supervisor->launchers--;
            task_launcher_ended(task, code, signal, take_orphan, supervisor);
        } else if (task->pid == pid) {
            task_main_ended(task, code, signal);
        } else {
            continue;
        }
        tell(supervisor, task);
        return;
    }
    if (supervisor->launchers > 0) {
        supervisor->orphans[supervisor->orphan_next] = (struct orphan){pid, code, signal};
        supervisor->orphan_next = (supervisor->orphan_next + 1) % ORPHANS_MAX;
    }
}

/* Looks first and reaps afterwards: while a process is not reaped, its number, which is also its session's, cannot
 * become someone else's. */
static void reap(struct supervisor *supervisor)
{
    struct signalfd_siginfo drained[16];
    while (read(supervisor->signals, drained, sizeof drained) > 0)
        for (size_t i = 0; i < ARRAY_SIZE(drained); i++)
            if (drained[i].ssi_signo == SIGTERM)
                supervisor->ending = true;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        bool exited = info.si_code == CLD_EXITED;
        process_ended(supervisor, info.si_pid, exited ? info.si_status : -1, exited ? 0 : info.si_status);
        waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}

static void end_all(struct supervisor *supervisor)
{
    supervisor->ending = true;
    list_each (struct task, task, &supervisor->tasks, link)
        task_signal(task, SIGKILL, true);
    /* What these leave behind becomes our child, which SIGCHLD tells: then again. */
    kill_children();
}

/* --- From the client --- */

static void mount_for_client(struct supervisor *supervisor, const struct protocol_mount *message)
{
    int failed = message->flags & PROTOCOL_MOUNT_DETACH
                     ? umount2(message->target, MNT_DETACH)
                     : mount(message->source, message->target, message->type, message->flags,
                             message->data[0] ? message->data : NULL);
    uint32_t sys = failed ? (uint32_t)errno : 0;
    protocol_put_numbers(&supervisor->out, PROTOCOL_MOUNTED, &sys, 1);
}

static void forget(struct supervisor *supervisor, const char *name)
{
    struct task *task = find_task(supervisor, name);
    if (!task || task->state == PROTOCOL_TASK_STARTING || task->state == PROTOCOL_TASK_RUNNING)
        return;
    list_remove(&task->link);
    list_append(&supervisor->forgotten, &task->link);
    supervisor->task_count--;
}

static bool obey(struct supervisor *supervisor, const struct protocol_frame *frame, struct arena *arena)
{
    struct protocol_start start;
    struct protocol_signal signal;
    struct protocol_watch watched;
    struct protocol_mount mounted;
    const char *name;
    struct task *task;
    switch (frame->type) {
    case PROTOCOL_START:
        if (!protocol_get_start(frame->body, arena, &start))
            return false;
        start_task(supervisor, &start);
        return true;
    case PROTOCOL_SIGNAL:
        if (!protocol_get_signal(frame->body, arena, &signal))
            return false;
        task = find_task(supervisor, signal.name);
        if (task)
            task_signal(task, (int)signal.signal, signal.everything != 0);
        return true;
    case PROTOCOL_FORGET:
        if (!protocol_get_string(frame->body, arena, &name))
            return false;
        forget(supervisor, name);
        return true;
    case PROTOCOL_WATCH:
        if (!protocol_get_watch(frame->body, arena, &watched))
            return false;
        task = find_task(supervisor, watched.name);
        if (task)
            task->watched = watched.on != 0;
        return true;
    case PROTOCOL_MOUNT:
        if (!protocol_get_mount(frame->body, arena, &mounted))
            return false;
        mount_for_client(supervisor, &mounted);
        return true;
    case PROTOCOL_END:
        end_all(supervisor);
        return true;
    default:
        return true; /* of a newer evoke */
    }
}

static void client_read(struct supervisor *supervisor)
{
    uint8_t *room = buf_reserve(&supervisor->in, 65536);
    ssize_t n = room ? recv(supervisor->client, room, 65536, MSG_DONTWAIT) : -1;
    if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_drop(supervisor);
        return;
    }
    buf_commit(&supervisor->in, (size_t)n);
    struct bytes rest = buf_bytes(&supervisor->in);
    struct protocol_frame frame;
    AUTO_ARENA arena;
    arena_init(&arena, PROTOCOL_FRAME_MAX * 4);
    int more;
    while ((more = protocol_next(&rest, &frame)) > 0 && obey(supervisor, &frame, &arena))
        arena_reset(&arena);
    if (more != 0)
        client_drop(supervisor);
    else
        buf_consume(&supervisor->in, supervisor->in.size - rest.size);
}

static void client_accept(struct supervisor *supervisor)
{
    int fd = accept4(supervisor->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    client_drop(supervisor);
    supervisor->client = fd;
    buf_init(&supervisor->in, PROTOCOL_FRAME_MAX + 65536);
    buf_init(&supervisor->out, CLIENT_OUT_MAX);
    watch(supervisor, fd, EVENT_CLIENT, EPOLLIN, EPOLL_CTL_ADD);
    const uint32_t hello[] = {PROTOCOL_VERSION, (uint32_t)getpid()};
    protocol_put_numbers(&supervisor->out, PROTOCOL_HELLO, hello, ARRAY_SIZE(hello));
    list_each (struct task, task, &supervisor->tasks, link)
        tell(supervisor, task);
    protocol_put_numbers(&supervisor->out, PROTOCOL_READY, NULL, 0);
}

/* --- The loop --- */

static void task_wrote(struct supervisor *supervisor, struct task *task, int pipe)
{
    if (task->pipes[pipe] < 0)
        return;
    task_read(task, pipe);
    if (task->watched)
        protocol_put_string(&supervisor->out, PROTOCOL_OUTPUT, task->name);
}

/* Someone removed the pod's directory under us: there is nobody who could ever tell us to end. */
static void directory_changed(struct supervisor *supervisor)
{
    uint8_t drained[4096];
    while (read(supervisor->directory, drained, sizeof drained) > 0)
        ;
    if (access("monitor.sock", F_OK) != 0)
        end_all(supervisor);
}

static void handle(struct supervisor *supervisor, const struct epoll_event *event)
{
    switch (event->data.u64) {
    case EVENT_LISTENER:
        client_accept(supervisor);
        break;
    case EVENT_SIGNALS:
        reap(supervisor);
        if (supervisor->ending)
            end_all(supervisor);
        break;
    case EVENT_DIRECTORY:
        directory_changed(supervisor);
        break;
    case EVENT_CLIENT:
        if (supervisor->client >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            client_read(supervisor);
        break;
    default:
        task_wrote(supervisor, (struct task *)(uintptr_t)(event->data.u64 & ~UINT64_C(1)), event->data.u64 & 1);
    }
    client_flush(supervisor);
}

static bool has_children(void)
{
    siginfo_t info = {0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static bool prepare(struct supervisor *supervisor)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_SETMASK, &set, NULL) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return false;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    supervisor->epoll = epoll_create1(EPOLL_CLOEXEC);
    supervisor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    supervisor->directory = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (supervisor->epoll < 0 || supervisor->signals < 0)
        return false;
    watch(supervisor, supervisor->listener, EVENT_LISTENER, EPOLLIN, EPOLL_CTL_ADD);
    watch(supervisor, supervisor->signals, EVENT_SIGNALS, EPOLLIN, EPOLL_CTL_ADD);
    /* There may be no inotify instance left for us: then only evoke ends us. */
    if (supervisor->directory >= 0 && inotify_add_watch(supervisor->directory, ".", IN_DELETE) >= 0)
        watch(supervisor, supervisor->directory, EVENT_DIRECTORY, EPOLLIN, EPOLL_CTL_ADD);
    return true;
}

int supervisor_run(int listener)
{
    struct supervisor supervisor = {.listener = listener, .client = -1};
    list_init(&supervisor.tasks);
    list_init(&supervisor.forgotten);
    if (!prepare(&supervisor)) {
        perror("evoke-monitor");
        return 1;
    }
    while (!supervisor.ending || has_children()) {
        struct epoll_event events[32];
        int count = epoll_wait(supervisor.epoll, events, ARRAY_SIZE(events), -1);
        for (int i = 0; i < count; i++)
            handle(&supervisor, &events[i]);
        list_each (struct task, task, &supervisor.forgotten, link)
            task_free(task);
    }
    return 0;
}
