/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_lookup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/endian.h"
#include "base/memory.h"

enum { PEEK_SIZE = SEGMENT_INDEX_INTERVAL + KAFKA_BATCH_HEADER_SIZE, INDEX_SIZE_MAX = 64 << 20 };

/* --- Files --- */

void segment_open_free(struct segment_open *open)
{
    io_file_close(open->data);
    io_file_close(open->index);
    buf_deinit(&open->built);
    free(open);
}

static bool open_file(struct segment_lookup *lookup, const char *suffix, struct io_file **out, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    if (!segment_path(path, lookup->directory, lookup->stream, lookup->segment, suffix, err))
        return false;
    if (io_file_open(lookup->io, path, lookup->waits ? 0 : IO_FILE_CACHED, out, err))
        return true;
    lookup->cold |= !lookup->waits && err->sys == EAGAIN;
    return false;
}

/* Without an index, or with one that can not be opened, one is made from the batches. */
static bool open_files(struct segment_lookup *lookup, struct segment_open *open, struct error *err)
{
    uint64_t size;
    struct error ignored;
    if (!open_file(lookup, "log", &open->data, err))
        return false;
    if (open_file(lookup, "index", &open->index, &ignored) && io_file_size(open->index, &size, &ignored))
        open->entry_count = size / SEGMENT_INDEX_ENTRY_SIZE;
    return !lookup->cold || error_set(err, ERROR_UNAVAILABLE, "the disk has to be asked");
}

bool segment_open_new(struct segment_lookup *lookup, struct error *err)
{
    struct segment_open *open = NEW(struct segment_open);
    buf_init(&open->built, INDEX_SIZE_MAX);
    if (!open_files(lookup, open, err)) {
        segment_open_free(open);
        return false;
    }
    lookup->open = open;
    return true;
}

/* --- The index --- */

/* From the batches themselves, in memory: slow, once, and said. */
static bool build_index(struct segment_lookup *lookup, struct error *err)
{
    struct segment_open *open = lookup->open;
    struct segment_indexer indexer;
    char path[SEGMENT_PATH_SIZE];
    if (!segment_path(path, lookup->directory, lookup->stream, lookup->segment, "log", err))
        return false;
    diag_warn("log", "%s: its index is damaged; it is made again in memory (evoke check --repair mends it)", path);
    buf_reset(&open->built);
    /* Damage further on does not keep from reading what stands before it: who comes there is told. */
    if (!segment_index_build(open->data, path, lookup->segment->size, &open->built, &indexer, err) &&
        (err->kind != ERROR_CORRUPT || open->built.size == 0)) {
        buf_reset(&open->built);
        return false;
    }
    open->entry_count = open->built.size / SEGMENT_INDEX_ENTRY_SIZE;
    open->page_count = 0;
    return true;
}

/* All reading goes through here. */
static bool read_file(struct segment_lookup *lookup, struct io_file *file, uint64_t at, void *out, size_t size,
                      size_t *got, struct error *err)
{
    if (lookup->waits)
        return io_file_read(file, at, out, size, got, err);
    return io_file_read_cached(file, at, out, size, got, &lookup->cold, err) &&
           (!lookup->cold || error_set(err, ERROR_UNAVAILABLE, "the disk has to be asked"));
}

/* False without a cause to tell: it can not be read, so it is no good, or it is cold. */
static bool entry_at(struct segment_lookup *lookup, uint64_t i, struct segment_index_entry *out)
{
    struct segment_open *open = lookup->open;
    if (open->built.size > 0) {
        *out = segment_index_decode(open->built.data + i * SEGMENT_INDEX_ENTRY_SIZE);
        return true;
    }
    if (i < open->page_at || i - open->page_at >= open->page_count) {
        struct error err;
        size_t got;
        open->page_at = i - i % SEGMENT_PAGE_ENTRIES;
        open->page_count = 0;
        if (!read_file(lookup, open->index, open->page_at * SEGMENT_INDEX_ENTRY_SIZE, open->page, sizeof open->page,
                       &got, &err))
            return false;
        open->page_count = got / SEGMENT_INDEX_ENTRY_SIZE;
        if (i - open->page_at >= open->page_count)
            return false;
    }
    *out = segment_index_decode(open->page + (i - open->page_at) * SEGMENT_INDEX_ENTRY_SIZE);
    return true;
}

/* What is asked of an entry: whether the one that is looked for is it or stands behind it. */
typedef bool entry_test(const struct segment_index_entry *entry, int64_t value);

static bool begins_at_or_below(const struct segment_index_entry *entry, int64_t offset)
{
    return entry->base_offset <= offset;
}

static bool lies_at_or_below(const struct segment_index_entry *entry, int64_t position)
{
    return entry->position <= (uint64_t)position;
}

static bool is_older(const struct segment_index_entry *entry, int64_t timestamp_ms)
{
    return entry->max_timestamp < timestamp_ms;
}

/* The last entry of those about the segment that passes the test, the first one if none does. False: no good. */
static bool find_entry(struct segment_lookup *lookup, entry_test *test, int64_t value, struct segment_index_entry *out)
{
    struct segment_open *open = lookup->open;
    uint64_t low = 0, high = open->entry_count;
    if (high == 0 || !entry_at(lookup, 0, out) || out->position != 0)
        return false;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        struct segment_index_entry entry;
        if (!entry_at(lookup, middle, &entry))
            return false;
        if (entry.position < lookup->segment->size && test(&entry, value))
            low = middle, *out = entry;
        else
            high = middle;
    }
    return true;
}

/* --- Batches --- */

/* The header of the batch at a position, without its records. */
struct peek {
    uint8_t bytes[PEEK_SIZE];
    uint64_t at; /* of bytes */
    size_t size;
};

static bool corrupt(struct segment_lookup *lookup, uint64_t at, const char *what, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    return segment_path(path, lookup->directory, lookup->stream, lookup->segment, "log", err) &&
           error_set(err, ERROR_CORRUPT, "%s: position %" PRIu64 ": %s", path, at, what);
}

struct batch_head {
    int64_t base_offset, last_offset;
    uint64_t size;
};

static bool read_head(struct segment_lookup *lookup, struct peek *peek, uint64_t at, struct batch_head *out,
                      struct error *err)
{
    if (at < peek->at || at - peek->at > peek->size || peek->size - (at - peek->at) < KAFKA_BATCH_HEADER_SIZE) {
        if (!read_file(lookup, lookup->open->data, at, peek->bytes, sizeof peek->bytes, &peek->size, err))
            return false;
        peek->at = at;
    }
    if (peek->size - (at - peek->at) < KAFKA_BATCH_HEADER_SIZE)
        return corrupt(lookup, at, "it ends in the middle of a batch", err);
    const uint8_t *head = peek->bytes + (at - peek->at);
    out->base_offset = (int64_t)get_be64(head);
    out->size = 12 + (uint64_t)get_be32(head + 8);
    uint32_t delta = get_be32(head + 23);
    if (out->size < KAFKA_BATCH_HEADER_SIZE || out->size > lookup->segment->size - at || delta > INT32_MAX ||
        out->base_offset < lookup->segment->base_offset ||
        __builtin_add_overflow(out->base_offset, (int64_t)delta, &out->last_offset) ||
        out->last_offset >= lookup->segment->end_offset)
        return corrupt(lookup, at, "no batch begins there", err);
    return true;
}

/* The first batch that holds `offset` or comes behind it. *found false: there is none; *at is the segment's end. */
static bool find_batch(struct segment_lookup *lookup, int64_t offset, uint64_t *at, struct batch_head *head,
                       bool *found, struct error *err)
{
    struct segment_index_entry entry;
    struct peek peek = {.size = 0};
    if (!find_entry(lookup, begins_at_or_below, offset, &entry))
        return corrupt(lookup, 0, "the index is no good", err);
    *found = false;
    for (*at = entry.position; *at < lookup->segment->size; *at += head->size) {
        if (!read_head(lookup, &peek, *at, head, err))
            return false;
        if (*at == entry.position && head->base_offset != entry.base_offset)
            return corrupt(lookup, *at, "another batch than the index says", err);
        if (head->last_offset >= offset) {
            *found = true;
            return true;
        }
    }
    return true;
}

/* That the batch which an entry of the file tells of is there; an index that was made from the batches is right. */
static bool is_right(struct segment_lookup *lookup, const struct segment_index_entry *entry, struct error *err)
{
    struct peek peek = {.size = 0};
    struct batch_head head = {0};
    if (lookup->open->built.size > 0)
        return true;
    return read_head(lookup, &peek, entry->position, &head, err) &&
           (head.base_offset == entry->base_offset ||
            corrupt(lookup, entry->position, "another batch than the index says", err));
}

/* Where a range that begins with the batch at `at` ends: at an entry of the index, behind that batch at least. */
static bool find_end(struct segment_lookup *lookup, uint64_t at, const struct batch_head *first, int64_t offset_limit,
                     size_t size_max, struct segment_range *out, struct error *err)
{
    const struct segment *segment = lookup->segment;
    struct segment_index_entry entry;
    uint64_t end = at + first->size, most = size_max < segment->size - at ? at + size_max : segment->size;
    out->next_offset = first->last_offset + 1;
    bool whole = most == segment->size && segment->end_offset <= offset_limit;
    if (whole) {
        end = segment->size;
        out->next_offset = segment->end_offset;
    } else {
        if (!find_entry(lookup, lies_at_or_below, (int64_t)most, &entry))
            return corrupt(lookup, 0, "the index is no good", err);
        if (entry.base_offset > offset_limit && !find_entry(lookup, begins_at_or_below, offset_limit, &entry))
            return corrupt(lookup, 0, "the index is no good", err);
        if (entry.position > end) {
            if (!is_right(lookup, &entry, err))
                return false;
            end = entry.position;
            out->next_offset = entry.base_offset;
        }
    }
    out->at = at;
    out->size = (size_t)(end - at);
    return true;
}

static bool read_range(struct segment_lookup *lookup, int64_t offset, int64_t offset_limit, size_t size_max,
                       struct segment_range *out, struct error *err)
{
    struct batch_head head = {0};
    uint64_t at;
    bool found;
    *out = (struct segment_range){.next_offset = lookup->segment->end_offset};
    if (!find_batch(lookup, offset, &at, &head, &found, err))
        return false;
    if (!found || head.base_offset >= offset_limit)
        return true;
    return find_end(lookup, at, &head, offset_limit, size_max, out, err);
}

/* It may be the index that is wrong: one more try with an index made from the batches. If those are damaged, that says
 * where. Who does not wait leaves that to who does. */
static bool may_build(struct segment_lookup *lookup, const struct error *err)
{
    if (lookup->cold || err->kind != ERROR_CORRUPT || lookup->open->built.size > 0)
        return false;
    lookup->cold = !lookup->waits;
    return lookup->waits;
}

bool segment_lookup_range(struct segment_lookup *lookup, const struct segment_question *question,
                          struct segment_range *out, struct error *err)
{
    return read_range(lookup, question->offset, question->offset_limit, question->size_max, out, err) ||
           (may_build(lookup, err) && build_index(lookup, err) &&
            read_range(lookup, question->offset, question->offset_limit, question->size_max, out, err));
}

static bool find_time(struct segment_lookup *lookup, int64_t timestamp_ms, int64_t *offset, struct error *err)
{
    struct segment_index_entry entry;
    if (!find_entry(lookup, is_older, timestamp_ms, &entry))
        return corrupt(lookup, 0, "the index is no good", err);
    *offset = entry.base_offset;
    return true;
}

bool segment_lookup_time(struct segment_lookup *lookup, int64_t timestamp_ms, int64_t *offset, struct error *err)
{
    return find_time(lookup, timestamp_ms, offset, err) ||
           (may_build(lookup, err) && build_index(lookup, err) && find_time(lookup, timestamp_ms, offset, err));
}
