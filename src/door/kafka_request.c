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

#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_connection_priv.h"
#include "door/kafka_quota.h"

static void pin_unref(void *owner)
{
    struct kafka_pin *pin = owner;
    if (--pin->refs == 0)
        pin->release(pin);
}

void kafka_request_free(struct kafka_request *request)
{
    if (request->cancel)
        request->cancel(request);
    if (request->connection->running == request)
        request->connection->running = NULL;
    if (request->connection->alone == request)
        request->connection->alone = NULL;
    if (request->pin)
        pin_unref(request->pin);
    list_remove(&request->steps.link);
    list_remove(&request->link);
    request->connection->request_count--;
    kafka_connection_unhold(request->connection, request->held);
    arena_deinit(&request->arena);
    buf_deinit(&request->out);
    free((void *)(uintptr_t)request->frame.data);
    free(request);
}

/* --- Answers --- */

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

void kafka_connection_flush(struct kafka_connection *connection)
{
    for (;;) {
        struct kafka_request *request = LIST_FIRST(&connection->requests, struct kafka_request, link);
        if (!request || !request->answered || io_stream_queued(connection->stream) >= IO_STREAM_QUEUE_HIGH)
            break;
        if (request->out.size > 0)
            write_answer(connection, request);
        kafka_request_free(request);
    }
    kafka_connection_update_pause(connection);
}

/* What only the decoded request needed; a request may wait long for those before it. */
static void shed(struct kafka_request *request)
{
    if (request->holes)
        return;
    arena_deinit(&request->arena);
    kafka_connection_unhold(request->connection, request->held);
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
        kafka_connection_flush(connection);
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

/* --- Encoding --- */

static void encoded(struct kafka_request *request)
{
    struct error err;
    if (kafka_encoding_end(&request->encoding, &err))
        answered(request);
    else
        kafka_drop(request, err.message);
}

static bool encode_some(struct kafka_request *request)
{
    return kafka_encoding_step(&request->encoding);
}

/* Whether there is more to do in another turn. What it costs is told with the client's next answer. */
static bool encode_for_a_turn(struct kafka_request *request)
{
    uint64_t start_ns = io_clock_ns(request->door->io);
    bool more;
    do
        more = encode_some(request);
    while (more && (!request->steps.used || io_clock_ns(request->door->io) - start_ns < KAFKA_TURN_NS));
    (void)quotas_charge(request->door->quotas, request->header.client_id, QUOTA_REQUEST,
                        io_clock_ns(request->door->io) - start_ns);
    return more;
}

void kafka_answer(struct kafka_request *request, const void *response)
{
    uint32_t throttle_ms = charge(request);
    if (throttle_ms > 0) /* all responses are in memory of the request */
        set_throttle_time(request->header.api, (void *)(uintptr_t)response, throttle_ms);
    buf_init(&request->out, KAFKA_ANSWER_SIZE_MAX);
    kafka_encoding_begin(&request->encoding, request->header.api, request->answer_version,
                         request->header.correlation_id, response, &request->arena, &request->out, &request->holes);
    request->cancel = NULL;
    if (encode_for_a_turn(request))
        kafka_resume_steps(request, encode_some, encoded);
    else
        encoded(request);
}

void kafka_no_answer(struct kafka_request *request)
{
    charge(request);
    answered(request);
}

void kafka_drop(struct kafka_request *request, const char *why)
{
    kafka_connection_end_badly(request->connection, why);
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

bool kafka_has_room(const struct kafka_request *request)
{
    return request->arena.used <= KAFKA_WORK_SIZE_MAX;
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
    kafka_connection_hold(request->connection, request->arena.used);
    if (decoded) {
        run_handler(request->connection, request, handler);
        return;
    }
    request->door->metrics.frames_malformed++;
    kafka_drop(request, err.message);
}

/* `frame` is ours now: length and all. */
void kafka_request_take(struct kafka_connection *connection, struct bytes frame)
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
    struct bytes rest = bytes_slice(frame, KAFKA_LENGTH_SIZE, SIZE_MAX);
    if (!kafka_decode_request_header(&rest, &request->header, &err)) {
        connection->door->metrics.frames_malformed++;
        kafka_drop(request, err.message);
        return;
    }
    request->answer_version = request->header.api_version;
    run(request, rest);
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
