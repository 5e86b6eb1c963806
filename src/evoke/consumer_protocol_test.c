/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "evoke/consumer_protocol.h"

static bool count_topic(void *ctx, struct bytes topic)
{
    CHECK_BYTES(topic, BYTES_LITERAL("orders"));
    ++*(int *)ctx;
    return true;
}

static void add_partition(void *ctx, struct bytes topic, int32_t partition)
{
    (void)topic;
    *(int *)ctx = *(int *)ctx * 10 + partition;
}

TEST(a_subscription_and_an_assignment_come_back)
{
    int topics = 0, partitions = 0;
    AUTO_BUF out;
    buf_init(&out, 1000);
    consumer_protocol_append_subscription(BYTES_LITERAL("orders"), &out);
    consumer_protocol_each_topic(buf_bytes(&out), count_topic, &topics);
    CHECK_INT(topics, 1);
    buf_reset(&out);
    consumer_protocol_begin_assignment(&out);
    consumer_protocol_append_range(&out, BYTES_LITERAL("orders"), (struct consumer_protocol_range){3, 2});
    consumer_protocol_append_range(&out, BYTES_LITERAL("more"), (struct consumer_protocol_range){1, 1});
    consumer_protocol_end_assignment(&out, 2);
    consumer_protocol_each_partition(buf_bytes(&out), add_partition, &partitions);
    CHECK_INT(partitions, 341);
    for (size_t size = 0; size < out.size; size++) { /* cut short anywhere: no more than what is there */
        partitions = 0;
        consumer_protocol_each_partition(bytes_slice(buf_bytes(&out), 0, size), add_partition, &partitions);
        CHECK(partitions == 0 || partitions == 3 || partitions == 34 || partitions == 341);
    }
}

TEST(a_range_gives_every_partition_to_one_member)
{
    for (int32_t partitions = 0; partitions < 20; partitions++)
        for (size_t members = 1; members < 8; members++) {
            int32_t next = 0;
            for (size_t i = 0; i < members; i++) {
                struct consumer_protocol_range range = consumer_protocol_range(partitions, i, members);
                CHECK_INT(range.first, next);
                CHECK(range.count == partitions / (int32_t)members || range.count == partitions / (int32_t)members + 1);
                next += range.count;
            }
            CHECK_INT(next, partitions);
        }
}
