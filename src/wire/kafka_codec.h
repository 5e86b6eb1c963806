/* SPDX-License-Identifier: Apache-2.0 */
/* Packing and unpacking of record batches. evoke stores what producers packed; it packs itself only what compaction has
 * taken records from. */
#ifndef WIRE_KAFKA_CODEC_H
#define WIRE_KAFKA_CODEC_H

#include "base/buf.h"
#include "wire/kafka_batch.h"

/*
 * Appends to `out`, whose maximum is the bound against bombs: ERROR_LIMIT. ERROR_CORRUPT: not of that format, or cut
 * short; ERROR_INVALID: an unknown codec.
 *
 *   gzip    RFC 1952, also several members     snappy   Java's framing ("xerial": blocks behind a magic) or one block
 *   lz4     frames (the block format's LZ4F)   zstd     frames (RFC 8878)
 */
MUST_CHECK bool kafka_codec_unpack(enum kafka_codec codec, struct bytes packed, struct buf *out, struct error *err);
/* Appends to `out`. With the codecs' own default levels; snappy in Java's framing, which every client knows.
 * ERROR_LIMIT: `out` overflowed. */
MUST_CHECK bool kafka_codec_pack(enum kafka_codec codec, struct bytes plain, struct buf *out, struct error *err);
const char *kafka_codec_name(enum kafka_codec codec); /* "gzip" ... "unknown" */

#endif
