/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that tools/kind_gen.c makes of src/api/kinds/ at build time. Everything is an index or an offset, so that
 * the tables are plain read-only data without relocations: they cost no memory until they are read. The notation and
 * the meaning of each mark are in src/api/kinds/README.md.
 */
#ifndef API_SCHEMA_TABLE_H
#define API_SCHEMA_TABLE_H

#include "api/kind.h"

enum field_type {
    TYPE_STRING,
    TYPE_BOOL,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_DOUBLE,
    TYPE_BYTES,         /* base64 in JSON */
    TYPE_QUANTITY,      /* "500m" */
    TYPE_INT_OR_STRING, /* 1 or "25%" */
    TYPE_TIME,          /* RFC 3339, seconds */
    TYPE_MICRO_TIME,    /* RFC 3339, microseconds */
    TYPE_DURATION,      /* "1m30s" */
    TYPE_RAW_EXTENSION, /* any JSON object */
    TYPE_FIELDS_V1,     /* any JSON object, but its text in protobuf */
    TYPE_STRING_LIST,   /* a list of strings within a map */
    TYPE_ANY,           /* any JSON value */
    TYPE_MESSAGE
};

enum field_shape { SHAPE_ONE, SHAPE_LIST, SHAPE_MAP };

enum field_flags {
    FIELD_POINTER = 1 << 0,      /* `?`: absent and zero differ */
    FIELD_ALWAYS = 1 << 1,       /* `!`: printed even when zero. Neither: zero is the same as absent */
    FIELD_IS_REQUIRED = 1 << 2,  /* */
    FIELD_ACTED = 1 << 3,        /* `*`: evoke acts on it; setting another one gives a warning */
    FIELD_INLINE = 1 << 4,       /* a nested message in protobuf only: its fields are this message's in JSON */
    FIELD_INLINED = 1 << 5,      /* such a field: in JSON only */
    FIELD_MERGE = 1 << 6,        /* strategic merge: a list that merges (by key, or as a set) */
    FIELD_RETAIN_KEYS = 1 << 7,  /* strategic merge: an object that honours $retainKeys */
    FIELD_ATOMIC = 1 << 8,       /* server-side apply: owned as a whole */
    FIELD_SET = 1 << 9,          /* server-side apply: owned value by value */
    FIELD_HAS_DEFAULT = 1 << 10, /* */
    FIELD_PRESERVE = 1 << 11     /* unknown fields inside are kept (custom resources) */
};

struct field {
    uint16_t name;    /* offset in schema_names */
    uint16_t tag;     /* protobuf field number; 0: none */
    uint16_t message; /* index, for TYPE_MESSAGE */
    uint16_t flags;
    uint8_t type;
    uint8_t shape;
    uint8_t rule_count;
    uint16_t rule;      /* index of the first in schema_rules */
    uint16_t merge_key; /* offset in schema_names: "name"; 0: none */
    uint16_t list_keys; /* offset in schema_names: "containerPort,protocol"; 0: none */
    uint16_t otherwise; /* offset in schema_names: the default, or else the neutral value, as JSON text */
    uint16_t stored;    /* offset in schema_names: in a view, the field's name in what is stored; 0: the same */
    uint32_t words;     /* offset in schema_words; 0: none */
};

struct message {
    uint16_t name;    /* "Container" */
    uint16_t package; /* "io.k8s.api.core.v1" */
    uint16_t field;   /* index of the first in schema_fields */
    uint16_t field_count;
    uint32_t words;
};

enum rule_kind {
    RULE_MIN,
    RULE_MAX,
    RULE_ENUM,
    RULE_FORMAT,
    RULE_NONEMPTY,     /* a required list: Kubernetes takes an empty one otherwise */
    RULE_MAY_BE_EMPTY, /* a required text that may be empty */
    RULE_ACTED         /* of these values; setting another one gives a warning */
};

enum text_format {
    FORMAT_DNS_LABEL,     /* RFC 1123, 63 */
    FORMAT_DNS_SUBDOMAIN, /* RFC 1123, 253 */
    FORMAT_DNS1035_LABEL, /* as a label, but the first is a letter */
    FORMAT_LABEL_KEY,     /* "prefix/name" */
    FORMAT_PORT_NAME,     /* RFC 6335, 15 */
    FORMAT_ENV_NAME,
    FORMAT_PATH_SEGMENT,  /* neither "." nor "..", without '/' and '%' */
    FORMAT_CONFIG_KEY,    /* of a ConfigMap or Secret */
    FORMAT_RELATIVE_PATH, /* without ".." */
    FORMAT_HEADER_NAME,   /* RFC 9110 5.1 */
    FORMAT_IP,
    FORMAT_DURATION /* ISO 8601 */
};

struct rule {
    uint8_t kind;
    uint16_t text;  /* offset in schema_names: the values of an enum, comma-separated */
    int64_t number; /* a bound, or an enum text_format */
};

/* A printed column. `source` starts with '.' (a path in the object) or names a function of table.c. */
struct column {
    uint16_t name;
    uint16_t type;
    uint16_t source;
    uint8_t wide;
    uint32_t words;
};

enum { SCHEMA_FIELDS_MAX = 64 }; /* in one message; the generator checks */

extern const char schema_names[], schema_words[];
extern const struct field schema_fields[];
extern const struct message schema_messages[];
extern const size_t schema_message_count;
extern const struct rule schema_rules[];
extern const struct column schema_columns[];
extern const struct kind schema_kinds[];
extern const size_t schema_kind_count;
extern const struct kind schema_requests[]; /* kinds without a plural: not stored */
extern const size_t schema_request_count;
extern const char schema_hash[]; /* of all the above, in hex */

static inline const char *field_name(const struct field *field)
{
    return schema_names + field->name;
}

static inline const struct message *field_message(const struct field *field)
{
    return &schema_messages[field->message];
}

static inline const char *message_name(const struct message *message)
{
    return schema_names + message->name;
}

/* for (const struct field *field ...) over all rows; JSON's view skips FIELD_INLINE, protobuf's skips tag 0. */
#define message_each_field(field_, message_)                                                                           \
    for (const struct field *field_ = &schema_fields[(message_)->field],                                               \
                            *field_##_end = field_ + (message_)->field_count;                                          \
         field_ != field_##_end; field_++)

/* By its JSON name; NULL: none. */
const struct field *message_field(const struct message *message, struct bytes name);
const struct field *message_field_by_tag(const struct message *message, uint64_t tag);

#endif
