/* SPDX-License-Identifier: Apache-2.0 */
#include "log/storage.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "log/catalog.h"

enum { FRAME_SIZE_WANTED = 16 << 10, BATCH_SIZE_MAX = 16 << 20, SEGMENT_FIELDS = 6 };

/* --- Applying --- */

static bool malformed(struct error *err, const char *what)
{
    return error_set(err, ERROR_CORRUPT, "catalog: a storage record without a valid \"%s\"", what);
}

/* The part of `list` that a change from..until is about. */
static void range_of(const struct segment_list *list, int64_t from, int64_t until, size_t *first, size_t *behind)
{
    *first = 0;
    while (*first < list->count && list->at[*first].base_offset < from)
        ++*first;
    *behind = *first;
    while (*behind < list->count && list->at[*behind].base_offset < until)
        ++*behind;
}

static bool read_segment(const struct json *fields, struct segment *out)
{
    int64_t numbers[SEGMENT_FIELDS];
    if (json_size(fields) != SEGMENT_FIELDS)
        return false;
    for (size_t i = 0; i < SEGMENT_FIELDS; i++) {
        numbers[i] = json_int(json_index(fields, i), -2);
        if (numbers[i] < (i == 2 ? -1 : 0))
            return false;
    }
    *out = (struct segment){numbers[0],           numbers[1],           numbers[2],
                            (uint64_t)numbers[3], (uint32_t)numbers[4], (uint32_t)numbers[5]};
    return out->base_offset < out->end_offset;
}

/* In place of those from `first` to `behind`. */
static bool splice(struct partition *partition, size_t first, size_t behind, const struct json *segments)
{
    struct segment_list *list = &partition->segments;
    size_t count = json_size(segments), kept = list->count - behind;
    AUTO_FREE(struct segment) all = memory_new_array(first + count + kept + 1, sizeof *all);
    if (list->count > 0) {
        memcpy(all, list->at, first * sizeof *all);
        memcpy(all + first + count, list->at + behind, kept * sizeof *all);
    }
    for (size_t i = 0; i < count; i++)
        if (!read_segment(json_index(segments, i), &all[first + i]))
            return false;
    for (size_t i = 1; i < first + count + kept; i++)
        if (all[i].base_offset < all[i - 1].end_offset)
            return false;
    partition_set_segments(partition, TAKE(all), first + count + kept);
    return true;
}

static bool apply_segments(struct partition *partition, const struct json *record, struct error *err)
{
    size_t first, behind;
    int64_t from = json_int_at(record, "from", 0), until = json_int_at(record, "until", 0);
    if (from == until)
        return true;
    range_of(&partition->segments, from, until, &first, &behind);
    for (size_t i = first; i < behind; i++)
        segment_cache_forget(partition->log->segments, partition->stream, &partition->segments.at[i]);
    return splice(partition, first, behind, json_get(record, "segments")) || malformed(err, "segments");
}

bool storage_apply(struct log *log, const struct json *record, struct error *err)
{
    uint8_t id[16];
    struct topic *topic = text_parse_uuid(json_bytes(json_get(record, "id")), id) ? topic_find_by_id(log, id) : NULL;
    int64_t index = json_int_at(record, "partition", -1);
    struct partition *partition = topic && index <= INT32_MAX ? topic_partition(topic, (int32_t)index) : NULL;
    if (!partition)
        return malformed(err, topic ? "partition" : "id");
    int64_t start = json_int_at(record, "start", -1), spilled = json_int_at(record, "spilled", -1);
    if (start > partition->end_offset)
        return malformed(err, "start");
    if (spilled > partition->end_offset)
        return malformed(err, "spilled");
    if (!apply_segments(partition, record, err))
        return false;
    if (spilled > partition->spilled_end)
        partition->spilled_end = spilled;
    partition_drop_index(partition);
    partition_set_log_start(partition, start);
    return true;
}

/* --- Appending --- */

static struct json *json_of_segments(const struct storage_change *change)
{
    struct json *segments = json_new_array();
    for (size_t i = 0; i < change->count; i++) {
        const struct segment *segment = &change->segments[i];
        const int64_t numbers[SEGMENT_FIELDS] = {segment->base_offset,   segment->end_offset, segment->max_timestamp,
                                                 (int64_t)segment->size, segment->generation, segment->flags};
        struct json *fields = json_new_array();
        for (size_t k = 0; k < SEGMENT_FIELDS; k++)
            json_append(fields, json_new_int(numbers[k]));
        json_append(segments, fields);
    }
    return segments;
}

static struct json *json_of_change(const struct storage_change *change)
{
    char id[37];
    text_format_uuid(change->partition->topic->id, id);
    struct json *record = json_new_object();
    json_set(record, "type", json_new_text("storage"));
    json_set(record, "id", json_new_text(id));
    json_set(record, "partition", json_new_int(change->partition->index));
    if (change->log_start_offset >= 0)
        json_set(record, "start", json_new_int(change->log_start_offset));
    if (change->spilled_end >= 0)
        json_set(record, "spilled", json_new_int(change->spilled_end));
    if (change->from < change->until) {
        json_set(record, "from", json_new_int(change->from));
        json_set(record, "until", json_new_int(change->until));
        json_set(record, "segments", json_of_segments(change));
    }
    return record;
}

/* As many changes as a frame of moderate size holds, at least one. */
static bool append_some(struct log *log, const struct storage_change *changes, size_t count, size_t *taken,
                        uint64_t *lsn, struct error *err)
{
    AUTO_BUF buf;
    buf_init(&buf, BATCH_SIZE_MAX);
    struct kafka_batch_builder builder;
    struct bytes batch;
    kafka_batch_begin(&builder, &buf, 0);
    size_t used = 0;
    while (used < count && buf.size < FRAME_SIZE_WANTED) {
        AUTO_BUF text;
        buf_init(&text, BATCH_SIZE_MAX);
        AUTO_JSON *record = json_of_change(&changes[used++]);
        json_print(record, &text);
        kafka_batch_add(&builder, io_wall_ms(log->io), BYTES_NULL, buf_bytes(&text), NULL, 0);
    }
    if (!kafka_batch_end(&builder, &batch, err))
        return false;
    journal_open_reserve(log->journal, true);
    bool ok = log_append_internal(log, log->catalog, batch, lsn, err);
    journal_open_reserve(log->journal, false);
    *taken = used;
    return ok;
}

bool storage_append(struct log *log, const struct storage_change *changes, size_t count, size_t *done, uint64_t *lsn,
                    struct error *err)
{
    size_t taken;
    for (*done = 0; *done < count; *done += taken)
        if (!append_some(log, changes + *done, count - *done, &taken, lsn, err))
            return false;
    return true;
}
