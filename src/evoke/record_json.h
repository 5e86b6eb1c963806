/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Kafka record as one line of JSON, for people and scripts:
 *
 *     {"topic":"orders","partition":0,"offset":12,"timestamp":1795922467548,"key":null,"headers":{"a":"1"},"value":"x"}
 *
 * Text is a string; what is not UTF-8 is {"base64":"..."}; null is null. Of headers with the same name the last counts.
 */
#ifndef EVOKE_RECORD_JSON_H
#define EVOKE_RECORD_JSON_H

#include "wire/json.h"
#include "wire/kafka_batch.h"

enum { RECORD_JSON_HEADERS_MAX = 1000 };

/* Appends the line with its line break. */
void record_json_append(const char *topic, int32_t partition, const struct kafka_record *record, struct buf *out);

struct record_json {
    struct bytes key, value; /* may be null */
    struct kafka_record_header *headers;
    size_t header_count;
    struct json *json;  /* holds the texts */
    struct buf decoded; /* holds what was base64 */
};
#define AUTO_RECORD_JSON __attribute__((cleanup(record_json_deinit), unused)) struct record_json

/* Reads key, headers and value; the other members may be missing and are ignored. ERROR_INVALID says what is wrong. */
MUST_CHECK bool record_json_parse(struct bytes line, struct record_json *out, struct error *err);
void record_json_deinit(struct record_json *record); /* also zeroed memory */

#endif
