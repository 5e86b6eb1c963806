/* SPDX-License-Identifier: Apache-2.0 */
#include "log/partition_transactions.h"

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "log/producer.h"
#include "log/record_reader.h"

/* Of one producer; its marker, if it has one, is not synced yet. */
struct unstable {
    struct list link;       /* in order of first offsets */
    struct list ended_link; /* linked: it has its marker */
    int64_t producer_id, first_offset, last_offset;
};

struct partition_transactions {
    struct list unstable;
    struct list ended; /* those of them that have their marker, in the order of markers */
    struct map open;   /* producer id -> those without */
    struct aborted_transaction *aborted;
    size_t aborted_count, aborted_capacity;
};

static struct partition_transactions *make(void)
{
    struct partition_transactions *transactions = NEW(struct partition_transactions);
    list_init(&transactions->unstable);
    list_init(&transactions->ended);
    return transactions;
}

static void forget(struct unstable *one)
{
    list_remove(&one->link);
    list_remove(&one->ended_link);
    free(one);
}

void partition_transactions_free(struct partition_transactions *transactions)
{
    if (!transactions)
        return;
    list_each (struct unstable, one, &transactions->unstable, link)
        forget(one);
    map_deinit(&transactions->open, NULL);
    free(transactions->aborted);
    free(transactions);
}

/* --- Noting --- */

static void begin(struct partition_transactions *transactions, int64_t producer_id, int64_t first_offset)
{
    struct producer_key key;
    struct unstable *one = NEW(struct unstable);
    *one = (struct unstable){.producer_id = producer_id, .first_offset = first_offset, .last_offset = -1};
    list_append(&transactions->unstable, &one->link);
    map_put(&transactions->open, producer_key(producer_id, &key), one);
}

/* Where the oldest transaction without a marker begins; behind the marker at `last_offset` if there is none. */
static int64_t first_open(const struct partition_transactions *transactions, int64_t last_offset)
{
    list_each (struct unstable, one, (struct list *)(uintptr_t)&transactions->unstable, link) {
        if (!list_linked(&one->ended_link))
            return one->first_offset;
    }
    return last_offset + 1;
}

static void add_aborted(struct partition_transactions *transactions, const struct aborted_transaction *aborted)
{
    if (transactions->aborted_count == transactions->aborted_capacity) {
        transactions->aborted_capacity = transactions->aborted_capacity ? transactions->aborted_capacity * 2 : 4;
        transactions->aborted =
            memory_resize_array(transactions->aborted, transactions->aborted_capacity, sizeof *aborted);
    }
    transactions->aborted[transactions->aborted_count++] = *aborted;
}

static void end(struct partition_transactions *transactions, const struct kafka_batch *batch, bool stable)
{
    struct producer_key key;
    enum kafka_control_type type;
    int32_t coordinator_epoch;
    struct unstable *one = map_get(&transactions->open, producer_key(batch->producer_id, &key));
    if (!one || !kafka_batch_read_marker(batch, &type, &coordinator_epoch) || type == KAFKA_CONTROL_OTHER)
        return;
    map_remove(&transactions->open, producer_key(batch->producer_id, &key));
    one->last_offset = kafka_batch_last_offset(batch);
    list_append(&transactions->ended, &one->ended_link);
    if (type == KAFKA_CONTROL_ABORT)
        add_aborted(transactions,
                    &(struct aborted_transaction){.producer_id = one->producer_id,
                                                  .first_offset = one->first_offset,
                                                  .last_offset = one->last_offset,
                                                  .last_stable_offset = first_open(transactions, one->last_offset)});
    if (stable)
        forget(one);
}

void partition_transactions_note(struct partition_transactions **transactions, const struct kafka_batch *batch,
                                 bool stable)
{
    if (!(batch->attributes & KAFKA_BATCH_TRANSACTIONAL))
        return;
    if (!*transactions)
        *transactions = make();
    if (kafka_batch_is_control(batch))
        end(*transactions, batch, stable);
    else if (partition_transactions_first_offset(*transactions, batch->producer_id) < 0)
        begin(*transactions, batch->producer_id, batch->base_offset);
}

void partition_transactions_advance(struct partition_transactions *transactions, int64_t high_watermark)
{
    struct unstable *one;
    while (transactions && (one = LIST_FIRST(&transactions->ended, struct unstable, ended_link)) &&
           one->last_offset < high_watermark)
        forget(one);
}

void partition_transactions_trim(struct partition_transactions *transactions, int64_t log_start_offset)
{
    size_t gone = 0;
    if (!transactions)
        return;
    while (gone < transactions->aborted_count && transactions->aborted[gone].last_offset < log_start_offset)
        gone++;
    transactions->aborted_count -= gone;
    if (gone > 0)
        memmove(transactions->aborted, transactions->aborted + gone,
                transactions->aborted_count * sizeof *transactions->aborted);
}

/* --- Asking --- */

int64_t partition_transactions_stable_end(const struct partition_transactions *transactions, int64_t high_watermark)
{
    if (!transactions || list_empty(&transactions->unstable))
        return high_watermark;
    int64_t first = LIST_FIRST(&transactions->unstable, struct unstable, link)->first_offset;
    return first < high_watermark ? first : high_watermark;
}

int64_t partition_transactions_first_offset(const struct partition_transactions *transactions, int64_t producer_id)
{
    struct producer_key key;
    const struct unstable *one = transactions ? map_get(&transactions->open, producer_key(producer_id, &key)) : NULL;
    return one ? one->first_offset : -1;
}

/* The first one whose marker is not below `from`. */
static size_t find_aborted(const struct partition_transactions *transactions, int64_t from)
{
    size_t low = 0, high = transactions->aborted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (transactions->aborted[middle].last_offset < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct aborted_transaction *partition_transactions_next_aborted(const struct partition_transactions *transactions,
                                                                      int64_t from, int64_t end,
                                                                      const struct aborted_transaction *last)
{
    if (!transactions || (last && last->last_stable_offset >= end))
        return NULL;
    size_t at = last ? (size_t)(last - transactions->aborted) + 1 : find_aborted(transactions, from);
    for (; at < transactions->aborted_count; at++) {
        const struct aborted_transaction *one = &transactions->aborted[at];
        if (one->first_offset < end)
            return one;
        if (one->last_stable_offset >= end)
            return NULL;
    }
    return NULL;
}

/* --- The checkpoint: u32 counts and i64 numbers, big-endian --- */

void partition_transactions_encode(const struct partition_transactions *transactions, struct buf *out)
{
    buf_append_be32(out, transactions ? (uint32_t)transactions->open.count : 0);
    buf_append_be32(out, transactions ? (uint32_t)transactions->aborted_count : 0);
    if (!transactions)
        return;
    list_each (struct unstable, one, (struct list *)(uintptr_t)&transactions->unstable, link) {
        if (list_linked(&one->ended_link)) /* what is in a checkpoint is synced: its marker too */
            continue;
        buf_append_be64(out, (uint64_t)one->producer_id);
        buf_append_be64(out, (uint64_t)one->first_offset);
    }
    for (size_t i = 0; i < transactions->aborted_count; i++) {
        const struct aborted_transaction *aborted = &transactions->aborted[i];
        buf_append_be64(out, (uint64_t)aborted->producer_id);
        buf_append_be64(out, (uint64_t)aborted->first_offset);
        buf_append_be64(out, (uint64_t)aborted->last_offset);
        buf_append_be64(out, (uint64_t)aborted->last_stable_offset);
    }
}

bool partition_transactions_decode(struct partition_transactions **transactions, struct bytes *from, struct error *err)
{
    struct record_reader reader = {.rest = *from};
    uint32_t open = (uint32_t)record_take_i32(&reader), aborted = (uint32_t)record_take_i32(&reader);
    *transactions = open + (uint64_t)aborted > 0 ? make() : NULL;
    for (uint32_t i = 0; i < open && !reader.bad; i++) {
        int64_t producer_id = record_take_i64(&reader), first_offset = record_take_i64(&reader);
        reader.bad |= partition_transactions_first_offset(*transactions, producer_id) >= 0;
        if (!reader.bad)
            begin(*transactions, producer_id, first_offset);
    }
    for (uint32_t i = 0; i < aborted && !reader.bad; i++) {
        struct aborted_transaction one;
        one.producer_id = record_take_i64(&reader);
        one.first_offset = record_take_i64(&reader);
        one.last_offset = record_take_i64(&reader);
        one.last_stable_offset = record_take_i64(&reader);
        add_aborted(*transactions, &one);
    }
    *from = reader.rest;
    if (!reader.bad)
        return true;
    partition_transactions_free(TAKE(*transactions));
    return error_set(err, ERROR_CORRUPT, "a partition's transactions are cut short");
}
