/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's requests and responses, between bytes and structs. The messages are described in wire/api (*.api); the build
 * makes a struct and a table of each (wire/kafka_messages.h), and the one decoder and the one encoder here read the
 * tables.
 *
 * What is decoded lives in the arena and points into the bytes that were received: both must outlive it. Strings, bytes
 * and records are not copied. Null is a NULL pointer (str, bytes, arrays) and is distinct from empty; when encoding,
 * NULL where null is not allowed is empty, so zeroed memory is a valid message but for the fields with a default of
 * their own: kafka_new() and kafka_new_array() set those.
 *
 * Nothing that a peer sends can make the decoder allocate more than the arena's maximum (LIMIT_KAFKA_DECODED_SIZE): a
 * count is checked against the bytes that are left, and nesting is as deep as the tables are.
 */
#ifndef WIRE_KAFKA_MESSAGE_H
#define WIRE_KAFKA_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

/* A field of type `records`: record batches, in parts that need not lie together. Decoded ones have one part (or none:
 * null or empty). */
struct kafka_record_set {
    const struct bytes *parts; /* NULL: null */
    size_t count;
    size_t size;        /* sum of the parts */
    const void *source; /* of an answer with holes: parts is empty, the one who fills the hole knows this */
};

/* --- The tables --- */
enum kafka_type {
    KAFKA_BOOL,
    KAFKA_I8,
    KAFKA_I16,
    KAFKA_U16,
    KAFKA_I32,
    KAFKA_I64,
    KAFKA_F64,
    KAFKA_UUID,
    KAFKA_STR,
    KAFKA_BYTES,
    KAFKA_RECORDS,
    KAFKA_STRUCT,
};

enum { KAFKA_VERSION_OPEN = 127 }; /* a version_max: still there; a nullable_min: never null */

struct kafka_field {
    const char *name;
    const struct kafka_struct *type; /* of KAFKA_STRUCT */
    int64_t otherwise;               /* the value where the field is absent, of numbers and bool */
    uint16_t offset;                 /* in the C struct; an array's count follows its pointer */
    uint8_t kind;                    /* enum kafka_type */
    bool array;
    int8_t version_min, version_max, nullable_min;
    int8_t tag; /* -1: in its place */
};

struct kafka_struct {
    const char *name;
    const struct kafka_field *fields;
    uint16_t field_count;
    uint16_t size;
};

struct kafka_api {
    int16_t key;
    int16_t version_min, version_max; /* what is served */
    int16_t flexible_min;             /* KAFKA_VERSION_OPEN: none */
    const char *name;                 /* "Fetch" */
    const struct kafka_struct *request, *response;
};

extern const struct kafka_api kafka_apis[]; /* by key */
extern const size_t kafka_apis_count;
const struct kafka_api *kafka_api_find(int16_t key); /* NULL: unknown */

/* Zeroed, defaults set; the arena must have no maximum, or the result may be NULL. */
void *kafka_new_array(struct arena *arena, const struct kafka_struct *type, size_t count);
#define KAFKA_NEW(arena, name) ((struct name *)kafka_new_array(arena, &name##_type, 1))
#define KAFKA_NEW_ARRAY(arena, name, count) ((struct name *)kafka_new_array(arena, &name##_type, count))

/* --- Structs on their own (`data` in wire/api): what Kafka keeps in records. No version and no length are before them.
 * ERROR_LIMIT: `out` overflowed. Decoding: as of a request. --- */
MUST_CHECK bool kafka_encode_data(const struct kafka_struct *type, int16_t version, bool flexible, const void *data,
                                  struct buf *out, struct error *err);
MUST_CHECK bool kafka_decode_data(const struct kafka_struct *type, int16_t version, bool flexible, struct bytes bytes,
                                  struct arena *arena, void **out, struct error *err);

/* --- Frames --- */
struct kafka_request_header {
    int16_t api_key, api_version;
    int32_t correlation_id;
    struct bytes client_id;      /* may be null */
    const struct kafka_api *api; /* NULL: the key is unknown */
    bool supported;              /* the version is served: the body can be decoded */
};

/* Takes the header off the front of a frame (without its length). Of an ApiVersions request in a version that is not
 * served (KIP-511), as of every other such, the rest is left alone. ERROR_INVALID: cut short. */
MUST_CHECK bool kafka_decode_request_header(struct bytes *frame, struct kafka_request_header *out, struct error *err);

/* The body behind the header: struct kafka_<api>_request. Bytes behind it are ignored, as Kafka does. ERROR_INVALID:
 * cut short, null where null may not be, a count beyond the bytes that are left; ERROR_LIMIT: the arena's maximum. */
MUST_CHECK bool kafka_decode_request(const struct kafka_request_header *header, struct bytes body, struct arena *arena,
                                     void **out, struct error *err);

/* Where records belong in an encoded frame that holds all else: behind the first `at` bytes. */
struct kafka_hole {
    struct kafka_hole *next;
    size_t at;
    const struct kafka_record_set *records;
};

/* Appends a whole frame: length, response header, body. With `holes`, records are left out and listed in order (the
 * length counts them); without, they are copied. ERROR_LIMIT: `out` overflowed, or more than 2 GiB. */
MUST_CHECK bool kafka_encode_response(const struct kafka_api *api, int16_t version, int32_t correlation_id,
                                      const void *response, struct arena *arena, struct buf *out,
                                      struct kafka_hole **holes, struct error *err);

/*
 * The same bit by bit, for who has other things to do: begin once, go on until it says that there is no more, end. A
 * step takes the outermost fields, an array of structs element by element: small where what is long is the outermost
 * array, as in all responses about many topics. All that was given must stay as it is meanwhile.
 */
struct kafka_encoding {
    const struct kafka_api *api;
    const void *response;
    struct arena *arena;
    struct buf *out;
    struct kafka_hole **holes; /* where the next one is hung in */
    uint64_t left_out;         /* bytes of records in holes */
    size_t start;
    size_t field, element; /* the next */
    int16_t version;
};
void kafka_encoding_begin(struct kafka_encoding *encoding, const struct kafka_api *api, int16_t version,
                          int32_t correlation_id, const void *response, struct arena *arena, struct buf *out,
                          struct kafka_hole **holes);
bool kafka_encoding_step(struct kafka_encoding *encoding);
MUST_CHECK bool kafka_encoding_end(struct kafka_encoding *encoding, struct error *err);

/* The client's side. */
MUST_CHECK bool kafka_encode_request(const struct kafka_api *api, int16_t version, int32_t correlation_id,
                                     struct bytes client_id, const void *request, struct buf *out, struct error *err);
/* A response frame without its length. */
MUST_CHECK bool kafka_decode_response(const struct kafka_api *api, int16_t version, struct bytes frame,
                                      struct arena *arena, int32_t *correlation_id, void **out, struct error *err);

#endif
