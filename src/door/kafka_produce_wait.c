/* SPDX-License-Identifier: Apache-2.0 */
#include "door/kafka_produce_wait.h"

#include "base/memory.h"

struct waiting {
    struct kafka_request *request;
    void (*then)(struct kafka_request *request);
    struct log_room_waiter room;
    struct io_timer timeout;
};

static void waiting_free(struct waiting *waiting)
{
    log_wait_room_cancel(&waiting->room);
    io_timer_stop(&waiting->timeout);
    free(waiting);
}

static void cancel(struct kafka_request *request)
{
    waiting_free(request->state);
}

static void go_on(void *ctx)
{
    struct waiting *waiting = ctx;
    struct kafka_request *request = waiting->request;
    void (*then)(struct kafka_request * request) = waiting->then;
    waiting_free(waiting);
    request->cancel = NULL;
    kafka_take_others(request);
    then(request);
}

static uint64_t patience_ms(const struct kafka_request *request)
{
    const struct kafka_produce_request *body = request->body;
    if (body->timeout_ms < 0 || body->timeout_ms > KAFKA_PRODUCE_WAIT_MAX_MS)
        return body->timeout_ms < 0 ? 0 : KAFKA_PRODUCE_WAIT_MAX_MS;
    return (uint64_t)body->timeout_ms;
}

bool kafka_wait_for_room(struct kafka_request *request, void (*then)(struct kafka_request *request))
{
    if (!log_is_behind(request->log, request->frame.size))
        return false;
    struct waiting *waiting = NEW(struct waiting);
    *waiting = (struct waiting){.request = request, .then = then, .room = {.run = go_on, .ctx = waiting}};
    log_wait_room(request->log, &waiting->room, request->frame.size);
    io_timer_init(request->door->io, &waiting->timeout, go_on, waiting);
    io_timer_start(&waiting->timeout, patience_ms(request));
    request->state = waiting;
    request->cancel = cancel;
    request->door->metrics.produce_waits++;
    kafka_hold_others(request);
    return true;
}
