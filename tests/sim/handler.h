/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services behind the Triggers: a program of the simulated world. What it answers to an event in the end is the
 * plan's (a reply with the id "re-t<trigger>-<event>", nothing, or a refusal); on the way there it refuses for the
 * moment, is slow, does not answer, answers nonsense or dies, as its faults want.
 */
#ifndef SIM_HANDLER_H
#define SIM_HANDLER_H

#include "io/simulated.h"
#include "model.h"

struct handler_faults {
    uint32_t refuse_ppm, hang_ppm, die_ppm, slow_ppm, nonsense_ppm;
};

struct handlers {
    struct model *model;
    struct handler_faults faults; /* may be changed at any time */
    int living;                   /* processes that run */
    struct list all;              /* of these */
};

void handlers_register(struct io *io, struct handlers *handlers);
/* The pod with this address was deleted by evoke, which has drained it: it is a failure when its process is told to end
 * with a request under way. */
void handlers_condemn(struct handlers *handlers, const char *ip);

#endif
