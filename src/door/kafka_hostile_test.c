/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that means no good: every request in every version, cut at every byte (with a length that says so, and with
 * one that does not), and with every byte changed. Whatever comes of it, the door gives back all that the connection
 * held and goes on serving others.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_example.h"

enum { LENGTH_SIZE = 4, PATIENCE_MS = 20 };

static void drop_line(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

/* --- Sending it --- */

static bool is_over(void *ctx)
{
    const struct kafka_fixture *f = ctx;
    return f->ended || f->in.size > 0;
}

/* On a connection of its own, which is then closed. */
static void send_alone(struct kafka_fixture *f, struct bytes bytes)
{
    kafka_fixture_send_bytes(f, bytes);
    (void)io_simulated_run_until(f->machine, is_over, f, PATIENCE_MS);
    kafka_fixture_connect(f);
    io_simulated_run_for(f->machine, 5);
    CHECK_INT(kafka_door_held(f->door), 0);
}

static void set_length(uint8_t *frame, size_t size)
{
    for (int i = 0; i < LENGTH_SIZE; i++)
        frame[i] = (uint8_t)((size - LENGTH_SIZE) >> (8 * (LENGTH_SIZE - 1 - i)));
}

static void check_still_serving(struct kafka_fixture *f)
{
    struct kafka_api_versions_request request = {0};
    struct kafka_api_versions_response *response = kafka_fixture_call(f, KAFKA_API_VERSIONS, 0, &request);
    CHECK_INT(response->error_code, 0);
    CHECK_INT(kafka_fixture_metrics(f).connections, 1);
}

struct lines {
    int count;
    char last[400];
};

static void keep_line(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    struct lines *lines = ctx;
    (void)level, (void)folder;
    lines->count++;
    snprintf(lines->last, sizeof lines->last, "%s", message);
}

TEST(a_client_that_speaks_something_else_is_named_once_in_ten_seconds)
{
    static const struct {
        const char *first, *line;
    } others[] = {
        {"\x16\x03\x01\x02",
         ": it speaks TLS, and this listener does not (the client's security.protocol is PLAINTEXT here)"},
        {"GET / HTTP/1.1\r\n", ": it speaks HTTP, and this is Kafka's port"},
        {"\x7f\x00\x00\x01", "the limit is 104857600"},
    };
    struct kafka_fixture f;
    struct lines lines = {0};
    kafka_fixture_init_with(&f, &(struct log_options){.journal_file_size = 16 << 20});
    diag_set_sink(keep_line, &lines, DIAG_WARN);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        for (int j = 0; j < 3; j++)
            send_alone(&f, bytes_of(others[i].first, i == 1 ? strlen(others[i].first) : 4));
        CHECK_INT(lines.count, i + 1);
        CHECK(strstr(lines.last, others[i].line) != NULL);
        CHECK(i == 0 || strstr(lines.last, "(and 2 more like it)") != NULL);
        io_simulated_run_for(f.machine, 10000);
    }
    diag_set_sink(NULL, NULL, DIAG_INFO);
    kafka_fixture_deinit(&f);
}

/* For one API: `each` for all of its versions. */
static void each_frame(struct kafka_fixture *f, const struct kafka_api *api,
                       void (*each)(struct kafka_fixture *f, struct bytes frame))
{
    for (int16_t version = api->version_min; version <= api->version_max; version++) {
        if (!topic_find(f->log, BYTES_LITERAL("orders")))
            kafka_fixture_topic(f, "orders", 1);
        each(f, kafka_example_frame(f, api, version));
        check_still_serving(f);
        arena_reset(&f->arena);
    }
}

static void with_every_api(void (*each)(struct kafka_fixture *f, struct bytes frame))
{
    struct kafka_fixture f;
    size_t count;
    const struct kafka_handler *handlers = kafka_handlers(&count);
    diag_set_sink(drop_line, NULL, DIAG_ERROR);
    kafka_fixture_init_with(&f, &(struct log_options){.journal_file_size = 16 << 20});
    for (size_t i = 0; i < count; i++)
        each_frame(&f, kafka_api_find(handlers[i].key), each);
    kafka_fixture_deinit(&f);
}

static void send_whole(struct kafka_fixture *f, struct bytes frame)
{
    send_alone(f, frame);
}

TEST(requests_with_something_in_every_field_are_survived)
{
    with_every_api(send_whole);
}

/* The frame says how long it is: the body ends too early. */
static void cut_body(struct kafka_fixture *f, struct bytes frame)
{
    for (size_t size = LENGTH_SIZE; size < frame.size; size++) {
        AUTO_FREE(uint8_t) cut = memory_new(size);
        memcpy(cut, frame.data, size);
        set_length(cut, size);
        send_alone(f, bytes_of(cut, size));
    }
}

TEST(requests_cut_at_every_byte_are_survived)
{
    with_every_api(cut_body);
}

/* The connection ends before the frame does. */
static void cut_connection(struct kafka_fixture *f, struct bytes frame)
{
    for (size_t size = 1; size < frame.size; size += 3)
        send_alone(f, bytes_slice(frame, 0, size));
}

TEST(connections_cut_within_a_request_are_survived)
{
    with_every_api(cut_connection);
}

static void change_bytes(struct kafka_fixture *f, struct bytes frame)
{
    AUTO_FREE(uint8_t) changed = memory_new(frame.size);
    memcpy(changed, frame.data, frame.size);
    for (size_t i = LENGTH_SIZE; i < frame.size; i++) {
        changed[i] ^= 0xff;
        send_alone(f, bytes_of(changed, frame.size));
        changed[i] ^= 0xff;
    }
}

TEST(requests_with_any_byte_changed_are_survived)
{
    with_every_api(change_bytes);
}
