/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint: what the log knows at one LSN, so that a start need not read the journal from its beginning, and the
 * journal need not keep it. It is replaced as a whole; the journal goes on from it. Topics stand nowhere else once the
 * journal's first files are gone, so it is kept twice: see checkpoint_copies.h.
 *
 * It holds the catalog's fold (topics with their ids, settings and streams, the leader epoch, the block of producer
 * ids, the cluster's id) and, for each partition, what the batches before have made of it: where it starts and ends,
 * its segments, its epochs; and what is known of idempotent producers. What it does not hold is read again at the
 * start: the batches of the journal's remaining files are indexed, committed offsets are read from their topic.
 *
 * Big-endian. 16 bytes: "EVOKECHK", version u32, CRC-32C u32 of all that follows. Then sections, each a tag of four
 * characters, a size u64 and its content; one that is not known is of a newer evoke. Strings are an u16 and as many
 * bytes; a list is an u32 and as many elements:
 *
 *     LOG_   lsn u64, first_file u32, first_lsn u64 (the first file of the journal that is still needed),
 *            catalog_end i64, leader_epoch i32, cluster_id string, next_stream u64, producer_id_end i64
 *     SETT   list of settings that are no topic's: kind, NUL and name string,
 *            list of settings (key string, value string)
 *     TOPI   list of topics: name string, id 16 bytes, internal u8, list of settings (name string, value string), list
 *            of partitions: stream u64, log_start i64, spilled_end i64, end i64,
 *            list of segments (base i64, end i64, max_timestamp i64, size u64, generation u32, flags u32),
 *            list of epochs (epoch i32, start i64), its transactions as partition_transactions_encode() gives them:
 *            counts u32 of open and aborted ones, open ones in order of offsets (producer_id i64, first_offset i64),
 *            aborted ones in order of markers (producer_id i64, first_offset i64, last_offset i64,
 *            last_stable_offset i64)
 *     PROD   list of producers, oldest first: stream u64, id i64, used_ms i64, epoch u16, coordinator_epoch i32,
 *            list of batches, oldest first (first_sequence u32, last_sequence u32, base_offset i64)
 *     SUMS   see checkpoint_sums.h
 */
#ifndef LOG_CHECKPOINT_H
#define LOG_CHECKPOINT_H

#include "log/log_priv.h"

enum { CHECKPOINT_HEADER_SIZE = 16, CHECKPOINT_SIZE_MAX = 1 << 30 };

/* The state now, in memory; it may be written once log_lsn() is synced. `first_file` of the journal is the oldest one
 * that is still needed. */
void checkpoint_take(struct log *log, uint32_t first_file, struct buf *out);
/* Its sums, which another thread may make: then it is what is written. */
void checkpoint_finish(struct buf *out);
/* In parts. */
void checkpoint_put_header(struct buf *out);
void checkpoint_seal(struct buf *out);

/* Its sum, and what it says of the journal. ERROR_CORRUPT says where, if it can be known; ERROR_UNSUPPORTED. */
MUST_CHECK bool checkpoint_verify(struct bytes content, struct journal_start *out, struct error *err);
/* All of it, into a log that is empty yet. Errors also as above. */
MUST_CHECK bool checkpoint_parse(struct log *log, struct bytes content, struct journal_start *out, struct error *err);

#endif
