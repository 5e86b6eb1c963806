/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch/reader.h"

enum { READ_SIZE = 256 << 10 };

void reader_init(struct reader *reader, struct partition *partition, int64_t offset, void (*run)(void *ctx), void *ctx)
{
    *reader = (struct reader){.partition = partition, .next = offset, .waiter = {.run = run, .ctx = ctx}};
}

static void drop_batch(struct reader *reader)
{
    kafka_records_close(&reader->records);
    reader->records = (struct kafka_records){0};
    reader->has_batch = reader->has_current = false;
}

static void drop_slice(struct reader *reader)
{
    drop_batch(reader);
    if (reader->has_slice)
        log_slice_release(&reader->slice);
    reader->has_slice = false;
}

void reader_deinit(struct reader *reader)
{
    drop_slice(reader);
    log_read_cancel(&reader->waiter);
}

/* All of the batch is passed. */
static void pass_batch(struct reader *reader)
{
    int64_t behind = kafka_batch_last_offset(&reader->batch) + 1;
    if (reader->next < behind)
        reader->next = behind;
    drop_batch(reader);
}

static bool open_batch(struct reader *reader)
{
    struct error err;
    if (!kafka_batch_parse(&reader->rest, &reader->batch, &err)) {
        reader->rest = BYTES_NULL;
        reader->corrupt++;
        return false;
    }
    reader->has_batch = true;
    if (kafka_batch_last_offset(&reader->batch) < reader->next ||
        !partition_is_committed(reader->partition, &reader->batch)) {
        pass_batch(reader);
        return false;
    }
    if (!kafka_records_open(&reader->records, &reader->batch, KAFKA_RECORDS_SIZE_MAX, &err)) {
        reader->corrupt++;
        pass_batch(reader);
        return false;
    }
    return true;
}

/* The next batch with something to read; false: the slice is used up. */
static bool next_batch(struct reader *reader)
{
    for (;;) {
        while (reader->rest.size == 0) {
            if (reader->part == reader->slice.count)
                return false;
            reader->rest = reader->slice.parts[reader->part++];
        }
        if (open_batch(reader))
            return true;
    }
}

static bool read_slice(struct reader *reader, int64_t end, struct error *err)
{
    reader->has_slice =
        partition_read_below(reader->partition, reader->next, end, READ_SIZE, &reader->waiter, &reader->slice, err);
    if (!reader->has_slice)
        reader->end = log_is_being_read(err) ? READER_WAITS : READER_FAILED;
    return reader->has_slice;
}

static bool next_slice(struct reader *reader, struct error *err)
{
    int64_t start = partition_log_start_offset(reader->partition);
    int64_t end = partition_last_stable_offset(reader->partition);
    if (reader->has_slice && reader->next < reader->slice.next_offset)
        reader->next = reader->slice.next_offset;
    drop_slice(reader);
    if (reader->next < start)
        reader->next = start; /* retention was faster */
    if (list_linked(&reader->waiter.link))
        return false;
    reader->end = READER_AT_END;
    reader->part = 0;
    reader->rest = BYTES_NULL;
    return reader->next < end && read_slice(reader, end, err) && reader->slice.count > 0;
}

const struct kafka_record *reader_peek(struct reader *reader, struct error *err)
{
    while (!reader->has_current) {
        if (!reader->has_batch && (!reader->has_slice || !next_batch(reader))) {
            if (!next_slice(reader, err))
                return NULL;
            continue;
        }
        if (!kafka_records_next(&reader->records, &reader->current)) {
            reader->corrupt += reader->records.corrupt;
            pass_batch(reader);
        } else if (reader->current.offset >= reader->next) {
            reader->next = reader->current.offset;
            reader->has_current = true;
        }
    }
    return &reader->current;
}

void reader_skip(struct reader *reader)
{
    reader->next++;
    reader->has_current = false;
}
