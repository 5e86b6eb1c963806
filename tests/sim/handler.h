/* SPDX-License-Identifier: Apache-2.0 */
/* The service behind the Trigger: a program of the simulated world. It answers an event with the reply event "pong"
 * whose id is "re-" and the event's; and, as its seed wants, refuses, is slow, does not answer at all, or dies. */
#ifndef SIM_HANDLER_H
#define SIM_HANDLER_H

#include "io/simulated.h"

#define HANDLER_COMMAND "handler"

struct handler_faults {
    uint32_t refuse_ppm, hang_ppm, die_ppm, slow_ppm;
};
/* `faults` is read at each request, and may be changed meanwhile. */
void handler_register(struct io *io, const struct handler_faults *faults);

#endif
