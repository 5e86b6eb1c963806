/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recent changes of one kind, in order: a ring that forgets its oldest entries. A watch is a cursor into it, so a
 * slow reader costs nothing, and one that is too slow finds its place gone (410 Expired, and lists again).
 */
#ifndef API_HISTORY_H
#define API_HISTORY_H

#include "api/api.h"

enum {
    HISTORY_ENTRIES_MAX = 4096,
    HISTORY_SIZE_MAX = 8 << 20, /* bytes of JSON in the entries' objects */
};

struct history_entry {
    enum api_event_type type;
    struct object *object; /* held; for DELETED the last state with the deletion's revision */
    struct object *before; /* held; NULL for ADDED */
};

struct history {
    struct history_entry *ring;
    size_t capacity, at, count;
    size_t size;               /* bytes of JSON */
    uint64_t sequence;         /* of the oldest entry: a cursor is a sequence number */
    uint64_t expired_revision; /* of the newest change that is forgotten: a watch must begin at it or later */
};

void history_deinit(struct history *history);
/* Takes references of its own. */
void history_add(struct history *history, enum api_event_type type, struct object *object, struct object *before);
/* Forgets everything up to `revision`: the past before it is not complete. */
void history_expire(struct history *history, uint64_t revision);
/* The cursor behind the last change at or before `revision`. False: that is forgotten. */
bool history_seek(const struct history *history, uint64_t revision, uint64_t *cursor);
/* False: the entry at the cursor is forgotten. *out is NULL at the end. */
bool history_read(const struct history *history, uint64_t cursor, const struct history_entry **out);

#endif
