/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/transaction_records.h"

#include <assert.h>

#include "coordinator/group_priv.h"
#include "log/record_reader.h"

enum { KEY = 0, VALUE_OLD = 0, VALUE = 1, TAG_PREVIOUS_PRODUCER_ID = 0, TAG_CLIENT_VERSION = 2 };

/* --- Writing --- */

static void put_uvarint(struct buf *out, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_append_byte(out, (uint8_t)(value | 0x80));
    buf_append_byte(out, (uint8_t)value);
}

static void put_no_tags(struct buf *out)
{
    put_uvarint(out, 0);
}

void transaction_record_put_key(struct buf *out, struct bytes transactional_id)
{
    assert(transactional_id.size <= INT16_MAX);
    buf_append_be16(out, KEY);
    buf_append_be16(out, (uint16_t)transactional_id.size);
    buf_append(out, transactional_id);
}

/* The entries from `entry` on that are of the same topic. */
static uint32_t count_of_topic(const struct map_entry *entry, struct bytes topic)
{
    uint32_t count = 0;
    for (; entry; entry = map_next(entry), count++) {
        struct bytes other;
        int32_t index;
        group_split_offset_key(map_key(entry), &other, &index);
        if (!bytes_equal(other, topic))
            break;
    }
    return count;
}

static uint32_t count_topics(const struct map *partitions)
{
    uint32_t count = 0;
    struct bytes last = BYTES_NULL, topic;
    int32_t index;
    map_each (entry, partitions) {
        group_split_offset_key(map_key(entry), &topic, &index);
        count += !last.data || !bytes_equal(last, topic);
        last = topic;
    }
    return count;
}

static void put_partitions(struct buf *out, const struct map *partitions)
{
    uint32_t left = 0;
    put_uvarint(out, count_topics(partitions) + 1);
    map_each (entry, partitions) {
        struct bytes topic;
        int32_t index;
        group_split_offset_key(map_key(entry), &topic, &index);
        if (left == 0) {
            left = count_of_topic(entry, topic);
            put_uvarint(out, (uint32_t)topic.size + 1);
            buf_append(out, topic);
            put_uvarint(out, left + 1);
        }
        buf_append_be32(out, (uint32_t)index);
        if (--left == 0)
            put_no_tags(out);
    }
}

static void put_tags(struct buf *out, const struct transaction_record *record)
{
    bool previous = record->previous_producer_id >= 0, version = record->client_version != 0;
    put_uvarint(out, (uint32_t)previous + (uint32_t)version);
    if (previous) {
        put_uvarint(out, TAG_PREVIOUS_PRODUCER_ID);
        put_uvarint(out, sizeof record->previous_producer_id);
        buf_append_be64(out, (uint64_t)record->previous_producer_id);
    }
    if (version) {
        put_uvarint(out, TAG_CLIENT_VERSION);
        put_uvarint(out, sizeof record->client_version);
        buf_append_be16(out, (uint16_t)record->client_version);
    }
}

void transaction_record_put(struct buf *out, const struct transaction_record *record, const struct map *partitions)
{
    buf_append_be16(out, VALUE);
    buf_append_be64(out, (uint64_t)record->producer_id);
    buf_append_be16(out, (uint16_t)record->epoch);
    buf_append_be32(out, (uint32_t)record->timeout_ms);
    buf_append_byte(out, (uint8_t)record->state);
    if (record->state == TRANSACTION_EMPTY)
        put_uvarint(out, 0);
    else
        put_partitions(out, partitions);
    buf_append_be64(out, (uint64_t)record->update_ms);
    buf_append_be64(out, (uint64_t)record->start_ms);
    put_tags(out, record);
}

/* --- Reading --- */

static uint32_t take_count(struct record_reader *reader, bool flexible)
{
    if (flexible) {
        uint32_t count = record_take_uvarint(reader);
        return count ? count - 1 : 0;
    }
    int32_t count = record_take_i32(reader);
    return count < 0 ? 0 : (uint32_t)count;
}

static void skip_tags(struct record_reader *reader)
{
    for (uint32_t left = record_take_uvarint(reader); left > 0 && !reader->bad; left--) {
        record_take_uvarint(reader);
        record_take(reader, record_take_uvarint(reader));
    }
}

static void take_tags(struct record_reader *reader, struct transaction_record *out)
{
    for (uint32_t left = record_take_uvarint(reader); left > 0 && !reader->bad; left--) {
        uint32_t tag = record_take_uvarint(reader);
        struct record_reader field = {.rest = record_take(reader, record_take_uvarint(reader))};
        if (tag == TAG_PREVIOUS_PRODUCER_ID)
            out->previous_producer_id = record_take_i64(&field);
        else if (tag == TAG_CLIENT_VERSION)
            out->client_version = record_take_i16(&field);
        reader->bad |= field.bad;
    }
}

static bool next_partition(struct record_reader *reader, struct transaction_record_partition *at)
{
    while (at->indexes_left == 0) {
        if (at->in_topic && at->flexible)
            skip_tags(reader);
        at->in_topic = false;
        if (at->topics_left == 0 || reader->bad)
            return false;
        at->topics_left--;
        at->in_topic = true;
        at->topic = at->flexible ? record_take_compact_string(reader) : record_take_string(reader);
        reader->bad |= !at->topic.data || at->topic.size > TOPIC_NAME_SIZE_MAX;
        at->indexes_left = take_count(reader, at->flexible);
    }
    at->indexes_left--;
    at->index = record_take_i32(reader);
    return !reader->bad;
}

struct transaction_record_partition transaction_record_partitions(const struct transaction_record *record)
{
    struct record_reader reader = {.rest = record->partitions};
    struct transaction_record_partition at = {.flexible = record->flexible};
    at.topics_left = take_count(&reader, record->flexible);
    at.rest = reader.rest;
    return at;
}

bool transaction_record_next_partition(struct transaction_record_partition *at)
{
    struct record_reader reader = {.rest = at->rest};
    bool found = next_partition(&reader, at);
    at->rest = reader.rest;
    return found;
}

static void skip_partitions(struct record_reader *reader, struct transaction_record *out)
{
    struct transaction_record_partition at = {.flexible = out->flexible};
    out->partitions = reader->rest;
    at.topics_left = take_count(reader, out->flexible);
    while (next_partition(reader, &at)) {
    }
}

bool transaction_record_get_key(struct bytes bytes, struct bytes *transactional_id)
{
    struct record_reader reader = {.rest = bytes};
    int16_t version = record_take_i16(&reader);
    struct bytes id = record_take_string(&reader);
    if (reader.bad || version != KEY || !id.data)
        return false;
    *transactional_id = id;
    return true;
}

bool transaction_record_get(struct bytes bytes, struct transaction_record *out)
{
    struct record_reader reader = {.rest = bytes};
    int16_t version = record_take_i16(&reader);
    if (version != VALUE_OLD && version != VALUE)
        return false;
    struct transaction_record record = {.flexible = version == VALUE, .previous_producer_id = -1};
    record.producer_id = record_take_i64(&reader);
    record.epoch = record_take_i16(&reader);
    record.timeout_ms = record_take_i32(&reader);
    int8_t state = record_take_i8(&reader);
    skip_partitions(&reader, &record);
    record.update_ms = record_take_i64(&reader);
    record.start_ms = record_take_i64(&reader);
    if (record.flexible)
        take_tags(&reader, &record);
    if (reader.bad || state < 0 || state >= TRANSACTION_STATE_COUNT)
        return false;
    record.state = (enum transaction_state)state;
    *out = record;
    return true;
}
