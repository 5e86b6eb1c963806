/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/kafka_client.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/limits.h"
#include "base/memory.h"
#include "evoke/broker.h"
#include "io/stream.h"
#include "wire/kafka_error.h"
#include "wire/kafka_message.h"

enum { CLIENT_TIMEOUT_MS = 30000 };

struct kafka_client {
    struct io *io;
    struct io_stream *stream;
    struct buf received;
    int32_t correlation_id;
    bool failed, committed;
    bool answered; /* at least once: so it is a Kafka server */
    struct bytes broker;
    struct error err;
    struct io_timer timeout;
};

static void stop_with(struct kafka_client *client, const struct error *err)
{
    client->failed = true;
    client->err = *err;
    io_stop(client->io);
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct kafka_client *client = ctx;
    client->stream = stream;
    if (stream)
        io_stop(client->io);
    else
        stop_with(client, err);
}

static bool frame_is_whole(const struct kafka_client *client)
{
    const struct buf *received = &client->received;
    return received->size >= 4 && received->size - 4 >= get_be32(received->data);
}

static void on_data(void *ctx, struct bytes data)
{
    struct kafka_client *client = ctx;
    struct error err;
    buf_append(&client->received, data);
    if (client->received.overflowed) {
        error_set(&err, ERROR_LIMIT, "the answer is larger than %d bytes", LIMIT_KAFKA_FRAME_SIZE);
        stop_with(client, &err);
    } else if (frame_is_whole(client)) {
        io_stop(client->io);
    }
}

static void on_end(void *ctx, const struct error *err)
{
    struct error closed;
    const struct kafka_client *client = ctx;
    error_set(&closed, ERROR_UNAVAILABLE, BYTES_FORMAT " closed the connection%s%s%s", BYTES_ARGS(client->broker),
              client->answered ? "" : " at the first request; is it a Kafka server?", err ? ": " : "",
              err ? err->message : "");
    stop_with(ctx, &closed);
}

static void on_timeout(void *ctx)
{
    struct error err;
    error_set(&err, ERROR_TIMEOUT, "no answer within %d s", CLIENT_TIMEOUT_MS / 1000);
    stop_with(ctx, &err);
}

const struct flag kafka_client_flags[] = {
    {"brokers", "HOST[:PORT],...",
     "the Kafka server: the first that answers (default $EVOKE_BROKERS or " KAFKA_CLIENT_DEFAULT ")",
     offsetof(struct kafka_client_options, brokers), 'b', FLAG_TEXT, broker_check_list},
    {0},
};

static const char *brokers_of(const struct kafka_client_options *options)
{
    const char *environment = getenv("EVOKE_BROKERS");
    if (options->brokers)
        return options->brokers;
    return environment && environment[0] ? environment : KAFKA_CLIENT_DEFAULT;
}

/* If not, client->err says why. */
static bool connect_to(struct kafka_client *client, struct bytes broker)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct io_address address;
    client->broker = broker;
    client->failed = !broker_resolve(broker, &address, &client->err);
    if (client->failed)
        return false;
    io_connect(client->io, &address, NULL, NULL, CLIENT_TIMEOUT_MS, on_connected, client);
    io_run(client->io);
    if (client->failed)
        return false;
    io_stream_start(client->stream, &callbacks, client);
    return true;
}

struct kafka_client *kafka_client_open(const struct kafka_client_options *options, struct error *err)
{
    const char *brokers = brokers_of(options);
    struct bytes rest = bytes_of_string(brokers), broker;
    if (!options->brokers && !broker_check_list(brokers, err)) {
        error_wrap(err, "EVOKE_BROKERS");
        return NULL;
    }
    struct io *io = io_linux_new(err);
    if (!io)
        return NULL;
    struct kafka_client *client = NEW(struct kafka_client);
    client->io = io;
    buf_init(&client->received, LIMIT_KAFKA_FRAME_SIZE + 4);
    io_timer_init(io, &client->timeout, on_timeout, client);
    while (bytes_split(&rest, ',', &broker))
        if (connect_to(client, broker))
            return client;
    error_set(err, ERROR_UNAVAILABLE,
              "nobody answers at %s (%s); start \"evoke serve\", or say where it listens with --brokers", brokers,
              client->err.message);
    kafka_client_close(client);
    return NULL;
}

void kafka_client_close(struct kafka_client *client)
{
    if (!client)
        return;
    io_timer_stop(&client->timeout);
    io_stream_close(client->stream);
    buf_deinit(&client->received);
    io_free(client->io);
    free(client);
}

void *kafka_client_call(struct kafka_client *client, enum kafka_api_key key, int16_t version, const void *request,
                        struct arena *arena, struct error *err)
{
    const struct kafka_api *api = kafka_api_find((int16_t)key);
    assert(api && !client->failed);
    AUTO_BUF out;
    buf_init(&out, LIMIT_KAFKA_FRAME_SIZE);
    if (!kafka_encode_request(api, version, ++client->correlation_id, BYTES_LITERAL("evoke"), request, &out, err))
        return NULL;
    buf_reset(&client->received);
    io_stream_write(client->stream, buf_bytes(&out));
    io_timer_start(&client->timeout, CLIENT_TIMEOUT_MS);
    io_run(client->io);
    io_timer_stop(&client->timeout);
    if (client->failed) {
        *err = client->err;
        return NULL;
    }
    client->answered = true;
    /* The answer's strings point into the frame: it moves to the arena with them. */
    struct bytes frame = arena_copy(arena, bytes_slice(buf_bytes(&client->received), 4, SIZE_MAX));
    int32_t correlation_id;
    void *response;
    if (!kafka_decode_response(api, version, frame, arena, &correlation_id, &response, err))
        return NULL;
    if (correlation_id != client->correlation_id) {
        error_set(err, ERROR_CORRUPT, "the answer belongs to another request");
        return NULL;
    }
    return response;
}

void kafka_client_read_committed(struct kafka_client *client)
{
    client->committed = true;
}

bool kafka_client_offset(struct kafka_client *client, struct bytes topic, int32_t partition, int64_t timestamp_ms,
                         int64_t *out, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_list_offsets_request *request = KAFKA_NEW(&arena, kafka_list_offsets_request);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_list_offsets_request_topic, 1);
    request->topics_count = 1;
    request->isolation_level = client->committed;
    request->topics->name = topic;
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_list_offsets_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition_index = partition;
    request->topics->partitions->timestamp = timestamp_ms;
    const struct kafka_list_offsets_response *response =
        kafka_client_call(client, KAFKA_LIST_OFFSETS, 4, request, &arena, err);
    if (!response)
        return false;
    if (response->topics_count != 1 || response->topics->partitions_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    if (response->topics->partitions->error_code != KAFKA_NONE)
        return kafka_client_error(err, response->topics->partitions->error_code, BYTES_NULL,
                                  "topic " BYTES_FORMAT ", partition %d", BYTES_ARGS(topic), partition);
    *out = response->topics->partitions->offset;
    return true;
}

/* A topic that has just been made may not be there at once. */
enum { CLIENT_TOPIC_TRIES = 50, CLIENT_TOPIC_PAUSE_US = 20000 };

bool kafka_client_partitions(struct kafka_client *client, const char *topic, bool create, int32_t *out,
                             struct error *err)
{
    for (int attempt = 1;; attempt++) {
        AUTO_ARENA arena;
        arena_init(&arena, 0);
        struct kafka_metadata_request *request = KAFKA_NEW(&arena, kafka_metadata_request);
        request->allow_auto_topic_creation = create;
        request->topics = KAFKA_NEW_ARRAY(&arena, kafka_metadata_request_topic, 1);
        request->topics_count = 1;
        request->topics->name = bytes_of_string(topic);
        const struct kafka_metadata_response *response =
            kafka_client_call(client, KAFKA_METADATA, 8, request, &arena, err);
        if (!response)
            return false;
        int16_t code = response->topics_count == 1 ? response->topics->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
        bool again = code == KAFKA_LEADER_NOT_AVAILABLE || code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        if (code == KAFKA_NONE) {
            *out = (int32_t)response->topics->partitions_count;
            return true;
        }
        if (!create || !again || attempt == CLIENT_TOPIC_TRIES)
            return kafka_client_error(err, code, BYTES_NULL, "topic %s", topic);
        usleep(CLIENT_TOPIC_PAUSE_US);
    }
}

/* --- Coordinators --- */

enum { CLIENT_COORDINATOR_TRIES = 200, CLIENT_COORDINATOR_PAUSE_US = 50000 };

static bool find_coordinator(struct kafka_client *client, struct bytes group, int16_t *code, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_find_coordinator_request *request = KAFKA_NEW(&arena, kafka_find_coordinator_request);
    request->key = group;
    const struct kafka_find_coordinator_response *response =
        kafka_client_call(client, KAFKA_FIND_COORDINATOR, 3, request, &arena, err);
    if (response)
        *code = response->error_code;
    return response;
}

/* Who coordinates may still be reading the offsets. */
static bool ask_coordinator(struct kafka_client *client, struct bytes group, int16_t *code, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_describe_groups_request *request = KAFKA_NEW(&arena, kafka_describe_groups_request);
    request->groups = &group;
    request->groups_count = 1;
    const struct kafka_describe_groups_response *response =
        kafka_client_call(client, KAFKA_DESCRIBE_GROUPS, 4, request, &arena, err);
    if (response)
        *code = response->groups_count == 1 ? response->groups->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    return response;
}

bool kafka_client_await_coordinator(struct kafka_client *client, struct bytes group, struct error *err)
{
    for (int attempt = 1;; attempt++) {
        int16_t code;
        if (!find_coordinator(client, group, &code, err) ||
            (code == KAFKA_NONE && !ask_coordinator(client, group, &code, err)))
            return false;
        bool wait = code == KAFKA_COORDINATOR_NOT_AVAILABLE || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ||
                    code == KAFKA_NOT_COORDINATOR;
        if (!wait) /* what else is wrong with the group is told to who asks for it */
            return true;
        if (attempt == CLIENT_COORDINATOR_TRIES)
            return kafka_client_error(err, code, BYTES_NULL, "group " BYTES_FORMAT, BYTES_ARGS(group));
        usleep(CLIENT_COORDINATOR_PAUSE_US);
    }
}

/* --- Errors --- */

/* What the codes mean that a user of the commands meets. */
static const struct meaning {
    int16_t code;
    enum error_kind kind;
    const char *text;
} meanings[] = {
    {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, ERROR_NOT_FOUND, "there is no such topic or partition"},
    {KAFKA_GROUP_ID_NOT_FOUND, ERROR_NOT_FOUND, "there is no such group"},
    {KAFKA_TOPIC_ALREADY_EXISTS, ERROR_EXISTS, "it exists already"},
    {KAFKA_NON_EMPTY_GROUP, ERROR_UNAVAILABLE, "the group has members; stop them first"},
    {KAFKA_UNKNOWN_MEMBER_ID, ERROR_UNAVAILABLE, "the group has members; stop them first"},
    {KAFKA_REBALANCE_IN_PROGRESS, ERROR_UNAVAILABLE, "the group has members; stop them first"},
    {KAFKA_INCONSISTENT_GROUP_PROTOCOL, ERROR_UNAVAILABLE,
     "its members use another protocol, or a running Trigger has it for itself"},
    {KAFKA_INVALID_TOPIC_EXCEPTION, ERROR_INVALID, "names have letters, digits, \".\", \"_\", \"-\", at most 249"},
    {KAFKA_OFFSET_OUT_OF_RANGE, ERROR_GONE, "the log does not hold that offset (any more)"},
    {KAFKA_MESSAGE_TOO_LARGE, ERROR_LIMIT, "larger than the topic's max.message.bytes"},
    {KAFKA_RECORD_LIST_TOO_LARGE, ERROR_LIMIT, "larger than the topic's max.message.bytes"},
    {KAFKA_KAFKA_STORAGE_ERROR, ERROR_UNAVAILABLE, "the server cannot write: its disk is full or fails"},
    {KAFKA_UNSUPPORTED_VERSION, ERROR_UNSUPPORTED, "the server is too old for this"},
    {KAFKA_NOT_COORDINATOR, ERROR_UNAVAILABLE,
     "another server of the cluster coordinates it; name that with --brokers"},
    {KAFKA_NOT_LEADER_OR_FOLLOWER, ERROR_UNAVAILABLE, "another server of the cluster has it; name that with --brokers"},
};

static const struct meaning *meaning_of(int16_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return NULL;
}

bool kafka_client_error(struct error *err, int16_t code, struct bytes message, const char *format, ...)
{
    char what[300];
    const struct meaning *meaning = meaning_of(code);
    enum error_kind kind = meaning ? meaning->kind : ERROR_INVALID;
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (message.size > 0)
        return error_set(err, kind, "%s: " BYTES_FORMAT " (%s)", what, BYTES_ARGS(message), kafka_error_name(code));
    if (meaning)
        return error_set(err, kind, "%s: %s (%s)", what, meaning->text, kafka_error_name(code));
    return error_set(err, kind, "%s: %s", what, kafka_error_name(code));
}
