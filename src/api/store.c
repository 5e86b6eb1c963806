/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: objects in memory by kind, namespace and name, behind them the partition of __objects. The order of
 * store_commit() is what makes it one truth: the record is appended first (it may be refused: nothing has happened),
 * then memory changes, then listeners and watches hear of it.
 *
 * The resourceVersion stands inside the record, so the LSN must be known before the append: on the one thread that
 * decides it is the newest LSN plus one, and an assertion holds the log to that.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "api/record.h"
#include "api/schema.h"
#include "api/store_priv.h"
#include "api/view.h"
#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"

/* A record is a batch: JSON of at most a body's size and its frame. */
enum { RECORD_SIZE_MAX = LIMIT_API_BODY_SIZE + 4096 };

/* --- Look-up --- */

struct bytes store_key(char out[STORE_KEY_SIZE], struct bytes namespace, struct bytes name)
{
    size_t size = namespace.size + 1 + name.size;
    if (size > STORE_KEY_SIZE)
        return BYTES_NULL; /* longer than any name that is stored */
    if (namespace.size)
        memcpy(out, namespace.data, namespace.size);
    out[namespace.size] = '\0';
    if (name.size)
        memcpy(out + namespace.size + 1, name.data, name.size);
    return bytes_of(out, size);
}

struct collection *store_collection(struct api *api, const struct kind *kind)
{
    kind = kind_stored(kind);
    struct bytes key = bytes_of(&kind, sizeof kind);
    struct collection *collection = map_get(&api->collections, key);
    if (collection)
        return collection;
    collection = NEW(struct collection);
    collection->kind = kind;
    list_init(&collection->watches);
    map_put(&api->collections, key, collection);
    *api->last_collection = collection;
    api->last_collection = &collection->next;
    return collection;
}

struct object *api_get(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name)
{
    char key[STORE_KEY_SIZE];
    return map_get(&store_collection(api, kind)->objects, store_key(key, namespace, name));
}

struct object *api_find(struct api *api, const char *kind, const char *namespace, const char *name)
{
    const struct kind *found = kind_by_name(kind);
    assert(found);
    return api_get(api, found, bytes_of_string(namespace), bytes_of_string(name));
}

void api_iterate(struct api *api, const struct kind *kind, struct bytes namespace, struct api_iterator *iterator)
{
    *iterator = (struct api_iterator){.api = api, .kind = kind, .namespace = namespace};
}

/* The loop may have written meanwhile, so the place is found again by the current object's key. */
struct object *api_iterator_next(struct api_iterator *iterator)
{
    char key[STORE_KEY_SIZE + 1];
    struct object *last = iterator->object;
    struct bytes from = store_key(key, last ? last->namespace : iterator->namespace, last ? last->name : BYTES_NULL);
    if (last)
        key[from.size++] = '\0'; /* the next possible key */
    struct map_entry *entry = map_at_or_after(&store_collection(iterator->api, iterator->kind)->objects, from);
    struct object *object = entry ? entry->value : NULL;
    if (object && iterator->namespace.data && !bytes_equal(object->namespace, iterator->namespace))
        object = NULL;
    iterator->object = object_ref(object);
    object_unref(last);
    return object;
}

void api_iterator_end(struct api_iterator *iterator)
{
    object_unref(iterator->object);
    iterator->object = NULL;
}

struct log *api_log(struct api *api)
{
    return api->log;
}

struct io *api_io(struct api *api)
{
    return api->io;
}

uint64_t api_revision(const struct api *api)
{
    return api->revision;
}

size_t api_count(struct api *api, const struct kind *kind)
{
    return store_collection(api, kind)->objects.count;
}

void api_wait(struct api *api, struct log_waiter *waiter)
{
    log_wait(api->log, waiter, api->revision, LOG_SYNCED);
}

/* --- Changing --- */

/* The change in memory alone; takes over the object. What store_commit() does after the append, and reading back. */
static void apply(struct api *api, struct collection *collection, enum api_event_type type, struct object *object)
{
    char key_space[STORE_KEY_SIZE];
    struct bytes key = store_key(key_space, object->namespace, object->name);
    struct object *before = type == API_DELETED ? map_remove(&collection->objects, key)
                                                : map_put(&collection->objects, key, object_ref(object));
    api->object_count += type == API_ADDED;
    api->object_count -= type == API_DELETED;
    api->revision = collection->revision = object->resource_version;
    history_add(&collection->history, type, object, before);
    listener_queue(api, type, object, before);
    object_unref(before);
    object_unref(object);
}

/* The next state with its revision, as a value and as text. */
static struct object *build(const struct kind *kind, struct object *before, struct json *json, uint64_t revision,
                            struct error *err)
{
    if (!json)
        return object_at_revision(before, revision);
    json_set_at(json, "metadata.resourceVersion", json_new_format("%llu", (unsigned long long)revision));
    struct buf text;
    buf_init(&text, LIMIT_API_BODY_SIZE);
    json_print(json, &text);
    if (text.overflowed) {
        buf_deinit(&text);
        json_unref(json);
        error_set(err, ERROR_LIMIT, "the object is larger than %d bytes", LIMIT_API_BODY_SIZE);
        err->sys = EMSGSIZE;
        return NULL;
    }
    return object_new(kind, json, buf_take(&text));
}

static bool append(struct api *api, const struct object *object, bool deleted, struct error *err)
{
    char key[RECORD_KEY_SIZE];
    struct record record = {
        .key = record_key(key, kind_api_version(object->kind), object->kind->kind, object->namespace, object->name),
        .value = deleted ? BYTES_NULL : object_text(object),
        .revision = object->resource_version,
    };
    AUTO_BUF space;
    buf_init(&space, RECORD_SIZE_MAX);
    struct append append = {.partition = api->partition, .internal = true};
    if (!record_encode(&record, io_wall_ms(api->io), &space, &append.batch, err))
        return error_wrap(err, "%s", key);
    uint64_t lsn;
    if (!log_append(api->log, &append, 1, &lsn, err))
        return error_wrap(err, "%s", key);
    assert(lsn == object->resource_version);
    return true;
}

bool store_commit(struct api *api, enum api_event_type type, const struct kind *kind, struct object *before,
                  struct json *json, struct object **out, struct error *err)
{
    if (type == API_ADDED && api->object_count >= LIMIT_OBJECTS) {
        json_unref(json);
        return error_set(err, ERROR_LIMIT, "evoke holds at most %d objects", LIMIT_OBJECTS);
    }
    struct object *object = build(kind, before, json, log_lsn(api->log) + 1, err);
    if (!object)
        return false;
    if (!append(api, object, type == API_DELETED, err)) {
        object_unref(object);
        return false;
    }
    struct object *answer = out ? object_ref(object) : NULL;
    apply(api, store_collection(api, kind), type, object);
    watcher_publish(api);
    if (out)
        *out = answer;
    return true;
}

/* --- Reading back --- */

/*
 * Of the older records only the last one per key matters, and is kept as bytes until then; the newest ones are applied
 * one by one, so that watches may continue over a restart.
 */
struct recovery {
    struct api *api;
    struct map latest; /* key -> struct bytes on the heap, while `keeping` */
    bool keeping;
    int64_t history_from; /* offset */
    size_t unknown;       /* records of kinds that this evoke does not have */
};

struct kept {
    size_t size;
    uint64_t revision;
    uint8_t data[];
};

static void keep(struct recovery *r, const struct record *record)
{
    struct kept *kept = NULL;
    if (record->value.data) {
        kept = memory_new(sizeof *kept + record->value.size);
        kept->size = record->value.size;
        kept->revision = record->revision;
        memcpy(kept->data, record->value.data, record->value.size);
    }
    free(kept ? map_put(&r->latest, record->key, kept) : map_remove(&r->latest, record->key));
    r->api->revision = record->revision;
}

static bool apply_value(struct recovery *r, struct bytes value, struct error *err)
{
    struct json *json = json_parse(value, JSON_PARSE_LAST_KEY_WINS | JSON_PARSE_OUR_OWN, err);
    if (!json)
        return false;
    const struct kind *kind = kind_by_gvk(json_bytes(json_get(json, "apiVersion")), json_bytes(json_get(json, "kind")));
    if (!kind) {
        r->unknown++;
        json_unref(json);
        return true;
    }
    struct object *object = object_new(kind, json, memory_copy(value));
    bool is_new = !api_get(r->api, kind, object->namespace, object->name);
    apply(r->api, store_collection(r->api, kind), is_new ? API_ADDED : API_MODIFIED, object);
    return true;
}

/* /GROUP/VERSION/KIND/NAMESPACE/NAME without GROUP for the core kinds and without NAMESPACE for those that have none.
 */
static struct object *find_by_path(struct api *api, struct bytes path)
{
    struct bytes parts[6] = {0}, rest = path, part;
    size_t count = 0;
    while (count < ARRAY_SIZE(parts) && bytes_split(&rest, '/', &part))
        parts[count++] = part;
    for (size_t kind_at = 2; kind_at <= 3 && kind_at + 1 < count; kind_at++) {
        struct bytes version = bytes_of(path.data + 1, (size_t)(parts[kind_at].data - path.data) - 2);
        const struct kind *kind = kind_by_gvk(version, parts[kind_at]);
        if (kind && count == kind_at + (kind->namespaced ? 3 : 2))
            return api_get(api, kind, kind->namespaced ? parts[kind_at + 1] : BYTES_NULL, parts[count - 1]);
    }
    return NULL;
}

static bool apply_record(struct recovery *r, const struct record *record, struct error *err)
{
    if (record->value.data)
        return apply_value(r, record->value, err);
    struct object *object = find_by_path(r->api, record->key);
    if (object)
        apply(r->api, store_collection(r->api, object->kind), API_DELETED,
              object_at_revision(object, record->revision));
    r->api->revision = record->revision;
    return true;
}

static void expire_all(struct api *api, uint64_t revision)
{
    for (size_t i = 0; kind_at(i); i++)
        history_expire(&store_collection(api, kind_at(i))->history, revision);
}

static bool finish_keeping(struct recovery *r, struct error *err)
{
    uint64_t revision = r->api->revision;
    r->keeping = false;
    map_each (entry, &r->latest) {
        struct kept *kept = entry->value;
        if (!apply_value(r, bytes_of(kept->data, kept->size), err))
            return error_wrap(err, BYTES_FORMAT, BYTES_ARGS(map_key(entry)));
    }
    map_deinit(&r->latest, free);
    r->latest = (struct map){0};
    expire_all(r->api, revision);
    r->api->revision = revision;
    return true;
}

static bool recover_record(void *ctx, const struct record *record, struct error *err)
{
    struct recovery *r = ctx;
    if (r->keeping && record->offset >= r->history_from && !finish_keeping(r, err))
        return false;
    if (!r->keeping)
        return apply_record(r, record, err);
    keep(r, record);
    return true;
}

static bool recover(struct recovery *r, struct error *err)
{
    struct partition *partition = r->api->partition;
    int64_t at = partition_log_start_offset(partition), end = partition_high_watermark(partition);
    r->history_from = end - HISTORY_ENTRIES_MAX;
    r->keeping = true;
    while (at < end) {
        struct log_slice slice;
        if (!partition_read(partition, at, 4 << 20, &slice, err))
            return false;
        bool good = slice.count > 0 || error_set(err, ERROR_CORRUPT, "no record at offset %lld", (long long)at);
        for (size_t i = 0; good && i < slice.count; i++)
            good = record_each(slice.parts[i], recover_record, r, err);
        at = slice.next_offset;
        log_slice_release(&slice);
        if (!good)
            return false;
    }
    return !r->keeping || finish_keeping(r, err);
}

static bool read_back(struct api *api, struct error *err)
{
    struct recovery recovery = {.api = api};
    bool good = recover(&recovery, err) || error_wrap(err, "reading the objects back");
    map_deinit(&recovery.latest, free);
    if (good && recovery.unknown > 0)
        diag_warn("api", "%zu records are of kinds that this evoke does not have: they are not served",
                  recovery.unknown);
    return good;
}

/* --- Opening --- */

static bool open_topic(struct api *api, struct error *err)
{
    const struct topic_config_entry configs[] = {
        {BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")},
        {BYTES_LITERAL("max.message.bytes"), BYTES_LITERAL("3149824")}, /* RECORD_SIZE_MAX */
    };
    static_assert(RECORD_SIZE_MAX == 3149824, "the topic's max.message.bytes");
    struct bytes name = BYTES_LITERAL("__objects");
    struct topic *topic = topic_find(api->log, name);
    struct topic_spec spec = {
        .name = name, .partition_count = 1, .internal = true, .configs = configs, .config_count = ARRAY_SIZE(configs)};
    uint64_t lsn;
    if (!topic && !topic_create(api->log, &spec, &topic, &lsn, err))
        return false;
    api->partition = topic_partition(topic, 0);
    return true;
}

struct api *api_open(struct io *io, struct log *log, struct error *err)
{
    struct api *api = NEW(struct api);
    api->io = io;
    api->log = log;
    api->last_collection = &api->first_collection;
    listener_init(api);
    watcher_init(api);
    api->events = event_recorder_new(api);
    api->field_errors = NEW(struct field_errors);
    if (!open_topic(api, err) || !read_back(api, err) || !bootstrap_run(api, err)) {
        api_close(api);
        return NULL;
    }
    return api;
}

static void free_object(void *object)
{
    object_unref(object);
}

void api_close(struct api *api)
{
    if (!api)
        return;
    event_recorder_free(api->events);
    field_errors_deinit(api->field_errors);
    free(api->field_errors);
    watcher_deinit(api);
    listener_deinit(api);
    for (struct collection *collection = api->first_collection, *next; collection; collection = next) {
        next = collection->next;
        history_deinit(&collection->history);
        map_deinit(&collection->objects, free_object);
        free(collection);
    }
    map_deinit(&api->collections, NULL);
    free(api);
}
