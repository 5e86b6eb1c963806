/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for a disk that is behind to catch up, instead of being refused. Who comes later waits behind those who are
 * there, so that each has its turn.
 */
#include <assert.h>

#include "log/log_priv.h"

bool log_is_behind(const struct log *log, size_t size)
{
    return !list_empty(&log->waiting_room) || journal_is_behind(log->journal, size);
}

void log_wait_room(struct log *log, struct log_room_waiter *waiter, size_t size)
{
    assert(!list_linked(&waiter->link) && log_is_behind(log, size));
    waiter->size = size;
    list_append(&log->waiting_room, &waiter->link);
}

void log_wait_room_cancel(struct log_room_waiter *waiter)
{
    list_remove(&waiter->link);
}

void log_give_room(struct log *log)
{
    while (!list_empty(&log->waiting_room)) {
        struct log_room_waiter *first = LIST_FIRST(&log->waiting_room, struct log_room_waiter, link);
        if (journal_is_behind(log->journal, first->size))
            return;
        list_remove(&first->link);
        first->run(first->ctx);
    }
}
