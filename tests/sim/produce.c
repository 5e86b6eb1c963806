/* SPDX-License-Identifier: Apache-2.0 */
#include "produce.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "peer.h"
#include "tally.h"
#include "wire/kafka_codec.h"
#include "wire/kafka_error.h"

enum { BATCH_SIZE_MAX = 1 << 20, RECORDS_MAX = 5 };

void produce_batch_init(struct produce_batch *batch)
{
    *batch = (struct produce_batch){0};
    buf_init(&batch->buf, BATCH_SIZE_MAX);
    buf_init(&batch->packed, BATCH_SIZE_MAX);
}

bool produce_choose(struct ledger *ledger, struct ledger_making *making)
{
    int there[LEDGER_TOPICS], count = 0;
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if (ledger_topic_is_there(&ledger->topics[t]) && (making->lossy_too || !ledger->topics[t].lossy))
            there[count++] = t;
    if (count == 0)
        return false;
    making->topic = there[io_random_below(ledger->io, (uint64_t)count)];
    const struct ledger_topic *topic = &ledger->topics[making->topic];
    making->incarnation = topic->incarnation;
    making->by_id = topic->id_known && io_random_below(ledger->io, 2);
    making->to_old_id = topic->old_id_known && making->transaction < 0 && io_random_below(ledger->io, 10) == 0;
    making->by_id = making->by_id || making->to_old_id;
    making->partition = (int)io_random_below(ledger->io, (uint64_t)ledger->topics[making->topic].partition_count);
    return true;
}

static void add_record(struct kafka_batch_builder *builder, struct ledger *ledger, const struct ledger_making *making)
{
    char id[LEDGER_TEXT_SIZE], key[LEDGER_TEXT_SIZE];
    const struct ledger_record *record = ledger_make(ledger, making, id, key);
    const struct kafka_record_header header = {BYTES_LITERAL("id"), bytes_of_string(id)};
    kafka_batch_add(builder, record->made_ms, key[0] ? bytes_of_string(key) : BYTES_NULL, ledger_value(record), &header,
                    1);
}

enum { LENGTH_AT = 8, ATTRIBUTES_AT = 21 }; /* wire/kafka_batch.h */

/* As a producer packs: the same header, but for the codec, the size and the sum. */
static void pack(struct produce_batch *batch, enum kafka_codec codec)
{
    struct error err;
    struct kafka_batch plain;
    struct bytes rest = batch->bytes;
    buf_reset(&batch->packed);
    bool ok = kafka_batch_parse(&rest, &plain, &err);
    buf_append(&batch->packed, bytes_slice(batch->bytes, 0, KAFKA_BATCH_HEADER_SIZE));
    ok = ok && kafka_codec_pack(codec, kafka_codec_default_level(codec), plain.records, &batch->packed, &err);
    assert(ok);
    uint32_t length = htobe32((uint32_t)batch->packed.size - LENGTH_AT - sizeof length);
    uint16_t attributes = htobe16(plain.attributes | (uint16_t)codec);
    memcpy(batch->packed.data + LENGTH_AT, &length, sizeof length);
    memcpy(batch->packed.data + ATTRIBUTES_AT, &attributes, sizeof attributes);
    kafka_batch_set_max_timestamp(batch->packed.data, batch->packed.size, plain.max_timestamp); /* the sum */
    batch->bytes = buf_bytes(&batch->packed);
}

static void choose_codec(struct produce_batch *batch, struct ledger *ledger)
{
    char what[TALLY_NAME_SIZE];
    enum kafka_codec codec = (enum kafka_codec)io_random_below(ledger->io, KAFKA_CODEC_ZSTD + 1);
    if (codec != KAFKA_CODEC_NONE)
        pack(batch, codec);
    snprintf(what, sizeof what, "batches with codec %s", kafka_codec_name(codec));
    tally(what);
}

void produce_batch_make(struct produce_batch *batch, struct ledger *ledger, const struct ledger_making *making,
                        const struct produce_stamp *stamp)
{
    struct kafka_batch_builder builder;
    struct error err;
    buf_reset(&batch->buf);
    kafka_batch_begin(&builder, &batch->buf, making->transaction >= 0 ? KAFKA_BATCH_TRANSACTIONAL : 0);
    builder.producer_id = stamp->id;
    builder.producer_epoch = stamp->id < 0 ? -1 : stamp->epoch;
    builder.base_sequence = stamp->id < 0 ? -1 : stamp->sequence;
    batch->topic = making->topic;
    batch->partition = making->partition;
    batch->incarnation = making->incarnation;
    batch->by_id = making->by_id;
    batch->to_old_id = making->to_old_id;
    const struct ledger_topic *topic = &ledger->topics[making->topic];
    memcpy(batch->id, making->to_old_id ? topic->old_id : topic->id, sizeof batch->id);
    batch->first = ledger->producers[making->producer].record_count;
    batch->count = 1 + (int32_t)io_random_below(ledger->io, RECORDS_MAX);
    for (int32_t i = 0; i < batch->count; i++)
        add_record(&builder, ledger, making);
    bool ok = kafka_batch_end(&builder, &batch->bytes, &err);
    assert(ok);
    choose_codec(batch, ledger);
}

bool produce_batch_stale(const struct produce_batch *batch, const struct ledger *ledger)
{
    return batch->count > 0 && batch->incarnation != ledger->topics[batch->topic].incarnation;
}

static void add_batch(struct arena *arena, const struct ledger *ledger, const struct produce_batch *batch,
                      struct kafka_produce_request *request, size_t count)
{
    struct bytes name = bytes_of_string(ledger->topics[batch->topic].name);
    struct kafka_produce_request_topic *topic =
        request->topics_count > 0 ? &request->topics[request->topics_count - 1] : NULL;
    if (!topic || !bytes_equal(topic->name, name)) {
        topic = &request->topics[request->topics_count++];
        topic->name = name;
        memcpy(topic->topic_id, batch->id, sizeof batch->id);
        topic->partitions = KAFKA_NEW_ARRAY(arena, kafka_produce_request_partition, count);
    }
    struct kafka_produce_request_partition *partition = &topic->partitions[topic->partitions_count++];
    partition->index = batch->partition;
    partition->records = (struct kafka_record_set){.parts = &batch->bytes, .count = 1, .size = batch->bytes.size};
}

struct kafka_produce_request *produce_request(struct arena *arena, const struct ledger *ledger,
                                              struct produce_batch *batches, size_t count, int16_t acks,
                                              const char *transactional_id)
{
    struct kafka_produce_request *request = KAFKA_NEW(arena, kafka_produce_request);
    request->transactional_id = transactional_id ? bytes_of_string(transactional_id) : BYTES_NULL;
    request->acks = acks;
    request->timeout_ms = PEER_TIMEOUT_MS;
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_produce_request_topic, count);
    for (size_t i = 0; i < count; i++) {
        batches[i].sent = ledger_sent_now(ledger, batches[i].topic);
        add_batch(arena, ledger, &batches[i], request, count);
    }
    return request;
}

int16_t produce_version(struct ledger *ledger, const struct produce_batch *batch, bool v2)
{
    enum { VERSION_OF_ZSTD = 7, VERSION_OF_V2 = 12, VERSION_OF_IDS = 13 };
    if (batch->by_id)
        return VERSION_OF_IDS;
    return v2 ? VERSION_OF_V2 : VERSION_OF_ZSTD + (int16_t)io_random_below(ledger->io, VERSION_OF_V2 - VERSION_OF_ZSTD);
}

int16_t produce_answer(const struct kafka_produce_response *response, int64_t *offset)
{
    if (response->topics_count != 1 || response->topics->partitions_count != 1)
        return KAFKA_UNKNOWN_SERVER_ERROR;
    *offset = response->topics->partitions->base_offset;
    return response->topics->partitions->error_code;
}
