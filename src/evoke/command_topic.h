/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of evoke topic. */
#ifndef EVOKE_COMMAND_TOPIC_H
#define EVOKE_COMMAND_TOPIC_H

#include "evoke/command.h"
#include "evoke/kafka_client.h"

extern const struct command topic_describe_command;

/* `name` NULL: all topics. NULL: it failed. */
const struct kafka_metadata_response *topic_metadata(struct kafka_client *client, const char *name, struct arena *arena,
                                                     struct error *err);

#endif
