/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: one JSON document a line, for as long as the client stays or its timeout says. A slow client is not pushed:
 * when its queue is full the watch waits in the kind's history, and if that moves on without it, it gets ERROR 410 and
 * lists again.
 *
 * sendInitialEvents (WatchList): what is there as ADDED, then at once the bookmark that says so.
 */
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "door/kube_call.h"
#include "io/stream.h"

enum {
    BOOKMARK_INTERVAL_MS = 60 * 1000,
    TIMEOUT_MIN_S = 1800, /* unless the client says: a random time up to twice this, so that clients spread */
    PIECE_SIZE = 64 << 10,
};

struct stream {
    struct kube_call *call;
    struct list link; /* in door->streams */
    struct kube_selection selection;
    struct watcher *watch;
    struct io_timer timeout;
    bool bookmarks;
    bool initial_end; /* the end of the initial events gets its bookmark */
    bool table_begun; /* the columns have been sent */
    uint64_t bookmarked;
};

static void stream_deinit(struct stream *stream)
{
    struct kube_door *door = stream->call->door;
    if (!list_linked(&stream->link))
        return;
    list_remove(&stream->link);
    door->watch_count--;
    io_timer_stop(&stream->timeout);
    watcher_close(stream->watch);
    kube_selection_deinit(&stream->selection);
    if (door->watch_count == 0)
        io_timer_stop(&door->bookmarks);
}

static void on_close(struct http_request *request)
{
    struct kube_call *call = request->user;
    stream_deinit(call->stream);
}

static void end_stream(struct stream *stream)
{
    struct http_request *request = stream->call->request;
    stream_deinit(stream);
    http_response_end(request);
}

/* --- Events as lines --- */

static void append_event(struct buf *out, const char *type, const struct json *object)
{
    buf_printf(out, "{\"type\":\"%s\",\"object\":", type);
    json_print(object, out);
    buf_append_string(out, "}\n");
}

static struct json *as_table(struct stream *stream, const struct json *object)
{
    struct kube_call *call = stream->call;
    struct json *table = table_print(call->target.kind, &object, 1, json_get(object, "metadata"), call->include,
                                     io_wall_ms(call->door->io) / 1000, !stream->table_begun);
    stream->table_begun = true;
    return table;
}

static void append_change(struct stream *stream, struct buf *out, const struct watcher_event *event)
{
    static const char *const types[] = {"ADDED", "MODIFIED", "DELETED"};
    const struct object *object = event->object;
    if (stream->call->form == KUBE_PLAIN) {
        buf_printf(out, "{\"type\":\"%s\",\"object\":", types[event->type]);
        kube_print_object(stream->call, object, out);
        buf_append_string(out, "}\n");
        return;
    }
    AUTO_JSON *json =
        stream->call->form == KUBE_TABLE ? as_table(stream, object->json) : table_partial_metadata(object->json);
    append_event(out, types[event->type], json);
}

static struct json *bookmark_of(struct stream *stream, uint64_t revision, bool initial_end)
{
    const struct kind *kind = stream->call->target.kind;
    bool partial = stream->call->form == KUBE_PARTIAL;
    struct json *json = json_new_object(), *metadata = json_new_object();
    json_set(json, "kind", json_new_text(partial ? "PartialObjectMetadata" : kind->kind));
    json_set(json, "apiVersion", json_new_text(partial ? "meta.k8s.io/v1" : kind_api_version(kind)));
    json_set(json, "metadata", metadata);
    json_set(metadata, "resourceVersion", json_new_format("%llu", (unsigned long long)revision));
    json_set(metadata, "creationTimestamp", json_new_null());
    if (initial_end) {
        struct json *annotations = json_new_object();
        json_set(annotations, "k8s.io/initial-events-end", json_new_text("true"));
        json_set(metadata, "annotations", annotations);
    }
    return json;
}

static void append_bookmark(struct stream *stream, struct buf *out, uint64_t revision, bool initial_end)
{
    AUTO_JSON *bookmark = bookmark_of(stream, revision, initial_end);
    if (stream->call->form == KUBE_TABLE) {
        AUTO_JSON *table = as_table(stream, bookmark);
        append_event(out, "BOOKMARK", table);
    } else {
        append_event(out, "BOOKMARK", bookmark);
    }
    stream->bookmarked = revision;
}

static void append_error(struct stream *stream, struct buf *out, const struct error *err)
{
    int code;
    AUTO_JSON *status = kube_status_of(stream->call, err, &code);
    append_event(out, "ERROR", status);
}

/* --- Sending --- */

/* What there is, up to a piece; false: the watch has come to its end, which `out` says last. */
static bool fill(struct stream *stream, struct buf *out)
{
    struct watcher_event event;
    struct error err;
    bool got = true;
    while (got && out->size < PIECE_SIZE) {
        if (!watcher_next(stream->watch, &event, &got, &err)) {
            append_error(stream, out, &err);
            return false;
        }
        if (got && event.type != WATCHER_INITIAL_END)
            append_change(stream, out, &event);
        else if (got && stream->initial_end)
            append_bookmark(stream, out, event.revision, true);
        if (got)
            object_unref(event.object);
    }
    return true;
}

static void send_more(struct stream *stream)
{
    struct http_request *request = stream->call->request;
    AUTO_BUF out;
    buf_init(&out, SIZE_MAX);
    bool more = true;
    while (more && list_linked(&stream->link) && http_response_queued(request) < IO_STREAM_QUEUE_HIGH) {
        buf_reset(&out);
        bool open = fill(stream, &out);
        more = open && out.size > 0;
        if (out.size > 0)
            http_response_write(request, buf_bytes(&out));
        if (!open && list_linked(&stream->link))
            end_stream(stream);
    }
}

static void on_ready(void *ctx)
{
    send_more(ctx);
}

static void on_drain(struct http_request *request)
{
    struct kube_call *call = request->user;
    send_more(call->stream);
}

static void send_bookmark(struct stream *stream)
{
    uint64_t revision = watcher_revision(stream->watch);
    if (!stream->bookmarks || revision <= stream->bookmarked ||
        http_response_queued(stream->call->request) >= IO_STREAM_QUEUE_HIGH)
        return;
    AUTO_BUF out;
    buf_init(&out, SIZE_MAX);
    append_bookmark(stream, &out, revision, false);
    http_response_write(stream->call->request, buf_bytes(&out));
}

/* One timer for all watches; it rests while there is none. */
void kube_watch_bookmarks(void *ctx)
{
    struct kube_door *door = ctx;
    list_each (struct stream, stream, &door->streams, link) {
        send_bookmark(stream);
    }
    if (door->watch_count > 0)
        io_timer_start(&door->bookmarks, BOOKMARK_INTERVAL_MS);
}

static void on_timeout(void *ctx)
{
    struct stream *stream = ctx;
    send_bookmark(stream);
    if (list_linked(&stream->link))
        end_stream(stream);
}

void kube_watch_close_all(struct kube_door *door)
{
    list_each (struct stream, stream, &door->streams, link) {
        end_stream(stream);
    }
}

/* --- Beginning --- */

/* sendInitialEvents comes with resourceVersionMatch=NotOlderThan and with bookmarks, or not at all. */
static bool read_initial(struct kube_call *call, struct stream *stream, bool *initial, struct error *err)
{
    struct bytes match = kube_query(call, "resourceVersionMatch");
    struct bytes wanted = kube_query(call, "sendInitialEvents");
    *initial = kube_query_bool(call, "sendInitialEvents");
    if (!wanted.data) {
        if (match.size == 0)
            return true;
        return error_set(err, ERROR_INVALID,
                         "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
                         "sendInitialEvents is provided");
    }
    if (!bytes_equal_string(match, "NotOlderThan"))
        return error_set(err, ERROR_INVALID,
                         "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                         "NotOlderThan");
    stream->initial_end = *initial && stream->bookmarks;
    return true;
}

/* Without a resourceVersion, or from 0, a watch begins with what is there. */
static bool read_place(struct kube_call *call, struct stream *stream, struct error *err)
{
    struct watcher_options *options = &stream->selection.options;
    struct bytes text = kube_query(call, "resourceVersion");
    bool initial;
    if (text.size > 0 && !bytes_to_u64(text, &options->resource_version)) {
        error_set(err, ERROR_INVALID, "resourceVersion: Invalid value: \"" BYTES_FORMAT "\"", BYTES_ARGS(text));
        err->sys = EBADMSG;
        return false;
    }
    if (!read_initial(call, stream, &initial, err))
        return false;
    bool asked = kube_query(call, "sendInitialEvents").data;
    if (asked && initial && options->resource_version > api_revision(call->api))
        return error_set(err, ERROR_TIMEOUT, "Too large resource version: %llu, current: %llu",
                         (unsigned long long)options->resource_version, (unsigned long long)api_revision(call->api));
    options->initial = asked ? initial : options->resource_version == 0;
    if (!options->initial && options->resource_version == 0)
        options->resource_version = api_revision(call->api);
    return true;
}

/* A watch on one object by its path is a watch with a selector for its name. */
static bool select_name(struct kube_call *call, struct stream *stream, struct error *err)
{
    if (call->target.name.size == 0)
        return true;
    field_selector_free(stream->selection.fields);
    stream->selection.fields = NULL;
    const char *text = arena_printf(call->arena, "metadata.name=" BYTES_FORMAT, BYTES_ARGS(call->target.name));
    if (!field_selector_parse(call->target.kind, bytes_of_string(text), &stream->selection.fields, err))
        return false;
    stream->selection.options.fields = stream->selection.fields;
    return true;
}

static bool open_watch(struct kube_call *call, struct stream *stream, struct error *err)
{
    if (!kube_selection_init(call, &stream->selection, err) || !select_name(call, stream, err) ||
        !read_place(call, stream, err))
        return false;
    stream->selection.options.on_ready = on_ready;
    stream->selection.options.ctx = stream;
    stream->watch = watcher_open(call->api, &stream->selection.options, err);
    return stream->watch != NULL;
}

static uint64_t timeout_ms(struct kube_call *call, int64_t seconds)
{
    if (seconds <= 0 || seconds > 24 * 3600)
        return (TIMEOUT_MIN_S + io_random_below(call->door->io, TIMEOUT_MIN_S)) * 1000;
    return (uint64_t)seconds * 1000;
}

static void begin(struct kube_call *call)
{
    struct http_field fields[] = {HTTP_FIELD("Content-Type", BYTES_LITERAL("application/json"))};
    http_response_begin(call->request, 200, fields, ARRAY_SIZE(fields));
    http_response_on_drain(call->request, on_drain);
}

/* The past is gone: that is told in the stream, where clients expect it. */
static void respond_gone(struct kube_call *call, struct stream *stream, const struct error *err)
{
    AUTO_BUF out;
    buf_init(&out, SIZE_MAX);
    begin(call);
    append_error(stream, &out, err);
    http_response_write(call->request, buf_bytes(&out));
    http_response_end(call->request);
}

void kube_watch(struct kube_call *call)
{
    struct error err;
    int64_t seconds = 0;
    struct stream *stream = ARENA_NEW(call->arena, struct stream);
    stream->call = call;
    call->stream = stream;
    stream->bookmarks = kube_query_bool(call, "allowWatchBookmarks");
    if (!kube_query_int(call, "timeoutSeconds", &seconds, &err) || !open_watch(call, stream, &err)) {
        kube_selection_deinit(&stream->selection);
        if (err.kind == ERROR_GONE)
            respond_gone(call, stream, &err);
        else
            kube_respond_error(call, &err);
        return;
    }
    struct kube_door *door = call->door;
    list_append(&door->streams, &stream->link);
    if (door->watch_count++ == 0)
        io_timer_start(&door->bookmarks, BOOKMARK_INTERVAL_MS);
    io_timer_init(door->io, &stream->timeout, on_timeout, stream);
    io_timer_start(&stream->timeout, timeout_ms(call, seconds));
    http_request_on_close(call->request, on_close);
    begin(call);
    send_more(stream);
}
