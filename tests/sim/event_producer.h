/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers of events, each one event or batch at a time, sent again until it is acknowledged: an idempotent producer
 * of the Kafka protocol, and one that posts to the events door, whose events may come twice. */
#ifndef SIM_EVENT_PRODUCER_H
#define SIM_EVENT_PRODUCER_H

#include "io/io.h"
#include "model.h"

/* Both: `index` is in model->producers, whose broker and `once` are set. */
struct event_producer;
struct event_producer *event_producer_start(struct io *io, struct model *model, int index);
void event_producer_stop(struct event_producer *producer); /* no new batches; what is under way is finished */
bool event_producer_finished(const struct event_producer *producer);

struct event_poster;
struct event_poster *event_poster_start(struct io *io, struct model *model, int index);
void event_poster_stop(struct event_poster *poster);
bool event_poster_finished(const struct event_poster *poster);

#endif
