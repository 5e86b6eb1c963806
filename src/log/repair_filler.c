/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch that stands where others were lost. Kafka's compaction leaves batches without records, of a header alone, and
 * every client takes them. But a filler is to be as large as what it replaces, and not all clients go by the header's
 * count of records: librdkafka reads records until the batch's bytes are used up (and ends its program if they unpack
 * to nothing), sarama refuses bytes that are left over. So the rest is one record of exactly that size, in a control
 * batch, of the type that Kafka calls unknown: clients that know of control batches, as every topic with transactions
 * has them, pass over it in silence. What is too small for that has a record that is begun, and whose offset is so low
 * that a client which reads it at all has left it behind.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"
#include "log/repair.h"
#include "wire/kafka_batch.h"

enum {
    LENGTH_AT = 12,
    CRC_AT = 17,
    ATTRIBUTES_AT = 21,
    VARINT_SIZE_MAX = 5,
    CONTROL_SIZE_MIN = 9, /* of a record with a key of two bytes, the version alone */
    KEY_SIZE = 4,
    FIRST_OF_TWO = 16,
    BEGUN_SIZE_MIN = 4,
    REST_MIN = 16,
};

static void put(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = size; i > 0; i--, value >>= 8)
        at[i - 1] = (uint8_t)value;
}

/* Zigzag, of what is not negative. */
static size_t varint_size(size_t value)
{
    size_t size = 1;
    for (value <<= 1; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static size_t put_varint(uint8_t *at, size_t value)
{
    size_t size = 0;
    for (value <<= 1; value >= 0x80; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    return size;
}

/* The numbers of a record whose size is given. */
struct fit {
    size_t length, key_size, value_size;
    size_t timestamp_delta; /* of no meaning: it takes up a byte more where the sizes of numbers do not add up */
};

static bool fit_value(struct fit *fit, size_t rest)
{
    for (size_t size = 1; size <= VARINT_SIZE_MAX && size <= rest; size++)
        if (varint_size(rest - size) == size) {
            fit->value_size = rest - size;
            return true;
        }
    return false;
}

/* False: no record has this size, as its length would need a byte more if it had a byte more. */
static bool fit_record(struct fit *fit, size_t size)
{
    static const size_t deltas[] = {0, 64, 8192}; /* of one, two and three bytes */
    fit->key_size = size > CONTROL_SIZE_MIN + 1 ? KEY_SIZE : size - (CONTROL_SIZE_MIN - 2);
    for (size_t i = 0; i < ARRAY_SIZE(deltas); i++)
        for (size_t length_size = 1; length_size <= VARINT_SIZE_MAX; length_size++) {
            /* attributes, offset, size of the key, count of headers: a byte each */
            size_t fixed = length_size + 4 + varint_size(deltas[i]) + fit->key_size;
            fit->length = size - length_size;
            fit->timestamp_delta = deltas[i];
            if (fixed < size && varint_size(fit->length) == length_size && fit_value(fit, size - fixed))
                return true;
        }
    return false;
}

static void put_control_record(uint8_t *out, const struct fit *fit)
{
    uint8_t *at = out + put_varint(out, fit->length);
    at++;
    at += put_varint(at, fit->timestamp_delta);
    at++;
    at += put_varint(at, fit->key_size);
    if (fit->key_size == KEY_SIZE)
        put(at + 2, UINT16_MAX, 2); /* version 0, type -1 */
    else
        put(at, UINT16_MAX, 2); /* a version that nobody knows */
    put_varint(at + fit->key_size, fit->value_size);
}

/* One, or two where no single record has the size. Returns how many. */
static uint32_t put_control_records(uint8_t *out, size_t size)
{
    struct fit fit;
    size_t first = 0;
    if (!fit_record(&fit, size)) {
        first = FIRST_OF_TWO;
        bool ok = fit_record(&fit, first);
        assert(ok);
        put_control_record(out, &fit);
        ok = fit_record(&fit, size - first);
        assert(ok);
    }
    put_control_record(out + first, &fit);
    return first > 0 ? 2 : 1;
}

/* Its offset delta fills it, and is the most negative one of that size. */
static void put_begun_record(uint8_t *out, size_t size)
{
    put_varint(out, size - 1);
    memset(out + 3, 0xff, size - 3);
    out[size - 1] = 0x7f;
}

void repair_make_filler(uint8_t *out, size_t size, int64_t first_offset, int64_t next_offset)
{
    size_t rest = size - KAFKA_BATCH_HEADER_SIZE;
    bool control = rest >= CONTROL_SIZE_MIN;
    memset(out, 0, size);
    put(out, (uint64_t)first_offset, 8);
    put(out + 8, size - LENGTH_AT, 4);
    out[16] = 2; /* magic */
    put(out + ATTRIBUTES_AT, control ? KAFKA_BATCH_CONTROL : 0, 2);
    put(out + 23, (uint64_t)(next_offset - first_offset - 1), 4); /* last_offset_delta */
    put(out + 27, UINT64_MAX, 8);                                 /* no times, no producer */
    put(out + 35, UINT64_MAX, 8);
    put(out + 43, UINT64_MAX, 8);
    put(out + 51, UINT64_MAX, 2);
    put(out + 53, UINT64_MAX, 4);
    if (control)
        put(out + 57, put_control_records(out + KAFKA_BATCH_HEADER_SIZE, rest), 4); /* record_count */
    else if (rest >= BEGUN_SIZE_MIN)
        put_begun_record(out + KAFKA_BATCH_HEADER_SIZE, rest);
    put(out + CRC_AT, crc32c(0, bytes_of(out + ATTRIBUTES_AT, size - ATTRIBUTES_AT)), 4);
}

bool repair_filling_init(struct repair_filling *filling, uint64_t size, int64_t first_offset, int64_t next_offset,
                         struct error *err)
{
    if (size < KAFKA_BATCH_HEADER_SIZE)
        return error_set(err, ERROR_UNSUPPORTED, "%" PRIu64 " bytes are too few to stand for a batch", size);
    if (next_offset <= first_offset || next_offset - first_offset - 1 > INT32_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "from offset %" PRId64 " to %" PRId64 " nothing can stand there",
                         first_offset, next_offset - 1);
    uint64_t offsets = (uint64_t)(next_offset - first_offset), each = (size + offsets - 1) / offsets;
    if (each > REPAIR_FILLER_SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "%" PRIu64 " damaged bytes are too many for %" PRIu64 " offsets", size,
                         offsets);
    *filling = (struct repair_filling){.size = size,
                                       .each = each > REPAIR_FILLER_SIZE ? (size_t)each : REPAIR_FILLER_SIZE,
                                       .first_offset = first_offset,
                                       .next_offset = next_offset};
    return true;
}

/* What is left at the end is large enough for one more. */
size_t repair_filling_next(struct repair_filling *filling, int64_t *first_offset, int64_t *next_offset)
{
    size_t size = filling->each;
    if (filling->size <= size)
        size = (size_t)filling->size;
    else if (filling->size - size < KAFKA_BATCH_HEADER_SIZE + REST_MIN)
        size -= KAFKA_BATCH_HEADER_SIZE + REST_MIN;
    filling->size -= size;
    *first_offset = filling->first_offset;
    *next_offset = filling->first_offset = filling->size == 0 ? filling->next_offset : *first_offset + 1;
    return size;
}
