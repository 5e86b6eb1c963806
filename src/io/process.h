/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes. Exits are seen by pidfd, so that a process that is not our child can be watched too. */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"

struct io_process;

struct io_process_options {
    const char *const *argv;        /* NULL-terminated; argv[0] is looked up in PATH unless it has a slash */
    const char *const *environment; /* NULL-terminated; NULL: ours */
    const char *directory;          /* NULL: ours */
    bool new_session;               /* setsid: it outlives us and our terminal */
    /* Descriptors that the child gets as 0, 1, 2 ...; -1: /dev/null. All others are closed. */
    const int *descriptors;
    size_t descriptor_count; /* below 3: the rest of 0, 1, 2 is /dev/null */
    size_t output_max;       /* not 0: gather what it writes on 1 and 2, at most so many bytes (descriptors 1
                                and 2 must not be given) */
};

struct io_process_exit {
    int code;            /* exit code, or -1 */
    int signal;          /* signal number, or 0; both unknown (-1, 0) for a process that is not our child */
    struct bytes output; /* what was gathered; good during the call */
};

/* `on_exit` runs once, unless the process is released first. A command that does not exist fails here. */
MUST_CHECK bool io_process_spawn(struct io *io, const struct io_process_options *options,
                                 void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                                 struct io_process **out, struct error *err);
/* Watches a process that another one started. ERROR_NOT_FOUND when there is none. */
MUST_CHECK bool io_process_watch(struct io *io, int pid, void (*on_exit)(void *ctx, const struct io_process_exit *exit),
                                 void *ctx, struct io_process **out, struct error *err);
int io_process_pid(const struct io_process *process);
void io_process_signal(struct io_process *process, int signal); /* by pidfd: never another process with its number */
/* Lets go: no callback any more; the process goes on. After on_exit it is still to be called. NULL is allowed. */
void io_process_release(struct io_process *process);

#endif
