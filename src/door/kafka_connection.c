/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection: frames in, requests to their handlers, answers out in the order of the requests.
 *
 * A request lives in its connection's list from its frame's last byte until its answer has been handed to the stream.
 * The answer of one that is not the oldest waits in the list, encoded. Answers go to the stream only while its queue is
 * short, so a peer that does not read holds a bounded amount: then it is not read either.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_quota.h"

enum { LENGTH_SIZE = 4, FRAME_AHEAD_MAX = 1 << 20 };
/* Who has had this much of the core thread lets others go first, even if more of its requests are here. */
enum { TURN_NS = 500000 };

struct kafka_connection {
    struct kafka_door *door;
    struct io_stream *stream;
    struct list link;
    struct list requests;
    size_t request_count;
    struct buf in;   /* the frame that is arriving, with its length */
    struct buf rest; /* what came while no more was to be read */
    size_t held;     /* bytes of `in`, `rest`, of the requests' frames and of what they were decoded to */
    bool paused;
    struct list waiting;           /* in the door's, while `held` of all is too much */
    struct io_deferred proceed;    /* with `rest` */
    struct kafka_request *running; /* whose handler is on the stack */
    struct kafka_request *alone;   /* no more requests are taken before it goes on */
    struct io_timer unmute;        /* runs while its client is above a quota */
    struct io_timer turn;          /* runs, without a delay, when its turn is over */
    bool busy;                     /* consume() is on the stack */
    bool ended;                    /* freed when it is no longer busy */
    uint64_t active_ms;
    struct io_timer idle;
};

/* --- The end --- */

static void pin_unref(void *owner)
{
    struct kafka_pin *pin = owner;
    if (--pin->refs == 0)
        pin->release(pin);
}

/* What arrives is not counted here: a frame that nobody ends would keep all others from beginning. */
static bool door_is_full(const struct kafka_door *door)
{
    return door->held - door->arriving >= door->options.request_bytes_max;
}

static void hold(struct kafka_connection *connection, size_t size)
{
    connection->held += size;
    connection->door->held += size;
}

static void unhold(struct kafka_connection *connection, size_t size)
{
    struct kafka_door *door = connection->door;
    connection->held -= size;
    door->held -= size;
    if (!list_empty(&door->waiting) && !door_is_full(door))
        io_defer(&door->resume);
}

/* What is not a whole request yet. */
static void hold_arriving(struct kafka_connection *connection, size_t size)
{
    hold(connection, size);
    connection->door->arriving += size;
}

static void unhold_arriving(struct kafka_connection *connection, size_t size)
{
    connection->door->arriving -= size;
    unhold(connection, size);
}

static void request_free(struct kafka_request *request)
{
    if (request->cancel)
        request->cancel(request);
    if (request->connection->running == request)
        request->connection->running = NULL;
    if (request->connection->alone == request)
        request->connection->alone = NULL;
    if (request->pin)
        pin_unref(request->pin);
    list_remove(&request->link);
    request->connection->request_count--;
    unhold(request->connection, request->held);
    arena_deinit(&request->arena);
    buf_deinit(&request->out);
    free((void *)(uintptr_t)request->frame.data);
    free(request);
}

static void connection_free(struct kafka_connection *connection)
{
    buf_deinit(&connection->in);
    buf_deinit(&connection->rest);
    free(connection);
}

/* `close` is io_stream_close or io_stream_close_after_write. */
static void end(struct kafka_connection *connection, void (*close)(struct io_stream *stream))
{
    if (connection->ended)
        return;
    connection->ended = true;
    list_each (struct kafka_request, request, &connection->requests, link)
        request_free(request);
    unhold_arriving(connection, connection->in.size + connection->rest.size);
    io_timer_stop(&connection->idle);
    io_timer_stop(&connection->unmute);
    io_timer_stop(&connection->turn);
    io_deferred_cancel(&connection->proceed);
    list_remove(&connection->link);
    list_remove(&connection->waiting);
    connection->door->metrics.connections--;
    close(connection->stream);
    if (!connection->busy)
        connection_free(connection);
}

static void end_badly(struct kafka_connection *connection, const char *why)
{
    char peer[IO_ADDRESS_TEXT_SIZE];
    struct io_address address = io_stream_peer(connection->stream);
    io_address_format(&address, peer);
    diag_warn("door", "kafka: connection of %s ended: %s", peer, why);
    end(connection, io_stream_close);
}

void kafka_connection_end_all(struct kafka_door *door)
{
    list_each (struct kafka_connection, connection, &door->connections, link)
        end(connection, io_stream_close);
}

/* --- Answers --- */

/* While this is so, no more of its requests are taken. */
static bool is_full(const struct kafka_connection *connection)
{
    const struct kafka_door *door = connection->door;
    return connection->alone || connection->request_count >= KAFKA_DOOR_REQUESTS_MAX ||
           io_timer_active(&connection->unmute) || io_timer_active(&connection->turn) ||
           connection->held - connection->in.size - connection->rest.size >= KAFKA_CONNECTION_HELD_MAX ||
           io_stream_queued(connection->stream) >= IO_STREAM_QUEUE_HIGH ||
           (connection->in.size == 0 && door_is_full(door));
}

static void update_pause(struct kafka_connection *connection)
{
    struct kafka_door *door = connection->door;
    bool full = is_full(connection), pause = full || connection->rest.size > 0;
    if (full && door_is_full(door) && !list_linked(&connection->waiting))
        list_append(&door->waiting, &connection->waiting);
    if (!full && connection->rest.size > 0)
        io_defer(&connection->proceed);
    if (pause == connection->paused)
        return;
    connection->paused = pause;
    if (pause)
        io_stream_pause(connection->stream);
    else
        io_stream_resume(connection->stream);
    door->metrics.paused += pause;
}

void kafka_hold_others(struct kafka_request *request)
{
    request->connection->alone = request;
}

void kafka_take_others(struct kafka_request *request)
{
    request->connection->alone = NULL;
    update_pause(request->connection);
}

void kafka_connection_resume_waiting(void *ctx)
{
    struct kafka_door *door = ctx;
    struct list now;
    list_init(&now);
    list_splice(&now, &door->waiting);
    while (!list_empty(&now)) {
        struct kafka_connection *connection = CONTAINER_OF(now.next, struct kafka_connection, waiting);
        list_remove(&connection->waiting);
        update_pause(connection); /* or it waits again */
    }
}

/* What it had to wait for is over. */
static void go_on(void *ctx)
{
    update_pause(ctx);
}

static void note_answer(struct kafka_door *door, const struct kafka_request *request, size_t size)
{
    struct kafka_api_metrics *metrics = &door->metrics.apis[request->header.api_key];
    door->metrics.bytes_out += size;
    metrics->bytes_out += size;
    histogram_add(&metrics->seconds, histogram_seconds, (double)(io_clock_ns(door->io) - request->arrived_ns) / 1e9);
}

/* Pinned until they have left. */
static void write_records(struct kafka_connection *connection, struct kafka_pin *pin,
                          const struct kafka_record_set *records)
{
    const struct log_slice *in_file = records->source;
    if (in_file) {
        pin->refs++;
        io_stream_write_file(connection->stream, in_file->file, in_file->file_at, in_file->size, pin_unref, pin);
    }
    for (size_t i = 0; i < records->count; i++) {
        pin->refs++;
        io_stream_write_ref(connection->stream, records->parts[i], pin_unref, pin);
    }
}

static void write_answer(struct kafka_connection *connection, struct kafka_request *request)
{
    struct bytes out = buf_bytes(&request->out);
    size_t from = 0, size = out.size;
    for (const struct kafka_hole *hole = request->holes; hole; hole = hole->next) {
        io_stream_write(connection->stream, bytes_slice(out, from, hole->at - from));
        from = hole->at;
        write_records(connection, request->pin, hole->records);
        size += hole->records->size;
    }
    io_stream_write(connection->stream, bytes_slice(out, from, SIZE_MAX));
    note_answer(connection->door, request, size);
}

static void flush(struct kafka_connection *connection)
{
    for (;;) {
        struct kafka_request *request = LIST_FIRST(&connection->requests, struct kafka_request, link);
        if (!request || !request->answered || io_stream_queued(connection->stream) >= IO_STREAM_QUEUE_HIGH)
            break;
        if (request->out.size > 0)
            write_answer(connection, request);
        request_free(request);
    }
    update_pause(connection);
}

/* What only the decoded request needed; a request may wait long for those before it. */
static void shed(struct kafka_request *request)
{
    if (request->holes)
        return;
    arena_deinit(&request->arena);
    unhold(request->connection, request->held);
    request->held = 0;
    free((void *)(uintptr_t)request->frame.data);
    request->frame = BYTES_NULL;
    request->body = NULL;
}

static void answered(struct kafka_request *request)
{
    struct kafka_connection *connection = request->connection;
    assert(!request->answered);
    request->answered = true;
    request->cancel = NULL;
    if (LIST_FIRST(&connection->requests, struct kafka_request, link) == request)
        flush(connection);
    else
        shed(request);
}

static void set_throttle_time(const struct kafka_api *api, void *response, uint32_t ms)
{
    for (size_t i = 0; i < api->response->field_count; i++)
        if (strcmp(api->response->fields[i].name, "throttle_time_ms") == 0)
            *(int32_t *)((char *)response + api->response->fields[i].offset) = (int32_t)ms;
}

/* Counts what the request has cost, and does not read from its client as long as that was too much. */
static uint32_t charge(struct kafka_request *request)
{
    struct kafka_connection *connection = request->connection;
    struct quotas *quotas = request->door->quotas;
    struct bytes client_id = request->header.client_id;
    if (connection->running == request)
        request->work_ns = io_clock_ns(request->door->io) - request->work_ns;
    uint32_t throttle_ms = quotas_charge(quotas, client_id, QUOTA_REQUEST, request->work_ns);
    enum quota_kind kind = request->header.api_key == KAFKA_PRODUCE ? QUOTA_PRODUCE : QUOTA_FETCH;
    uint32_t of_bytes_ms = quotas_charge(quotas, client_id, kind, request->charged_bytes);
    throttle_ms = of_bytes_ms > throttle_ms ? of_bytes_ms : throttle_ms;
    if (throttle_ms > 0) {
        request->door->metrics.throttled++;
        request->door->metrics.throttled_ms += throttle_ms;
        io_timer_start(&connection->unmute, throttle_ms);
    }
    return throttle_ms;
}

/* What this costs is told with the client's next answer. */
static bool encode(struct kafka_request *request, const void *response, struct error *err)
{
    uint64_t start_ns = io_clock_ns(request->door->io);
    bool ok = kafka_encode_response(request->header.api, request->answer_version, request->header.correlation_id,
                                    response, &request->arena, &request->out, &request->holes, err);
    (void)quotas_charge(request->door->quotas, request->header.client_id, QUOTA_REQUEST,
                        io_clock_ns(request->door->io) - start_ns);
    return ok;
}

void kafka_answer(struct kafka_request *request, const void *response)
{
    struct error err;
    uint32_t throttle_ms = charge(request);
    if (throttle_ms > 0) /* all responses are in memory of the request */
        set_throttle_time(request->header.api, (void *)(uintptr_t)response, throttle_ms);
    buf_init(&request->out, KAFKA_ANSWER_SIZE_MAX);
    if (encode(request, response, &err))
        answered(request);
    else
        kafka_drop(request, err.message);
}

void kafka_no_answer(struct kafka_request *request)
{
    charge(request);
    answered(request);
}

void kafka_drop(struct kafka_request *request, const char *why)
{
    end_badly(request->connection, why);
}

static void waited(void *ctx, const struct error *err)
{
    struct kafka_request *request = ctx;
    request->cancel = NULL;
    if (err)
        request->failed(request, request->response);
    kafka_answer(request, request->response);
}

static void cancel_wait(struct kafka_request *request)
{
    log_wait_cancel(&request->waiter);
}

void kafka_answer_when(struct kafka_request *request, void *response, uint64_t lsn, enum log_durability durability,
                       void (*failed)(struct kafka_request *request, void *response))
{
    if (lsn == 0) {
        kafka_answer(request, response);
        return;
    }
    request->response = response;
    request->failed = failed;
    request->cancel = cancel_wait;
    request->waiter = (struct log_waiter){.run = waited, .ctx = request};
    log_wait(request->log, &request->waiter, lsn, durability);
}

/* --- Requests --- */

/* An ApiVersions request in a version that is not served gets our range in version 0, for the client to try again
 * (KIP-511). Everything else that is not served ends the connection: nobody could read the answer. */
static void answer_unsupported(struct kafka_request *request)
{
    const struct kafka_api *api = request->header.api;
    if (!api || api->key != KAFKA_API_VERSIONS) {
        request->door->metrics.frames_unknown++;
        char why[80];
        snprintf(why, sizeof why, "api key %d in version %d is not served", request->header.api_key,
                 request->header.api_version);
        kafka_drop(request, why);
        return;
    }
    struct kafka_api_versions_response *response = KAFKA_NEW(&request->arena, kafka_api_versions_response);
    response->error_code = kafka_refuse(request, KAFKA_UNSUPPORTED_VERSION);
    response->api_keys = KAFKA_NEW_ARRAY(&request->arena, kafka_api_versions_response_api_key, 1);
    response->api_keys_count = 1;
    response->api_keys[0].api_key = api->key;
    response->api_keys[0].min_version = api->version_min;
    response->api_keys[0].max_version = api->version_max;
    request->answer_version = 0;
    kafka_answer(request, response);
}

/* The request may be gone afterwards. */
static void run_handler(struct kafka_connection *connection, struct kafka_request *request,
                        const struct kafka_handler *handler)
{
    uint64_t start_ns = io_clock_ns(connection->door->io);
    request->work_ns = start_ns;
    connection->running = request;
    handler->run(request);
    if (connection->running && !request->answered)
        request->work_ns = io_clock_ns(connection->door->io) - start_ns;
    connection->running = NULL;
}

static void run(struct kafka_request *request, struct bytes body)
{
    struct error err;
    const struct kafka_handler *handler = kafka_handler_find(request->header.api_key);
    if (!request->header.supported || !handler) {
        answer_unsupported(request);
        return;
    }
    struct kafka_api_metrics *metrics = &request->door->metrics.apis[request->header.api_key];
    metrics->requests++;
    metrics->bytes_in += request->frame.size;
    request->arena.size_max = LIMIT_KAFKA_DECODED_SIZE;
    bool decoded = kafka_decode_request(&request->header, body, &request->arena, &request->body, &err);
    request->arena.size_max = 0;
    request->held += request->arena.used;
    hold(request->connection, request->arena.used);
    if (decoded) {
        run_handler(request->connection, request, handler);
        return;
    }
    request->door->metrics.frames_malformed++;
    kafka_drop(request, err.message);
}

/* `frame` is ours now: length and all. */
static void take_frame(struct kafka_connection *connection, struct bytes frame)
{
    struct kafka_request *request = NEW(struct kafka_request);
    struct error err;
    *request = (struct kafka_request){.connection = connection,
                                      .door = connection->door,
                                      .log = connection->door->log,
                                      .frame = frame,
                                      .arrived_ns = io_clock_ns(connection->door->io),
                                      .held = frame.size};
    connection->door->arriving -= frame.size; /* it has arrived */
    arena_init(&request->arena, 0);
    list_append(&connection->requests, &request->link);
    connection->request_count++;
    struct bytes rest = bytes_slice(frame, LENGTH_SIZE, SIZE_MAX);
    if (!kafka_decode_request_header(&rest, &request->header, &err)) {
        connection->door->metrics.frames_malformed++;
        kafka_drop(request, err.message);
        return;
    }
    request->answer_version = request->header.api_version;
    run(request, rest);
}

/* --- Frames --- */

static void append_in(struct kafka_connection *connection, struct bytes *data, size_t size)
{
    struct bytes part = bytes_slice(*data, 0, size);
    buf_append(&connection->in, part);
    *data = bytes_slice(*data, part.size, SIZE_MAX);
    hold_arriving(connection, part.size);
}

static size_t frame_size(const struct kafka_connection *connection)
{
    const uint8_t *at = connection->in.data;
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static bool check_frame_size(struct kafka_connection *connection, size_t size)
{
    char why[100];
    if (size <= LIMIT_KAFKA_FRAME_SIZE) {
        /* Not all of it at once: its length is only a claim so far. */
        buf_reserve(&connection->in, size < FRAME_AHEAD_MAX ? size : FRAME_AHEAD_MAX);
        return true;
    }
    connection->door->metrics.frames_too_large++;
    snprintf(why, sizeof why, "a frame of %zu bytes; the limit is %d", size, (int)LIMIT_KAFKA_FRAME_SIZE);
    end_badly(connection, why);
    return false;
}

/* Takes the length, or what there is of the frame behind it. */
static void take_some(struct kafka_connection *connection, struct bytes *data)
{
    struct buf *in = &connection->in;
    if (in->size < LENGTH_SIZE) {
        append_in(connection, data, LENGTH_SIZE - in->size);
        if (in->size < LENGTH_SIZE || !check_frame_size(connection, frame_size(connection)))
            return;
    }
    size_t whole = LENGTH_SIZE + frame_size(connection);
    append_in(connection, data, whole - in->size);
    if (connection->door->held / 2 > connection->door->options.request_bytes_max) {
        connection->door->metrics.frames_refused++;
        end_badly(connection, "all connections together hold too much");
    } else if (in->size == whole) {
        take_frame(connection, buf_take(in));
    }
}

/* Takes what may be taken; keeps the rest for later. */
static void consume(struct kafka_connection *connection, struct bytes data)
{
    uint64_t start_ns = io_clock_ns(connection->door->io);
    connection->busy = true;
    while (data.size > 0 && !connection->ended && !is_full(connection)) {
        take_some(connection, &data);
        if (data.size > 0 && !connection->ended && io_clock_ns(connection->door->io) - start_ns > TURN_NS)
            io_timer_start(&connection->turn, 0);
    }
    connection->busy = false;
    if (connection->ended) {
        connection_free(connection);
        return;
    }
    buf_append(&connection->rest, data);
    hold_arriving(connection, data.size);
    update_pause(connection);
}

static void proceed(void *ctx)
{
    struct kafka_connection *connection = ctx;
    struct bytes data = buf_take(&connection->rest);
    AUTO_FREE(uint8_t) owned = (uint8_t *)(uintptr_t)data.data;
    unhold_arriving(connection, data.size);
    consume(connection, data);
}

static void on_data(void *ctx, struct bytes data)
{
    struct kafka_connection *connection = ctx;
    connection->active_ms = io_now_ms(connection->door->io);
    connection->door->metrics.bytes_in += data.size;
    if (connection->rest.size > 0) {
        buf_append(&connection->rest, data);
        hold_arriving(connection, data.size);
    } else {
        consume(connection, data);
    }
}

/* A peer that has closed its side gets what is answered already; nothing that still waits (as Kafka does). */
static void on_end(void *ctx, const struct error *err)
{
    struct kafka_connection *connection = ctx;
    if (!err && connection->in.size > 0 && connection->rest.size == 0) {
        connection->door->metrics.frames_malformed++;
        end_badly(connection, "a frame was cut short");
        return;
    }
    end(connection, err ? io_stream_close : io_stream_close_after_write);
}

static void on_drain(void *ctx)
{
    flush(ctx);
}

static void idle(void *ctx)
{
    struct kafka_connection *connection = ctx;
    uint64_t silent_ms = io_now_ms(connection->door->io) - connection->active_ms;
    if (silent_ms >= KAFKA_IDLE_MS && list_empty(&connection->requests)) {
        connection->door->metrics.connections_idle++;
        end(connection, io_stream_close);
        return;
    }
    io_timer_start(&connection->idle, silent_ms < KAFKA_IDLE_MS ? KAFKA_IDLE_MS - silent_ms : KAFKA_IDLE_MS);
}

void kafka_connection_open(struct kafka_door *door, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end, .on_drain = on_drain};
    struct kafka_connection *connection = NEW(struct kafka_connection);
    *connection = (struct kafka_connection){.door = door, .stream = stream, .active_ms = io_now_ms(door->io)};
    list_init(&connection->requests);
    list_append(&door->connections, &connection->link);
    buf_init(&connection->in, (size_t)LIMIT_KAFKA_FRAME_SIZE + LENGTH_SIZE);
    buf_init(&connection->rest, SIZE_MAX); /* as much as a stream gives at once, once or twice */
    io_deferred_init(door->io, &connection->proceed, proceed, connection);
    io_timer_init(door->io, &connection->unmute, go_on, connection);
    io_timer_init(door->io, &connection->turn, go_on, connection);
    io_timer_init(door->io, &connection->idle, idle, connection);
    io_timer_start(&connection->idle, KAFKA_IDLE_MS);
    door->metrics.connections++;
    door->metrics.connections_accepted++;
    io_stream_start(stream, &callbacks, connection);
}

/* --- Addresses --- */

struct bytes kafka_own_host(struct kafka_request *request)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    if (request->door->advertised_host)
        return bytes_of_string(request->door->advertised_host);
    struct io_address address = io_stream_local(request->connection->stream);
    io_address_format_ip(&address, text);
    return bytes_of_string(arena_string(&request->arena, bytes_of_string(text)));
}

int32_t kafka_own_port(struct kafka_request *request)
{
    int32_t port = request->door->options.advertised_port;
    return port ? port : io_stream_local(request->connection->stream).port;
}

struct bytes kafka_peer_host(struct kafka_request *request)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    struct io_address address = io_stream_peer(request->connection->stream);
    io_address_format_ip(&address, text);
    return bytes_of_string(arena_printf(&request->arena, "/%s", text));
}
