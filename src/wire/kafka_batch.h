/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's record batch, format v2 ("magic 2"): what producers send, what the journal stores and what consumers get are
 * the same bytes. (KIP-98, KIP-82; the layout is in Kafka's documentation, "Record Batch".)
 *
 *     at   0 base_offset i64        21 attributes u16          43 producer_id i64
 *          8 length i32 (behind it) 23 last_offset_delta i32   51 producer_epoch i16
 *         12 leader_epoch i32       27 base_timestamp i64      53 base_sequence i32
 *         16 magic i8 = 2           35 max_timestamp i64       57 record_count i32
 *         17 crc u32 (CRC-32C of all from 21 to the end)       61 records, as a whole compressed or not
 *
 * So base_offset and leader_epoch can be set in place without touching the CRC; anything else needs a new one.
 * All numbers are big-endian; those within records are zigzag varints. Times are milliseconds since 1970.
 *
 * Two levels of trust: kafka_batch_parse() knows that the header is sane and that the bytes are all there;
 * kafka_batch_verify() also knows the CRC. Only reading the records (struct kafka_records) tells whether they are what
 * the header says.
 */
#ifndef WIRE_KAFKA_BATCH_H
#define WIRE_KAFKA_BATCH_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

enum {
    KAFKA_BATCH_HEADER_SIZE = 61,
    KAFKA_RECORDS_SIZE_MAX = 64 << 20, /* of one batch, unpacked: a bound against compression bombs */
};

enum kafka_codec { KAFKA_CODEC_NONE, KAFKA_CODEC_GZIP, KAFKA_CODEC_SNAPPY, KAFKA_CODEC_LZ4, KAFKA_CODEC_ZSTD };

enum kafka_batch_attributes {
    KAFKA_BATCH_CODEC = 7, /* mask of enum kafka_codec */
    KAFKA_BATCH_LOG_APPEND_TIME = 8,
    KAFKA_BATCH_TRANSACTIONAL = 16,
    KAFKA_BATCH_CONTROL = 32,
    KAFKA_BATCH_DELETE_HORIZON = 64, /* base_timestamp is when tombstones may go (KIP-534) */
};

/* The header, read. Points into the bytes that it was parsed from. */
struct kafka_batch {
    struct bytes bytes;   /* all of the batch */
    struct bytes records; /* behind the header, perhaps compressed */
    int64_t base_offset;
    int32_t leader_epoch;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta; /* >= 0; after compaction it may be more than record_count - 1 */
    int64_t base_timestamp, max_timestamp;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count; /* >= 0; 0 only after compaction */
};

/* Takes the first batch off the front of *rest. ERROR_CORRUPT: cut short, sizes that do not fit, negative counts;
 * ERROR_UNSUPPORTED: an older format (magic 0 or 1). */
MUST_CHECK bool kafka_batch_parse(struct bytes *rest, struct kafka_batch *out, struct error *err);
/* ERROR_CORRUPT when the CRC does not match. */
MUST_CHECK bool kafka_batch_verify(const struct kafka_batch *batch, struct error *err);

/* What a client may send (Kafka's LogValidator), after parse and verify: no control batch, at least one record, as many
 * records as offsets, a sequence if there is a producer id, LogAppendTime not set, a known codec: ERROR_INVALID. */
MUST_CHECK bool kafka_batch_check_produced(const struct kafka_batch *batch, struct error *err);
/* Reads all records: as many as record_count, their offsets 0, 1, 2 ... (ERROR_INVALID); unpacking errors as
 * kafka_records_open(). *max_timestamp is the largest one among them. */
MUST_CHECK bool kafka_batch_check_records(const struct kafka_batch *batch, int64_t *max_timestamp, struct error *err);

static inline enum kafka_codec kafka_batch_codec(const struct kafka_batch *batch)
{
    return (enum kafka_codec)(batch->attributes & KAFKA_BATCH_CODEC);
}
static inline bool kafka_batch_is_control(const struct kafka_batch *batch)
{
    return batch->attributes & KAFKA_BATCH_CONTROL;
}
static inline int64_t kafka_batch_last_offset(const struct kafka_batch *batch)
{
    return batch->base_offset + batch->last_offset_delta;
}
/* The sequence of the last record: sequences wrap from 2^31-1 to 0. */
int32_t kafka_batch_last_sequence(const struct kafka_batch *batch);

/* --- Changing in place. `batch` is all of a batch that kafka_batch_parse() took. --- */
void kafka_batch_set_base_offset(uint8_t *batch, int64_t base_offset); /* the CRC stays right */
void kafka_batch_set_leader_epoch(uint8_t *batch, int32_t leader_epoch);
/* message.timestamp.type=LogAppendTime: readers then take this time for every record. Makes the CRC anew. */
void kafka_batch_set_log_append_time(uint8_t *batch, size_t size, int64_t timestamp_ms);
/* For producers that leave it unset. Makes the CRC anew. */
void kafka_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t timestamp_ms);

/* --- Reading records --- */
struct kafka_record_header {
    struct bytes name;
    struct bytes value; /* may be null */
};

struct kafka_record {
    int64_t offset, timestamp_ms;
    struct bytes key, value; /* may be null */
    int32_t header_count;
    struct bytes headers; /* for kafka_record_next_header() */
};

struct kafka_records {
    struct kafka_batch batch;
    struct bytes rest;
    struct buf unpacked;
    int32_t left;
    bool corrupt; /* set when a record does not parse; kafka_records_next() has then returned false */
};
#define AUTO_KAFKA_RECORDS __attribute__((cleanup(kafka_records_close), unused)) struct kafka_records

/*
 *     AUTO_KAFKA_RECORDS records = {0};
 *     if (!kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, err))   ERROR_CORRUPT, ERROR_LIMIT (size_max)
 *     while (kafka_records_next(&records, &record)) ...                         good until records is closed
 *     if (records.corrupt) ...
 * Unpacks gzip (RFC 1952), snappy (Java's framing or one raw block), lz4 frames and zstd frames.
 */
MUST_CHECK bool kafka_records_open(struct kafka_records *records, const struct kafka_batch *batch, size_t size_max,
                                   struct error *err);
void kafka_records_close(struct kafka_records *records); /* also zeroed memory */
bool kafka_records_next(struct kafka_records *records, struct kafka_record *out);

/* Takes the next header off *headers (a copy of record.headers); false after the last one. */
bool kafka_record_next_header(struct bytes *headers, struct kafka_record_header *out);
/* The last header of that name (so do Kafka's clients); false when there is none. */
bool kafka_record_find_header(const struct kafka_record *record, const char *name, struct bytes *value);

/* The first record from from_offset on with a timestamp >= timestamp_ms; *found says whether there is one. */
MUST_CHECK bool kafka_batch_find_time(const struct kafka_batch *batch, int64_t from_offset, int64_t timestamp_ms,
                                      bool *found, int64_t *offset, int64_t *record_timestamp_ms, struct error *err);

/*
 * The batch with only some of its records, appended to `out`: offsets, sequences, producer and codec stay, so that
 * offsets are never renumbered; max_timestamp is that of the records that are left (of all, if none is).
 * delete_horizon_ms >= 0: the batch gets that delete horizon (KIP-534): the attribute, and base_timestamp. The whole
 * batch, unchanged, when all records are kept and there is no new horizon. Errors as kafka_records_open();
 * ERROR_CORRUPT when a record does not parse.
 */
struct kafka_batch_filter {
    bool (*keep)(void *ctx, const struct kafka_record *record);
    void *ctx;
    int64_t delete_horizon_ms; /* -1: as it is */
};
MUST_CHECK bool kafka_batch_rewrite(const struct kafka_batch *batch, const struct kafka_batch_filter *filter,
                                    struct buf *out, struct kafka_batch *rewritten, struct error *err);

/* The batch in another codec, appended to `out`: its records byte for byte, and all of the header but the codec and the
 * CRC. Levels are those of kafka_codec.h. Errors as kafka_records_open(); ERROR_LIMIT also when `out` overflows. */
MUST_CHECK bool kafka_batch_convert(const struct kafka_batch *batch, enum kafka_codec codec, int level, struct buf *out,
                                    struct kafka_batch *converted, struct error *err);

enum kafka_control_type { KAFKA_CONTROL_ABORT = 0, KAFKA_CONTROL_COMMIT = 1, KAFKA_CONTROL_OTHER = 2 };
/* Of the one record of a control batch. */
enum kafka_control_type kafka_record_control_type(const struct kafka_record *record);
/* A control batch's type, and the coordinator epoch in the marker of a transaction (else -1). False: malformed. */
bool kafka_batch_read_marker(const struct kafka_batch *batch, enum kafka_control_type *type,
                             int32_t *coordinator_epoch);

/* --- Building --- */
/*
 *     struct kafka_batch_builder builder;
 *     kafka_batch_begin(&builder, &buf, 0);                               appends to buf
 *     kafka_batch_add(&builder, now_ms, key, value, headers, count);      null key or value: BYTES_NULL
 *     if (!kafka_batch_end(&builder, &batch, err)) ...                    ERROR_LIMIT: the buffer overflowed
 * `batch` points into buf. Offsets start at 0, the leader epoch is 0: the log sets both. Never compressed.
 */
struct kafka_batch_builder {
    struct buf *out;
    size_t at; /* where the batch starts in out */
    uint16_t attributes;
    int64_t producer_id; /* -1 unless set before kafka_batch_end */
    int16_t producer_epoch;
    int32_t base_sequence;
    int64_t base_timestamp, max_timestamp;
    int32_t record_count;
};
void kafka_batch_begin(struct kafka_batch_builder *builder, struct buf *out, uint16_t attributes);
void kafka_batch_add(struct kafka_batch_builder *builder, int64_t timestamp_ms, struct bytes key, struct bytes value,
                     const struct kafka_record_header *headers, size_t header_count);
/* The marker of a transaction (KIP-98), alone in its batch, which has KAFKA_BATCH_TRANSACTIONAL | KAFKA_BATCH_CONTROL.
 */
void kafka_batch_add_marker(struct kafka_batch_builder *builder, int64_t timestamp_ms, enum kafka_control_type type,
                            int32_t coordinator_epoch);
MUST_CHECK bool kafka_batch_end(struct kafka_batch_builder *builder, struct bytes *batch, struct error *err);

#endif
