/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_load.h"

#include <assert.h>

#include "base/memory.h"

enum {
    TRIES_MAX = 4, /* what is thrown out of memory again and again would else never be read */
    READ_STEP = 128 << 10,
    LOAD_KEY_SIZE = SEGMENT_KEY_SIZE + 9,
};

struct segment_load {
    struct segment_loads *loads;
    uint8_t key[LOAD_KEY_SIZE]; /* begins with the segment's */
    uint64_t stream;
    struct segment segment;
    struct segment_question question;
    struct segment_open *open; /* out; NULL: it could not be opened */
    bool stale;                /* the segment has changed since */
    bool failed;               /* who asks again is told why, even if that blocks */
    struct list waiters;       /* struct log_read_waiter */
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

static void load_free(struct segment_load *load)
{
    if (load->open)
        segment_open_free(load->open);
    while (LIST_TAKE_FIRST(&load->waiters, struct log_read_waiter, link)) {
    }
    free(load);
}

static void stop_if_quiet(struct segment_loads *loads)
{
    if (loads->done && loads->running.count == 0)
        io_defer(&loads->quiet);
}

static void load_done(void *ctx)
{
    struct segment_load *load = ctx;
    struct segment_loads *loads = load->loads;
    struct list waiters;
    map_remove(&loads->running, bytes_of(load->key, LOAD_KEY_SIZE));
    if (load->open && !load->stale && !loads->done) {
        memcpy(load->open->key, load->key, SEGMENT_KEY_SIZE);
        loads->loaded(loads->ctx, TAKE(load->open));
    }
    list_init(&waiters);
    if (!loads->done)
        list_splice(&waiters, &load->waiters);
    bool failed = load->failed;
    load_free(load);
    stop_if_quiet(loads);
    for (struct log_read_waiter *waiter; (waiter = LIST_TAKE_FIRST(&waiters, struct log_read_waiter, link));) {
        waiter->tries = failed ? TRIES_MAX : waiter->tries + 1;
        waiter->run(waiter->ctx);
    }
}

static void make_key(uint8_t out[LOAD_KEY_SIZE], const uint8_t key[SEGMENT_KEY_SIZE],
                     const struct segment_question *question)
{
    const int64_t *what = question->by_time ? &question->timestamp_ms : &question->offset;
    memcpy(out, key, SEGMENT_KEY_SIZE);
    memcpy(out + SEGMENT_KEY_SIZE, what, sizeof *what);
    out[LOAD_KEY_SIZE - 1] = (uint8_t)(question->by_time << 1 | question->with_data);
}

static struct segment_load *begin(struct segment_loads *loads, uint64_t stream, const struct segment *segment,
                                  const struct segment_question *question, const uint8_t key[LOAD_KEY_SIZE])
{
    struct segment_load *load = NEW(struct segment_load);
    *load = (struct segment_load){.loads = loads, .stream = stream, .segment = *segment, .question = *question};
    memcpy(load->key, key, LOAD_KEY_SIZE);
    list_init(&load->waiters);
    (void)map_put(&loads->running, bytes_of(load->key, LOAD_KEY_SIZE), load);
    io_work_reading(loads->io, load_work, load_done, load);
    return load;
}

void segment_load(struct segment_loads *loads, uint64_t stream, const struct segment *segment,
                  const uint8_t key[SEGMENT_KEY_SIZE], const struct segment_question *question,
                  struct log_read_waiter *waiter)
{
    uint8_t load_key[LOAD_KEY_SIZE];
    if (loads->done)
        return;
    assert(!list_linked(&waiter->link));
    make_key(load_key, key, question);
    struct segment_load *load = map_get(&loads->running, bytes_of(load_key, LOAD_KEY_SIZE));
    if (!load)
        load = begin(loads, stream, segment, question, load_key);
    list_append(&load->waiters, &waiter->link);
}

bool segment_load_gives_up(const struct log_read_waiter *waiter)
{
    return !waiter || waiter->tries >= TRIES_MAX;
}

void segment_loads_forget(struct segment_loads *loads, const uint8_t key[SEGMENT_KEY_SIZE])
{
    map_each (entry, &loads->running) {
        struct segment_load *load = entry->value;
        load->stale |= memcmp(load->key, key, SEGMENT_KEY_SIZE) == 0;
    }
}

/* --- Life --- */

static void on_quiet(void *ctx)
{
    struct segment_loads *loads = ctx;
    loads->done(loads->done_ctx);
}

void segment_loads_init(struct segment_loads *loads, struct io *io, const char *directory,
                        void (*loaded)(void *ctx, struct segment_open *open), void *ctx)
{
    *loads = (struct segment_loads){.io = io, .directory = directory, .loaded = loaded, .ctx = ctx};
    io_deferred_init(io, &loads->quiet, on_quiet, loads);
}

static void free_load(void *load)
{
    load_free(load);
}

void segment_loads_deinit(struct segment_loads *loads)
{
    io_deferred_cancel(&loads->quiet);
    map_deinit(&loads->running, free_load); /* of a world that has died */
}

void segment_loads_stop(struct segment_loads *loads, void (*done)(void *ctx), void *ctx)
{
    loads->done = done;
    loads->done_ctx = ctx;
    stop_if_quiet(loads);
}
