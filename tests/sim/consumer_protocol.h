/* SPDX-License-Identifier: Apache-2.0 */
/* What members of a classic group tell each other through the coordinator: Kafka's ConsumerProtocolSubscription and
 * -Assignment, version 0, and an assignor that deals partitions out one by one. */
#ifndef SIM_CONSUMER_PROTOCOL_H
#define SIM_CONSUMER_PROTOCOL_H

#include "base/arena.h"
#include "ledger.h"
#include "wire/kafka_messages.h"

enum { CONSUMER_MEMBERS_MAX = 16, CONSUMER_PARTITIONS_MAX = LEDGER_TOPICS * LEDGER_PARTITIONS };

struct consumer_assignment {
    char member_id[128];
    uint32_t partitions; /* bit topic * LEDGER_PARTITIONS + partition */
};

/* `topics`: bits. */
struct bytes consumer_subscription(struct arena *arena, const struct ledger *ledger, unsigned topics);
/* How many assignments. Everybody subscribes to the same topics. */
size_t consumer_assign(const struct ledger *ledger, unsigned topics,
                       const struct kafka_join_group_response_member *members, size_t count,
                       struct consumer_assignment out[CONSUMER_MEMBERS_MAX]);
struct bytes consumer_write_assignment(struct arena *arena, const struct ledger *ledger,
                                       const struct consumer_assignment *assignment);
/* False: it is none that consumer_write_assignment() makes. Empty is fine: a member that came between. */
bool consumer_read_assignment(const struct ledger *ledger, struct bytes assignment,
                              void (*each)(void *ctx, int topic, int partition), void *ctx);

#endif
