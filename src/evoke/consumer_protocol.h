/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members of a classic consumer group tell each other through the coordinator ("Consumer Embedded Protocol" in
 * Kafka's protocol guide), version 0, which every version begins with:
 *
 *     subscription: version i16, topics [string], user data bytes?
 *     assignment:   version i16, [topic string, partitions [i32]], user data bytes?
 */
#ifndef EVOKE_CONSUMER_PROTOCOL_H
#define EVOKE_CONSUMER_PROTOCOL_H

#include "base/buf.h"
#include "base/bytes.h"

/* Calls `each` until it is false or the text ends or is damaged. */
typedef bool consumer_protocol_topic(void *ctx, struct bytes topic);
void consumer_protocol_each_topic(struct bytes subscription, consumer_protocol_topic *each, void *ctx);
typedef void consumer_protocol_partition(void *ctx, struct bytes topic, int32_t partition);
void consumer_protocol_each_partition(struct bytes assignment, consumer_protocol_partition *each, void *ctx);

void consumer_protocol_append_subscription(struct bytes topic, struct buf *out);

/* Kafka's range assignor: what is `member`'s of a topic that `member_count` members read. */
struct consumer_protocol_range {
    int32_t first, count;
};
struct consumer_protocol_range consumer_protocol_range(int32_t partition_count, size_t member, size_t member_count);

/* An assignment: begin, a topic's range each, end. */
void consumer_protocol_begin_assignment(struct buf *out);
void consumer_protocol_append_range(struct buf *out, struct bytes topic, struct consumer_protocol_range range);
void consumer_protocol_end_assignment(struct buf *out, uint32_t topic_count);

#endif
