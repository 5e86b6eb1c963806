/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a checkpoint: checkpoint.h has the format. */
#include "log/checkpoint.h"

#include <inttypes.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/memory.h"
#include "log/catalog.h"
#include "log/checkpoint_sums.h"
#include "log/partition_transactions.h"
#include "log/record_reader.h"
#include "log/settings.h"
#include "log/topic_config.h"
#include "wire/json.h"

enum { TOPIC_NAME_SIZE = 249 };

static struct bytes take_string(struct record_reader *reader)
{
    return record_take(reader, (uint16_t)record_take_i16(reader));
}

/* Of a list whose elements are at least `size` bytes. */
static uint32_t take_count(struct record_reader *reader, size_t size)
{
    uint32_t count = (uint32_t)record_take_i32(reader);
    if (count > reader->rest.size / size) {
        reader->bad = true;
        return 0;
    }
    return count;
}

static void read_log(struct log *log, struct record_reader *reader, struct journal_start *out)
{
    out->synced_lsn = (uint64_t)record_take_i64(reader);
    out->number = (uint32_t)record_take_i32(reader);
    out->first_lsn = (uint64_t)record_take_i64(reader);
    log->catalog->end_offset = record_take_i64(reader);
    log->leader_epoch = record_take_i32(reader);
    struct bytes cluster_id = take_string(reader);
    if (cluster_id.size == sizeof log->cluster_id - 1)
        memcpy(log->cluster_id, cluster_id.data, cluster_id.size);
    else
        reader->bad = true;
    log->next_stream = (uint64_t)record_take_i64(reader);
    log->producer_id_end = record_take_i64(reader);
    reader->bad |= out->first_lsn == 0 || out->synced_lsn + 1 < out->first_lsn || log->next_stream == 0 ||
                   log->next_stream > INT64_MAX || log->producer_id_end < 0;
}

static void read_segments(struct partition *partition, struct record_reader *reader)
{
    size_t count = take_count(reader, 40);
    if (count == 0)
        return;
    struct segment *all = memory_new_array(count, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        struct segment *segment = &all[i];
        segment->base_offset = record_take_i64(reader);
        segment->end_offset = record_take_i64(reader);
        segment->max_timestamp = record_take_i64(reader);
        segment->size = (uint64_t)record_take_i64(reader);
        segment->generation = (uint32_t)record_take_i32(reader);
        segment->flags = (uint32_t)record_take_i32(reader);
        reader->bad |=
            segment->base_offset >= segment->end_offset || (i > 0 && segment->base_offset < all[i - 1].end_offset);
    }
    partition_set_segments(partition, all, count);
}

static void read_partition(struct topic *topic, struct record_reader *reader)
{
    struct log *log = topic->log;
    uint64_t stream = (uint64_t)record_take_i64(reader);
    if (stream == 0 || stream >= log->next_stream || (stream < log->stream_count && log->streams[stream])) {
        reader->bad = true;
        return;
    }
    topic_make_partitions(topic, 1, stream);
    struct partition *partition = topic->partitions[topic->partition_count - 1];
    partition->log_start_offset = record_take_i64(reader);
    partition->spilled_end = record_take_i64(reader);
    partition->end_offset = record_take_i64(reader);
    reader->bad |= partition->log_start_offset < 0 || partition->log_start_offset > partition->end_offset ||
                   partition->spilled_end < 0 || partition->spilled_end > partition->end_offset;
    read_segments(partition, reader);
    for (uint32_t i = take_count(reader, 12); i > 0 && !reader->bad; i--) {
        int32_t epoch = record_take_i32(reader);
        partition_add_epoch(partition, epoch, record_take_i64(reader));
    }
    struct error why;
    if (!reader->bad && !partition_transactions_decode(&partition->transactions, &reader->rest, &why))
        reader->bad = true;
}

static void read_topic(struct log *log, struct record_reader *reader)
{
    struct bytes name = take_string(reader);
    struct bytes id = record_take(reader, 16);
    bool internal = record_take_i8(reader);
    if (reader->bad || name.size == 0 || name.size > TOPIC_NAME_SIZE || topic_find(log, name) ||
        topic_find_by_id(log, id.data)) {
        reader->bad = true;
        return;
    }
    struct topic *topic = topic_make(log, name, id.data, internal);
    folds_topic_made(topic);
    for (uint32_t i = take_count(reader, 4); i > 0 && !reader->bad; i--) {
        struct error why;
        struct bytes config = take_string(reader);
        struct bytes value = take_string(reader);
        const struct topic_config_info *info = topic_config_info(config); /* NULL: of an older version */
        reader->bad |= info && !topic_config_check_type(info, value, &why);
        if (!reader->bad)
            topic_set_config(topic, config, value);
    }
    if (!reader->bad)
        topic_configs_changed(topic);
    for (uint32_t i = take_count(reader, 40); i > 0 && !reader->bad; i--)
        read_partition(topic, reader);
    reader->bad |= topic->partition_count < 1 || topic->partition_count > LIMIT_PARTITIONS_PER_TOPIC;
}

static void read_topics(struct log *log, struct record_reader *reader)
{
    uint64_t next_stream = log->next_stream;
    for (uint32_t i = take_count(reader, 27); i > 0 && !reader->bad; i--)
        read_topic(log, reader);
    log->next_stream = next_stream;
}

static void read_producer(struct log *log, struct record_reader *reader)
{
    uint64_t stream = (uint64_t)record_take_i64(reader);
    struct producer producer = {0};
    producer.id = record_take_i64(reader);
    producer.used_ms = record_take_i64(reader);
    producer.epoch = record_take_i16(reader);
    producer.coordinator_epoch = record_take_i32(reader);
    uint32_t count = take_count(reader, 16);
    struct partition *partition = stream < log->stream_count ? log->streams[stream] : NULL;
    reader->bad |= !partition || partition == log->catalog || count > PRODUCER_BATCH_COUNT;
    for (uint32_t i = 0; i < count && !reader->bad; i++) {
        struct producer_batch *batch = &producer.batches[i];
        batch->first_sequence = record_take_i32(reader);
        batch->last_sequence = record_take_i32(reader);
        batch->base_offset = record_take_i64(reader);
    }
    if (reader->bad)
        return;
    producer.batch_count = (uint8_t)count;
    producer.newest = count ? (uint8_t)(count - 1) : 0;
    producer_restore(&log->producers, &partition->producers, &producer);
}

static void read_producers(struct log *log, struct record_reader *reader)
{
    for (uint32_t i = take_count(reader, 34); i > 0 && !reader->bad; i--)
        read_producer(log, reader);
}

static void read_settings(struct log *log, struct record_reader *reader)
{
    for (uint32_t i = take_count(reader, 6); i > 0 && !reader->bad; i--) {
        struct bytes key = take_string(reader);
        size_t kind_size = bytes_find(key, 0, 0);
        AUTO_JSON *values = json_new_object();
        for (uint32_t n = take_count(reader, 4); n > 0 && !reader->bad; n--) {
            struct bytes name = take_string(reader);
            reader->bad |= !json_set_bytes(values, name, json_new_string(take_string(reader)));
        }
        reader->bad |= kind_size == key.size;
        if (!reader->bad)
            settings_apply(log, (const char *)key.data, bytes_slice(key, kind_size + 1, SIZE_MAX), values);
    }
}

static bool read_section(struct log *log, struct bytes tag, struct record_reader *content, struct journal_start *out,
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
    struct record_reader reader = {.rest = content};
    bool ours = bytes_equal_string(record_take(&reader, strlen(CHECKPOINT_MAGIC)), CHECKPOINT_MAGIC);
    uint32_t version = (uint32_t)record_take_i32(&reader);
    uint32_t crc = (uint32_t)record_take_i32(&reader);
    if (!ours || reader.bad || crc != crc32c(0, reader.rest))
        return does_not_verify(content, err);
    if (version != CHECKPOINT_VERSION)
        return error_set(err, ERROR_UNSUPPORTED, "format %" PRIu32 " is of a newer evoke; this one knows format %d",
                         version, CHECKPOINT_VERSION);
    if (!bytes_equal_string(record_take(&reader, 4), "LOG_"))
        return error_set(err, ERROR_CORRUPT, "it does not say where the journal goes on");
    record_take_i64(&reader);
    out->synced_lsn = (uint64_t)record_take_i64(&reader);
    out->number = (uint32_t)record_take_i32(&reader);
    out->first_lsn = (uint64_t)record_take_i64(&reader);
    return true;
}

bool checkpoint_parse(struct log *log, struct bytes content, struct journal_start *out, struct error *err)
{
    struct journal_start start;
    if (!checkpoint_verify(content, &start, err))
        return false;
    struct record_reader reader = {.rest = bytes_slice(content, CHECKPOINT_HEADER_SIZE, SIZE_MAX)};
    while (reader.rest.size > 0) {
        struct bytes tag = record_take(&reader, 4);
        uint64_t size = (uint64_t)record_take_i64(&reader);
        struct record_reader section = {.rest = record_take(&reader, size)};
        if (reader.bad)
            return error_set(err, ERROR_CORRUPT, "it is cut short");
        if (!read_section(log, tag, &section, &start, err))
            return false;
    }
    *out = start;
    return start.first_lsn > 0 || error_set(err, ERROR_CORRUPT, "it does not say where the journal goes on");
}
