/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committed records of a partition one after another, from an offset on: nothing of transactions that are under way
 * or were aborted. What lies in the log is not copied: a record is good until the next call. Offsets may have gaps
 * (markers, what was aborted, compaction, records that cannot be read): `next` is always the first offset that has not
 * been passed. What is not in memory is brought in by a helper thread: until then there is no record.
 */
#ifndef DISPATCH_READER_H
#define DISPATCH_READER_H

#include "log/log.h"
#include "wire/kafka_batch.h"

/* Why there is no record. */
enum reader_end {
    READER_AT_END, /* of what is committed */
    READER_WAITS,  /* for the disk: the reader's callback runs when it is worth asking again */
    READER_FAILED, /* it can not be read; asking again tries again */
};

struct reader {
    struct partition *partition;
    int64_t next; /* the offset of the record that reader_peek() shows, or where it would begin */
    struct log_slice slice;
    bool has_slice;
    size_t part;
    struct bytes rest; /* of the part */
    struct kafka_records records;
    struct kafka_batch batch;
    bool has_batch;
    struct kafka_record current;
    bool has_current;
    uint64_t corrupt; /* batches whose records could not be read, and were passed */
    struct log_read_waiter waiter;
    enum reader_end end;
};

/* `run` from the loop; not after reader_deinit(). */
void reader_init(struct reader *reader, struct partition *partition, int64_t offset, void (*run)(void *ctx), void *ctx);
void reader_deinit(struct reader *reader);
/* The record at reader->next; NULL: there is none now, and reader->end says why; `err` is set if it is READER_FAILED.
 */
const struct kafka_record *reader_peek(struct reader *reader, struct error *err);
void reader_skip(struct reader *reader); /* to the one behind it */

#endif
