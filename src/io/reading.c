/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the disk without stopping for it: what is not in memory is read on a helper thread, which leaves it in
 * the page cache. That is a hint and no promise: what was thrown out again meanwhile is cold once more.
 */
#include "base/memory.h"
#include "io/file_priv.h"
#include "io/io_priv.h"

enum { READING_MAX = 2, WARM_STEP = 128 << 10 };

struct reading {
    struct list link; /* in io->readings */
    struct io *io;
    void (*work)(void *ctx);
    void (*done)(void *ctx);
    void (*drop)(void *ctx); /* instead of `done`, when the io ends; NULL: nothing is to be freed */
    void *ctx;
};

static void start_next(struct io *io);

static void reading_work(void *ctx)
{
    const struct reading *reading = ctx;
    reading->work(reading->ctx);
}

static void reading_done(void *ctx)
{
    struct reading *reading = ctx;
    struct io *io = reading->io;
    void (*done)(void *ctx) = reading->done;
    void *done_ctx = reading->ctx;
    list_remove(&reading->link);
    free(reading);
    io->reading_count--;
    start_next(io);
    done(done_ctx);
}

static void start_next(struct io *io)
{
    struct reading *next = NULL;
    if (io->reading_count < READING_MAX)
        next = LIST_TAKE_FIRST(&io->readings_waiting, struct reading, link);
    if (!next)
        return;
    io->reading_count++;
    list_append(&io->readings, &next->link);
    io_work(io, reading_work, reading_done, next);
}

static void start(struct io *io, void (*work)(void *ctx), void (*done)(void *ctx), void (*drop)(void *ctx), void *ctx)
{
    struct reading *reading = NEW(struct reading);
    *reading = (struct reading){.io = io, .work = work, .done = done, .drop = drop, .ctx = ctx};
    list_append(&io->readings_waiting, &reading->link);
    start_next(io);
}

void io_work_reading(struct io *io, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
    start(io, work, done, NULL, ctx);
}

static void drop_all(struct list *readings)
{
    for (struct reading *reading; (reading = LIST_TAKE_FIRST(readings, struct reading, link));) {
        if (reading->drop)
            reading->drop(reading->ctx);
        free(reading);
    }
}

void io_readings_drop(struct io *io)
{
    drop_all(&io->readings);
    drop_all(&io->readings_waiting);
}

/* --- Ranges of files --- */

struct io_warming {
    struct io_file *file;    /* our own handle: the other may be closed meanwhile */
    void (*done)(void *ctx); /* NULL: cancelled */
    void *ctx;
    size_t count;
    struct io_range ranges[];
};

static void warm_range(struct io_file *file, const struct io_range *range, uint8_t memory[WARM_STEP])
{
    size_t got;
    struct error ignored; /* whoever reads it next is told why */
    for (size_t done = 0; done < range->size; done += WARM_STEP) {
        size_t left = range->size - done, step = left < WARM_STEP ? left : WARM_STEP;
        if (!io_file_read(file, range->at + done, memory, step, &got, &ignored) || got < step)
            return;
    }
}

static void warm_work(void *ctx)
{
    const struct io_warming *warming = ctx;
    AUTO_FREE(uint8_t) memory = memory_new(WARM_STEP);
    for (size_t i = 0; i < warming->count; i++)
        warm_range(warming->file, &warming->ranges[i], memory);
}

static void warm_free(void *ctx)
{
    struct io_warming *warming = ctx;
    io_file_close(warming->file);
    free(warming);
}

static void warm_done(void *ctx)
{
    struct io_warming *warming = ctx;
    if (warming->done)
        warming->done(warming->ctx);
    warm_free(warming);
}

struct io_warming *io_file_warm(struct io_file *file, const struct io_range *ranges, size_t count,
                                void (*done)(void *ctx), void *ctx)
{
    struct io_warming *warming = memory_new(sizeof *warming + count * sizeof *ranges);
    *warming =
        (struct io_warming){.file = file->io->engine->file->duplicate(file), .done = done, .ctx = ctx, .count = count};
    memcpy(warming->ranges, ranges, count * sizeof *ranges);
    start(file->io, warm_work, warm_done, warm_free, warming);
    return warming;
}

void io_file_warm_cancel(struct io_warming *warming)
{
    if (warming)
        warming->done = NULL;
}

bool io_file_is_cached(struct io_file *file, uint64_t at, size_t size)
{
    uint8_t byte;
    size_t got;
    bool cold = false;
    struct error ignored;
    return !io_file_read_cached(file, at, &byte, 1, &got, &cold, &ignored) ||
           (!cold && (!io_file_read_cached(file, at + size - 1, &byte, 1, &got, &cold, &ignored) || !cold));
}
