/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition knows of transactions, made of its batches alone: which are under way, where the last stable offset
 * is, and which were aborted (KIP-98).
 *
 * A producer's transaction begins in a partition with its first transactional batch and ends with its marker, a control
 * batch. It is **unstable** until the marker is synced: a power cut that took the marker back would let it be aborted
 * after a reader has seen it as committed. The last stable offset is the first offset of the oldest unstable one, or
 * the high watermark; a reader of committed records goes no further.
 *
 * Of what was aborted an entry stays, 32 bytes, for as long as the partition has the records. They are in the order of
 * their markers, and each carries the last stable offset of that moment: an entry whose last_stable_offset is not below
 * the end of a range is the last one that can concern it, since all that ended later began behind.
 *
 * Most partitions have no transactions: NULL is a partition without any, and every call takes it.
 */
#ifndef LOG_PARTITION_TRANSACTIONS_H
#define LOG_PARTITION_TRANSACTIONS_H

#include "base/buf.h"
#include "base/error.h"
#include "log/log.h"
#include "wire/kafka_batch.h"

struct partition_transactions;

void partition_transactions_free(struct partition_transactions *transactions);

/* A batch that is transactional stands in the partition. *transactions is made when it is the first. `stable`: what is
 * noted is on disk already (recovery). */
void partition_transactions_note(struct partition_transactions **transactions, const struct kafka_batch *batch,
                                 bool stable);
/* The high watermark has moved. */
void partition_transactions_advance(struct partition_transactions *transactions, int64_t high_watermark);
/* Records below `log_start_offset` are gone. */
void partition_transactions_trim(struct partition_transactions *transactions, int64_t log_start_offset);

int64_t partition_transactions_stable_end(const struct partition_transactions *transactions, int64_t high_watermark);
/* Where the producer's transaction that has no marker yet begins; -1: it has none. */
int64_t partition_transactions_first_offset(const struct partition_transactions *transactions, int64_t producer_id);
/* The next aborted one behind `last` (NULL: the first) that overlaps from..end-1; NULL: none. */
const struct aborted_transaction *partition_transactions_next_aborted(const struct partition_transactions *transactions,
                                                                      int64_t from, int64_t end,
                                                                      const struct aborted_transaction *last);

/* For the checkpoint. Decoding takes what encoding gave off the front of *from; ERROR_CORRUPT. */
void partition_transactions_encode(const struct partition_transactions *transactions, struct buf *out);
MUST_CHECK bool partition_transactions_decode(struct partition_transactions **transactions, struct bytes *from,
                                              struct error *err);

#endif
