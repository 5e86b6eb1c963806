/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process that the monitor started: how it is started, what it writes, how it ends. See monitor/protocol.h for what
 * a task is. The monitor is a subreaper, so whatever a task's processes leave behind becomes its child in the end.
 */
#ifndef MONITOR_TASK_H
#define MONITOR_TASK_H

#include <sys/types.h>

#include "base/list.h"
#include "monitor/output.h"
#include "monitor/protocol.h"

enum { TASK_CAPTURE_MAX = 10240, TASK_NAME_MAX = 255 };

struct task {
    struct list link;
    char *name;
    uint32_t flags;
    enum protocol_task_state state;
    pid_t launcher; /* DETACHED, while STARTING */
    pid_t pid;      /* while RUNNING; it is also its session's id, but for a DETACHED task */
    int64_t started_ns, finished_ns;
    int code, signal, sys;
    struct buf text; /* why it failed, or what was captured */
    struct output output;
    int pipes[2]; /* what it writes on 1 and 2; -1: at its end */
    char *pid_file, *error_file;
    char **cgroups; /* NULL-terminated */
    bool watched;   /* tell when it has written something */
};

/* Never fails as a call: a task that could not be started is FAILED and says why. The caller watches its pipes. */
struct task *task_start(const struct protocol_start *message);
/* Closes and frees; the process, if any, is let go. */
void task_free(struct task *task);

/* Reads what there is in pipe 0 or 1. False at the end of it, when the pipe has been closed. */
bool task_read(struct task *task, int pipe);

/* `main only` or everything that belongs to it. */
void task_signal(struct task *task, int signal, bool everything);

/* Its main process (or its launcher) has ended, as waitid() tells: takes the state on. For a launcher that did well,
 * `orphan_status` tells how a process ended that was reaped before anyone knew it: false when it did not. */
void task_main_ended(struct task *task, int code, int signal);
void task_launcher_ended(struct task *task, int code, int signal,
                         bool (*orphan_status)(void *ctx, pid_t pid, int *code, int *signal), void *ctx);

void task_describe(const struct task *task, struct protocol_task *out);

#endif
