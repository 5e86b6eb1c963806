/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce. Each partition of a request is an append of its own, so that what is wrong with one does
 * not refuse the others; the log checks the batch. acks=all waits until the last of them is on disk (or, of topics with
 * evoke.flush=os, until the kernel has it), acks=1 until the kernel has it.
 */
#include <errno.h>

#include "base/memory.h"
#include "door/kafka_produce_convert.h"
#include "door/kafka_produce_wait.h"

enum {
    ACKS_ALL = -1,
    VERSION_OF_V2_BATCHES = 3,
    VERSION_OF_ZSTD = 7,
    VERSION_OF_ABORTABLE = 11,
    VERSION_OF_TOPIC_IDS = 13,
    RECORD_ERRORS_MAX = 1000
};

/* What acks=all waits for: the newest append, on disk if one of the topics wants that. */
struct promise {
    uint64_t lsn;
    enum log_durability durability;
};

static struct bytes records_of(const struct kafka_record_set *records)
{
    return records->count ? records->parts[0] : BYTES_NULL;
}

static void refuse(struct kafka_request *request, struct kafka_produce_response_partition *out, enum kafka_error code,
                   const char *message)
{
    out->error_code = kafka_refuse(request, code);
    out->error_message = bytes_of_string(arena_string(&request->arena, bytes_of_string(message)));
    out->base_offset = -1;
}

/* What the log's errors mean here. */
static void refuse_append(struct kafka_request *request, struct kafka_produce_response_partition *out,
                          const struct error *err)
{
    struct kafka_door_metrics *metrics = &request->door->metrics;
    if (err->kind == ERROR_CORRUPT)
        metrics->batches_corrupt++;
    else
        metrics->batches_refused++;
    out->error_code = kafka_refuse_error(request, err);
    if (err->kind == ERROR_INVALID && err->sys != ERANGE)
        out->error_code = KAFKA_INVALID_RECORD;
    if (out->error_code == KAFKA_INVALID_TXN_STATE && request->header.api_version >= VERSION_OF_ABORTABLE)
        out->error_code = KAFKA_TRANSACTION_ABORTABLE; /* KIP-890 */
    out->error_message = bytes_of_string(arena_string(&request->arena, bytes_of_string(err->message)));
    out->base_offset = -1;
}

/* Of what a batch's header says. The rest is the log's to check. */
static enum kafka_error check_batch(const struct kafka_request *request, const struct kafka_batch *batch,
                                    const char **message)
{
    if (request->header.api_version < VERSION_OF_ZSTD && kafka_batch_codec(batch) == KAFKA_CODEC_ZSTD) {
        *message = "zstd needs Produce version 7";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    return KAFKA_NONE;
}

static bool parse_batch(struct kafka_request *request, struct bytes records, struct kafka_batch *batch,
                        struct kafka_produce_response_partition *out)
{
    struct error err;
    struct bytes rest = records;
    const char *message = NULL;
    if (records.size == 0) {
        request->door->metrics.batches_refused++;
        refuse(request, out, KAFKA_INVALID_RECORD, "each partition needs one record batch");
        return false;
    }
    if (kafka_batch_parse(&rest, batch, &err)) {
        enum kafka_error code = check_batch(request, batch, &message);
        if (code)
            refuse(request, out, code, message);
        return !code;
    }
    refuse_append(request, out, &err);
    if (err.kind == ERROR_UNSUPPORTED) /* an old format: so Kafka calls it since version 3 of Produce */
        out->error_code = KAFKA_INVALID_RECORD;
    return false;
}

/* Which records of a compacted topic have no key (KIP-467); the first RECORD_ERRORS_MAX of them. */
static void list_keyless(struct kafka_request *request, const struct kafka_batch *batch,
                         struct kafka_produce_response_partition *out)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    struct error err;
    int32_t index = 0;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err))
        return;
    out->record_errors = KAFKA_NEW_ARRAY(&request->arena, kafka_produce_response_record_error, RECORD_ERRORS_MAX);
    for (; out->record_errors_count < RECORD_ERRORS_MAX && kafka_records_next(&records, &record); index++)
        if (!record.key.data)
            out->record_errors[out->record_errors_count++] = (struct kafka_produce_response_record_error){
                index, BYTES_LITERAL("a record of a compacted topic needs a key")};
}

static void note_batch(struct kafka_door_metrics *metrics, const struct kafka_batch *batch)
{
    metrics->records_in += (uint64_t)batch->record_count;
    histogram_add(&metrics->produce_bytes, histogram_bytes, (double)batch->bytes.size);
}

/* `converted`: the batch in the topic's codec; null: as it came. */
static void append(struct kafka_request *request, struct partition *partition, struct bytes records,
                   struct bytes converted, struct kafka_produce_response_partition *out, struct promise *promise)
{
    bool to_disk = topic_durability(partition_topic(partition)) == LOG_SYNCED;
    const struct kafka_produce_request *body = request->body;
    struct append append = {.partition = partition,
                            .batch = converted.data ? converted : records,
                            .lingers = !to_disk || body->acks != ACKS_ALL};
    struct kafka_batch batch;
    struct error err;
    uint64_t lsn;
    if (!parse_batch(request, records, &batch, out))
        return;
    if (!log_append(request->log, &append, 1, &lsn, &err)) {
        refuse_append(request, out, &err);
        if (err.kind == ERROR_INVALID && err.sys == ENOKEY)
            list_keyless(request, &batch, out);
        return;
    }
    struct bytes type = topic_config_in_force(partition_topic(partition), BYTES_LITERAL("message.timestamp.type"));
    if (bytes_equal_string(type, "LogAppendTime"))
        out->log_append_time_ms = io_wall_ms(request->door->io);
    out->base_offset = append.base_offset;
    out->log_start_offset = partition_log_start_offset(partition);
    promise->lsn = lsn > promise->lsn ? lsn : promise->lsn;
    if (to_disk)
        promise->durability = LOG_SYNCED;
    if (!append.duplicate)
        note_batch(&request->door->metrics, &batch);
}

static void produce_partition(struct kafka_request *request, struct topic *topic,
                              const struct kafka_produce_request_partition *in, struct bytes converted,
                              struct kafka_produce_response_partition *out, struct promise *promise)
{
    const struct kafka_produce_request *body = request->body;
    struct partition *partition = topic ? topic_partition(topic, in->index) : NULL;
    out->index = in->index;
    if (request->header.api_version < VERSION_OF_V2_BATCHES)
        refuse(request, out, KAFKA_UNSUPPORTED_VERSION, "Produce before version 3");
    else if (body->acks < ACKS_ALL || body->acks > 1)
        refuse(request, out, KAFKA_INVALID_REQUIRED_ACKS, "acks must be -1, 0 or 1");
    else if (!topic && request->header.api_version >= VERSION_OF_TOPIC_IDS)
        refuse(request, out, KAFKA_UNKNOWN_TOPIC_ID, "no topic has this id");
    else if (!partition)
        refuse(request, out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "no such topic or partition");
    else
        append(request, partition, records_of(&in->records), converted, out, promise);
}

/* The disk failed between append and sync: nobody knows what is on it. */
static void produce_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_produce_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            if (!response->topics[i].partitions[p].error_code)
                refuse(request, &response->topics[i].partitions[p], KAFKA_KAFKA_STORAGE_ERROR, "the disk failed");
}

static bool any_refused(const struct kafka_produce_response *response)
{
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            if (response->topics[i].partitions[p].error_code)
                return true;
    return false;
}

struct topic *kafka_produced_topic(struct kafka_request *request, const struct kafka_produce_request_topic *in)
{
    return request->header.api_version >= VERSION_OF_TOPIC_IDS ? kafka_find_topic_by_id(request, in->topic_id)
                                                               : kafka_find_topic(request, in->name);
}

struct producing {
    struct kafka_produce_response *response;
    struct kafka_conversions *conversions;
    struct promise promise;
    size_t topic, partition; /* the next */
};

static void begin_topic(struct kafka_request *request, const struct kafka_produce_request_topic *in,
                        struct kafka_produce_response_topic *out)
{
    out->name = in->name;
    memcpy(out->topic_id, in->topic_id, sizeof out->topic_id);
    out->partitions = KAFKA_NEW_ARRAY(&request->arena, kafka_produce_response_partition, in->partitions_count);
    out->partitions_count = in->partitions_count;
}

/* The next partition, or topic without any. */
static bool produce_next(struct kafka_request *request)
{
    const struct kafka_produce_request *body = request->body;
    struct producing *at = request->state;
    if (at->topic == body->topics_count)
        return false;
    const struct kafka_produce_request_topic *in = &body->topics[at->topic];
    struct kafka_produce_response_topic *out = &at->response->topics[at->topic];
    if (at->partition == 0)
        begin_topic(request, in, out);
    if (at->partition < in->partitions_count) {
        const struct kafka_produce_request_partition *partition = &in->partitions[at->partition];
        produce_partition(request, kafka_produced_topic(request, in), partition,
                          kafka_converted(at->conversions, partition), &out->partitions[at->partition], &at->promise);
        at->partition++;
    }
    if (at->partition == in->partitions_count) {
        at->partition = 0;
        at->topic++;
    }
    return at->topic < body->topics_count;
}

static void produced(struct kafka_request *request)
{
    const struct kafka_produce_request *body = request->body;
    const struct producing *at = request->state;
    if (body->acks != 0)
        kafka_answer_when(request, at->response, at->promise.lsn,
                          body->acks == 1 ? LOG_WRITTEN : at->promise.durability, produce_failed);
    else if (any_refused(at->response))
        kafka_drop(request, "a batch that was sent with acks=0 could not be appended");
    else
        kafka_no_answer(request);
}

static void produce(struct kafka_request *request, struct kafka_conversions *conversions)
{
    const struct kafka_produce_request *body = request->body;
    struct arena *arena = &request->arena;
    struct producing *at = request->state = ARENA_NEW(arena, struct producing);
    at->response = KAFKA_NEW(arena, kafka_produce_response);
    at->conversions = conversions;
    at->promise.durability = LOG_WRITTEN;
    at->response->topics = KAFKA_NEW_ARRAY(arena, kafka_produce_response_topic, body->topics_count);
    at->response->topics_count = body->topics_count;
    request->charged_bytes = request->frame.size;
    kafka_add_produced_partitions(request);
    kafka_work_in_steps(request, produce_next, produced);
}

static void begin(struct kafka_request *request)
{
    if (!kafka_convert_batches(request, produce))
        produce(request, NULL);
}

void kafka_handle_produce(struct kafka_request *request)
{
    if (!kafka_wait_for_room(request, begin))
        begin(request);
}
