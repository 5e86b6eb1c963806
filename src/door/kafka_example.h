/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a request of any API in any version, with something in every field, and what is named is there if it can
 * be: the topic "orders", which the fixture must have, its first partition, and a good batch. */
#ifndef DOOR_KAFKA_EXAMPLE_H
#define DOOR_KAFKA_EXAMPLE_H

#include "door/kafka_fixture.h"

/* The whole frame, with its length; in the fixture's arena. */
struct bytes kafka_example_frame(struct kafka_fixture *f, const struct kafka_api *api, int16_t version);

#endif
