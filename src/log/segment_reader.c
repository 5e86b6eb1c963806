/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_reader.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/map.h"
#include "base/memory.h"
#include "log/segment_index.h"

enum {
    PAGE_ENTRIES = 170, /* of the index, some 4 KiB */
    PEEK_SIZE = SEGMENT_INDEX_INTERVAL + KAFKA_BATCH_HEADER_SIZE,
    INDEX_SIZE_MAX = 64 << 20,
    KEY_SIZE = 20,
};

struct segment_open {
    struct segment_cache *cache; /* NULL: forgotten; it ends with its last range */
    struct list link;            /* in cache->recent */
    uint8_t key[KEY_SIZE];
    int refs; /* of ranges */
    struct io_file *data, *index;
    uint64_t entry_count;
    struct buf built; /* the index, when the file's was no good */
    uint64_t page_at; /* the entry that the page begins with */
    size_t page_count;
    uint8_t page[PAGE_ENTRIES * SEGMENT_INDEX_ENTRY_SIZE];
};

struct segment_cache {
    struct io *io;
    char *directory;
    struct map open;    /* key -> struct segment_open */
    struct list recent; /* the one used last at the end */
};

/* One reading: what the calls below share. */
struct lookup {
    struct segment_cache *cache;
    uint64_t stream;
    const struct segment *segment;
    struct segment_open *open;
};

struct segment_cache *segment_cache_new(struct io *io, const char *directory)
{
    struct segment_cache *cache = NEW(struct segment_cache);
    *cache = (struct segment_cache){.io = io, .directory = memory_string(bytes_of_string(directory))};
    list_init(&cache->recent);
    return cache;
}

static void open_free(struct segment_open *open)
{
    io_file_close(open->data);
    io_file_close(open->index);
    buf_deinit(&open->built);
    free(open);
}

/* Out of the table; the files go now, or with the last range. */
static void drop(struct segment_open *open)
{
    map_remove(&open->cache->open, bytes_of(open->key, KEY_SIZE));
    list_remove(&open->link);
    open->cache = NULL;
    if (open->refs == 0)
        open_free(open);
}

void segment_cache_free(struct segment_cache *cache)
{
    if (!cache)
        return;
    while (!list_empty(&cache->recent))
        drop(CONTAINER_OF(cache->recent.next, struct segment_open, link));
    map_deinit(&cache->open, NULL);
    free(cache->directory);
    free(cache);
}

static void make_key(uint8_t out[KEY_SIZE], uint64_t stream, const struct segment *segment)
{
    memcpy(out, &stream, sizeof stream);
    memcpy(out + 8, &segment->base_offset, sizeof segment->base_offset);
    memcpy(out + 16, &segment->generation, sizeof segment->generation);
}

void segment_cache_forget(struct segment_cache *cache, uint64_t stream, const struct segment *segment)
{
    uint8_t key[KEY_SIZE];
    make_key(key, stream, segment);
    struct segment_open *open = map_get(&cache->open, bytes_of(key, KEY_SIZE));
    if (open)
        drop(open);
}

static void make_room(struct segment_cache *cache)
{
    while (cache->open.count >= SEGMENT_OPEN_MAX)
        drop(CONTAINER_OF(cache->recent.next, struct segment_open, link));
}

static bool open_files(struct lookup *lookup, struct segment_open *open, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    uint64_t size;
    struct error ignored;
    if (!segment_path(path, lookup->cache->directory, lookup->stream, lookup->segment, "log", err) ||
        !io_file_open(lookup->cache->io, path, 0, &open->data, err))
        return false;
    if (!segment_path(path, lookup->cache->directory, lookup->stream, lookup->segment, "index", err))
        return false;
    if (io_file_open(lookup->cache->io, path, 0, &open->index, &ignored) && io_file_size(open->index, &size, &ignored))
        open->entry_count = size / SEGMENT_INDEX_ENTRY_SIZE;
    return true;
}

static bool lookup_open(struct lookup *lookup, struct error *err)
{
    struct segment_cache *cache = lookup->cache;
    uint8_t key[KEY_SIZE];
    make_key(key, lookup->stream, lookup->segment);
    lookup->open = map_get(&cache->open, bytes_of(key, KEY_SIZE));
    if (lookup->open) {
        list_remove(&lookup->open->link);
        list_append(&cache->recent, &lookup->open->link);
        return true;
    }
    struct segment_open *open = NEW(struct segment_open);
    buf_init(&open->built, INDEX_SIZE_MAX);
    if (!open_files(lookup, open, err)) {
        open_free(open);
        return false;
    }
    make_room(cache);
    open->cache = cache;
    memcpy(open->key, key, KEY_SIZE);
    (void)map_put(&cache->open, bytes_of(open->key, KEY_SIZE), open);
    list_append(&cache->recent, &open->link);
    lookup->open = open;
    return true;
}

/* --- The index --- */

/* From the batches themselves, in memory: slow, once, and said. */
static bool build_index(struct lookup *lookup, struct error *err)
{
    struct segment_open *open = lookup->open;
    struct segment_indexer indexer;
    char path[SEGMENT_PATH_SIZE];
    if (!segment_path(path, lookup->cache->directory, lookup->stream, lookup->segment, "log", err))
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

/* False without a cause to tell: it can not be read, so it is no good. */
static bool entry_at(struct segment_open *open, uint64_t i, struct segment_index_entry *out)
{
    if (open->built.size > 0) {
        *out = segment_index_decode(open->built.data + i * SEGMENT_INDEX_ENTRY_SIZE);
        return true;
    }
    if (i < open->page_at || i - open->page_at >= open->page_count) {
        struct error err;
        size_t got;
        open->page_at = i - i % PAGE_ENTRIES;
        open->page_count = 0;
        if (!io_file_read(open->index, open->page_at * SEGMENT_INDEX_ENTRY_SIZE, open->page, sizeof open->page, &got,
                          &err))
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
static bool find_entry(struct lookup *lookup, entry_test *test, int64_t value, struct segment_index_entry *out)
{
    struct segment_open *open = lookup->open;
    uint64_t low = 0, high = open->entry_count;
    if (high == 0 || !entry_at(open, 0, out) || out->position != 0)
        return false;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        struct segment_index_entry entry;
        if (!entry_at(open, middle, &entry))
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

static bool corrupt(struct lookup *lookup, uint64_t at, const char *what, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    return segment_path(path, lookup->cache->directory, lookup->stream, lookup->segment, "log", err) &&
           error_set(err, ERROR_CORRUPT, "%s: position %" PRIu64 ": %s", path, at, what);
}

struct batch_head {
    int64_t base_offset, last_offset;
    uint64_t size;
};

static uint64_t be64_at(const uint8_t *in)
{
    uint64_t value;
    memcpy(&value, in, sizeof value);
    return be64toh(value);
}

static uint32_t be32_at(const uint8_t *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof value);
    return be32toh(value);
}

static bool read_head(struct lookup *lookup, struct peek *peek, uint64_t at, struct batch_head *out, struct error *err)
{
    if (at < peek->at || at - peek->at > peek->size || peek->size - (at - peek->at) < KAFKA_BATCH_HEADER_SIZE) {
        if (!io_file_read(lookup->open->data, at, peek->bytes, sizeof peek->bytes, &peek->size, err))
            return false;
        peek->at = at;
    }
    if (peek->size - (at - peek->at) < KAFKA_BATCH_HEADER_SIZE)
        return corrupt(lookup, at, "it ends in the middle of a batch", err);
    const uint8_t *head = peek->bytes + (at - peek->at);
    out->base_offset = (int64_t)be64_at(head);
    out->size = 12 + (uint64_t)be32_at(head + 8);
    uint32_t delta = be32_at(head + 23);
    if (out->size < KAFKA_BATCH_HEADER_SIZE || out->size > lookup->segment->size - at || delta > INT32_MAX ||
        out->base_offset < lookup->segment->base_offset ||
        __builtin_add_overflow(out->base_offset, (int64_t)delta, &out->last_offset) ||
        out->last_offset >= lookup->segment->end_offset)
        return corrupt(lookup, at, "no batch begins there", err);
    return true;
}

/* The first batch that holds `offset` or comes behind it. *found false: there is none; *at is the segment's end. */
static bool find_batch(struct lookup *lookup, int64_t offset, uint64_t *at, struct batch_head *head, bool *found,
                       struct error *err)
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
static bool is_right(struct lookup *lookup, const struct segment_index_entry *entry, struct error *err)
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
static bool find_end(struct lookup *lookup, uint64_t at, const struct batch_head *first, int64_t offset_limit,
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

static bool read_range(struct lookup *lookup, int64_t offset, int64_t offset_limit, size_t size_max,
                       struct segment_range *out, struct error *err)
{
    struct batch_head head;
    uint64_t at;
    bool found;
    *out = (struct segment_range){.next_offset = lookup->segment->end_offset};
    if (!find_batch(lookup, offset, &at, &head, &found, err))
        return false;
    if (!found || head.base_offset >= offset_limit)
        return true;
    return find_end(lookup, at, &head, offset_limit, size_max, out, err);
}

bool segment_read(struct segment_cache *cache, uint64_t stream, const struct segment *segment, int64_t offset,
                  int64_t offset_limit, size_t size_max, struct segment_range *out, struct error *err)
{
    struct lookup lookup = {.cache = cache, .stream = stream, .segment = segment};
    if (!lookup_open(&lookup, err))
        return false;
    /* Once more with an index made from the batches: if those are damaged, that says where. */
    if (!read_range(&lookup, offset, offset_limit, size_max, out, err) &&
        (err->kind != ERROR_CORRUPT || lookup.open->built.size > 0 || !build_index(&lookup, err) ||
         !read_range(&lookup, offset, offset_limit, size_max, out, err)))
        return false;
    if (out->size == 0)
        return true;
    out->open = lookup.open;
    out->file = lookup.open->data;
    out->open->refs++;
    return true;
}

void segment_range_release(struct segment_range *range)
{
    struct segment_open *open = TAKE(range->open);
    if (open && --open->refs == 0 && !open->cache)
        open_free(open);
}

bool segment_find_time(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                       int64_t timestamp_ms, int64_t *offset, struct error *err)
{
    struct lookup lookup = {.cache = cache, .stream = stream, .segment = segment};
    struct segment_index_entry entry;
    *offset = segment->end_offset;
    if (segment->max_timestamp < timestamp_ms)
        return true;
    if (!lookup_open(&lookup, err))
        return false;
    if (!find_entry(&lookup, is_older, timestamp_ms, &entry) &&
        (!build_index(&lookup, err) || !find_entry(&lookup, is_older, timestamp_ms, &entry)))
        return corrupt(&lookup, 0, "the index is no good", err);
    *offset = entry.base_offset;
    return true;
}
