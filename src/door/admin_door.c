/* SPDX-License-Identifier: Apache-2.0 */
#include "door/admin_door.h"

#include <assert.h>

#include "base/memory.h"
#include "http/http_server.h"

enum { METRICS_SIZE_MAX = 16 << 20, CONNECTIONS_MAX = 100 };

struct admin_door {
    struct http_server *server;
    char *unhealthy; /* NULL: well */
    struct {
        void (*collect)(void *ctx, struct metrics *metrics);
        void *ctx;
    } collectors[ADMIN_COLLECTORS_MAX];
    size_t collector_count;
};

static void answer_metrics(struct admin_door *door, struct http_request *request)
{
    AUTO_BUF text;
    buf_init(&text, METRICS_SIZE_MAX);
    struct metrics metrics = {.out = &text};
    for (size_t i = 0; i < door->collector_count; i++)
        door->collectors[i].collect(door->collectors[i].ctx, &metrics);
    if (text.overflowed) {
        http_respond_text(request, 500, "the metrics are larger than %d bytes", METRICS_SIZE_MAX);
        return;
    }
    struct http_field type = HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain; version=0.0.4; charset=utf-8"));
    http_respond(request, 200, &type, 1, buf_bytes(&text));
}

static void on_request(void *ctx, struct http_request *request)
{
    struct admin_door *door = ctx;
    const struct http_head *head = request->head;
    bool health = bytes_equal_string(head->path, "/healthz"), metrics = bytes_equal_string(head->path, "/metrics");
    if (!health && !metrics) {
        http_respond_text(request, 404, "there are /healthz and /metrics here");
    } else if (!bytes_equal_string(head->method, "GET") && !bytes_equal_string(head->method, "HEAD")) {
        struct http_field allow = HTTP_FIELD("Allow", BYTES_LITERAL("GET, HEAD"));
        http_respond(request, 405, &allow, 1, BYTES_LITERAL("only GET is allowed\n"));
    } else if (metrics) {
        answer_metrics(door, request);
    } else if (door->unhealthy) {
        http_respond_text(request, 503, "%s", door->unhealthy);
    } else {
        http_respond_text(request, 200, "ok");
    }
}

struct admin_door *admin_door_open(struct io *io, const struct io_address *address, struct error *err)
{
    struct admin_door *door = NEW(struct admin_door);
    struct http_server_options options = {
        .address = *address,
        .name = "admin door",
        .flag = "--listen-admin",
        .connections_max = CONNECTIONS_MAX,
        .on_request = on_request,
        .ctx = door,
    };
    door->unhealthy = memory_string(BYTES_LITERAL("starting"));
    door->server = http_server_open(io, &options, err);
    if (door->server)
        return door;
    admin_door_close(door);
    return NULL;
}

void admin_door_close(struct admin_door *door)
{
    if (!door)
        return;
    http_server_close(door->server);
    free(door->unhealthy);
    free(door);
}

struct io_address admin_door_address(const struct admin_door *door)
{
    return http_server_address(door->server);
}

void admin_door_metrics(const struct admin_door *door, struct http_server_metrics *out)
{
    http_server_metrics(door->server, out);
}

void admin_door_set_unhealthy(struct admin_door *door, const char *why)
{
    free(door->unhealthy);
    door->unhealthy = why ? memory_string(bytes_of_string(why)) : NULL;
}

void admin_door_add_collector(struct admin_door *door, void (*collect)(void *ctx, struct metrics *metrics), void *ctx)
{
    assert(door->collector_count < ADMIN_COLLECTORS_MAX);
    door->collectors[door->collector_count].collect = collect;
    door->collectors[door->collector_count++].ctx = ctx;
}
