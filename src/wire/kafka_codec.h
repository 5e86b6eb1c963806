/* SPDX-License-Identifier: Apache-2.0 */
/* Packing and unpacking of record batches. evoke stores what producers packed; it packs itself what compaction has
 * taken records from, and what comes in another codec than the topic's compression.type. */
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
/*
 * Appends to `out`; snappy in Java's framing, which every client knows. ERROR_LIMIT: `out` overflowed.
 *
 * Levels are Kafka's (KIP-390): gzip 1 to 9 or -1, lz4 1 to 17, zstd -131072 to 22; the others have none. As with Kafka
 * lz4's 9, its default, is the fast compressor, and the other levels are those of the slow one (which end at 12 here).
 */
enum { KAFKA_GZIP_LEVEL_DEFAULT = -1, KAFKA_LZ4_LEVEL_DEFAULT = 9, KAFKA_ZSTD_LEVEL_DEFAULT = 3 };
int kafka_codec_default_level(enum kafka_codec codec);
MUST_CHECK bool kafka_codec_pack(enum kafka_codec codec, int level, struct bytes plain, struct buf *out,
                                 struct error *err);
const char *kafka_codec_name(enum kafka_codec codec); /* "gzip" ... "unknown" */

#endif
