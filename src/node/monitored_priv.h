/* SPDX-License-Identifier: Apache-2.0 */
/* Between monitored.c (a sandbox's life), monitored_end.c (its end) and monitored_run.c (what runs in it). */
#ifndef NODE_MONITORED_PRIV_H
#define NODE_MONITORED_PRIV_H

#include "node/monitored.h"

void monitored_send(struct monitored *monitored, struct buf *buf);
void monitored_hello(struct monitored *monitored, int pid);
void monitored_task(struct monitored *monitored, const struct protocol_task *task);
void monitored_mounted(struct monitored *monitored, int sys);
void monitored_output(struct monitored *monitored, const char *task);
void monitored_free_runs(struct monitored *monitored);
void monitored_drop_failed_starts(struct monitored *monitored);

/* --- monitored_end.c --- */
void monitored_clean_up(void *monitored); /* its monitor is gone */
void monitored_remove(struct sandbox *sandbox);
void monitored_release(struct sandbox *sandbox);

void monitored_start(struct sandbox *sandbox, const struct runtime_container *container);
void monitored_signal(struct sandbox *sandbox, const char *container, int signal);
struct runtime_exec *monitored_exec(struct sandbox *sandbox, const char *container, const char *const *argv,
                                    void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output,
                                                 const struct error *err),
                                    void *ctx);
void monitored_exec_cancel(struct runtime_exec *exec);
void monitored_watch_output(struct sandbox *sandbox, const char *container, bool on);
void monitored_output_path(struct sandbox *sandbox, const char *container, unsigned attempt, char *out, size_t size);

#endif
