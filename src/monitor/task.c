/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/task.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/kill.h"

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static char **copy_list(const char *const *list)
{
    size_t count = 0;
    while (list[count])
        count++;
    char **copy = memory_new_array(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = memory_string(bytes_of_string(list[i]));
    return copy;
}

static void task_fail(struct task *task, int sys, const char *what)
{
    task->state = PROTOCOL_TASK_FAILED;
    task->sys = sys;
    task->finished_ns = wall_ns();
    buf_reset(&task->text);
    if (sys)
        buf_printf(&task->text, "%s: %s", what, strerror(sys));
    else
        buf_append_string(&task->text, what);
}

/* --- The child's side, between fork and exec: only system calls --- */

struct child_failure {
    int sys;
    char what[512];
};

__attribute__((noreturn)) static void child_fail(int report, int sys, const char *what, const char *which)
{
    struct child_failure failure = {.sys = sys};
    snprintf(failure.what, sizeof failure.what, "%s %.400s", what, which);
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) >= 0;
    close(fd);
    return ok;
}

static void child_enter_cgroups(const char *const *cgroups, const char *born_in, int report)
{
    char path[4096];
    for (size_t i = 0; cgroups[i]; i++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", cgroups[i]);
        if (cgroups[i] != born_in && !write_file(path, "0"))
            child_fail(report, errno, "enter cgroup", cgroups[i]);
    }
}

static size_t read_groups(const struct protocol_start *message, gid_t groups[PROTOCOL_GROUPS_MAX])
{
    size_t count = 0;
    for (; count < PROTOCOL_GROUPS_MAX && message->groups && message->groups[count]; count++)
        groups[count] = (gid_t)strtoul(message->groups[count], NULL, 10);
    return count;
}

static void child_identity(const struct protocol_start *message, int report)
{
    char text[16];
    if (message->oom_score_adj != UINT32_MAX) {
        /* Lowering it needs CAP_SYS_RESOURCE; evoke tells the user when it is not there. */
        snprintf(text, sizeof text, "%d", (int)message->oom_score_adj - 1000);
        write_file("/proc/self/oom_score_adj", text);
    }
    gid_t groups[PROTOCOL_GROUPS_MAX];
    size_t group_count = read_groups(message, groups);
    if (message->group != UINT32_MAX || message->user != UINT32_MAX || group_count > 0) {
        gid_t group = message->group != UINT32_MAX ? message->group : getgid();
        if (setgroups(group_count, groups) != 0 || setresgid(group, group, group) != 0)
            child_fail(report, errno, "become the group of", message->name);
    }
    if (message->user != UINT32_MAX && setresuid(message->user, message->user, message->user) != 0)
        child_fail(report, errno, "become the user of", message->name);
}

__attribute__((noreturn)) static void child_run(const struct protocol_start *message, const char *born_in,
                                                const int pipes[2], int report)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(pipes[0], 1) < 0 || dup2(pipes[1], 2) < 0)
        child_fail(report, errno, "connect", message->name);
    child_enter_cgroups(message->cgroups, born_in, report);
    if (message->directory[0] && chdir(message->directory) != 0)
        child_fail(report, errno, "working directory", message->directory);
    child_identity(message, report);
    /* After the change of user, which would clear it. A detached task's process is not our child and never has it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* execvpe() would look in our PATH, not in the container's. */
    environ = (char **)(uintptr_t)message->environment;
    execvp(message->argv[0], (char *const *)(uintptr_t)message->argv);
    child_fail(report, errno, "exec", message->argv[0]);
}

/* --- Ours --- */

/* As fork(), with the child in the first cgroup of version 2 from its first moment. Moving a process between groups
 * makes the kernel wait until no processor forks, some 10 to 20 ms; being born in one costs nothing. *born_in is that
 * group, or NULL when the child has to enter all of them itself. */
static pid_t fork_into(const char *const *cgroups, const char **born_in)
{
    *born_in = NULL;
    for (size_t i = 0; cgroups[i]; i++) {
        struct statfs type;
        if (statfs(cgroups[i], &type) != 0 || type.f_type != CGROUP2_SUPER_MAGIC)
            continue;
        int fd = open(cgroups[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)(unsigned)fd};
        if (fd < 0)
            continue;
        *born_in = cgroups[i];
        pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
        if (pid == 0)
            return 0;
        close(fd);
        if (pid > 0)
            return pid;
        *born_in = NULL; /* a kernel before 5.7, or a group that may not be entered: the usual way tells */
    }
    return fork();
}

static bool spawn(struct task *task, const struct protocol_start *message)
{
    int out[2] = {-1, -1}, error[2] = {-1, -1}, report[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0) {
        task_fail(task, errno, "pipe");
    } else {
        const char *born_in;
        pid_t pid = fork_into(message->cgroups, &born_in);
        if (pid == 0)
            child_run(message, born_in, (int[]){out[1], error[1]}, report[1]);
        close(report[1]);
        report[1] = -1;
        struct child_failure failure;
        if (pid < 0)
            task_fail(task, errno, "fork");
        else if (read(report[0], &failure, sizeof failure) == sizeof failure)
            task_fail(task, failure.sys, failure.what);
        else if (message->flags & PROTOCOL_START_DETACHED)
            task->launcher = pid;
        else
            task->pid = pid;
    }
    bool ok = task->state != PROTOCOL_TASK_FAILED;
    const int ends[] = {out[1], error[1], report[0], report[1], ok ? -1 : out[0], ok ? -1 : error[0]};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (ends[i] >= 0)
            close(ends[i]);
    if (ok) {
        task->pipes[0] = out[0];
        task->pipes[1] = error[0];
        for (size_t i = 0; i < 2; i++)
            fcntl(task->pipes[i], F_SETFL, O_NONBLOCK);
    }
    return ok;
}

struct task *task_start(const struct protocol_start *message)
{
    struct task *task = NEW(struct task);
    task->name = memory_string(bytes_of_string(message->name));
    task->flags = message->flags;
    task->pipes[0] = task->pipes[1] = task->output.fd = -1;
    task->pid_file = memory_string(bytes_of_string(message->pid_file));
    task->error_file = memory_string(bytes_of_string(message->error_file));
    task->cgroups = copy_list(message->cgroups);
    buf_init(&task->text, TASK_CAPTURE_MAX);
    if (!message->argv[0]) {
        task_fail(task, EINVAL, "no command");
        return task;
    }
    if (!(task->flags & PROTOCOL_START_CAPTURE)) {
        char path[TASK_NAME_MAX + 8];
        snprintf(path, sizeof path, "%s.log", task->name);
        if (!output_open(&task->output, path)) {
            task_fail(task, errno, path);
            return task;
        }
    }
    if (!spawn(task, message))
        return task;
    task->started_ns = wall_ns();
    task->state = task->launcher ? PROTOCOL_TASK_STARTING : PROTOCOL_TASK_RUNNING;
    return task;
}

void task_free(struct task *task)
{
    list_remove(&task->link);
    for (size_t i = 0; i < 2; i++)
        if (task->pipes[i] >= 0)
            close(task->pipes[i]);
    if (task->output.path)
        output_close(&task->output);
    for (size_t i = 0; task->cgroups[i]; i++)
        free(task->cgroups[i]);
    free(task->cgroups);
    free(task->pid_file);
    free(task->error_file);
    free(task->name);
    buf_deinit(&task->text);
    free(task);
}

static void take_output(struct task *task, int pipe, struct bytes data)
{
    if (task->flags & PROTOCOL_START_CAPTURE)
        buf_append(&task->text, bytes_slice(data, 0, TASK_CAPTURE_MAX - task->text.size));
    else
        output_write(&task->output, pipe == 0 ? OUTPUT_STDOUT : OUTPUT_STDERR, data, wall_ns());
}

bool task_read(struct task *task, int pipe)
{
    uint8_t chunk[65536];
    /* At most a few chunks a turn, so that one loud task does not keep the others waiting. */
    for (int turn = 0; turn < 4; turn++) {
        ssize_t n = read(task->pipes[pipe], chunk, sizeof chunk);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            break;
        take_output(task, pipe, bytes_of(chunk, (size_t)n));
        if (n < (ssize_t)sizeof chunk)
            return true;
        if (turn == 3)
            return true;
    }
    close(task->pipes[pipe]);
    task->pipes[pipe] = -1;
    if (!(task->flags & PROTOCOL_START_CAPTURE))
        output_flush(&task->output, pipe == 0 ? OUTPUT_STDOUT : OUTPUT_STDERR, wall_ns());
    return false;
}

/* A process that got away with a pipe may hold it open for ever: take what is there, then close. */
static void drain(struct task *task)
{
    for (int pipe = 0; pipe < 2; pipe++) {
        uint8_t chunk[65536];
        for (ssize_t n; task->pipes[pipe] >= 0 && (n = read(task->pipes[pipe], chunk, sizeof chunk)) > 0;)
            take_output(task, pipe, bytes_of(chunk, (size_t)n));
        if (task->pipes[pipe] >= 0)
            close(task->pipes[pipe]);
        task->pipes[pipe] = -1;
        if (!(task->flags & PROTOCOL_START_CAPTURE))
            output_flush(&task->output, pipe == 0 ? OUTPUT_STDOUT : OUTPUT_STDERR, wall_ns());
    }
}

static void kill_everything(struct task *task)
{
    if (task->pid > 0)
        kill(task->pid, SIGKILL);
    if (task->launcher > 0)
        kill(task->launcher, SIGKILL);
    /* A command beside a container is in the container's groups, and may end without it. */
    bool shared = (task->flags & PROTOCOL_START_CAPTURE) != 0;
    for (size_t i = 0; task->cgroups[i] && !shared; i++)
        for (int tries = 0; tries < 8 && !kill_cgroup(task->cgroups[i]); tries++)
            ;
    /* The session's number is the main process's, which stays reserved until that one is reaped. */
    if ((!task->cgroups[0] || shared) && task->pid > 0 && !(task->flags & PROTOCOL_START_DETACHED))
        for (int tries = 0; tries < 3 && !kill_session(task->pid); tries++)
            ;
}

void task_signal(struct task *task, int signal, bool everything)
{
    if (task->state != PROTOCOL_TASK_RUNNING && task->state != PROTOCOL_TASK_STARTING)
        return;
    if (everything && signal == SIGKILL)
        kill_everything(task);
    else if (task->pid > 0)
        kill(task->pid, signal);
}

static void write_exit_file(const struct task *task)
{
    char path[TASK_NAME_MAX + 8], text[128];
    snprintf(path, sizeof path, "%s.exit", task->name);
    int size = snprintf(text, sizeof text, "%d %d %lld %lld\n", task->code, task->signal, (long long)task->started_ns,
                        (long long)task->finished_ns);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, text, (size_t)size);
    (void)ignored;
    close(fd);
}

void task_main_ended(struct task *task, int code, int signal)
{
    kill_everything(task);
    task->pid = 0;
    drain(task);
    task->state = PROTOCOL_TASK_EXITED;
    task->code = code;
    task->signal = signal;
    task->finished_ns = wall_ns();
    if (!(task->flags & PROTOCOL_START_CAPTURE))
        write_exit_file(task);
}

static pid_t read_pid(const char *path)
{
    char text[32] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* The end of what the launcher said: its last words are the reason. */
static void fail_with_file(struct task *task, int code, int signal)
{
    char text[4096] = {0};
    int fd = task->error_file[0] ? open(task->error_file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        off_t size = lseek(fd, 0, SEEK_END);
        ssize_t n = pread(fd, text, sizeof text - 1, size > (off_t)sizeof text ? size - (off_t)sizeof text + 1 : 0);
        text[n > 0 ? n : 0] = 0;
        close(fd);
    }
    char fallback[64];
    snprintf(fallback, sizeof fallback, signal ? "the launcher ended by signal %d" : "the launcher ended with code %d",
             signal ? signal : code);
    task_fail(task, 0, text[0] ? text : fallback);
}

void task_launcher_ended(struct task *task, int code, int signal,
                         bool (*orphan_status)(void *ctx, pid_t pid, int *code, int *signal), void *ctx)
{
    task->launcher = 0;
    pid_t pid = code == 0 && signal == 0 ? read_pid(task->pid_file) : 0;
    if (pid <= 0) {
        drain(task);
        fail_with_file(task, code, signal);
        return;
    }
    task->state = PROTOCOL_TASK_RUNNING;
    task->started_ns = wall_ns();
    if (orphan_status(ctx, pid, &code, &signal))
        task_main_ended(task, code, signal);
    else if (kill(pid, 0) != 0 && errno == ESRCH) /* its launcher reaped it: nobody will ever tell its end */
        task_main_ended(task, PROTOCOL_CODE_UNKNOWN, 0);
    else
        task->pid = pid;
}

void task_describe(const struct task *task, struct protocol_task *out)
{
    *out = (struct protocol_task){
        .name = task->name,
        .state = task->state,
        .pid = (uint32_t)task->pid,
        .started_ns = (uint64_t)task->started_ns,
        .finished_ns = (uint64_t)task->finished_ns,
        .code = (uint32_t)task->code,
        .signal = (uint32_t)task->signal,
        .sys = (uint32_t)task->sys,
        .text = {task->text.data, task->text.size},
    };
}
