/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on a request in steps, so that nobody waits for who asks about ten thousand topics. What does not fit into one
 * turn goes on in turns to come: the door takes one such request a turn, the one that has waited longest.
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

static void work_later(struct kafka_request *request)
{
    struct kafka_door *door = request->door;
    list_append(&door->in_steps, &request->steps.link);
    if (!io_timer_active(&door->step_on))
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
    struct kafka_request *request = LIST_TAKE_FIRST(&door->in_steps, struct kafka_request, steps.link);
    if (!request)
        return; /* its connection has ended */
    uint64_t start_ns = io_clock_ns(door->io);
    bool more = work(request);
    (void)quotas_charge(door->quotas, request->header.client_id, QUOTA_REQUEST, io_clock_ns(door->io) - start_ns);
    if (more)
        work_later(request);
    else
        finish(request);
    if (!list_empty(&door->in_steps) && !io_timer_active(&door->step_on))
        io_timer_start(&door->step_on, 0);
}

void kafka_work_in_steps(struct kafka_request *request, bool (*step)(struct kafka_request *request),
                         void (*done)(struct kafka_request *request))
{
    request->steps = (struct kafka_steps){.step = step, .done = done, .used = true};
    if (work(request)) {
        kafka_hold_others(request);
        work_later(request);
    } else {
        done(request);
    }
}

void kafka_resume_steps(struct kafka_request *request, bool (*step)(struct kafka_request *request),
                        void (*done)(struct kafka_request *request))
{
    if (list_linked(&request->steps.link))
        return;
    request->steps.step = step;
    request->steps.done = done;
    work_later(request);
}
