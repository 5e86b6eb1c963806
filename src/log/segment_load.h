/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing in what a reading needs and is not in memory: a helper thread opens the segment's files, looks up what was
 * asked for (making the index anew if it must) and so leaves it in the page cache. Then those who wait ask again.
 */
#ifndef LOG_SEGMENT_LOAD_H
#define LOG_SEGMENT_LOAD_H

#include "log/load.h"
#include "log/segment_lookup.h"

struct segment_loads {
    struct loads *loads;
    struct io *io;
    const char *directory;
    struct list running; /* struct segment_load */
    /* What a helper has opened, for the cache, which takes it over; not of a segment that has changed meanwhile. */
    void (*loaded)(void *ctx, struct segment_open *open);
    void *ctx;
};

/* `key` is that of struct segment_open. The waiter runs once; later its owner asks again, with the same waiter. */
void segment_load(struct segment_loads *loads, uint64_t stream, const struct segment *segment,
                  const uint8_t key[SEGMENT_KEY_SIZE], const struct segment_question *question,
                  struct log_read_waiter *waiter);
/* The files behind the key have changed: what is being opened is not kept. */
void segment_loads_forget(struct segment_loads *loads, const uint8_t key[SEGMENT_KEY_SIZE]);

#endif
