/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request becomes events, the events become one frame, and the answer waits for the disk. Nothing is kept about a
 * request but its own memory.
 */
#include "door/events_door.h"

#include <errno.h>

#include "api/kind.h"
#include "base/limits.h"
#include "base/memory.h"
#include "http/http_server.h"
#include "log/event.h"
#include "wire/cloudevents.h"

struct events_door {
    struct api *api;
    struct log *log;
    const struct kind *broker_kind;
    struct http_server *server;
    struct list waiting; /* struct post: appended, not durable yet */
    struct events_door_metrics metrics;
};

/* A request from its head to its answer; lives in the request's arena. */
struct post {
    struct events_door *door;
    struct http_request *request;
    struct bytes namespace, broker;
    enum cloudevent_mode mode;
    struct arena arena; /* for the events: no maximum of its own, as the body has one */
    struct log_waiter waiter;
    struct list link;
};

static void refuse(struct post *post, const struct error *err)
{
    struct events_door_metrics *metrics = &post->door->metrics;
    struct http_field fields[2] = {HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain; charset=utf-8"))};
    size_t field_count = 1;
    int status = http_status_of(err->kind);
    if (err->kind == ERROR_LIMIT)
        status = err->sys == ENOSPC ? 507 : 413;
    else if (err->kind == ERROR_UNSUPPORTED)
        status = 415;
    switch (status) {
    case 404:
        metrics->not_found++;
        break;
    case 413:
        metrics->too_large++;
        break;
    case 415:
        metrics->unsupported++;
        break;
    case 400:
        metrics->invalid++;
        break;
    default:
        metrics->unavailable++;
        fields[field_count++] = HTTP_FIELD("Retry-After", status == 507 ? BYTES_LITERAL("30") : BYTES_LITERAL("1"));
    }
    AUTO_BUF body;
    buf_init(&body, sizeof err->message + 2);
    buf_printf(&body, "%s\n", err->message);
    http_respond(post->request, status, fields, field_count, buf_bytes(&body));
}

/* --- From bytes to the disk --- */

static bool read_events(struct post *post, struct cloudevent **events, size_t *count, struct error *err)
{
    struct http_request *request = post->request;
    if (post->mode == CLOUDEVENT_BATCH)
        return cloudevent_batch_from_json(request->body, &post->arena, events, count, err);
    *events = ARENA_NEW(&post->arena, struct cloudevent);
    *count = 1;
    return cloudevent_from_http(request->head, request->body, &post->arena, *events, err);
}

static struct topic *find_topic(struct post *post, struct error *err)
{
    struct topic *topic = event_topic(post->door->log, post->namespace, post->broker);
    if (!topic)
        error_set(err, ERROR_UNAVAILABLE, "broker " BYTES_FORMAT "/" BYTES_FORMAT " is not ready yet",
                  BYTES_ARGS(post->namespace), BYTES_ARGS(post->broker));
    return topic;
}

static void on_durable(void *ctx, const struct error *err)
{
    struct post *post = ctx;
    list_remove(&post->link);
    if (err) {
        refuse(post, err);
        return;
    }
    http_respond(post->request, 202, NULL, 0, BYTES_LITERAL(""));
}

static bool append_events(struct post *post, struct error *err)
{
    struct events_door *door = post->door;
    struct cloudevent *events;
    struct append *appends;
    size_t event_count, append_count;
    uint64_t lsn;
    struct topic *topic = find_topic(post, err);
    if (!topic || !read_events(post, &events, &event_count, err) ||
        !event_appends(topic, events, event_count, io_wall_ms(api_io(door->api)), &post->arena, &appends, &append_count,
                       err))
        return false;
    if (append_count == 0) /* an empty batch */
        lsn = log_lsn(door->log);
    else if (!log_append(door->log, appends, append_count, &lsn, err))
        return false;
    door->metrics.accepted += event_count;
    door->metrics.bytes += post->request->body.size;
    list_append(&door->waiting, &post->link);
    post->waiter = (struct log_waiter){.run = on_durable, .ctx = post};
    log_wait(door->log, &post->waiter, lsn, LOG_SYNCED);
    return true;
}

static void on_body(struct http_request *request)
{
    struct post *post = request->user;
    struct error err = {0};
    if (!append_events(post, &err))
        refuse(post, &err);
    else
        arena_reset(&post->arena); /* the log has what it needs; many may wait */
}

static void on_too_large(struct http_request *request)
{
    struct error err = {0};
    error_set(&err, ERROR_LIMIT, "an event may have %d bytes", LIMIT_EVENT_SIZE);
    refuse(request->user, &err);
}

/* --- The request's head --- */

static bool parse_path(struct post *post, struct error *err)
{
    struct bytes rest = post->request->head->path, more;
    struct arena *arena = post->request->arena;
    if (!http_path_next(&rest, arena, &post->namespace) || !http_path_next(&rest, arena, &post->broker) ||
        http_path_next(&rest, arena, &more) || rest.data)
        return error_set(err, ERROR_NOT_FOUND, "events are posted to /<namespace>/<broker>");
    if (!api_get(post->door->api, post->door->broker_kind, post->namespace, post->broker))
        return error_set(err, ERROR_NOT_FOUND, "there is no broker " BYTES_FORMAT " in the namespace " BYTES_FORMAT,
                         BYTES_ARGS(bytes_slice(post->broker, 0, 100)),
                         BYTES_ARGS(bytes_slice(post->namespace, 0, 100)));
    return true;
}

static bool check_coding(const struct http_head *head, struct error *err)
{
    struct bytes coding = http_head_get(head, "Content-Encoding");
    if (coding.size > 0 && !bytes_equal_ignore_case(coding, BYTES_LITERAL("identity")))
        return error_set(err, ERROR_UNSUPPORTED, "the Content-Encoding " BYTES_FORMAT " is not known here",
                         BYTES_ARGS(bytes_slice(coding, 0, 50)));
    return true;
}

/* CloudEvents' HTTP 1.1 Web Hooks for Event Delivery, section 4: anybody may deliver, as fast as they like. */
static void answer_options(struct http_request *request)
{
    struct http_field fields[3] = {HTTP_FIELD("Allow", BYTES_LITERAL("POST, OPTIONS"))};
    size_t count = 1;
    struct bytes origin = http_head_get(request->head, "WebHook-Request-Origin");
    if (origin.data) {
        fields[count++] = HTTP_FIELD("WebHook-Allowed-Origin", origin);
        fields[count++] = HTTP_FIELD("WebHook-Allowed-Rate", BYTES_LITERAL("*"));
    }
    http_respond(request, 200, fields, count, BYTES_LITERAL(""));
}

static void deinit_arena(void *arena)
{
    arena_deinit(arena);
}

static struct post *post_new(struct events_door *door, struct http_request *request)
{
    struct post *post = ARENA_NEW(request->arena, struct post);
    post->door = door;
    post->request = request;
    post->mode = cloudevent_http_mode(request->head);
    arena_init(&post->arena, 0);
    arena_add_cleanup(request->arena, deinit_arena, &post->arena);
    request->user = post;
    return post;
}

static void on_request(void *ctx, struct http_request *request)
{
    struct events_door *door = ctx;
    struct bytes method = request->head->method;
    struct error err = {0};
    if (bytes_equal_string(method, "OPTIONS")) {
        answer_options(request);
        return;
    }
    if (!bytes_equal_string(method, "POST")) {
        struct http_field allow = HTTP_FIELD("Allow", BYTES_LITERAL("POST, OPTIONS"));
        http_respond(request, 405, &allow, 1, BYTES_LITERAL("events are posted, to /<namespace>/<broker>\n"));
        return;
    }
    struct post *post = post_new(door, request);
    if (!parse_path(post, &err) || !check_coding(request->head, &err))
        refuse(post, &err);
    else
        http_request_read_body(request, LIMIT_EVENT_SIZE, on_body, on_too_large);
}

/* --- The door --- */

struct events_door *events_door_open(struct api *api, const struct io_address *address, struct error *err)
{
    struct events_door *door = NEW(struct events_door);
    struct http_server_options options = {
        .address = *address,
        .name = "events door",
        .flag = "--listen-http",
        .on_request = on_request,
        .ctx = door,
    };
    door->api = api;
    door->log = api_log(api);
    door->broker_kind = kind_by_name("Broker");
    list_init(&door->waiting);
    door->server = http_server_open(api_io(api), &options, err);
    if (door->server)
        return door;
    free(door);
    return NULL;
}

void events_door_close(struct events_door *door)
{
    if (!door)
        return;
    http_server_close(door->server);
    while (!list_empty(&door->waiting)) {
        struct post *post = LIST_FIRST(&door->waiting, struct post, link);
        list_remove(&post->link);
        log_wait_cancel(&post->waiter);
        http_respond(post->request, 503, NULL, 0, BYTES_LITERAL("")); /* nobody hears it, but it ends the request */
    }
    free(door);
}

struct io_address events_door_address(const struct events_door *door)
{
    return http_server_address(door->server);
}

void events_door_metrics(const struct events_door *door, struct events_door_metrics *out)
{
    *out = door->metrics;
    http_server_metrics(door->server, &out->http);
}
