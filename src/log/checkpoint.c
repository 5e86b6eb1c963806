/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a checkpoint; reading one is in checkpoint_parse.c. */
#include "log/checkpoint.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "log/checkpoint_sums.h"
#include "log/partition_transactions.h"
#include "log/settings.h"

enum { CRC_AT = 12 };

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
    if (!out->overflowed)
        put_be64(out->data + at - 8, out->size - at);
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
    buf_append_string(out, CHECKPOINT_MAGIC);
    buf_append_be32(out, CHECKPOINT_VERSION);
    buf_append_be32(out, 0);
}

void checkpoint_seal(struct buf *out)
{
    if (out->overflowed)
        return;
    put_be32(out->data + CRC_AT, crc32c(0, bytes_slice(buf_bytes(out), CHECKPOINT_HEADER_SIZE, SIZE_MAX)));
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
