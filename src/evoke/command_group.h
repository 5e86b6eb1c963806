/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of evoke group. */
#ifndef EVOKE_COMMAND_GROUP_H
#define EVOKE_COMMAND_GROUP_H

#include "evoke/command.h"
#include "evoke/kafka_client.h"

extern const struct command group_describe_command, group_reset_command;

/* NULL: it failed; a group that is not there, or is not of the classic protocol, has the state "Dead". */
const struct kafka_describe_groups_response_group *group_describe(struct kafka_client *client, struct bytes name,
                                                                  struct arena *arena, struct error *err);
/* One of the new protocol (KIP-848); NULL: there is none of the name. */
const struct kafka_consumer_group_describe_response_group *
group_describe_consumer(struct kafka_client *client, struct bytes name, struct arena *arena);
/* All that the group has committed. NULL: it failed. */
const struct kafka_offset_fetch_response *group_offsets(struct kafka_client *client, struct bytes name,
                                                        struct arena *arena, struct error *err);

#endif
