/* SPDX-License-Identifier: Apache-2.0 */
#include "log/checkpoint.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/memory.h"
#include "log/catalog.h"
#include "log/checkpoint_sums.h"
#include "log/partition_transactions.h"
#include "log/settings.h"
#include "log/topic_config.h"
#include "wire/json.h"

enum {
    VERSION = 1,
    CRC_AT = 12,
    TOPIC_NAME_SIZE = 249,
};

static const uint8_t magic[8] = {'E', 'V', 'O', 'K', 'E', 'C', 'H', 'K'};

/* --- Taking --- */

static void put_string(struct buf *out, struct bytes text)
{
    buf_append_be16(out, (uint16_t)text.size);
    buf_append(out, text);
}

static size_t begin_section(struct buf *out, const char tag[5])
{
    buf_append_string(out, tag);
    buf_append_be64(out, 0);
    return out->size;
}

static void end_section(struct buf *out, size_t at)
{
    uint64_t size = htobe64(out->size - at);
    if (!out->overflowed)
        memcpy(out->data + at - sizeof size, &size, sizeof size);
}

static void put_log(const struct log *log, uint32_t first_file, struct buf *out)
{
    size_t at = begin_section(out, "LOG_");
    buf_append_be64(out, journal_lsn(log->journal));
    buf_append_be32(out, first_file);
    buf_append_be64(out, journal_first_lsn(log->journal, first_file));
    buf_append_be64(out, (uint64_t)log->catalog->end_offset);
    buf_append_be32(out, (uint32_t)log->leader_epoch);
    put_string(out, bytes_of_string(log->cluster_id));
    buf_append_be64(out, log->next_stream);
    buf_append_be64(out, (uint64_t)log->producer_id_end);
    end_section(out, at);
}

static void put_segments(const struct segment_list *list, struct buf *out)
{
    buf_append_be32(out, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        buf_append_be64(out, (uint64_t)list->at[i].base_offset);
        buf_append_be64(out, (uint64_t)list->at[i].end_offset);
        buf_append_be64(out, (uint64_t)list->at[i].max_timestamp);
        buf_append_be64(out, list->at[i].size);
        buf_append_be32(out, list->at[i].generation);
        buf_append_be32(out, list->at[i].flags);
    }
}

static void put_partition(const struct partition *partition, struct buf *out)
{
    buf_append_be64(out, partition->stream);
    buf_append_be64(out, (uint64_t)partition->log_start_offset);
    buf_append_be64(out, (uint64_t)partition->spilled_end);
    buf_append_be64(out, (uint64_t)partition->end_offset);
    put_segments(&partition->segments, out);
    buf_append_be32(out, (uint32_t)partition->epoch_count);
    for (size_t i = 0; i < partition->epoch_count; i++) {
        buf_append_be32(out, (uint32_t)partition->epochs[i].epoch);
        buf_append_be64(out, (uint64_t)partition->epochs[i].start_offset);
    }
    partition_transactions_encode(partition->transactions, out);
}

static void put_topic(const struct topic *topic, struct buf *out)
{
    put_string(out, topic->name);
    buf_append(out, bytes_of(topic->id, sizeof topic->id));
    buf_append_byte(out, topic->internal);
    buf_append_be32(out, (uint32_t)topic->configs.count);
    map_each (entry, &topic->configs) {
        put_string(out, map_key(entry));
        put_string(out, bytes_of_string(entry->value));
    }
    buf_append_be32(out, (uint32_t)topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++)
        put_partition(topic->partitions[i], out);
}

static void put_topics(struct log *log, struct buf *out)
{
    size_t at = begin_section(out, "TOPI");
    buf_append_be32(out, (uint32_t)log->topics.count);
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        put_topic(topic, out);
    end_section(out, at);
}

static void put_producer(const struct producer *producer, struct buf *out)
{
    buf_append_be64(out, CONTAINER_OF(producer->table, struct partition, producers)->stream);
    buf_append_be64(out, (uint64_t)producer->id);
    buf_append_be64(out, (uint64_t)producer->used_ms);
    buf_append_be16(out, (uint16_t)producer->epoch);
    buf_append_be32(out, (uint32_t)producer->coordinator_epoch);
    buf_append_be32(out, producer->batch_count);
    for (size_t i = producer->batch_count; i > 0; i--) {
        const struct producer_batch *batch =
            &producer->batches[(producer->newest + PRODUCER_BATCH_COUNT - (i - 1)) % PRODUCER_BATCH_COUNT];
        buf_append_be32(out, (uint32_t)batch->first_sequence);
        buf_append_be32(out, (uint32_t)batch->last_sequence);
        buf_append_be64(out, (uint64_t)batch->base_offset);
    }
}

static void put_producers(struct log *log, struct buf *out)
{
    size_t at = begin_section(out, "PROD");
    buf_append_be32(out, (uint32_t)log->producers.count);
    list_each (struct producer, producer, &log->producers.oldest_first, link) {
        put_producer(producer, out);
    }
    end_section(out, at);
}

static void put_settings(struct log *log, struct buf *out)
{
    size_t at = begin_section(out, "SETT");
    buf_append_be32(out, (uint32_t)log->settings.count);
    map_each (set, &log->settings) {
        put_string(out, map_key(set));
        buf_append_be32(out, (uint32_t)settings_count(set->value));
        for (struct map_entry *entry = settings_first_entry(set->value); entry; entry = map_next(entry)) {
            put_string(out, map_key(entry));
            put_string(out, bytes_of_string(entry->value));
        }
    }
    end_section(out, at);
}

void checkpoint_put_header(struct buf *out)
{
    buf_append(out, bytes_of(magic, sizeof magic));
    buf_append_be32(out, VERSION);
    buf_append_be32(out, 0);
}

void checkpoint_seal(struct buf *out)
{
    if (out->overflowed)
        return;
    uint32_t crc = htobe32(crc32c(0, bytes_slice(buf_bytes(out), CHECKPOINT_HEADER_SIZE, SIZE_MAX)));
    memcpy(out->data + CRC_AT, &crc, sizeof crc);
}

void checkpoint_take(struct log *log, uint32_t first_file, struct buf *out)
{
    checkpoint_put_header(out);
    put_log(log, first_file, out);
    put_settings(log, out); /* before the topics, some of which follow them */
    put_topics(log, out);
    put_producers(log, out);
}

void checkpoint_finish(struct buf *out)
{
    checkpoint_sums_append(out);
    checkpoint_seal(out);
}

/* --- Reading: behind the end everything is zero, and `bad` is set --- */

struct reader {
    struct bytes rest;
    bool bad;
};

static struct bytes get(struct reader *reader, size_t size)
{
    struct bytes out = bytes_slice(reader->rest, 0, size);
    reader->bad |= out.size < size;
    reader->rest = bytes_slice(reader->rest, size, SIZE_MAX);
    return out;
}

static uint64_t get_number(struct reader *reader, size_t size)
{
    struct bytes bytes = get(reader, size);
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.size; i++)
        number = number << 8 | bytes.data[i];
    return bytes.size < size ? 0 : number;
}

static uint16_t get16(struct reader *reader)
{
    return (uint16_t)get_number(reader, 2);
}

static uint32_t get32(struct reader *reader)
{
    return (uint32_t)get_number(reader, 4);
}

static int64_t get64(struct reader *reader)
{
    return (int64_t)get_number(reader, 8);
}

static struct bytes get_string(struct reader *reader)
{
    return get(reader, get16(reader));
}

/* Of a list whose elements are at least `size` bytes. */
static uint32_t get_count(struct reader *reader, size_t size)
{
    uint32_t count = get32(reader);
    if (count > reader->rest.size / size) {
        reader->bad = true;
        return 0;
    }
    return count;
}

static void read_log(struct log *log, struct reader *reader, struct journal_start *out)
{
    out->synced_lsn = (uint64_t)get64(reader);
    out->number = get32(reader);
    out->first_lsn = (uint64_t)get64(reader);
    log->catalog->end_offset = get64(reader);
    log->leader_epoch = (int32_t)get32(reader);
    struct bytes cluster_id = get_string(reader);
    if (cluster_id.size == sizeof log->cluster_id - 1)
        memcpy(log->cluster_id, cluster_id.data, cluster_id.size);
    else
        reader->bad = true;
    log->next_stream = (uint64_t)get64(reader);
    log->producer_id_end = get64(reader);
    reader->bad |= out->first_lsn == 0 || out->synced_lsn + 1 < out->first_lsn || log->next_stream == 0 ||
                   log->next_stream > INT64_MAX || log->producer_id_end < 0;
}

static void read_segments(struct partition *partition, struct reader *reader)
{
    size_t count = get_count(reader, 40);
    if (count == 0)
        return;
    struct segment *all = memory_new_array(count, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        struct segment *segment = &all[i];
        segment->base_offset = get64(reader);
        segment->end_offset = get64(reader);
        segment->max_timestamp = get64(reader);
        segment->size = (uint64_t)get64(reader);
        segment->generation = get32(reader);
        segment->flags = get32(reader);
        reader->bad |=
            segment->base_offset >= segment->end_offset || (i > 0 && segment->base_offset < all[i - 1].end_offset);
    }
    partition_set_segments(partition, all, count);
}

static void read_partition(struct topic *topic, struct reader *reader)
{
    struct log *log = topic->log;
    uint64_t stream = (uint64_t)get64(reader);
    if (stream == 0 || stream >= log->next_stream || (stream < log->stream_count && log->streams[stream])) {
        reader->bad = true;
        return;
    }
    topic_make_partitions(topic, 1, stream);
    struct partition *partition = topic->partitions[topic->partition_count - 1];
    partition->log_start_offset = get64(reader);
    partition->spilled_end = get64(reader);
    partition->end_offset = get64(reader);
    reader->bad |= partition->log_start_offset < 0 || partition->log_start_offset > partition->end_offset ||
                   partition->spilled_end < 0 || partition->spilled_end > partition->end_offset;
    read_segments(partition, reader);
    for (uint32_t i = get_count(reader, 12); i > 0 && !reader->bad; i--) {
        int32_t epoch = (int32_t)get32(reader);
        partition_add_epoch(partition, epoch, get64(reader));
    }
    struct error why;
    if (!reader->bad && !partition_transactions_decode(&partition->transactions, &reader->rest, &why))
        reader->bad = true;
}

static void read_topic(struct log *log, struct reader *reader)
{
    struct bytes name = get_string(reader);
    struct bytes id = get(reader, 16);
    bool internal = get_number(reader, 1);
    if (reader->bad || name.size == 0 || name.size > TOPIC_NAME_SIZE || topic_find(log, name) ||
        topic_find_by_id(log, id.data)) {
        reader->bad = true;
        return;
    }
    struct topic *topic = topic_make(log, name, id.data, internal);
    catalog_topic_made(topic);
    for (uint32_t i = get_count(reader, 4); i > 0 && !reader->bad; i--) {
        struct error why;
        struct bytes config = get_string(reader);
        struct bytes value = get_string(reader);
        const struct topic_config_info *info = topic_config_info(config); /* NULL: of an older version */
        if (info && !topic_config_check_type(info, value, &why))
            reader->bad = true;
        else
            topic_set_config(topic, config, value);
    }
    if (!reader->bad)
        topic_configs_changed(topic);
    for (uint32_t i = get_count(reader, 40); i > 0 && !reader->bad; i--)
        read_partition(topic, reader);
    reader->bad |= topic->partition_count < 1 || topic->partition_count > LIMIT_PARTITIONS_PER_TOPIC;
}

static void read_topics(struct log *log, struct reader *reader)
{
    uint64_t next_stream = log->next_stream;
    for (uint32_t i = get_count(reader, 27); i > 0 && !reader->bad; i--)
        read_topic(log, reader);
    log->next_stream = next_stream;
}

static void read_producer(struct log *log, struct reader *reader)
{
    uint64_t stream = (uint64_t)get64(reader);
    struct producer producer = {0};
    producer.id = get64(reader);
    producer.used_ms = get64(reader);
    producer.epoch = (int16_t)get16(reader);
    producer.coordinator_epoch = (int32_t)get32(reader);
    uint32_t count = get_count(reader, 16);
    struct partition *partition = stream < log->stream_count ? log->streams[stream] : NULL;
    reader->bad |= !partition || partition == log->catalog || count > PRODUCER_BATCH_COUNT;
    for (uint32_t i = 0; i < count && !reader->bad; i++) {
        struct producer_batch *batch = &producer.batches[i];
        batch->first_sequence = (int32_t)get32(reader);
        batch->last_sequence = (int32_t)get32(reader);
        batch->base_offset = get64(reader);
    }
    if (reader->bad)
        return;
    producer.batch_count = (uint8_t)count;
    producer.newest = count ? (uint8_t)(count - 1) : 0;
    producer_restore(&log->producers, &partition->producers, &producer);
}

static void read_producers(struct log *log, struct reader *reader)
{
    for (uint32_t i = get_count(reader, 34); i > 0 && !reader->bad; i--)
        read_producer(log, reader);
}

static void read_settings(struct log *log, struct reader *reader)
{
    for (uint32_t i = get_count(reader, 6); i > 0 && !reader->bad; i--) {
        struct bytes key = get_string(reader);
        size_t kind_size = bytes_find(key, 0, 0);
        AUTO_JSON *values = json_new_object();
        for (uint32_t n = get_count(reader, 4); n > 0 && !reader->bad; n--) {
            struct bytes name = get_string(reader);
            reader->bad |= !json_set_bytes(values, name, json_new_string(get_string(reader)));
        }
        reader->bad |= kind_size == key.size;
        if (!reader->bad)
            settings_apply(log, (const char *)key.data, bytes_slice(key, kind_size + 1, SIZE_MAX), values);
    }
}

static bool read_section(struct log *log, struct bytes tag, struct reader *content, struct journal_start *out,
                         struct error *err)
{
    if (bytes_equal_string(tag, "LOG_"))
        read_log(log, content, out);
    else if (bytes_equal_string(tag, "SETT"))
        read_settings(log, content);
    else if (bytes_equal_string(tag, "TOPI"))
        read_topics(log, content);
    else if (bytes_equal_string(tag, "PROD"))
        read_producers(log, content);
    else if (bytes_equal_string(tag, "SUMS"))
        content->rest = BYTES_NULL; /* the sum over all has been compared */
    else
        return error_set(err, ERROR_UNSUPPORTED, "section " BYTES_FORMAT " is of a newer evoke", BYTES_ARGS(tag));
    if (content->rest.size > 0)
        content->bad = true;
    return !content->bad ||
           error_set(err, ERROR_CORRUPT, "section " BYTES_FORMAT " is not what it should be", BYTES_ARGS(tag));
}

static bool does_not_verify(struct bytes content, struct error *err)
{
    uint64_t at;
    if (content.size < CHECKPOINT_HEADER_SIZE)
        return error_set(err, ERROR_CORRUPT, "it ends at position %zu", content.size);
    if (checkpoint_sums_find_damage(content, &at))
        return error_set(err, ERROR_CORRUPT, "position %" PRIu64 " does not verify", at);
    return error_set(err, ERROR_CORRUPT, "its %zu bytes do not verify", content.size);
}

bool checkpoint_verify(struct bytes content, struct journal_start *out, struct error *err)
{
    struct reader reader = {.rest = content};
    bool ours = bytes_equal(get(&reader, sizeof magic), bytes_of(magic, sizeof magic));
    uint32_t version = get32(&reader);
    uint32_t crc = get32(&reader);
    if (!ours || reader.bad || crc != crc32c(0, reader.rest))
        return does_not_verify(content, err);
    if (version != VERSION)
        return error_set(err, ERROR_UNSUPPORTED, "format %" PRIu32 " is of a newer evoke; this one knows format %d",
                         version, VERSION);
    if (!bytes_equal_string(get(&reader, 4), "LOG_"))
        return error_set(err, ERROR_CORRUPT, "it does not say where the journal goes on");
    get64(&reader);
    out->synced_lsn = (uint64_t)get64(&reader);
    out->number = get32(&reader);
    out->first_lsn = (uint64_t)get64(&reader);
    return true;
}

bool checkpoint_parse(struct log *log, struct bytes content, struct journal_start *out, struct error *err)
{
    struct journal_start start;
    if (!checkpoint_verify(content, &start, err))
        return false;
    struct reader reader = {.rest = bytes_slice(content, CHECKPOINT_HEADER_SIZE, SIZE_MAX)};
    while (reader.rest.size > 0) {
        struct bytes tag = get(&reader, 4);
        uint64_t size = (uint64_t)get64(&reader);
        struct reader section = {.rest = get(&reader, size)};
        if (reader.bad)
            return error_set(err, ERROR_CORRUPT, "it is cut short");
        if (!read_section(log, tag, &section, &start, err))
            return false;
    }
    *out = start;
    return start.first_lsn > 0 || error_set(err, ERROR_CORRUPT, "it does not say where the journal goes on");
}
