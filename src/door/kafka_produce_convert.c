/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of a Produce that come in another codec than their topics' compression.type are packed anew on a helper
 * thread, before any of them is appended. Meanwhile nothing more of their connection is taken, so that what a producer
 * sends stays in its order. What does not verify or unpack is left as it is: the log says what is wrong with it.
 */
#include "door/kafka_produce_convert.h"
#include "base/memory.h"

enum {
    CONVERTED_SIZE_MAX = 64 << 20,                 /* of a request; what is beyond is left to the log, one at a time */
    PACKING_ROOM_MAX = 2 * KAFKA_RECORDS_SIZE_MAX, /* packing asks for room for the worst case */
};

struct item {
    const struct kafka_produce_request_partition *of;
    struct bytes batch;
    struct topic_compression compression;
    struct bytes converted; /* ours; null: it is left as it is */
};

struct kafka_conversions {
    struct kafka_request *request; /* NULL: its connection has ended */
    struct bytes frame;            /* then ours, since the batches are in it */
    void (*done)(struct kafka_request *request, struct kafka_conversions *conversions);
    struct item *items; /* in the request's order */
    size_t count, capacity, next;
};

/* --- On a helper thread --- */

static bool convert(struct item *item, struct buf *memory, struct error *err)
{
    struct bytes rest = item->batch;
    struct kafka_batch batch, converted;
    if (!kafka_batch_parse(&rest, &batch, err) || !kafka_batch_verify(&batch, err) ||
        !kafka_batch_convert(&batch, item->compression.codec, item->compression.level, memory, &converted, err))
        return false;
    item->converted = memory_copy(converted.bytes);
    return true;
}

static void work(void *ctx)
{
    struct kafka_conversions *conversions = ctx;
    size_t size = 0;
    for (size_t i = 0; i < conversions->count && size < CONVERTED_SIZE_MAX; i++) {
        AUTO_BUF memory;
        struct error err;
        buf_init(&memory, PACKING_ROOM_MAX);
        if (convert(&conversions->items[i], &memory, &err))
            size += conversions->items[i].converted.size;
    }
}

/* --- On the core thread --- */

static void conversions_free(void *ctx)
{
    struct kafka_conversions *conversions = ctx;
    for (size_t i = 0; i < conversions->count; i++)
        free((void *)(uintptr_t)conversions->items[i].converted.data);
    free(conversions->items);
    free((void *)(uintptr_t)conversions->frame.data);
    free(conversions);
}

static void on_worked(void *ctx)
{
    struct kafka_conversions *conversions = ctx;
    struct kafka_request *request = conversions->request;
    if (!request) {
        conversions_free(conversions);
        return;
    }
    arena_add_cleanup(&request->arena, conversions_free, conversions);
    request->cancel = NULL;
    kafka_take_others(request);
    conversions->done(request, conversions);
}

/* The connection ends, and the helper still reads from the frame. */
static void cancel(struct kafka_request *request)
{
    struct kafka_conversions *conversions = request->state;
    conversions->request = NULL;
    conversions->frame = request->frame;
    request->frame = BYTES_NULL;
}

static void add(struct kafka_conversions *conversions, struct topic *topic,
                const struct kafka_produce_request_partition *in)
{
    struct bytes rest = in->records.count ? in->records.parts[0] : BYTES_NULL;
    struct kafka_batch batch;
    struct error err;
    if (!kafka_batch_parse(&rest, &batch, &err) || !topic_converts(topic, &batch))
        return;
    if (conversions->count == conversions->capacity) {
        conversions->capacity = conversions->capacity ? conversions->capacity * 2 : 4;
        conversions->items = memory_resize_array(conversions->items, conversions->capacity, sizeof *conversions->items);
    }
    conversions->items[conversions->count++] =
        (struct item){.of = in, .batch = batch.bytes, .compression = *topic_compression(topic)};
}

static void gather(struct kafka_conversions *conversions, struct kafka_request *request)
{
    const struct kafka_produce_request *body = request->body;
    for (size_t i = 0; i < body->topics_count; i++) {
        struct topic *topic = kafka_produced_topic(request, &body->topics[i]);
        for (size_t p = 0; topic && p < body->topics[i].partitions_count; p++)
            add(conversions, topic, &body->topics[i].partitions[p]);
    }
}

bool kafka_convert_batches(struct kafka_request *request,
                           void (*done)(struct kafka_request *request, struct kafka_conversions *conversions))
{
    struct kafka_conversions *conversions = NEW(struct kafka_conversions);
    *conversions = (struct kafka_conversions){.request = request, .done = done};
    gather(conversions, request);
    if (conversions->count == 0) {
        conversions_free(conversions);
        return false;
    }
    request->state = conversions;
    request->cancel = cancel;
    kafka_hold_others(request);
    io_work(request->door->io, work, on_worked, conversions);
    return true;
}

struct bytes kafka_converted(struct kafka_conversions *conversions, const struct kafka_produce_request_partition *of)
{
    if (!conversions || conversions->next == conversions->count || conversions->items[conversions->next].of != of)
        return BYTES_NULL;
    return conversions->items[conversions->next++].converted;
}
