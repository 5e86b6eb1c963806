/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on a request in steps, so that nobody waits for who asks about ten thousand topics. What does not fit into one
 * turn goes on in turns to come: the door takes the oldest such request in each until it is done, and not all of them
 * in turn: so one answer is in the making, and the others take the memory of their first turn. That counts as what
 * requests hold, so that no more of them begin than may be.
 */
#include "door/kafka_connection_priv.h"
#include "door/kafka_quota.h"

/* Whether there is more to do in another turn. */
static bool work(struct kafka_request *request)
{
    struct io *io = request->door->io;
    uint64_t start_ns = io_clock_ns(io);
    bool more;
    do
        more = request->steps.step(request);
    while (more && io_clock_ns(io) - start_ns < KAFKA_TURN_NS);
    return more;
}

/* Of the request's frame and arena. */
static void hold_memory(struct kafka_request *request)
{
    size_t more = request->frame.size + request->arena.used - request->held;
    request->held += more;
    kafka_connection_hold(request->connection, more);
}

static void step_soon(struct kafka_door *door)
{
    if (!list_empty(&door->in_steps) && !io_timer_active(&door->step_on))
        io_timer_start(&door->step_on, 0);
}

/* The request may be gone afterwards. */
static void finish(struct kafka_request *request)
{
    if (request->connection->alone == request)
        kafka_take_others(request);
    request->steps.done(request);
}

void kafka_step_on(void *ctx)
{
    struct kafka_door *door = ctx;
    struct kafka_request *request = LIST_FIRST(&door->in_steps, struct kafka_request, steps.link);
    if (!request)
        return; /* its connection has ended */
    uint64_t start_ns = io_clock_ns(door->io);
    bool more = work(request);
    (void)quotas_charge(door->quotas, request->header.client_id, QUOTA_REQUEST, io_clock_ns(door->io) - start_ns);
    hold_memory(request);
    if (!more) {
        list_remove(&request->steps.link);
        finish(request);
    }
    step_soon(door);
}

void kafka_work_in_steps(struct kafka_request *request, bool (*step)(struct kafka_request *request),
                         void (*done)(struct kafka_request *request))
{
    request->steps = (struct kafka_steps){.step = step, .done = done, .used = true};
    if (!work(request)) {
        done(request);
        return;
    }
    hold_memory(request);
    kafka_hold_others(request);
    list_append(&request->door->in_steps, &request->steps.link);
    step_soon(request->door);
}

void kafka_resume_steps(struct kafka_request *request, bool (*step)(struct kafka_request *request),
                        void (*done)(struct kafka_request *request))
{
    if (list_linked(&request->steps.link))
        return;
    request->steps.step = step;
    request->steps.done = done;
    list_prepend(&request->door->in_steps, &request->steps.link); /* it is older than what has not begun yet */
    step_soon(request->door);
}
