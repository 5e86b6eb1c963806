/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of tls.h, and of streams over TLS. */
#include "io/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/stream.h"
#include "test.h"
#include "world.h"

struct side {
    struct io_stream *stream;
    struct buf got;
    struct call *call;
    size_t want; /* stop the loop at so many bytes */
    bool ended;
};

/* A server with TLS, a client that calls it, and the outcome. */
struct call {
    struct io *io;
    struct io_certificate ca, other_ca, server_cert, client_cert;
    struct io_tls *server_tls, *client_tls;
    struct io_listener *listener;
    struct side client, server;
    const char *message;
    struct error failure;
    bool failed, subject_known, client_ends, refused;
    char subject[100];
    int accepted, released;
    struct io_file *file; /* sent from its second byte on, with "tail" behind it */
    size_t file_size;
};

static void count_release(void *owner)
{
    struct call *call = owner;
    call->released++;
}

static void on_data(void *ctx, struct bytes data)
{
    struct side *side = ctx;
    buf_append(&side->got, data);
    if (side == &side->call->server)
        io_stream_write(side->stream, data);
    if (side->want && side->got.size >= side->want)
        io_stop(side->call->io);
}

static void on_end(void *ctx, const struct error *err)
{
    struct side *side = ctx;
    CHECK(!err || side->call->refused);
    side->ended = true;
    io_stop(side->call->io);
}

static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};

static void accepted(void *ctx, struct io_stream *stream)
{
    struct call *call = ctx;
    const char *common_name, *const *organizations;
    size_t count;
    call->accepted++;
    call->server.stream = stream;
    call->subject_known = io_stream_tls_subject(stream, &common_name, &organizations, &count);
    if (call->subject_known)
        snprintf(call->subject, sizeof call->subject, "%s|%s|%s|%zu", common_name, count > 0 ? organizations[0] : "",
                 count > 1 ? organizations[1] : "", count);
    io_stream_start(stream, &callbacks, &call->server);
}

static void connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct call *call = ctx;
    if (err) {
        call->failed = true;
        call->failure = *err;
        io_stop(call->io);
        return;
    }
    call->client.stream = stream;
    io_stream_start(stream, &callbacks, &call->client);
    if (call->message)
        io_stream_write(stream, bytes_of_string(call->message));
    if (call->file)
        io_stream_write_file(stream, call->file, 1, call->file_size, count_release, call);
    if (call->file)
        io_stream_write(stream, BYTES_LITERAL("tail"));
    if (call->client_ends)
        io_stream_shutdown(stream);
}

static void call_init(struct call *call)
{
    struct error err;
    static const char *const names[] = {"evoke.test", "127.0.0.1", "::1"};
    static const char *const groups[] = {"system:masters", "two"};
    call->io = world_new();
    call->client.call = call->server.call = call;
    buf_init(&call->client.got, 64 << 20);
    buf_init(&call->server.got, 64 << 20);
    CHECK_OK(io_certificate_make_ca(call->io, "evoke CA", 3650, &call->ca, &err), &err);
    CHECK_OK(io_certificate_make_ca(call->io, "other CA", 3650, &call->other_ca, &err), &err);
    CHECK_OK(io_certificate_make(call->io, &call->ca, "server", NULL, 0, names, 3, 365, &call->server_cert, &err),
             &err);
    CHECK_OK(io_certificate_make(call->io, &call->ca, "admin", groups, 2, NULL, 0, 365, &call->client_cert, &err),
             &err);
}

static void call_listen(struct call *call, bool ask)
{
    struct error err;
    struct io_address address;
    call->server_tls = io_tls_server_new(call->io, bytes_of_string(call->server_cert.certificate_pem),
                                         bytes_of_string(call->server_cert.key_pem),
                                         ask ? bytes_of_string(call->ca.certificate_pem) : BYTES_NULL, &err);
    CHECK_OK(call->server_tls, &err);
    CHECK_OK(io_address_parse("127.0.0.1:0", &address, &err), &err);
    CHECK_OK(io_listen(call->io, &address, call->server_tls, accepted, call, &call->listener, &err), &err);
}

static void call_connect(struct call *call, const struct io_certificate *ca, const struct io_certificate *own,
                         const char *name)
{
    struct error err;
    struct io_address address = io_listener_address(call->listener);
    call->client_tls = io_tls_client_new(call->io, bytes_of_string(ca->certificate_pem),
                                         own ? bytes_of_string(own->certificate_pem) : BYTES_NULL,
                                         own ? bytes_of_string(own->key_pem) : BYTES_NULL, &err);
    CHECK_OK(call->client_tls, &err);
    io_connect(call->io, &address, call->client_tls, name, 5000, connected, call);
    io_run(call->io);
}

static void call_deinit(struct call *call)
{
    io_stream_close(call->client.stream);
    io_stream_close(call->server.stream);
    io_listener_close(call->listener);
    io_tls_free(call->server_tls);
    io_tls_free(call->client_tls);
    io_certificate_deinit(&call->ca);
    io_certificate_deinit(&call->other_ca);
    io_certificate_deinit(&call->server_cert);
    io_certificate_deinit(&call->client_cert);
    io_free(call->io);
    buf_deinit(&call->client.got);
    buf_deinit(&call->server.got);
}

TEST(a_client_with_a_certificate_is_known_by_its_subject)
{
    struct call call = {.message = "hello", .client.want = 5};
    call_init(&call);
    call_listen(&call, true);
    call_connect(&call, &call.ca, &call.client_cert, "evoke.test");
    CHECK(!call.failed);
    CHECK_BYTES(buf_bytes(&call.client.got), BYTES_LITERAL("hello"));
    CHECK_STR(call.subject, "admin|system:masters|two|2");
    call_deinit(&call);
}

TEST(a_client_without_a_certificate_is_let_in_unknown)
{
    struct call call = {.message = "hello", .client.want = 5};
    call_init(&call);
    call_listen(&call, true);
    call_connect(&call, &call.ca, NULL, "127.0.0.1");
    CHECK(!call.failed);
    CHECK(!call.subject_known);
    call_deinit(&call);
}

TEST(the_address_is_checked_when_no_name_is_given)
{
    struct call call = {.message = "hello", .client.want = 5};
    call_init(&call);
    call_listen(&call, false);
    call_connect(&call, &call.ca, NULL, NULL);
    CHECK(!call.failed);
    call_deinit(&call);
}

TEST(a_server_of_another_ca_is_refused)
{
    struct call call = {.message = "hello", .client.want = 5};
    call_init(&call);
    call_listen(&call, true);
    call_connect(&call, &call.other_ca, NULL, "evoke.test");
    CHECK(call.failed);
    CHECK_INT(call.failure.kind, ERROR_DENIED);
    CHECK_INT(call.accepted, 0);
    call_deinit(&call);
}

TEST(a_client_that_does_not_verify_reaches_any_server_and_knows_no_name_of_it)
{
    struct call call = {.message = "hello", .client.want = 5};
    const char *common_name, *const *organizations;
    size_t count;
    call_init(&call);
    call_listen(&call, true);
    call.client_tls = io_tls_client_new_unverified(call.io);
    struct io_address address = io_listener_address(call.listener);
    io_connect(call.io, &address, call.client_tls, "elsewhere.test", 5000, connected, &call);
    io_run(call.io);
    CHECK(!call.failed);
    CHECK_BYTES(buf_bytes(&call.client.got), BYTES_LITERAL("hello"));
    CHECK(!io_stream_tls_subject(call.client.stream, &common_name, &organizations, &count));
    call_deinit(&call);
}

/* The first client stays while the certificate is exchanged: its connection goes on. */
TEST(a_server_shows_its_new_certificate_to_who_comes_then)
{
    struct call call = {.message = "hello", .client.want = 5};
    struct call later = {.message = "again", .client.want = 5};
    struct io_certificate renewed;
    struct error err;
    static const char *const names[] = {"renewed.test"};
    call_init(&call);
    call_listen(&call, false);
    call_connect(&call, &call.ca, NULL, "evoke.test");
    CHECK(!call.failed);
    struct io_stream *first = TAKE(call.server.stream);
    CHECK_OK(io_certificate_make(call.io, &call.ca, "server", NULL, 0, names, 1, 365, &renewed, &err), &err);
    struct io_tls *with = io_tls_server_new(call.io, bytes_of_string(renewed.certificate_pem),
                                            bytes_of_string(renewed.key_pem), BYTES_NULL, &err);
    CHECK_OK(with, &err);
    io_tls_exchange(call.server_tls, with);
    later.io = call.io;
    later.client.call = later.server.call = &later;
    later.listener = call.listener;
    buf_init(&later.client.got, 1 << 20);
    call_connect(&later, &call.ca, NULL, "renewed.test");
    CHECK(!later.failed);
    CHECK_BYTES(buf_bytes(&later.client.got), BYTES_LITERAL("again"));
    struct io_stream *second = call.server.stream;
    call.server.stream = first;
    call.client.want = 10;
    io_stream_write(call.client.stream, BYTES_LITERAL("world"));
    io_run(call.io);
    CHECK_BYTES(buf_bytes(&call.client.got), BYTES_LITERAL("helloworld"));
    io_stream_close(second);
    io_stream_close(later.client.stream);
    io_tls_free(later.client_tls);
    buf_deinit(&later.client.got);
    io_certificate_deinit(&renewed);
    call_deinit(&call);
}

TEST(a_server_of_another_name_is_refused)
{
    struct call call = {.message = "hello", .client.want = 5};
    call_init(&call);
    call_listen(&call, true);
    call_connect(&call, &call.ca, NULL, "elsewhere.test");
    CHECK(call.failed);
    CHECK_INT(call.failure.kind, ERROR_DENIED);
    CHECK_INT(call.accepted, 0);
    call_deinit(&call);
}

/* In TLS 1.3 the client is through before the server has seen its certificate: it learns by the end of the stream. */
TEST(a_client_with_a_certificate_of_another_ca_is_not_accepted)
{
    struct call call = {.message = "hello", .refused = true};
    struct io_certificate forged;
    struct error err;
    call_init(&call);
    CHECK_OK(io_certificate_make(call.io, &call.other_ca, "admin", NULL, 0, NULL, 0, 365, &forged, &err), &err);
    call_listen(&call, true);
    call_connect(&call, &call.ca, &forged, "evoke.test");
    CHECK(call.failed || call.client.ended);
    CHECK_INT(call.accepted, 0);
    io_certificate_deinit(&forged);
    call_deinit(&call);
}

TEST(a_tls_peer_that_shuts_down_ends_the_stream_without_an_error)
{
    struct call call = {.message = "last words", .client_ends = true};
    call_init(&call);
    call_listen(&call, false);
    call_connect(&call, &call.ca, NULL, "evoke.test");
    CHECK(call.server.ended);
    CHECK_BYTES(buf_bytes(&call.server.got), BYTES_LITERAL("last words"));
    call_deinit(&call);
}

TEST(ten_megabytes_come_back_over_tls)
{
    enum { SIZE = 10 << 20 };
    char *text = memory_new(SIZE + 1);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    struct call call = {.message = text, .client.want = SIZE};
    call_init(&call);
    call_listen(&call, false);
    call_connect(&call, &call.ca, NULL, "evoke.test");
    CHECK_INT(call.client.got.size, SIZE);
    CHECK(memcmp(call.client.got.data, text, SIZE) == 0);
    call_deinit(&call);
    free(text);
}

static void make_file(struct call *call, struct bytes content)
{
    struct error err;
    CHECK_OK(io_dir_make(call->io, world_path(""), &err), &err);
    CHECK_OK(io_file_open(call->io, world_path("file"), IO_FILE_WRITE | IO_FILE_CREATE, &call->file, &err), &err);
    CHECK_OK(io_file_write_now(call->file, 0, content, &err), &err);
}

static void comes_back(bool cold)
{
    enum { SIZE = 3 << 20 };
    AUTO_FREE(uint8_t) text = memory_new(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (uint8_t)(i * 7 + i / 1000);
    struct call call = {.message = "head", .client.want = 4 + SIZE - 1 + 4, .file_size = SIZE - 1};
    call_init(&call);
    make_file(&call, bytes_of(text, SIZE));
    if (cold)
        world_make_cold(call.io, world_path("file"));
    call_listen(&call, false);
    call_connect(&call, &call.ca, NULL, "evoke.test");
    struct bytes got = buf_bytes(&call.client.got);
    CHECK_BYTES(bytes_slice(got, 0, 4), BYTES_LITERAL("head"));
    CHECK(bytes_equal(bytes_slice(got, 4, SIZE - 1), bytes_of(text + 1, SIZE - 1)));
    CHECK_BYTES(bytes_slice(got, 4 + SIZE - 1, SIZE_MAX), BYTES_LITERAL("tail"));
    CHECK_INT(call.released, 1);
    io_file_close(call.file);
    call_deinit(&call);
}

TEST(a_range_of_a_file_comes_back_over_tls_among_other_bytes)
{
    comes_back(false);
}

TEST(a_range_of_a_file_that_is_not_in_memory_comes_back_over_tls)
{
    comes_back(true);
}

TEST(a_file_that_ends_within_the_range_breaks_a_stream_over_tls)
{
    struct call call = {.refused = true, .file_size = 5000};
    call_init(&call);
    make_file(&call, BYTES_LITERAL("far too short"));
    call_listen(&call, false);
    call_connect(&call, &call.ca, NULL, "evoke.test");
    CHECK(call.client.ended);
    CHECK_INT(call.released, 1);
    io_file_close(call.file);
    call_deinit(&call);
}

TEST(a_plain_client_at_a_tls_door_is_dropped)
{
    struct call call = {.message = "plain words\r\n\r\n", .refused = true}; /* it may see a reset */
    call_init(&call);
    call_listen(&call, false);
    struct io_address address = io_listener_address(call.listener);
    io_connect(call.io, &address, NULL, NULL, 5000, connected, &call);
    io_run(call.io);
    CHECK(call.client.ended);
    CHECK_INT(call.accepted, 0);
    CHECK_INT(io_listener_handshakes(call.listener).refused, 1);
    call_deinit(&call);
}

static void stop_call(void *ctx)
{
    struct call *call = ctx;
    io_stop(call->io);
}

TEST(http_at_a_tls_door_is_answered_in_http)
{
    static const char *const requests[] = {"GET /api HTTP/1.1\r\n\r\n", "DELETE /api HTTP/1.1\r\n\r\n", "POST "};
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct call call = {.message = requests[i]};
        struct io_timer timer;
        call_init(&call);
        call_listen(&call, false);
        struct io_address address = io_listener_address(call.listener);
        io_connect(call.io, &address, NULL, NULL, 5000, connected, &call);
        io_run(call.io);
        CHECK(call.client.ended);
        CHECK_BYTES(buf_bytes(&call.client.got),
                    BYTES_LITERAL("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"));
        CHECK_INT(call.accepted, 0);
        CHECK_INT(io_listener_handshakes(call.listener).refused, 1);
        io_stream_close(TAKE(call.client.stream));
        io_timer_init(call.io, &timer, stop_call, &call); /* and then there is nothing left of it */
        io_timer_start(&timer, world_is_simulated ? 30000 : 50);
        io_run(call.io);
        call_deinit(&call);
    }
}

TEST(a_handshake_that_is_not_ended_is_counted_by_what_ends_it)
{
    struct call call = {.client_ends = true};
    struct io_timer timer;
    call_init(&call);
    call_listen(&call, false);
    struct io_address address = io_listener_address(call.listener);
    io_connect(call.io, &address, NULL, NULL, 5000, connected, &call); /* says nothing, and ends */
    io_timer_init(call.io, &timer, stop_call, &call);
    io_timer_start(&timer, 500);
    io_run(call.io);
    CHECK_INT(io_listener_handshakes(call.listener).broken_off, 1);
    io_timer_stop(&timer);
    io_stream_close(TAKE(call.client.stream));
    if (world_is_simulated) { /* it would take ten seconds */
        call.client_ends = false;
        io_connect(call.io, &address, NULL, NULL, 5000, connected, &call);
        io_timer_start(&timer, 11000);
        io_run(call.io); /* the client's end */
        CHECK_INT(io_listener_handshakes(call.listener).timed_out, 1);
    }
    io_timer_stop(&timer);
    CHECK_INT(call.accepted, 0);
    call_deinit(&call);
}

TEST(rubbish_is_no_certificate)
{
    struct io *io = world_new();
    struct error err;
    struct bytes rubbish = BYTES_LITERAL("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    CHECK(!io_tls_server_new(io, rubbish, rubbish, BYTES_NULL, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    CHECK(!io_tls_client_new(io, rubbish, BYTES_NULL, BYTES_NULL, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    io_free(io);
}

TEST(a_certificate_is_good_only_for_its_ca_and_with_its_key)
{
    struct call call = {0};
    call_init(&call);
    struct io_certificate *own = &call.server_cert;
    CHECK(io_certificate_is_good(call.io, &call.ca, own, 300));
    CHECK(!io_certificate_is_good(call.io, &call.other_ca, own, 300));
    const struct io_certificate mixed = {own->certificate_pem, call.client_cert.key_pem};
    CHECK(!io_certificate_is_good(call.io, &call.ca, &mixed, 300));
    char empty[] = "";
    CHECK(!io_certificate_is_good(call.io, &call.ca, &(struct io_certificate){empty, own->key_pem}, 300));
    CHECK(!io_certificate_is_good(call.io, &call.ca, &(struct io_certificate){own->certificate_pem, empty}, 300));
    CHECK(!io_certificate_is_good(call.io, &call.ca, &(struct io_certificate){0}, 300));
    call_deinit(&call);
}
