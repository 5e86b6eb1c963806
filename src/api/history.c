/* SPDX-License-Identifier: Apache-2.0 */
/* See history.h. The ring grows by doubling up to its maximum, so a quiet kind costs nothing. */
#include "api/history.h"

#include "base/memory.h"

static struct history_entry *entry_at(const struct history *history, size_t index)
{
    return &history->ring[(history->at + index) % history->capacity];
}

static size_t entry_size(const struct history_entry *entry)
{
    return object_text(entry->object).size;
}

static void forget_oldest(struct history *history)
{
    struct history_entry *entry = entry_at(history, 0);
    history->size -= entry_size(entry);
    history->expired_revision = entry->object->resource_version;
    object_unref(entry->object);
    object_unref(entry->before);
    history->at = (history->at + 1) % history->capacity;
    history->count--;
    history->sequence++;
}

void history_deinit(struct history *history)
{
    while (history->count > 0)
        forget_oldest(history);
    free(history->ring);
    *history = (struct history){0};
}

static void grow(struct history *history)
{
    size_t capacity = history->capacity ? history->capacity * 2 : 16;
    struct history_entry *ring = memory_new_array(capacity, sizeof *ring);
    for (size_t i = 0; i < history->count; i++)
        ring[i] = *entry_at(history, i);
    free(history->ring);
    history->ring = ring;
    history->capacity = capacity;
    history->at = 0;
}

void history_add(struct history *history, enum api_event_type type, struct object *object, struct object *before)
{
    if (history->count == history->capacity && history->capacity < HISTORY_ENTRIES_MAX)
        grow(history);
    else if (history->count == history->capacity)
        forget_oldest(history);
    struct history_entry *entry = entry_at(history, history->count++);
    *entry = (struct history_entry){type, object_ref(object), object_ref(before)};
    history->size += entry_size(entry);
    while (history->size > HISTORY_SIZE_MAX && history->count > 1)
        forget_oldest(history);
}

void history_expire(struct history *history, uint64_t revision)
{
    while (history->count > 0 && entry_at(history, 0)->object->resource_version <= revision)
        forget_oldest(history);
    if (history->expired_revision < revision)
        history->expired_revision = revision;
}

bool history_seek(const struct history *history, uint64_t revision, uint64_t *cursor)
{
    if (revision < history->expired_revision)
        return false;
    size_t low = 0, high = history->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_at(history, middle)->object->resource_version <= revision)
            low = middle + 1;
        else
            high = middle;
    }
    *cursor = history->sequence + low;
    return true;
}

bool history_read(const struct history *history, uint64_t cursor, const struct history_entry **out)
{
    if (cursor < history->sequence)
        return false;
    size_t index = (size_t)(cursor - history->sequence);
    *out = index < history->count ? entry_at(history, index) : NULL;
    return true;
}
