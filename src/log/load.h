/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is being brought into memory, by helper threads, and who waits for that (log.h: struct log_read_waiter): the
 * part that is the same for the journal (journal_load.h) and for segments (segment_load.h). Who asks for what is under
 * way already waits for that.
 */
#ifndef LOG_LOAD_H
#define LOG_LOAD_H

#include "base/map.h"
#include "io/io.h"
#include "log/log.h"

enum { LOAD_KEY_SIZE_MAX = 32 };

struct loads {
    struct map running; /* key -> struct load */
    struct list later;  /* struct log_read_waiter, of load_later() */
    struct io_deferred tell_later, quiet;
    void (*done)(void *ctx); /* set: nothing begins any more */
    void *done_ctx;
};

/* The first member of what knows how to read. */
struct load {
    struct loads *loads;
    uint8_t key[LOAD_KEY_SIZE_MAX];
    size_t key_size;
    struct list waiters; /* struct log_read_waiter */
    void (*free)(struct load *load);
};

void loads_init(struct loads *loads, struct io *io);
void loads_deinit(struct loads *loads); /* frees what runs: of a world that has died */
/* Nothing begins any more and nobody is told any more; `done` from the loop when nothing runs. */
void loads_stop(struct loads *loads, void (*done)(void *ctx), void *ctx);

/* False: nobody reads that yet, and load_begin() is to follow. Keys of different kinds differ in size. The waiter runs
 * once; later its owner asks again, with the same waiter. */
MUST_CHECK bool loads_join(struct loads *loads, struct bytes key, struct log_read_waiter *waiter);
void load_begin(struct loads *loads, struct load *load, struct bytes key, void (*free)(struct load *load),
                struct log_read_waiter *waiter);
/* It is read, or can not be: then who asks again is told why, even if that blocks. Frees it. */
void load_end(struct load *load, bool failed);

/* For who has read so much that others should have their turn: runs soon, from the loop. */
void load_later(struct loads *loads, struct log_read_waiter *waiter);

/* Whether the waiter, which may be NULL, has waited so often that it may as well block. */
bool load_gives_up(const struct log_read_waiter *waiter);
bool load_refuse(struct error *err); /* what log_is_being_read() knows; false */

#endif
