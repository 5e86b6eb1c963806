/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as the Kafka protocol shows them; what there is and what it means is log/topic_config.h's. */
#ifndef DOOR_KAFKA_CONFIGS_H
#define DOOR_KAFKA_CONFIGS_H

#include "base/arena.h"
#include "log/log.h"
#include "wire/kafka_messages.h"

/* For the answer to CreateTopics: all settings that the topic of this specification has. */
void kafka_configs_of_new_topic(struct arena *arena, const struct topic_spec *spec,
                                struct kafka_create_topics_response_config **out, size_t *count);

#endif
