/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to get done although the log may refuse it for now: a write while the disk is full or the journal is being
 * moved. Every write that nobody outside waits for (who does, is told, and asks again) is made by a reconciler
 * (control/reconciler.h) or in one of these: it runs when it is asked for, and while it fails it runs again, after
 * pauses that double from 5 ms to a minute. Asking again cuts a pause short.
 *
 * Embedded in its owner, which is `ctx`. `run` decides from what is now, not from what was when it was asked for.
 */
#ifndef API_RETRY_H
#define API_RETRY_H

#include "base/error.h"
#include "io/io.h"

enum { RETRY_PAUSE_MIN_MS = 5, RETRY_PAUSE_MAX_MS = 60000 };

struct retry {
    const char *folder; /* for messages: "dispatch" */
    bool (*run)(void *ctx, struct error *err);
    void *ctx;
    struct io_deferred soon;
    struct io_timer later;
    unsigned failures; /* one after another */
};

/* `run` returns false to be called again: what went wrong is said to the operator. When it returns true, it may have
 * freed the retry's owner. */
void retry_init(struct io *io, struct retry *retry, const char *folder, bool (*run)(void *ctx, struct error *err),
                void *ctx);
void retry_now(struct retry *retry);                             /* within this call; later if it fails */
void retry_soon(struct retry *retry);                            /* at the end of this turn */
void retry_within(struct retry *retry, uint64_t delay_ms);       /* then, or sooner if that was asked for */
void retry_failed(struct retry *retry, const struct error *err); /* its owner has tried a part by itself, in vain */
void retry_stop(struct retry *retry);

/* The pause after so many failures, from 1. */
uint64_t retry_pause_ms(unsigned failures);

#endif
