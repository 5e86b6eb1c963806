/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_load.h"

#include "base/memory.h"

enum { READ_STEP = 128 << 10, LOAD_KEY_SIZE = SEGMENT_KEY_SIZE + 9 };

struct segment_load {
    struct load base; /* whose key begins with the segment's */
    struct segment_loads *loads;
    struct list link; /* in loads->running */
    uint64_t stream;
    struct segment segment;
    struct segment_question question;
    struct segment_open *open; /* out; NULL: it could not be opened */
    bool stale;                /* the segment has changed since */
    bool failed;
};

/* --- On a helper thread --- */

static bool read_data(const struct segment_range *range, struct error *err)
{
    AUTO_FREE(uint8_t) memory = memory_new(READ_STEP);
    for (size_t done = 0; done < range->size; done += READ_STEP) {
        size_t got, left = range->size - done;
        if (!io_file_read(range->file, range->at + done, memory, left < READ_STEP ? left : READ_STEP, &got, err))
            return false;
    }
    return true;
}

static bool look_up(struct segment_lookup *lookup, const struct segment_question *question, struct error *err)
{
    struct segment_range range;
    int64_t offset;
    if (question->by_time)
        return segment_lookup_time(lookup, question->timestamp_ms, &offset, err);
    if (!segment_lookup_range(lookup, question, &range, err))
        return false;
    range.file = lookup->open->data;
    return !question->with_data || read_data(&range, err);
}

static void load_work(void *ctx)
{
    struct segment_load *load = ctx;
    struct error err;
    struct segment_lookup lookup = {.io = load->loads->io,
                                    .directory = load->loads->directory,
                                    .stream = load->stream,
                                    .segment = &load->segment,
                                    .waits = true};
    load->failed = !segment_open_new(&lookup, &err) || !look_up(&lookup, &load->question, &err);
    load->open = lookup.open;
}

/* --- On the core thread --- */

static void load_free(struct load *base)
{
    struct segment_load *load = CONTAINER_OF(base, struct segment_load, base);
    if (load->open)
        segment_open_free(load->open);
    list_remove(&load->link);
    free(load);
}

static void load_done(void *ctx)
{
    struct segment_load *load = ctx;
    struct segment_loads *loads = load->loads;
    if (load->open && !load->stale && !loads->loads->done) {
        memcpy(load->open->key, load->base.key, SEGMENT_KEY_SIZE);
        loads->loaded(loads->ctx, TAKE(load->open));
    }
    load_end(&load->base, load->failed);
}

static void make_key(uint8_t out[LOAD_KEY_SIZE], const uint8_t key[SEGMENT_KEY_SIZE],
                     const struct segment_question *question)
{
    const int64_t *what = question->by_time ? &question->timestamp_ms : &question->offset;
    memcpy(out, key, SEGMENT_KEY_SIZE);
    memcpy(out + SEGMENT_KEY_SIZE, what, sizeof *what);
    out[LOAD_KEY_SIZE - 1] = (uint8_t)(question->by_time << 1 | question->with_data);
}

void segment_load(struct segment_loads *loads, uint64_t stream, const struct segment *segment,
                  const uint8_t key[SEGMENT_KEY_SIZE], const struct segment_question *question,
                  struct log_read_waiter *waiter)
{
    uint8_t load_key[LOAD_KEY_SIZE];
    make_key(load_key, key, question);
    if (loads_join(loads->loads, bytes_of(load_key, LOAD_KEY_SIZE), waiter))
        return;
    struct segment_load *load = NEW(struct segment_load);
    *load = (struct segment_load){.loads = loads, .stream = stream, .segment = *segment, .question = *question};
    list_append(&loads->running, &load->link);
    load_begin(loads->loads, &load->base, bytes_of(load_key, LOAD_KEY_SIZE), load_free, waiter);
    io_work_reading(loads->io, load_work, load_done, load);
}

void segment_loads_forget(struct segment_loads *loads, const uint8_t key[SEGMENT_KEY_SIZE])
{
    list_each (struct segment_load, load, &loads->running, link) {
        load->stale |= memcmp(load->base.key, key, SEGMENT_KEY_SIZE) == 0;
    }
}
