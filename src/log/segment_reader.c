/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_reader.h"

#include "base/map.h"
#include "base/memory.h"
#include "log/segment_load.h"

struct segment_cache {
    struct io *io;
    char *directory;
    struct map open;    /* key -> struct segment_open */
    struct list recent; /* the one used last at the end */
    struct segment_loads loads;
    size_t held; /* segments whose ranges are being sent; those that were used last, or not */
};

/* Out of the table; the files go now, or with the last range. */
static void drop(struct segment_open *open)
{
    map_remove(&open->cache->open, bytes_of(open->key, SEGMENT_KEY_SIZE));
    list_remove(&open->link);
    open->cache = NULL;
    if (open->refs == 0)
        segment_open_free(open);
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

static void make_key(uint8_t out[SEGMENT_KEY_SIZE], uint64_t stream, const struct segment *segment)
{
    memcpy(out, &stream, sizeof stream);
    memcpy(out + 8, &segment->base_offset, sizeof segment->base_offset);
    memcpy(out + 16, &segment->generation, sizeof segment->generation);
}

void segment_cache_forget(struct segment_cache *cache, uint64_t stream, const struct segment *segment)
{
    uint8_t key[SEGMENT_KEY_SIZE];
    make_key(key, stream, segment);
    segment_loads_forget(&cache->loads, key);
    struct segment_open *open = map_get(&cache->open, bytes_of(key, SEGMENT_KEY_SIZE));
    if (open)
        drop(open);
}

static void make_room(struct segment_cache *cache)
{
    while (cache->open.count >= SEGMENT_OPEN_MAX)
        drop(CONTAINER_OF(cache->recent.next, struct segment_open, link));
}

static void keep(struct segment_cache *cache, struct segment_open *open)
{
    make_room(cache);
    open->cache = cache;
    (void)map_put(&cache->open, bytes_of(open->key, SEGMENT_KEY_SIZE), open);
    list_append(&cache->recent, &open->link);
}

/* What a helper has opened. An index that it had to make is better than the one in the file. */
static void on_loaded(void *ctx, struct segment_open *open)
{
    struct segment_cache *cache = ctx;
    struct segment_open *there = map_get(&cache->open, bytes_of(open->key, SEGMENT_KEY_SIZE));
    if (there && (there->built.size > 0 || open->built.size == 0)) {
        segment_open_free(open);
        return;
    }
    if (there)
        drop(there);
    keep(cache, open);
}

struct segment_cache *segment_cache_new(struct io *io, const char *directory, struct loads *loads)
{
    struct segment_cache *cache = NEW(struct segment_cache);
    *cache = (struct segment_cache){.io = io, .directory = memory_string(bytes_of_string(directory))};
    list_init(&cache->recent);
    cache->loads = (struct segment_loads){
        .loads = loads, .io = io, .directory = cache->directory, .loaded = on_loaded, .ctx = cache};
    list_init(&cache->loads.running);
    return cache;
}

static bool lookup_open(struct segment_cache *cache, const uint8_t key[SEGMENT_KEY_SIZE], struct segment_lookup *lookup,
                        struct error *err)
{
    lookup->open = map_get(&cache->open, bytes_of(key, SEGMENT_KEY_SIZE));
    if (lookup->open) {
        list_remove(&lookup->open->link);
        list_append(&cache->recent, &lookup->open->link);
        return true;
    }
    if (!segment_open_new(lookup, err))
        return false;
    memcpy(lookup->open->key, key, SEGMENT_KEY_SIZE);
    keep(cache, lookup->open);
    return true;
}

static bool ask_again(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                      const struct segment_question *question, struct log_read_waiter *waiter, struct error *err)
{
    uint8_t key[SEGMENT_KEY_SIZE];
    make_key(key, stream, segment);
    segment_load(&cache->loads, stream, segment, key, question, waiter);
    return load_refuse(err);
}

/* One way for both questions. */
static bool answer(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                   const struct segment_question *question, struct log_read_waiter *waiter, struct segment_range *range,
                   int64_t *offset, struct error *err)
{
    uint8_t key[SEGMENT_KEY_SIZE];
    struct segment_lookup lookup = {.io = cache->io,
                                    .directory = cache->directory,
                                    .stream = stream,
                                    .segment = segment,
                                    .waits = load_gives_up(waiter)};
    make_key(key, stream, segment);
    bool ok = lookup_open(cache, key, &lookup, err) &&
              (question->by_time ? segment_lookup_time(&lookup, question->timestamp_ms, offset, err)
                                 : segment_lookup_range(&lookup, question, range, err));
    if (!ok)
        return lookup.cold && ask_again(cache, stream, segment, question, waiter, err);
    if (!question->by_time && range->size > 0) {
        range->open = lookup.open;
        range->file = lookup.open->data;
        range->open->held = &cache->held;
        cache->held += range->open->refs++ == 0;
    }
    return true;
}

bool segment_read(struct segment_cache *cache, uint64_t stream, const struct segment *segment, int64_t offset,
                  int64_t offset_limit, size_t size_max, struct log_read_waiter *waiter, struct segment_range *out,
                  struct error *err)
{
    const struct segment_question question = {.offset = offset, .offset_limit = offset_limit, .size_max = size_max};
    return answer(cache, stream, segment, &question, waiter, out, NULL, err);
}

bool segment_range_copy(struct segment_cache *cache, uint64_t stream, const struct segment *segment, int64_t offset,
                        const struct segment_range *range, struct log_read_waiter *waiter, uint8_t *out,
                        struct error *err)
{
    size_t got;
    bool cold = false;
    bool ok = load_gives_up(waiter) ? io_file_read(range->file, range->at, out, range->size, &got, err)
                                    : io_file_read_cached(range->file, range->at, out, range->size, &got, &cold, err);
    if (ok && cold) {
        const struct segment_question question = {
            .offset = offset, .offset_limit = range->next_offset, .size_max = range->size, .with_data = true};
        return ask_again(cache, stream, segment, &question, waiter, err);
    }
    return ok && (got == range->size || error_set(err, ERROR_CORRUPT, "a segment ends within its batches"));
}

void segment_range_release(struct segment_range *range)
{
    struct segment_open *open = TAKE(range->open);
    if (!open || --open->refs > 0)
        return;
    --*open->held;
    if (!open->cache)
        segment_open_free(open);
}

bool segment_cache_is_held(const struct segment_cache *cache)
{
    return cache->held >= SEGMENT_OPEN_MAX;
}

bool segment_find_time(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                       int64_t timestamp_ms, struct log_read_waiter *waiter, int64_t *offset, struct error *err)
{
    const struct segment_question question = {.by_time = true, .timestamp_ms = timestamp_ms};
    *offset = segment->end_offset;
    return segment->max_timestamp < timestamp_ms ||
           answer(cache, stream, segment, &question, waiter, NULL, offset, err);
}
