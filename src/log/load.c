/* SPDX-License-Identifier: Apache-2.0 */
#include "log/load.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { TRIES_MAX = 4 }; /* what is thrown out of memory again and again would else never be read */

static void stop_if_quiet(struct loads *loads)
{
    if (loads->done && loads->running.count == 0)
        io_defer(&loads->quiet);
}

static void forget(struct list *waiters)
{
    while (LIST_TAKE_FIRST(waiters, struct log_read_waiter, link)) {
    }
}

bool loads_join(struct loads *loads, struct bytes key, struct log_read_waiter *waiter)
{
    if (loads->done)
        return true;
    assert(!list_linked(&waiter->link));
    struct load *load = map_get(&loads->running, key);
    if (load)
        list_append(&load->waiters, &waiter->link);
    return load;
}

void load_begin(struct loads *loads, struct load *load, struct bytes key, void (*free)(struct load *load),
                struct log_read_waiter *waiter)
{
    assert(key.size <= sizeof load->key);
    load->loads = loads;
    memcpy(load->key, key.data, key.size);
    load->key_size = key.size;
    load->free = free;
    list_init(&load->waiters);
    list_append(&load->waiters, &waiter->link);
    (void)map_put(&loads->running, key, load);
}

void load_end(struct load *load, bool failed)
{
    struct loads *loads = load->loads;
    struct list waiters;
    list_init(&waiters);
    map_remove(&loads->running, bytes_of(load->key, load->key_size));
    if (loads->done)
        forget(&load->waiters);
    list_splice(&waiters, &load->waiters);
    load->free(load);
    stop_if_quiet(loads);
    for (struct log_read_waiter *waiter; (waiter = LIST_TAKE_FIRST(&waiters, struct log_read_waiter, link));) {
        waiter->tries = failed ? TRIES_MAX : waiter->tries + 1;
        waiter->run(waiter->ctx);
    }
}

static void tell_later(void *ctx)
{
    struct loads *loads = ctx;
    struct list waiters;
    list_init(&waiters);
    list_splice(&waiters, &loads->later);
    for (struct log_read_waiter *waiter; (waiter = LIST_TAKE_FIRST(&waiters, struct log_read_waiter, link));)
        waiter->run(waiter->ctx);
}

void load_later(struct loads *loads, struct log_read_waiter *waiter)
{
    if (loads->done)
        return;
    list_append(&loads->later, &waiter->link);
    io_defer(&loads->tell_later);
}

bool load_gives_up(const struct log_read_waiter *waiter)
{
    return !waiter || waiter->tries >= TRIES_MAX;
}

bool load_refuse(struct error *err)
{
    error_set(err, ERROR_UNAVAILABLE, "it is being read from the disk");
    err->sys = EAGAIN;
    return false;
}

bool log_is_being_read(const struct error *err)
{
    return err->kind == ERROR_UNAVAILABLE && err->sys == EAGAIN;
}

void log_read_cancel(struct log_read_waiter *waiter)
{
    list_remove(&waiter->link);
}

/* --- Life --- */

static void on_quiet(void *ctx)
{
    struct loads *loads = ctx;
    loads->done(loads->done_ctx);
}

void loads_init(struct loads *loads, struct io *io)
{
    *loads = (struct loads){.done = NULL};
    list_init(&loads->later);
    io_deferred_init(io, &loads->tell_later, tell_later, loads);
    io_deferred_init(io, &loads->quiet, on_quiet, loads);
}

static void free_load(void *ctx)
{
    struct load *load = ctx;
    forget(&load->waiters);
    load->free(load);
}

void loads_deinit(struct loads *loads)
{
    io_deferred_cancel(&loads->tell_later);
    io_deferred_cancel(&loads->quiet);
    forget(&loads->later);
    map_deinit(&loads->running, free_load);
}

void loads_stop(struct loads *loads, void (*done)(void *ctx), void *ctx)
{
    loads->done = done;
    loads->done_ctx = ctx;
    io_deferred_cancel(&loads->tell_later);
    forget(&loads->later);
    stop_if_quiet(loads);
}
