/* SPDX-License-Identifier: Apache-2.0 */
/* Small codecs between bytes and text: base64, hex, UUID, RFC 3339 times, sizes and durations as people write them. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"

/* RFC 4648 section 4 (with padding) and section 5 (URL-safe, without). */
void text_append_base64(struct buf *out, struct bytes data);
void text_append_base64url(struct buf *out, struct bytes data);
/* Takes both alphabets, with or without padding; false when it is neither. */
bool text_decode_base64(struct bytes text, struct buf *out);
void text_append_hex(struct buf *out, struct bytes data); /* in lower case */
int text_hex_digit(uint8_t byte);                         /* of either case; -1: none */

/* RFC 9562, "8-4-4-4-12" in lower case; `out` has room for 37. */
void text_format_uuid(const uint8_t uuid[16], char out[37]);
bool text_parse_uuid(struct bytes text, uint8_t uuid[16]);
/* Makes 16 random bytes a version 4 UUID. */
void text_uuid_from_random(uint8_t uuid[16]);

enum { TEXT_TIME_SIZE = 40 };
/* RFC 3339 in UTC. Seconds: "2026-11-21T09:44:27Z"; micros: six digits; nanos: nine digits (the CRI log format). */
void text_format_time_s(int64_t unix_s, char out[TEXT_TIME_SIZE]);
void text_format_time_us(int64_t unix_us, char out[TEXT_TIME_SIZE]);
void text_format_time_ns(int64_t unix_ns, char out[TEXT_TIME_SIZE]);
/* Any RFC 3339 time with any fraction and offset, to nanoseconds since 1970. */
bool text_parse_time_ns(struct bytes text, int64_t *unix_ns);

/* ISO 8601 durations as Knative writes them ("PT0.5S", "PT1M30S", "P1DT2H"; no years, no months), in milliseconds. */
bool text_parse_duration_iso8601_ms(struct bytes text, int64_t *ms);
/* Kubernetes' age in a table: "5s", "3m12s", "47m", "5h8m", "26h", "8d", "2y10d". */
void text_format_age(int64_t seconds, char out[24]);

#endif
