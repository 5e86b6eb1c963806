/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object that is gone has left in the log: a Trigger its group, a Broker that somebody freed of its finalizer
 * its topic. The log may refuse to let it go for now. A start of evoke in between forgets that it was to go: an empty
 * group then expires, a topic stays for who looks at topics.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "coordinator/coordinator.h"
#include "dispatch/dispatch_priv.h"

struct leftover {
    struct list link;
    struct dispatch *dispatch;
    enum leftover_kind kind;
    char *name;
    struct bytes owner; /* its key */
    struct retry retry;
};

static void leftover_free(struct leftover *leftover)
{
    retry_stop(&leftover->retry);
    list_remove(&leftover->link);
    free((void *)(uintptr_t)leftover->owner.data);
    free(leftover->name);
    free(leftover);
}

bool dispatch_delete_topic(struct dispatch *dispatch, struct bytes name, struct error *err)
{
    uint64_t lsn;
    struct topic *topic = topic_find(dispatch->log, name);
    return !topic || topic_delete(dispatch->log, topic, &lsn, err) ||
           error_wrap(err, "topic " BYTES_FORMAT, BYTES_ARGS(name));
}

/* Only a refusal is worth another try: a group that others are in is theirs. */
static bool delete_group(struct dispatch *dispatch, struct bytes name, struct error *err)
{
    uint64_t lsn;
    return coordinator_delete_group(dispatch->log, name, &lsn) != KAFKA_COORDINATOR_NOT_AVAILABLE ||
           error_set(err, ERROR_UNAVAILABLE, "group " BYTES_FORMAT ": the log does not take its end yet",
                     BYTES_ARGS(name));
}

static bool leave(void *ctx, struct error *err)
{
    struct leftover *leftover = ctx;
    struct dispatch *dispatch = leftover->dispatch;
    bool topic = leftover->kind == LEFTOVER_TOPIC;
    struct bytes name = bytes_of_string(leftover->name);
    bool reborn = map_get(topic ? &dispatch->brokers : &dispatch->triggers, leftover->owner) != NULL;
    if (!reborn && !(topic ? dispatch_delete_topic(dispatch, name, err) : delete_group(dispatch, name, err)))
        return false;
    leftover_free(leftover);
    return true;
}

void leftover_remove(struct dispatch *dispatch, enum leftover_kind kind, const struct object *object, struct bytes name)
{
    AUTO_BUF key;
    struct leftover *leftover = NEW(struct leftover);
    leftover->dispatch = dispatch;
    leftover->kind = kind;
    leftover->name = memory_string(name);
    leftover->owner = memory_copy(dispatch_key(object, &key));
    retry_init(dispatch->context.io, &leftover->retry, "dispatch", leave, leftover);
    list_append(&dispatch->leftovers, &leftover->link);
    retry_now(&leftover->retry);
}

void leftovers_free(struct dispatch *dispatch)
{
    list_each (struct leftover, leftover, &dispatch->leftovers, link)
        leftover_free(leftover);
}
