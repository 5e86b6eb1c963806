/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of the Linux engine: posix_spawn() (a vfork inside, so that starting one costs the same however large evoke
 * is) and a pidfd in the loop. Only our own children are reaped, each by its pidfd: SIGCHLD is not used, and a
 * waitpid() elsewhere is not disturbed. A child that is released is still reaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"
#include "io/linux_priv.h"
#include "io/process_priv.h"

enum { DESCRIPTORS_MAX = 64, OUTPUT_STEP = 4096 };

/* What a child writes; a watch of its own, because libuv closes each handle on its own. */
struct output {
    struct watch watch;
    struct linux_process *process; /* NULL: it is gone */
    struct buf gathered;
};

struct linux_process {
    struct io_process base;
    struct watch watch; /* the pidfd */
    bool child, exited, released;
    struct output *output;
};

/* --- Output --- */

/* Beyond the maximum it is read and dropped, so that the child is not blocked. */
static void output_read(struct output *output)
{
    for (;;) {
        uint8_t data[OUTPUT_STEP];
        ssize_t got = read(output->watch.fd, data, sizeof data);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0 || errno != EAGAIN)
                watch_want(&output->watch, 0);
            return;
        }
        size_t room = output->gathered.size_max - output->gathered.size;
        buf_append(&output->gathered, bytes_slice(bytes_of(data, (size_t)got), 0, room));
    }
}

static void output_ready(struct watch *watch, int events)
{
    (void)events;
    output_read(CONTAINER_OF(watch, struct output, watch));
}

static void output_dispose(struct watch *watch)
{
    struct output *output = CONTAINER_OF(watch, struct output, watch);
    if (output->process)
        output->process->output = NULL;
    buf_deinit(&output->gathered);
    free(output);
}

static void output_close(struct linux_process *process)
{
    if (!process->output)
        return;
    process->output->process = NULL;
    watch_close(&TAKE(process->output)->watch);
}

/* --- Exit --- */

static struct io_process_exit reap(struct linux_process *process)
{
    struct io_process_exit exit = {.code = -1};
    siginfo_t info = {0};
    if (!process->child || waitid(P_PIDFD, (id_t)process->watch.fd, &info, WEXITED | WNOHANG) < 0)
        return exit;
    if (info.si_code == CLD_EXITED)
        exit.code = info.si_status;
    else
        exit.signal = info.si_status;
    return exit;
}

static void process_ready(struct watch *watch, int events)
{
    struct linux_process *process = CONTAINER_OF(watch, struct linux_process, watch);
    (void)events;
    process->exited = true;
    watch_want(watch, 0);
    struct io_process_exit exit = reap(process);
    if (process->released) {
        watch_close(watch);
        return;
    }
    /* What it has written is there by now. The end of the pipe is not waited for: a grandchild may hold it. */
    if (process->output) {
        output_read(process->output);
        exit.output = buf_bytes(&process->output->gathered);
        watch_want(&process->output->watch, 0);
    }
    process->base.on_exit(process->base.ctx, &exit);
}

static void process_dispose(struct watch *watch)
{
    struct linux_process *process = CONTAINER_OF(watch, struct linux_process, watch);
    if (process->output)
        process->output->process = NULL;
    free(process);
}

static bool process_open(struct io *io, int pid, int pidfd, bool child,
                         void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                         struct linux_process **out, struct error *err)
{
    AUTO_FREE(struct linux_process) process = NEW(struct linux_process);
    process->base = (struct io_process){.io = io, .pid = pid, .on_exit = on_exit, .ctx = ctx};
    process->child = child;
    if (!watch_open(linux_io_of(io), &process->watch, pidfd, process_ready, process_dispose, err))
        return false;
    watch_want(&process->watch, WATCH_READ);
    *out = TAKE(process);
    return true;
}

/* --- Starting --- */

/* Moves the descriptors above all that they become, so that no dup2 overwrites one that is still to be used. */
static bool lift_descriptors(const struct io_process_options *options, int lifted[DESCRIPTORS_MAX], struct error *err)
{
    if (options->descriptor_count > DESCRIPTORS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d descriptors for a process", DESCRIPTORS_MAX);
    for (size_t i = 0; i < options->descriptor_count; i++) {
        lifted[i] = -1;
        if (options->descriptors[i] < 0)
            continue;
        lifted[i] = fcntl(options->descriptors[i], F_DUPFD_CLOEXEC, DESCRIPTORS_MAX);
        if (lifted[i] < 0) {
            int sys = errno;
            while (i-- > 0)
                if (lifted[i] >= 0)
                    close(lifted[i]);
            return error_sys(err, sys, "descriptors for a process");
        }
    }
    return true;
}

static void plan_descriptors(posix_spawn_file_actions_t *actions, const int *lifted, size_t count, int output)
{
    int next = 0;
    for (; (size_t)next < count || next < 3; next++) {
        int from = (size_t)next < count ? lifted[next] : next > 0 ? output : -1;
        if (from >= 0)
            posix_spawn_file_actions_adddup2(actions, from, next);
        else
            posix_spawn_file_actions_addopen(actions, next, "/dev/null", O_RDWR, 0);
    }
    posix_spawn_file_actions_addclosefrom_np(actions, next);
}

static int start(const struct io_process_options *options, const int *lifted, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all); /* it must not inherit that we ignore SIGPIPE */
    posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                  (options->new_session ? POSIX_SPAWN_SETSID : 0)));
    if (options->directory)
        posix_spawn_file_actions_addchdir_np(&actions, options->directory);
    plan_descriptors(&actions, lifted, options->descriptor_count, output);
    char *const *environment = options->environment ? (char *const *)(uintptr_t)options->environment : environ;
    int sys = posix_spawnp(pid, options->argv[0], &actions, &attributes, (char *const *)(uintptr_t)options->argv,
                           environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return sys;
}

/* posix_spawn() does not say which step failed; a wrong directory is the user's mistake to find. */
static bool start_failed(const struct io_process_options *options, int sys, struct error *err)
{
    struct stat status;
    if (options->directory && (stat(options->directory, &status) < 0 || !S_ISDIR(status.st_mode)))
        return error_sys(err, sys, "start %s: working directory %s", options->argv[0], options->directory);
    return error_sys(err, sys, "start %s", options->argv[0]);
}

static bool start_with_descriptors(const struct io_process_options *options, int output, pid_t *pid, struct error *err)
{
    int lifted[DESCRIPTORS_MAX] = {0};
    if (!lift_descriptors(options, lifted, err))
        return false;
    int sys = start(options, lifted, output, pid);
    for (size_t i = 0; i < options->descriptor_count; i++)
        if (lifted[i] >= 0)
            close(lifted[i]);
    return sys == 0 || start_failed(options, sys, err);
}

static bool start_gathering(struct io *io, const struct io_process_options *options, pid_t *pid, struct output **out,
                            struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "start %s", options->argv[0]);
    AUTO_FREE(struct output) output = NEW(struct output);
    buf_init(&output->gathered, options->output_max);
    if (!watch_open(linux_io_of(io), &output->watch, ends[0], output_ready, output_dispose, err)) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    int lifted = fcntl(ends[1], F_DUPFD_CLOEXEC, DESCRIPTORS_MAX);
    int sys = errno;
    bool good = lifted >= 0 ? start_with_descriptors(options, lifted, pid, err)
                            : error_sys(err, sys, "start %s", options->argv[0]);
    close(ends[1]);
    if (lifted >= 0)
        close(lifted);
    if (!good) {
        watch_close(&TAKE(output)->watch);
        return false;
    }
    watch_want(&output->watch, WATCH_READ);
    *out = TAKE(output);
    return true;
}

static struct linux_process *follow_child(struct io *io, pid_t pid,
                                          void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                                          struct error *err)
{
    struct linux_process *process = NULL;
    int pidfd = pidfd_open(pid, 0); /* not reaped yet, so the number is still its */
    if (pidfd < 0)
        error_sys(err, errno, "watch process %d", pid);
    else if (!process_open(io, pid, pidfd, true, on_exit, ctx, &process, err))
        close(pidfd);
    if (!process) { /* it runs, but nobody would know */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return process;
}

static bool linux_spawn(struct io *io, const struct io_process_options *options,
                        void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                        struct io_process **out, struct error *err)
{
    pid_t pid = -1;
    struct output *output = NULL;
    if (!(options->output_max > 0 ? start_gathering(io, options, &pid, &output, err)
                                  : start_with_descriptors(options, -1, &pid, err)))
        return false;
    struct linux_process *process = follow_child(io, pid, on_exit, ctx, err);
    if (!process) {
        if (output)
            watch_close(&output->watch);
        return false;
    }
    process->output = output;
    if (output)
        output->process = process;
    *out = &process->base;
    return true;
}

static bool linux_process_watch(struct io *io, int pid, void (*on_exit)(void *ctx, const struct io_process_exit *exit),
                                void *ctx, struct io_process **out, struct error *err)
{
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return error_sys(err, errno, "watch process %d", pid);
    struct linux_process *process;
    if (!process_open(io, pid, pidfd, false, on_exit, ctx, &process, err)) {
        close(pidfd);
        return false;
    }
    *out = &process->base;
    return true;
}

static void linux_signal(struct io_process *base, int signal)
{
    struct linux_process *process = (struct linux_process *)base;
    /* A process that is gone needs no signal. */
    (void)pidfd_send_signal(process->watch.fd, signal, NULL, 0);
}

static void linux_release(struct io_process *base)
{
    struct linux_process *process = (struct linux_process *)base;
    process->released = true;
    output_close(process);
    if (process->exited || !process->child)
        watch_close(&process->watch);
}

const struct process_engine linux_process_engine = {
    .spawn = linux_spawn,
    .watch = linux_process_watch,
    .signal = linux_signal,
    .release = linux_release,
};
