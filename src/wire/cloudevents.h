/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CloudEvents 1.0 (cloudevents/spec) and its ways over the wire: HTTP (binary and structured mode, and the batch),
 * Kafka (binary and structured), and the JSON format that the structured modes carry.
 *
 * An event here is its context attributes as texts, in their canonical form, and its data as bytes. Memory: a reader
 * leaves slices of its input in the event where it can, and takes the rest from the arena; so an event is good as long
 * as both are.
 */
#ifndef WIRE_CLOUDEVENTS_H
#define WIRE_CLOUDEVENTS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "wire/http.h"
#include "wire/json.h"
#include "wire/kafka_batch.h"

enum {
    CLOUDEVENT_ATTRIBUTES_MAX = 64,
    CLOUDEVENT_BATCH_MAX = 1000,
};

struct cloudevent_attribute {
    struct bytes name; /* lower-case letters and digits */
    struct bytes value;
};

struct cloudevent {
    /* All but datacontenttype, with specversion, id, source and type among them; in the order they came. */
    struct cloudevent_attribute attributes[CLOUDEVENT_ATTRIBUTES_MAX];
    size_t attribute_count;
    struct bytes data_content_type; /* null: not said */
    struct bytes data;              /* null: none */
};

/* An attribute's value, also "datacontenttype"; null bytes: not there. */
struct bytes cloudevent_get(const struct cloudevent *event, const char *name);
/* Adds or replaces. ERROR_LIMIT: too many. The bytes are not copied. */
MUST_CHECK bool cloudevent_set(struct cloudevent *event, struct bytes name, struct bytes value, struct error *err);
void cloudevent_remove(struct cloudevent *event, const char *name);

/* What the specification demands of every event: specversion 1.0, non-empty id, source and type, a valid time, names of
 * lower-case letters and digits, values that are UTF-8 without control characters. ERROR_INVALID names the attribute.
 * All readers below have checked. */
MUST_CHECK bool cloudevent_check(const struct cloudevent *event, struct error *err);

/* --- JSON format --- */
MUST_CHECK bool cloudevent_from_json(const struct json *json, struct arena *arena, struct cloudevent *out,
                                     struct error *err);

/* --- HTTP --- */
enum cloudevent_mode {
    CLOUDEVENT_NONE, /* neither ce-specversion nor a content type of CloudEvents */
    CLOUDEVENT_BINARY,
    CLOUDEVENT_STRUCTURED,
    CLOUDEVENT_BATCH,
    CLOUDEVENT_UNKNOWN, /* application/cloudevents... in a format that is not JSON */
};
enum cloudevent_mode cloudevent_http_mode(const struct http_head *head);
/* Of a request or a response, in binary or structured mode. */
MUST_CHECK bool cloudevent_from_http(const struct http_head *head, struct bytes body, struct arena *arena,
                                     struct cloudevent *out, struct error *err);
/* The events of a batch, in an array from the arena. */
MUST_CHECK bool cloudevent_batch_from_json(struct bytes text, struct arena *arena, struct cloudevent **out,
                                           size_t *count, struct error *err);
/* The fields of binary mode (ce-..., Content-Type if there is one): at most CLOUDEVENT_ATTRIBUTES_MAX + 1 of them. The
 * body is event->data. The arena has no maximum. */
enum { CLOUDEVENT_FIELDS_MAX = CLOUDEVENT_ATTRIBUTES_MAX + 1 };
size_t cloudevent_to_http(const struct cloudevent *event, struct arena *arena,
                          struct http_field fields[CLOUDEVENT_FIELDS_MAX]);

/* --- Kafka --- */
/* A record in binary (ce_...) or structured mode (content-type: application/cloudevents+json). ERROR_INVALID for
 * others; slices point into the record. */
MUST_CHECK bool cloudevent_from_kafka(const struct kafka_record *record, struct arena *arena, struct cloudevent *out,
                                      struct error *err);
/* Adds the event in binary mode to a batch; the key is its partitionkey, or null. The arena has no maximum. */
void cloudevent_to_kafka(const struct cloudevent *event, int64_t timestamp_ms, struct arena *arena,
                         struct kafka_batch_builder *builder);

#endif
