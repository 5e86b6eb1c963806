/* SPDX-License-Identifier: Apache-2.0 */
#include "fetched.h"

#include <inttypes.h>
#include <string.h>

enum { FETCH_SIZE = 64 << 10, ABORTED_MAX = 1000, VERSION_BY_NAME = 11, VERSION_OF_IDS = 13, VERSION_MAX = 18 };

static int16_t choose_version(struct ledger *ledger, const struct fetch_from *from, size_t count)
{
    bool known = true;
    for (size_t i = 0; i < count; i++)
        known = known && ledger->topics[from[i].topic].id_known;
    return known && io_random_below(ledger->io, 2)
               ? VERSION_OF_IDS + (int16_t)io_random_below(ledger->io, VERSION_MAX + 1 - VERSION_OF_IDS)
               : VERSION_BY_NAME;
}

bool fetched_is_of(const struct kafka_fetch_response_topic *fetched, int16_t version, const struct ledger_topic *topic)
{
    return version < VERSION_OF_IDS ? bytes_equal_string(fetched->topic, topic->name)
                                    : topic->id_known && memcmp(fetched->topic_id, topic->id, sizeof topic->id) == 0;
}

static void add_partition(struct arena *arena, const struct ledger *ledger, const struct fetch_from *from,
                          struct kafka_fetch_request *request, size_t count)
{
    struct bytes name = bytes_of_string(ledger->topics[from->topic].name);
    struct kafka_fetch_request_topic *topic =
        request->topics_count > 0 ? &request->topics[request->topics_count - 1] : NULL;
    if (!topic || !bytes_equal(topic->topic, name)) {
        topic = &request->topics[request->topics_count++];
        topic->topic = name;
        memcpy(topic->topic_id, ledger->topics[from->topic].id, sizeof topic->topic_id);
        topic->partitions = KAFKA_NEW_ARRAY(arena, kafka_fetch_request_partition, count);
    }
    struct kafka_fetch_request_partition *partition = &topic->partitions[topic->partitions_count++];
    partition->partition = from->partition;
    partition->fetch_offset = from->offset;
    partition->partition_max_bytes = FETCH_SIZE;
}

struct kafka_fetch_request *fetch_request(struct arena *arena, struct ledger *ledger, const struct fetch_from *from,
                                          size_t count, bool committed_only, int32_t max_wait_ms, int16_t *version)
{
    *version = choose_version(ledger, from, count);
    struct kafka_fetch_request *request = KAFKA_NEW(arena, kafka_fetch_request);
    request->max_wait_ms = max_wait_ms;
    request->min_bytes = 1;
    request->max_bytes = FETCH_SIZE;
    request->isolation_level = committed_only;
    request->session_epoch = -1;
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_fetch_request_topic, count);
    for (size_t i = 0; i < count; i++)
        add_partition(arena, ledger, &from[i], request, count);
    return request;
}

/* The producers whose transactions, as far as the batches so far tell, will be aborted. */
struct aborted {
    const struct kafka_fetch_response_partition *fetched; /* its aborted_transactions are in no order */
    int64_t producers[ABORTED_MAX];
    size_t count;
    bool taken[ABORTED_MAX]; /* of fetched->aborted_transactions */
};

static size_t find_aborted(const struct aborted *aborted, int64_t producer_id)
{
    size_t i = 0;
    while (i < aborted->count && aborted->producers[i] != producer_id)
        i++;
    return i;
}

static bool advance_aborted(struct aborted *aborted, const struct kafka_batch *batch, struct error *err)
{
    const struct kafka_fetch_response_partition *fetched = aborted->fetched;
    if (fetched->aborted_transactions_count > ABORTED_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d aborted transactions in one fetch", ABORTED_MAX);
    for (size_t i = 0; i < fetched->aborted_transactions_count; i++) {
        int64_t producer_id = fetched->aborted_transactions[i].producer_id;
        if (aborted->taken[i] || fetched->aborted_transactions[i].first_offset > kafka_batch_last_offset(batch))
            continue;
        aborted->taken[i] = true;
        if (find_aborted(aborted, producer_id) == aborted->count)
            aborted->producers[aborted->count++] = producer_id;
    }
    return true;
}

static void end_aborted(struct aborted *aborted, int64_t producer_id)
{
    size_t i = find_aborted(aborted, producer_id);
    if (i < aborted->count)
        aborted->producers[i] = aborted->producers[--aborted->count];
}

struct reading {
    int64_t offset;
    bool committed_only;
    struct aborted aborted;
    void (*each)(void *ctx, const struct kafka_batch *batch, const struct kafka_record *record);
    void *ctx;
};

static bool read_batch(struct reading *reading, const struct kafka_batch *batch, struct error *err)
{
    struct kafka_record record;
    AUTO_KAFKA_RECORDS records = {0};
    int64_t last = batch->base_offset - 1;
    if (!advance_aborted(&reading->aborted, batch, err))
        return false;
    bool hidden = reading->committed_only && (batch->attributes & KAFKA_BATCH_TRANSACTIONAL) &&
                  find_aborted(&reading->aborted, batch->producer_id) < reading->aborted.count;
    if (!kafka_batch_verify(batch, err) || !kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record)) {
        if (record.offset <= last || record.offset > kafka_batch_last_offset(batch))
            return error_set(err, ERROR_CORRUPT, "a record at %" PRId64 " in the batch %" PRId64 "..%" PRId64,
                             record.offset, batch->base_offset, kafka_batch_last_offset(batch));
        last = record.offset;
        if (kafka_batch_is_control(batch) && kafka_record_control_type(&record) == KAFKA_CONTROL_ABORT)
            end_aborted(&reading->aborted, batch->producer_id);
        if (!kafka_batch_is_control(batch) && !hidden && record.offset >= reading->offset)
            reading->each(reading->ctx, batch, &record);
    }
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "the batch at %" PRId64 " is damaged", batch->base_offset);
}

bool fetched_each(const struct kafka_fetch_response_partition *fetched, int64_t offset, bool committed_only,
                  void (*each)(void *ctx, const struct kafka_batch *batch, const struct kafka_record *record),
                  void *ctx, int64_t *next, struct error *err)
{
    struct reading reading = {.offset = offset, .committed_only = committed_only, .aborted = {.fetched = fetched}};
    reading.each = each;
    reading.ctx = ctx;
    int64_t last = -1;
    int32_t epoch = -1;
    *next = offset;
    for (size_t i = 0; i < fetched->records.count; i++)
        for (struct bytes rest = fetched->records.parts[i]; rest.size > 0;) {
            struct kafka_batch batch;
            if (!kafka_batch_parse(&rest, &batch, err))
                return error_wrap(err, "behind offset %" PRId64, last);
            if (batch.base_offset <= last)
                return error_set(err, ERROR_CORRUPT, "a batch at %" PRId64 " behind %" PRId64, batch.base_offset, last);
            if (batch.leader_epoch < epoch)
                return error_set(err, ERROR_CORRUPT, "the batch at %" PRId64 " is of epoch %d, and one before is of %d",
                                 batch.base_offset, batch.leader_epoch, epoch);
            epoch = batch.leader_epoch;
            last = kafka_batch_last_offset(&batch);
            if (last >= fetched->high_watermark)
                return error_set(err, ERROR_CORRUPT, "a batch up to %" PRId64 ", though the log ends at %" PRId64, last,
                                 fetched->high_watermark);
            if (!read_batch(&reading, &batch, err))
                return false;
            if (last >= *next)
                *next = last + 1;
        }
    return true;
}

struct showing {
    struct ledger *ledger;
    struct ledger_pass pass;
};

static void show(void *ctx, const struct kafka_batch *batch, const struct kafka_record *record)
{
    struct showing *showing = ctx;
    ledger_seen(showing->ledger, &showing->pass, batch, record);
}

int64_t fetched_show(struct ledger *ledger, const struct fetch_from *from,
                     const struct kafka_fetch_response_partition *fetched)
{
    struct error err;
    int64_t next;
    struct showing showing = {ledger, {.topic = from->topic, .partition = from->partition, .life = ledger->life}};
    showing.pass.incarnation = ledger->topics[from->topic].incarnation;
    if (!fetched_each(fetched, from->offset, false, show, &showing, &next, &err))
        ledger_unreadable(ledger, from->topic, from->partition, &err);
    return next;
}
