/* SPDX-License-Identifier: Apache-2.0 */
/* pods/log: the node reads, this file asks and passes on as fast as the client takes it. */
#include <errno.h>

#include "base/memory.h"
#include "base/text.h"
#include "door/kube_call.h"
#include "io/stream.h"

struct log_stream {
    struct kube_call *call;
    struct list link; /* in door->log_streams */
    void *log;
    bool paused;
};

static void stream_deinit(struct log_stream *stream)
{
    if (!list_linked(&stream->link))
        return;
    list_remove(&stream->link);
    stream->call->door->logs.close(stream->log);
}

static void on_close(struct http_request *request)
{
    struct kube_call *call = request->user;
    stream_deinit(call->log_stream);
}

static void begin(struct log_stream *stream)
{
    struct http_field fields[] = {HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain"))};
    http_response_begin(stream->call->request, 200, fields, ARRAY_SIZE(fields));
}

static void on_drain(struct http_request *request)
{
    struct kube_call *call = request->user;
    struct log_stream *stream = call->log_stream;
    if (stream->paused)
        call->door->logs.resume(stream->log);
    stream->paused = false;
}

static void on_data(void *ctx, struct bytes text)
{
    struct log_stream *stream = ctx;
    struct kube_call *call = stream->call;
    http_response_write(call->request, text);
    if (list_linked(&stream->link) && !stream->paused && http_response_queued(call->request) >= IO_STREAM_QUEUE_HIGH) {
        stream->paused = true;
        call->door->logs.pause(stream->log);
    }
}

static void on_end(void *ctx, const struct error *err)
{
    struct log_stream *stream = ctx;
    struct http_request *request = stream->call->request;
    stream_deinit(stream);
    if (err)
        http_response_abort(request);
    else
        http_response_end(request);
}

void kube_logs_close_all(struct kube_door *door)
{
    list_each (struct log_stream, stream, &door->log_streams, link) {
        struct http_request *request = stream->call->request;
        stream_deinit(stream);
        http_response_abort(request);
    }
}

static bool read_options(struct kube_call *call, struct kube_log_options *out, struct error *err)
{
    int64_t since_s = 0;
    struct bytes since_time = kube_query(call, "sinceTime");
    *out = (struct kube_log_options){.container = kube_query(call, "container"),
                                     .follow = kube_query_bool(call, "follow"),
                                     .previous = kube_query_bool(call, "previous"),
                                     .timestamps = kube_query_bool(call, "timestamps"),
                                     .tail_lines = -1,
                                     .limit_bytes = -1};
    if (!kube_query_int(call, "tailLines", &out->tail_lines, err) ||
        !kube_query_int(call, "limitBytes", &out->limit_bytes, err) ||
        !kube_query_int(call, "sinceSeconds", &since_s, err))
        return false;
    if (out->tail_lines < -1 || out->limit_bytes < -1 || since_s < 0)
        return error_set(err, ERROR_INVALID, "tailLines, limitBytes and sinceSeconds are not negative");
    if (since_s > 0 && since_s < INT64_MAX / 1000000000)
        out->since_ns = io_wall_ns(call->door->io) - since_s * 1000000000;
    return since_time.size == 0 || text_parse_time_ns(since_time, &out->since_ns) ||
           error_set(err, ERROR_INVALID, "sinceTime is not an RFC 3339 time");
}

void kube_logs(struct kube_call *call)
{
    static const struct kube_log_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct error err;
    struct kube_log_options options;
    const struct kube_pod_logs *logs = &call->door->logs;
    struct log_stream *stream = ARENA_NEW(call->arena, struct log_stream);
    stream->call = call;
    call->log_stream = stream;
    if (!logs->open) {
        kube_respond_status(call, 503, "ServiceUnavailable", "no node runs here that could tell what the pod writes");
        return;
    }
    if (read_options(call, &options, &err))
        stream->log =
            logs->open(logs->node, call->target.namespace, call->target.name, &options, &callbacks, stream, &err);
    if (!stream->log) {
        err.sys = err.kind == ERROR_INVALID ? EBADMSG : err.sys;
        kube_respond_error(call, &err);
        return;
    }
    list_append(&call->door->log_streams, &stream->link);
    http_request_on_close(call->request, on_close);
    http_response_on_drain(call->request, on_drain);
    begin(stream);
}
