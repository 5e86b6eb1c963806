/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "log/log.h"
#include "wire/kafka_batch.h"

enum { MODEL_READ_SIZE = 1 << 20 };

void model_topic_deinit(struct model_topic *topic)
{
    for (size_t i = 0; i < MODEL_PRODUCERS_MAX; i++)
        free(topic->replied[i]);
    *topic = (struct model_topic){0};
}

/* "p<producer>-<number>" behind the prefix. */
static bool parse_id(struct bytes id, const char *prefix, int *producer, int64_t *number)
{
    char text[64];
    struct bytes start = bytes_of_string(prefix);
    if (!bytes_starts_with(id, start))
        return false;
    snprintf(text, sizeof text, BYTES_FORMAT, BYTES_ARGS(bytes_slice(id, start.size, SIZE_MAX)));
    return sscanf(text, "p%d-%" SCNd64, producer, number) == 2 && *producer >= 0 && *producer < MODEL_PRODUCERS_MAX &&
           *number >= 0 && *number < MODEL_RECORDS_MAX;
}

static bool check_event(const struct model *model, struct model_topic *topic, struct bytes id, int64_t offset,
                        struct error *err)
{
    int producer;
    int64_t number;
    if (!parse_id(id, "", &producer, &number))
        return error_set(err, ERROR_CORRUPT, "offset %" PRId64 ": event \"" BYTES_FORMAT "\" was never sent", offset,
                         BYTES_ARGS(id));
    if (number != topic->next[producer])
        return error_set(err, ERROR_CORRUPT,
                         "offset %" PRId64 ": producer %d: record %" PRId64 " where %" PRId64 " comes next", offset,
                         producer, number, topic->next[producer]);
    if (number >= model->attempted[producer])
        return error_set(err, ERROR_CORRUPT, "offset %" PRId64 ": producer %d never sent record %" PRId64, offset,
                         producer, number);
    topic->next[producer]++;
    topic->events++;
    return true;
}

static bool check_reply(struct model_topic *topic, struct bytes id, int64_t offset, struct error *err)
{
    int producer;
    int64_t number;
    if (!parse_id(id, "re-", &producer, &number) || number >= topic->next[producer])
        return error_set(err, ERROR_CORRUPT, "offset %" PRId64 ": reply \"" BYTES_FORMAT "\" to no event before it",
                         offset, BYTES_ARGS(id));
    if (topic->replied[producer][number]++)
        return error_set(err, ERROR_CORRUPT, "offset %" PRId64 ": reply \"" BYTES_FORMAT "\" is there twice", offset,
                         BYTES_ARGS(id));
    topic->replies++;
    return true;
}

static bool check_record(const struct model *model, struct model_topic *topic, const struct kafka_record *record,
                         struct error *err)
{
    struct bytes type, id;
    if (!kafka_record_find_header(record, "ce_type", &type) || !kafka_record_find_header(record, "ce_id", &id))
        return error_set(err, ERROR_CORRUPT, "offset %" PRId64 ": no event", record->offset);
    return bytes_equal_string(type, "pong") ? check_reply(topic, id, record->offset, err)
                                            : check_event(model, topic, id, record->offset, err);
}

static bool check_slice(const struct model *model, struct model_topic *topic, const struct log_slice *slice,
                        int64_t *offset, struct error *err)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct bytes rest = slice->parts[i];
        while (rest.size > 0) {
            struct kafka_batch batch;
            struct kafka_record record;
            AUTO_KAFKA_RECORDS records = {0};
            if (!kafka_batch_parse(&rest, &batch, err) || !kafka_batch_verify(&batch, err) ||
                !kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, err))
                return false;
            while (kafka_records_next(&records, &record)) {
                if (record.offset != (*offset)++)
                    return error_set(err, ERROR_CORRUPT, "offset %" PRId64 " where %" PRId64 " comes next",
                                     record.offset, *offset - 1);
                if (!check_record(model, topic, &record, err))
                    return false;
            }
        }
    }
    return true;
}

static bool check_partition(const struct model *model, struct partition *partition, struct model_topic *topic,
                            struct error *err)
{
    int64_t offset = 0;
    while (offset < partition_high_watermark(partition)) {
        struct log_slice slice;
        if (!partition_read(partition, offset, MODEL_READ_SIZE, &slice, err))
            return false;
        bool ok = check_slice(model, topic, &slice, &offset, err);
        log_slice_release(&slice);
        if (!ok)
            return false;
    }
    return true;
}

bool model_check_topic(const struct model *model, struct log *log, struct model_topic *out, struct error *err)
{
    *out = (struct model_topic){0};
    for (size_t i = 0; i < MODEL_PRODUCERS_MAX; i++)
        out->replied[i] = memory_new(MODEL_RECORDS_MAX);
    struct topic *topic = topic_find(log, BYTES_LITERAL("default.default"));
    /* Producers write to partition 0, so all events are known before the replies in the others are looked at. */
    for (int32_t i = 0; topic && i < topic_partition_count(topic); i++)
        if (!check_partition(model, topic_partition(topic, i), out, err))
            return error_wrap(err, "partition %d", i);
    for (size_t i = 0; i < MODEL_PRODUCERS_MAX; i++)
        if (out->next[i] < model->acknowledged[i])
            return error_set(err, ERROR_CORRUPT,
                             "producer %zu: %" PRId64 " records were acknowledged, %" PRId64 " are there", i,
                             model->acknowledged[i], out->next[i]);
    return true;
}

bool model_all_replied(const struct model_topic *topic, struct error *err)
{
    for (size_t i = 0; i < MODEL_PRODUCERS_MAX; i++)
        for (int64_t number = 0; number < topic->next[i]; number++)
            if (topic->replied[i][number] != 1)
                return error_set(err, ERROR_TIMEOUT, "%" PRId64 " events, %" PRId64 " replies; none to p%zu-%" PRId64,
                                 topic->events, topic->replies, i, number);
    return true;
}

bool model_check_objects(const struct model *model, struct api *api, struct error *err)
{
    for (size_t i = 0; i < MODEL_OBJECTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "object-%zu", i);
        const struct object *object = api_find(api, "ConfigMap", "default", name);
        int64_t version = object ? atoll(json_text_at(object->json, "data.version", "0")) : 0;
        if (version < model->object_acknowledged[i] || version > model->object_attempted[i])
            return error_set(err, ERROR_CORRUPT,
                             "%s has version %" PRId64 "; %" PRId64 " was acknowledged, %" PRId64 " attempted", name,
                             version, model->object_acknowledged[i], model->object_attempted[i]);
    }
    return true;
}
