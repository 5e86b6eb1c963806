/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `evoke up` shows: every event on the Brokers' topics, what the Triggers do with it, the scale decisions, the
 * pods that come and go, and warnings; on a terminal also a table of the Triggers with their backlog and their pods. It
 * looks and changes nothing.
 */
#ifndef EVOKE_LIVE_H
#define EVOKE_LIVE_H

#include "api/api.h"
#include "dispatch/dispatch.h"
#include "evoke/screen.h"

struct live;

struct live *live_open(struct api *api, struct screen *screen);
void live_close(struct live *live); /* NULL is allowed */
/* For dispatch_options.observe. */
void live_observe(void *live, const struct dispatch_step *step);

#endif
