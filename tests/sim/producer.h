/* SPDX-License-Identifier: Apache-2.0 */
/* An idempotent producer: a program of the simulated world that speaks the Kafka protocol, one batch at a time, and
 * sends it again, as it is, until it is acknowledged. */
#ifndef SIM_PRODUCER_H
#define SIM_PRODUCER_H

#include "io/io.h"
#include "model.h"

struct producer;

struct producer *producer_start(struct io *io, struct model *model, int index);
void producer_stop(struct producer *producer); /* no new batches; what is under way is finished */
bool producer_finished(const struct producer *producer);
/* An answer that no retry can mend, with its Kafka code: a defect. 0: none. */
int16_t producer_failure(const struct producer *producer);

#endif
