/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that run beside a container's main process, for probes and hooks. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/monitored_priv.h"

static void exec_free(struct monitored_exec *exec)
{
    list_remove(&exec->link);
    free(exec);
}

void monitored_free_execs(struct monitored *monitored)
{
    list_each (struct monitored_exec, exec, &monitored->execs, link)
        exec_free(exec);
}

struct runtime_exec *monitored_exec(struct sandbox *sandbox, const char *container, const char *const *argv,
                                    void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output,
                                                 const struct error *err),
                                    void *ctx)
{
    struct monitored *monitored = (struct monitored *)(void *)sandbox;
    struct monitored_run *run = monitored_find_run(monitored, container);
    if (!run || monitored->state != MONITORED_ATTACHED)
        return NULL;
    struct monitored_exec *exec = NEW(struct monitored_exec);
    exec->monitored = monitored;
    exec->run = run;
    exec->done = done;
    exec->ctx = ctx;
    snprintf(exec->name, sizeof exec->name, "%s/exec-%llu", container, (unsigned long long)monitored->exec_next++);
    list_append(&monitored->execs, &exec->link);
    monitored_engine(monitored)->ops->exec(monitored, exec, argv);
    return (struct runtime_exec *)exec;
}

void monitored_exec_task(struct monitored_exec *exec, struct protocol_start *start)
{
    AUTO_BUF buf;
    buf_init(&buf, PROTOCOL_FRAME_MAX + 4);
    start->name = exec->name;
    start->flags |= PROTOCOL_START_CAPTURE;
    protocol_put_start(&buf, start);
    monitored_send(exec->monitored, &buf);
}

void monitored_exec_cancel(struct runtime_exec *cancelled)
{
    struct monitored_exec *exec = (struct monitored_exec *)(void *)cancelled;
    monitored_send_signal(exec->monitored, exec->name, SIGKILL, true);
    exec_free(exec);
}

void monitored_exec_changed(struct monitored *monitored, const struct protocol_task *task)
{
    if (task->state != PROTOCOL_TASK_EXITED && task->state != PROTOCOL_TASK_FAILED)
        return;
    char path[PATH_MAX];
    static const char *const endings[] = {".pid", ".err"}; /* of a launcher */
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        snprintf(path, sizeof path, "%.3500s/%.200s%s", monitored->directory, task->name, endings[i]);
        unlink(path);
    }
    monitored_send_string(monitored, PROTOCOL_FORGET, task->name);
    struct monitored_exec *exec = NULL;
    list_each (struct monitored_exec, known, &monitored->execs, link)
        if (strcmp(known->name, task->name) == 0)
            exec = known;
    if (!exec)
        return;
    const struct runtime_exit exit = {
        .code = task->signal || task->state == PROTOCOL_TASK_FAILED ? -1 : (int)task->code,
        .signal = (int)task->signal,
        .started_ns = (int64_t)task->started_ns,
        .finished_ns = (int64_t)task->finished_ns,
    };
    struct error err;
    if (task->state == PROTOCOL_TASK_FAILED)
        monitored_explain(task, &err);
    void (*done)(void *, const struct runtime_exit *, struct bytes, const struct error *) = exec->done;
    void *ctx = exec->ctx;
    exec_free(exec);
    done(ctx, &exit, task->text, task->state == PROTOCOL_TASK_FAILED ? &err : NULL);
}
