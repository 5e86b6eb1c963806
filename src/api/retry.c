/* SPDX-License-Identifier: Apache-2.0 */
#include "api/retry.h"

#include "base/diag.h"

uint64_t retry_pause_ms(unsigned failures)
{
    uint64_t ms = RETRY_PAUSE_MIN_MS;
    for (unsigned i = 1; i < failures && ms < RETRY_PAUSE_MAX_MS; i++)
        ms *= 2;
    return ms < RETRY_PAUSE_MAX_MS ? ms : RETRY_PAUSE_MAX_MS;
}

static void run(void *ctx)
{
    retry_now(ctx);
}

void retry_init(struct io *io, struct retry *retry, const char *folder, bool (*wanted)(void *ctx, struct error *err),
                void *ctx)
{
    *retry = (struct retry){.folder = folder, .run = wanted, .ctx = ctx};
    io_deferred_init(io, &retry->soon, run, retry);
    io_timer_init(io, &retry->later, run, retry);
}

void retry_within(struct retry *retry, uint64_t delay_ms)
{
    uint64_t due_ns = io_now_ns(retry->later.io) + delay_ms * 1000000;
    if (!io_timer_active(&retry->later) || retry->later.due_ns > due_ns)
        io_timer_start(&retry->later, delay_ms);
}

static void pause_after(struct retry *retry, const struct error *err)
{
    diag_warn(retry->folder, "%s", err->message);
    retry->failures++;
    retry_within(retry, retry_pause_ms(retry->failures));
}

void retry_now(struct retry *retry)
{
    struct error err;
    unsigned failures = retry->failures;
    retry->failures = 0;
    retry_stop(retry); /* what `run` asks for is for the next time */
    if (retry->run(retry->ctx, &err))
        return; /* it may be gone */
    retry->failures = failures;
    pause_after(retry, &err);
}

void retry_soon(struct retry *retry)
{
    io_defer(&retry->soon);
}

void retry_failed(struct retry *retry, const struct error *err)
{
    if (io_timer_active(&retry->later)) /* one more of the same trouble */
        diag_warn(retry->folder, "%s", err->message);
    else
        pause_after(retry, err);
}

void retry_stop(struct retry *retry)
{
    io_deferred_cancel(&retry->soon);
    io_timer_stop(&retry->later);
}
