/* SPDX-License-Identifier: Apache-2.0 */
/* Between monitored.c (a sandbox, made or found again), monitored_link.c (the way to its monitor), monitored_run.c
 * (runs of containers in it), monitored_message.c (what they leave to say), monitored_exec.c (commands beside them) and
 * monitored_end.c (its end). */
#ifndef NODE_MONITORED_PRIV_H
#define NODE_MONITORED_PRIV_H

#include "node/monitored.h"

/* Tells on_ready or on_lost of it, from the loop. */
void monitored_fail_later(struct monitored *monitored, const struct error *err);

/* --- monitored_link.c --- */
MUST_CHECK bool monitored_start_monitor(struct monitored *monitored, const struct runtime_pod *pod, struct error *err);
MUST_CHECK bool monitored_connect(struct monitored *monitored, struct error *err); /* to one that is there */
void monitored_send(struct monitored *monitored, struct buf *buf);

/* --- monitored_run.c --- */
struct monitored_run *monitored_find_run(struct monitored *monitored,
                                         const char *container); /* the newest; NULL: none */
void monitored_task(struct monitored *monitored, const struct protocol_task *task);
void monitored_mounted(struct monitored *monitored, int sys);
void monitored_output(struct monitored *monitored, const char *task);
void monitored_free_runs(struct monitored *monitored);
void monitored_drop_failed_starts(struct monitored *monitored);
void monitored_send_string(struct monitored *monitored, enum protocol_type type, const char *text);
void monitored_send_signal(struct monitored *monitored, const char *task, int signal, bool everything);
/* Why a task failed to start. */
void monitored_explain(const struct protocol_task *task, struct error *err);
void monitored_start(struct sandbox *sandbox, const struct runtime_container *container);
void monitored_signal(struct sandbox *sandbox, const char *container, int signal);
void monitored_watch_output(struct sandbox *sandbox, const char *container, bool on);
void monitored_output_path(struct sandbox *sandbox, const char *container, unsigned attempt, char *out, size_t size);

/* --- monitored_message.c --- */
void monitored_read_message(struct sandbox *sandbox, const char *container, unsigned attempt, struct buf *out);

/* --- monitored_exec.c --- */
struct runtime_exec *monitored_exec(struct sandbox *sandbox, const char *container, const char *const *argv,
                                    void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output,
                                                 const struct error *err),
                                    void *ctx);
void monitored_exec_cancel(struct runtime_exec *exec);
void monitored_exec_changed(struct monitored *monitored, const struct protocol_task *task);
void monitored_free_execs(struct monitored *monitored);

/* --- monitored_end.c --- */
void monitored_clean_up(void *monitored); /* its monitor is gone */
void monitored_tell_end(struct monitored *monitored);
void monitored_remove(struct sandbox *sandbox);
void monitored_release(struct sandbox *sandbox);

#endif
