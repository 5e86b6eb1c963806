/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committed records of a partition one after another, from an offset on: nothing of transactions that are under way
 * or were aborted. What lies in the log is not copied: a record is good until the next call. Offsets may have gaps
 * (markers, what was aborted, compaction, records that cannot be read): `next` is always the first offset that has not
 * been passed.
 */
#ifndef DISPATCH_READER_H
#define DISPATCH_READER_H

#include "log/log.h"
#include "wire/kafka_batch.h"

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
    uint64_t corrupt; /* batches that could not be read */
};

void reader_init(struct reader *reader, struct partition *partition, int64_t offset);
void reader_deinit(struct reader *reader);
/* The record at reader->next; NULL: there is no more below the last stable offset. */
const struct kafka_record *reader_peek(struct reader *reader);
void reader_skip(struct reader *reader); /* to the one behind it */

#endif
