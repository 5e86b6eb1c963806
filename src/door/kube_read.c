/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get and list. Objects are sent as the bytes that are stored; only Tables and PartialObjectMetadata are made for the
 * occasion. Nothing is shown before it is on disk.
 *
 * A list in pages (limit, continue) shows the moment of its first page: what has changed since is undone with the help
 * of the kind's history, and when that does not reach back any more the answer is 410 with a token that goes on with
 * the present.
 */
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "door/kube_call.h"
#include "io/stream.h"

/* --- Get --- */

static bool not_found(struct kube_call *call, struct error *err)
{
    const struct kind *kind = call->target.kind;
    return error_set(err, ERROR_NOT_FOUND, "%s%s%s \"" BYTES_FORMAT "\" not found", kind->plural,
                     kind->group[0] ? "." : "", kind->group, BYTES_ARGS(call->target.name));
}

void kube_get(struct kube_call *call)
{
    struct error err;
    struct object *object = api_get(call->api, call->target.kind, call->target.namespace, call->target.name);
    if (!object) {
        not_found(call, &err);
        kube_respond_error(call, &err);
        return;
    }
    kube_respond_durable(call, 200, object_ref(object));
}

/* --- Selection --- */

bool kube_selection_init(struct kube_call *call, struct kube_selection *selection, struct error *err)
{
    *selection = (struct kube_selection){0};
    if (!label_selector_parse(kube_query(call, "labelSelector"), &selection->labels, err) ||
        !field_selector_parse(call->target.kind, kube_query(call, "fieldSelector"), &selection->fields, err)) {
        kube_selection_deinit(selection);
        err->sys = err->kind == ERROR_INVALID ? EBADMSG : 0;
        return false;
    }
    selection->options = (struct watcher_options){.kind = call->target.kind,
                                                  .namespace = call->target.namespace,
                                                  .labels = selection->labels,
                                                  .fields = selection->fields};
    return true;
}

void kube_selection_deinit(struct kube_selection *selection)
{
    label_selector_free(selection->labels);
    field_selector_free(selection->fields);
    *selection = (struct kube_selection){0};
}

/* --- List --- */

struct listing {
    struct kube_call *call;
    struct kube_selection selection;
    struct object **objects; /* held */
    size_t count, capacity, at;
    uint64_t revision; /* of the moment that is shown */
    int64_t limit;
    bool more; /* there are further pages */
    size_t remaining;
};

static void listing_deinit(void *ctx)
{
    struct listing *listing = ctx;
    for (size_t i = 0; i < listing->count; i++)
        object_unref(listing->objects[i]);
    free(listing->objects);
    kube_selection_deinit(&listing->selection);
    listing->objects = NULL;
    listing->count = 0;
}

static void add(struct listing *listing, struct object *object)
{
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity ? listing->capacity * 2 : 64;
        listing->objects = memory_resize_array(listing->objects, listing->capacity, sizeof *listing->objects);
    }
    listing->objects[listing->count++] = object_ref(object);
}

/* revision, namespace and name of the page's last object. */
static struct bytes continue_token(struct listing *listing)
{
    const struct object *last = listing->objects[listing->count - 1];
    AUTO_BUF plain, token;
    buf_init(&plain, 1024);
    buf_init(&token, 2048);
    buf_printf(&plain, "%llu/" BYTES_FORMAT "/" BYTES_FORMAT, (unsigned long long)listing->revision,
               BYTES_ARGS(last->namespace), BYTES_ARGS(last->name));
    text_append_base64url(&token, buf_bytes(&plain));
    return arena_copy(listing->call->arena, buf_bytes(&token));
}

struct place {
    struct bytes namespace, name;
};

static bool read_token(struct kube_call *call, struct bytes token, struct listing *listing, struct place *place,
                       struct error *err)
{
    AUTO_BUF plain;
    struct bytes revision;
    buf_init(&plain, 1024);
    struct bytes rest = BYTES_NULL;
    if (text_decode_base64(token, &plain))
        rest = arena_copy(call->arena, buf_bytes(&plain));
    if (rest.data && bytes_split(&rest, '/', &revision) && bytes_to_u64(revision, &listing->revision) && rest.data &&
        bytes_split(&rest, '/', &place->namespace) && rest.data) {
        place->name = rest;
        return true;
    }
    error_set(err, ERROR_INVALID, "continue key is not valid");
    err->sys = EBADMSG;
    return false;
}

static bool is_behind(const struct object *object, const struct place *place)
{
    int order = bytes_compare(object->namespace, place->namespace);
    return order > 0 || (order == 0 && bytes_compare(object->name, place->name) > 0);
}

/* All that match and lie behind `place`; the page is cut off it. */
static void gather(struct listing *listing, const struct place *place, struct api_snapshot *snapshot)
{
    bool cut = listing->limit > 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        struct object *object = snapshot->objects[i];
        if ((place && !is_behind(object, place)) || !watcher_selects(&listing->selection.options, object))
            continue;
        if (cut && listing->count == (size_t)listing->limit)
            listing->remaining++;
        else
            add(listing, object);
    }
    listing->more = listing->remaining > 0;
}

static bool read_revision(struct kube_call *call, struct listing *listing, struct error *err)
{
    struct bytes text = kube_query(call, "resourceVersion"), match = kube_query(call, "resourceVersionMatch");
    uint64_t revision = 0;
    listing->revision = api_revision(call->api);
    if (text.size > 0 && !bytes_to_u64(text, &revision)) {
        error_set(err, ERROR_INVALID, "resourceVersion: Invalid value: \"" BYTES_FORMAT "\"", BYTES_ARGS(text));
        err->sys = EBADMSG;
        return false;
    }
    if (revision > listing->revision)
        return error_set(err, ERROR_TIMEOUT, "Too large resource version: %llu, current: %llu",
                         (unsigned long long)revision, (unsigned long long)listing->revision);
    if (bytes_equal_string(match, "Exact") && revision > 0)
        listing->revision = revision;
    return true;
}

static bool collect(struct listing *listing, struct error *err)
{
    struct kube_call *call = listing->call;
    struct bytes token = kube_query(call, "continue");
    struct place place;
    listing->limit = 0;
    if (!kube_query_int(call, "limit", &listing->limit, err) || !kube_selection_init(call, &listing->selection, err) ||
        !(token.size > 0 ? read_token(call, token, listing, &place, err) : read_revision(call, listing, err)))
        return false;
    struct api_snapshot snapshot;
    if (!api_snapshot_take(call->api, call->target.kind, listing->revision, &snapshot, err))
        return false;
    gather(listing, token.size > 0 ? &place : NULL, &snapshot);
    api_snapshot_deinit(&snapshot);
    return true;
}

static struct json *list_metadata(struct listing *listing)
{
    struct json *metadata = json_new_object();
    json_set(metadata, "resourceVersion", json_new_format("%llu", (unsigned long long)listing->revision));
    if (!listing->more)
        return metadata;
    json_set(metadata, "continue", json_new_string(continue_token(listing)));
    if (!listing->selection.labels && !listing->selection.fields)
        json_set(metadata, "remainingItemCount", json_new_int((int64_t)listing->remaining));
    return metadata;
}

/* --- Sending --- */

static void append_list_head(struct listing *listing, const char *api_version, const char *kind, struct buf *out)
{
    AUTO_JSON *metadata = list_metadata(listing);
    buf_printf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":", kind, api_version);
    json_print(metadata, out);
    buf_append_string(out, ",\"items\":[");
}

static void append_item(struct listing *listing, size_t i, struct buf *out)
{
    if (i > 0)
        buf_append_byte(out, ',');
    if (listing->call->form != KUBE_PARTIAL) {
        kube_print_object(listing->call, listing->objects[i], out);
        return;
    }
    AUTO_JSON *partial = table_partial_metadata(listing->objects[i]->json);
    json_print(partial, out);
}

/* Piece by piece, as fast as the client takes it. */
static void send_more(struct http_request *request)
{
    struct kube_call *call = request->user;
    struct listing *listing = call->listing;
    AUTO_BUF piece;
    buf_init(&piece, SIZE_MAX);
    while (listing->at < listing->count && http_response_queued(request) < IO_STREAM_QUEUE_HIGH) {
        buf_reset(&piece);
        while (listing->at < listing->count && piece.size < (64 << 10))
            append_item(listing, listing->at++, &piece);
        http_response_write(request, buf_bytes(&piece));
    }
    if (listing->at < listing->count)
        return;
    http_response_write(request, BYTES_LITERAL("]}\n"));
    http_response_end(request);
}

static size_t text_size(const struct listing *listing)
{
    size_t size = 0;
    for (size_t i = 0; i < listing->count; i++)
        size += object_text(listing->objects[i]).size;
    return size;
}

static void send_items(struct kube_call *call)
{
    struct listing *listing = call->listing;
    AUTO_BUF text;
    buf_init(&text, SIZE_MAX);
    if (call->form == KUBE_PARTIAL) {
        append_list_head(listing, "meta.k8s.io/v1", "PartialObjectMetadataList", &text);
    } else {
        char kind[128];
        snprintf(kind, sizeof kind, "%sList", call->target.kind->kind);
        append_list_head(listing, kind_api_version(call->target.kind), kind, &text);
    }
    if (text_size(listing) > IO_STREAM_QUEUE_HIGH) {
        struct http_field fields[] = {HTTP_FIELD("Content-Type", BYTES_LITERAL("application/json"))};
        http_response_begin(call->request, 200, fields, ARRAY_SIZE(fields));
        http_response_write(call->request, buf_bytes(&text));
        http_response_on_drain(call->request, send_more);
        send_more(call->request);
        return;
    }
    for (size_t i = 0; i < listing->count; i++)
        append_item(listing, i, &text);
    buf_append_string(&text, "]}\n");
    kube_respond_bytes(call, 200, "application/json", buf_bytes(&text));
}

static void send_table(struct kube_call *call)
{
    struct listing *listing = call->listing;
    AUTO_JSON *metadata = list_metadata(listing);
    const struct json **rows = memory_new_array(listing->count + 1, sizeof *rows);
    for (size_t i = 0; i < listing->count; i++)
        rows[i] = listing->objects[i]->json;
    struct json *table = table_print(call->target.kind, rows, listing->count, metadata, call->include,
                                     io_wall_ms(call->door->io) / 1000, true);
    free(rows);
    kube_respond_json(call, 200, table);
}

/* The token of an answer 410: from the same place on, in the present. */
static void respond_expired(struct kube_call *call, struct listing *listing, const struct error *err)
{
    struct bytes token = kube_query(call, "continue");
    struct place place;
    struct error ignored;
    int code;
    struct json *status = kube_status_of(call, err, &code);
    if (token.size > 0 && read_token(call, token, listing, &place, &ignored)) {
        AUTO_BUF plain, fresh;
        buf_init(&plain, 1024);
        buf_init(&fresh, 2048);
        buf_printf(&plain, "%llu/" BYTES_FORMAT "/" BYTES_FORMAT, (unsigned long long)api_revision(call->api),
                   BYTES_ARGS(place.namespace), BYTES_ARGS(place.name));
        text_append_base64url(&fresh, buf_bytes(&plain));
        json_set_at(status, "metadata.continue", json_new_string(buf_bytes(&fresh)));
    }
    kube_respond_json(call, code, status);
}

void kube_list(struct kube_call *call)
{
    struct error err;
    struct listing *listing = ARENA_NEW(call->arena, struct listing);
    listing->call = call;
    call->listing = listing;
    arena_add_cleanup(call->arena, listing_deinit, listing);
    if (!collect(listing, &err)) {
        if (err.kind == ERROR_GONE)
            respond_expired(call, listing, &err);
        else
            kube_respond_error(call, &err);
        return;
    }
    kube_when_durable(call, listing->revision, call->form == KUBE_TABLE ? send_table : send_items);
}
