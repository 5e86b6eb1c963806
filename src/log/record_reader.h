/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what Kafka's coordinators write into the records of their topics, and checkpoints: big-endian numbers, strings
 * with an i16 length, bytes with an i32 length (-1: null), and in the flexible versions (KIP-482) unsigned varints. A
 * reader that ran out of bytes is `bad` from then on and gives zeros and nulls, so that one look at the end is enough.
 */
#ifndef LOG_RECORD_READER_H
#define LOG_RECORD_READER_H

#include "base/bytes.h"

struct record_reader {
    struct bytes rest;
    bool bad;
};

struct bytes record_take(struct record_reader *reader, size_t size);
int8_t record_take_i8(struct record_reader *reader);
int16_t record_take_i16(struct record_reader *reader);
int32_t record_take_i32(struct record_reader *reader);
int64_t record_take_i64(struct record_reader *reader);
uint32_t record_take_uvarint(struct record_reader *reader);
struct bytes record_take_string(struct record_reader *reader);
struct bytes record_take_bytes(struct record_reader *reader);
struct bytes record_take_compact_string(struct record_reader *reader);

#endif
