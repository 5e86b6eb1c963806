/* SPDX-License-Identifier: Apache-2.0 */
/* The fold of the catalog's records of settings, in one map whose keys are the kind, a NUL and the name. */
#include "log/settings.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/memory.h"
#include "log/catalog.h"
#include "wire/json.h"

struct settings {
    struct bytes name; /* in its key */
    const char *kind;  /* the same */
    struct map values; /* key -> C string */
};

static void settings_free(void *value)
{
    struct settings *settings = value;
    if (!settings)
        return;
    map_deinit(&settings->values, free);
    free(settings);
}

static void make_key(struct buf *buf, const char *kind, struct bytes name)
{
    buf_init(buf, SIZE_MAX);
    buf_append_string(buf, kind);
    buf_append_byte(buf, 0);
    buf_append(buf, name);
}

void settings_deinit(struct log *log)
{
    map_deinit(&log->settings, settings_free);
}

static void put(struct log *log, struct bytes key, size_t name_size, const struct json *values)
{
    struct settings *settings = NEW(struct settings);
    map_put(&log->settings, key, settings);
    struct bytes own_key = map_key(map_find(&log->settings, key));
    settings->kind = (const char *)own_key.data;
    settings->name = bytes_slice(own_key, own_key.size - name_size, SIZE_MAX);
    json_object_each (member, values)
        free(map_put(&settings->values, bytes_of_string(member.key), memory_string(json_bytes(member.value))));
}

/* What topics do where they have no setting of their own. */
static void topics_configs_changed(struct log *log)
{
    map_each (entry, &log->topics)
        topic_configs_changed(entry->value);
}

void settings_apply(struct log *log, const char *kind, struct bytes name, const struct json *values)
{
    AUTO_BUF key;
    make_key(&key, kind, name);
    settings_free(map_remove(&log->settings, buf_bytes(&key)));
    if (json_size(values) > 0)
        put(log, buf_bytes(&key), name.size, values);
    if (strcmp(kind, "broker") == 0)
        topics_configs_changed(log);
}

bool settings_check(const struct log *log, const char *kind, struct bytes name,
                    const struct topic_config_entry *entries, size_t count, struct error *err)
{
    if (count > SETTINGS_ENTRIES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d settings for one %s", SETTINGS_ENTRIES_MAX, kind);
    if (name.size > SETTINGS_NAME_SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "the name is longer than %d bytes", SETTINGS_NAME_SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        if (entries[i].value.size > SETTINGS_VALUE_SIZE_MAX || entries[i].name.size > SETTINGS_NAME_SIZE_MAX)
            return error_set(err, ERROR_LIMIT, "a setting is longer than %d bytes", SETTINGS_VALUE_SIZE_MAX);
    if (count > 0 && log->settings.count >= SETTINGS_SETS_MAX && !settings_find(log, kind, name))
        return error_set(err, ERROR_LIMIT, "there are settings for %d names, which is the maximum", SETTINGS_SETS_MAX);
    return true;
}

const struct settings *settings_find(const struct log *log, const char *kind, struct bytes name)
{
    AUTO_BUF key;
    make_key(&key, kind, name);
    return map_get(&log->settings, buf_bytes(&key));
}

static const struct settings *of_kind(const struct map_entry *entry, const char *kind)
{
    const struct settings *settings = entry ? entry->value : NULL;
    return settings && strcmp(settings->kind, kind) == 0 ? settings : NULL;
}

const struct settings *settings_first(const struct log *log, const char *kind)
{
    AUTO_BUF key;
    make_key(&key, kind, BYTES_NULL);
    return of_kind(map_at_or_after(&log->settings, buf_bytes(&key)), kind);
}

const struct settings *settings_next(const struct log *log, const struct settings *settings)
{
    AUTO_BUF key;
    make_key(&key, settings->kind, settings->name);
    return of_kind(map_next(map_find(&log->settings, buf_bytes(&key))), settings->kind);
}

struct bytes settings_name(const struct settings *settings)
{
    return settings->name;
}

size_t settings_count(const struct settings *settings)
{
    return settings->values.count;
}

struct bytes settings_get(const struct settings *settings, struct bytes key)
{
    return settings ? bytes_of_string(map_get(&settings->values, key)) : BYTES_NULL;
}

struct map_entry *settings_first_entry(const struct settings *settings)
{
    return settings ? map_first(&settings->values) : NULL;
}
