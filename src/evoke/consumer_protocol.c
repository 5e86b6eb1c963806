/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/consumer_protocol.h"

enum { VERSION_SIZE = 2, COUNT_SIZE = 4 };

/* --- Reading --- */

static bool take_be(struct bytes *from, size_t size, uint32_t *out)
{
    if (from->size < size)
        return false;
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out = *out << 8 | from->data[i];
    *from = bytes_slice(*from, size, SIZE_MAX);
    return true;
}

static bool take_string(struct bytes *from, struct bytes *out)
{
    uint32_t size;
    if (!take_be(from, 2, &size) || size > from->size)
        return false;
    *out = bytes_slice(*from, 0, size);
    *from = bytes_slice(*from, size, SIZE_MAX);
    return true;
}

void consumer_protocol_each_topic(struct bytes subscription, consumer_protocol_topic *each, void *ctx)
{
    uint32_t version, count;
    struct bytes topic;
    if (!take_be(&subscription, VERSION_SIZE, &version) || !take_be(&subscription, COUNT_SIZE, &count))
        return;
    for (; count > 0 && take_string(&subscription, &topic); count--)
        if (!each(ctx, topic))
            return;
}

void consumer_protocol_each_partition(struct bytes assignment, consumer_protocol_partition *each, void *ctx)
{
    uint32_t version, topic_count, count, partition;
    struct bytes topic;
    if (!take_be(&assignment, VERSION_SIZE, &version) || !take_be(&assignment, COUNT_SIZE, &topic_count))
        return;
    for (; topic_count > 0 && take_string(&assignment, &topic) && take_be(&assignment, COUNT_SIZE, &count);
         topic_count--)
        for (; count > 0 && take_be(&assignment, 4, &partition); count--)
            each(ctx, topic, (int32_t)partition);
}

/* --- Writing --- */

static void append_string(struct buf *out, struct bytes text)
{
    buf_append_be16(out, (uint16_t)text.size);
    buf_append(out, text);
}

static void append_no_user_data(struct buf *out)
{
    buf_append_be32(out, UINT32_MAX); /* null */
}

void consumer_protocol_append_subscription(struct bytes topic, struct buf *out)
{
    buf_append_be16(out, 0);
    buf_append_be32(out, 1);
    append_string(out, topic);
    append_no_user_data(out);
}

struct consumer_protocol_range consumer_protocol_range(int32_t partition_count, size_t member, size_t member_count)
{
    int32_t each = partition_count / (int32_t)member_count, more = partition_count % (int32_t)member_count;
    int32_t index = (int32_t)member, with_more = index < more ? index : more;
    return (struct consumer_protocol_range){.first = each * index + with_more, .count = each + (index < more)};
}

void consumer_protocol_begin_assignment(struct buf *out)
{
    buf_append_be16(out, 0);
    buf_append_be32(out, 0); /* how many topics: set at the end */
}

void consumer_protocol_append_range(struct buf *out, struct bytes topic, struct consumer_protocol_range range)
{
    append_string(out, topic);
    buf_append_be32(out, (uint32_t)range.count);
    for (int32_t i = 0; i < range.count; i++)
        buf_append_be32(out, (uint32_t)(range.first + i));
}

void consumer_protocol_end_assignment(struct buf *out, uint32_t topic_count)
{
    append_no_user_data(out);
    for (int i = 0; i < COUNT_SIZE; i++)
        out->data[VERSION_SIZE + i] = (uint8_t)(topic_count >> (8 * (COUNT_SIZE - 1 - i)));
}
