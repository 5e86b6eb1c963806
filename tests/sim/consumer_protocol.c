/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_protocol.h"

#include <stdio.h>

enum { TEXT_MAX = 4096 };

static void put_number(struct buf *out, uint64_t number, int size)
{
    while (--size >= 0)
        buf_append_byte(out, (uint8_t)(number >> 8 * size));
}

static void put_text(struct buf *out, const char *text)
{
    struct bytes bytes = bytes_of_string(text);
    put_number(out, bytes.size, 2);
    buf_append(out, bytes);
}

struct bytes consumer_subscription(struct arena *arena, const struct ledger *ledger, unsigned topics)
{
    AUTO_BUF out;
    buf_init(&out, TEXT_MAX);
    put_number(&out, 0, 2);
    put_number(&out, (unsigned)__builtin_popcount(topics), 4);
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if (topics >> t & 1)
            put_text(&out, ledger->topics[t].name);
    put_number(&out, UINT32_MAX, 4); /* no user data */
    return arena_copy(arena, buf_bytes(&out));
}

size_t consumer_assign(const struct ledger *ledger, unsigned topics,
                       const struct kafka_join_group_response_member *members, size_t count,
                       struct consumer_assignment out[CONSUMER_MEMBERS_MAX])
{
    size_t next = 0;
    count = count < CONSUMER_MEMBERS_MAX ? count : CONSUMER_MEMBERS_MAX;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct consumer_assignment){0};
        snprintf(out[i].member_id, sizeof out[i].member_id, BYTES_FORMAT, BYTES_ARGS(members[i].member_id));
    }
    for (int bit = 0; count > 0 && bit < CONSUMER_PARTITIONS_MAX; bit++)
        if ((topics >> bit / LEDGER_PARTITIONS & 1) &&
            bit % LEDGER_PARTITIONS < ledger->topics[bit / LEDGER_PARTITIONS].partition_count)
            out[next++ % count].partitions |= UINT32_C(1) << bit;
    return count;
}

struct bytes consumer_write_assignment(struct arena *arena, const struct ledger *ledger,
                                       const struct consumer_assignment *assignment)
{
    AUTO_BUF out;
    buf_init(&out, TEXT_MAX);
    put_number(&out, 0, 2);
    put_number(&out, (unsigned)__builtin_popcount(assignment->partitions), 4);
    for (int bit = 0; bit < CONSUMER_PARTITIONS_MAX; bit++)
        if (assignment->partitions >> bit & 1) { /* a topic may be listed several times */
            put_text(&out, ledger->topics[bit / LEDGER_PARTITIONS].name);
            put_number(&out, 1, 4);
            put_number(&out, (uint64_t)(bit % LEDGER_PARTITIONS), 4);
        }
    put_number(&out, UINT32_MAX, 4);
    return arena_copy(arena, buf_bytes(&out));
}

static bool take_number(struct bytes *rest, int size, uint64_t *out)
{
    if (rest->size < (size_t)size)
        return false;
    *out = 0;
    for (int i = 0; i < size; i++)
        *out = *out << 8 | rest->data[i];
    *rest = bytes_slice(*rest, (size_t)size, SIZE_MAX);
    return true;
}

static bool take_topic(const struct ledger *ledger, struct bytes *rest, int *topic)
{
    uint64_t size;
    if (!take_number(rest, 2, &size) || rest->size < size)
        return false;
    struct bytes name = bytes_slice(*rest, 0, size);
    *rest = bytes_slice(*rest, size, SIZE_MAX);
    for (*topic = 0; *topic < LEDGER_TOPICS; ++*topic)
        if (bytes_equal_string(name, ledger->topics[*topic].name))
            return true;
    return false;
}

bool consumer_read_assignment(const struct ledger *ledger, struct bytes assignment,
                              void (*each)(void *ctx, int topic, int partition), void *ctx)
{
    uint64_t version, topics, partitions, partition;
    struct bytes rest = assignment;
    if (rest.size == 0)
        return true;
    if (!take_number(&rest, 2, &version) || !take_number(&rest, 4, &topics))
        return false;
    for (; topics > 0; topics--) {
        int topic;
        if (!take_topic(ledger, &rest, &topic) || !take_number(&rest, 4, &partitions))
            return false;
        for (; partitions > 0; partitions--) {
            if (!take_number(&rest, 4, &partition) || partition >= LEDGER_PARTITIONS)
                return false;
            each(ctx, topic, (int)partition);
        }
    }
    return true;
}
