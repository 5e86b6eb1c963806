/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of the simulated world when the other end dies or does nothing: time limits cost nothing to wait for here. */
#include "io/simulated.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/simulated_fixture.h"
#include "io/stream.h"
#include "io/tls.h"
#include "test.h"

static void stream_gone(void *ctx, const struct error *err)
{
    (void)err;
    simulated_set_flag(ctx);
}

static void ignore_data(void *ctx, struct bytes data)
{
    (void)ctx;
    (void)data;
}

struct visit {
    struct io_stream *caller, *called;
    bool gone;
};

static bool met(void *ctx)
{
    const struct visit *visit = ctx;
    return visit->caller && visit->called;
}

static void visit_called(void *ctx, struct io_stream *stream)
{
    struct visit *visit = ctx;
    visit->called = stream;
}

static void visit_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct visit *visit = ctx;
    CHECK(!err);
    visit->caller = stream;
}

TEST(the_peer_of_a_killed_program_sees_the_end_and_the_dead_one_nothing)
{
    struct error err;
    struct io *daemon = io_simulated_new(3), *client = io_simulated_another(daemon);
    struct visit visit = {0};
    bool dead_heard = false, rang = false;
    struct io_listener *listener;
    struct io_address address = simulated_address("127.0.0.1:80");
    CHECK_OK(io_listen(daemon, &address, NULL, visit_called, &visit, &listener, &err), &err);
    io_connect(client, &address, NULL, NULL, 1000, visit_connected, &visit);
    CHECK(io_simulated_run_until(client, met, &visit, 1000));
    io_stream_start(visit.caller, &(struct io_stream_callbacks){.on_data = ignore_data, .on_end = stream_gone},
                    &visit.gone);
    io_stream_start(visit.called, &(struct io_stream_callbacks){.on_data = ignore_data, .on_end = stream_gone},
                    &dead_heard);
    struct io_timer timer;
    io_timer_init(daemon, &timer, simulated_set_flag, &rang);
    io_timer_start(&timer, 1);
    io_simulated_kill(daemon);
    io_stream_write(visit.called, BYTES_LITERAL("never heard"));
    CHECK(io_simulated_run_until(client, simulated_is_set, &visit.gone, 1000));
    io_simulated_run_for(client, 1000);
    CHECK(!dead_heard && !rang);
    /* The port is free again at once. */
    struct io *again = io_simulated_another(client);
    struct io_listener *second;
    CHECK_OK(io_listen(again, &address, NULL, visit_called, &visit, &second, &err), &err);
    CHECK(!io_listen(daemon, &address, NULL, visit_called, &visit, &listener, &err));
    io_timer_stop(&timer);
    io_stream_close(visit.called);
    io_stream_close(visit.caller);
    io_listener_close(listener);
    io_listener_close(second);
    io_free(daemon);
    io_free(again);
    io_free(client);
}

/* --- Time limits of streams: here they cost nothing to wait for --- */

static void never_accept(void *ctx, struct io_stream *stream)
{
    (void)ctx;
    (void)stream;
    test_fail(__FILE__, __LINE__, "accepted without a TLS handshake");
}

TEST(who_does_not_start_the_tls_handshake_is_dropped_after_ten_seconds)
{
    struct error err;
    struct io *io = io_simulated_new(9);
    struct visit visit = {0};
    struct io_listener *listener;
    struct io_address address = simulated_address("127.0.0.1:443");
    struct io_certificate ca, own;
    CHECK_OK(io_certificate_make_ca(io, "ca", 1, &ca, &err), &err);
    CHECK_OK(io_certificate_make(io, &ca, "s", NULL, 0, (const char *const[]){"s"}, 1, 1, &own, &err), &err);
    struct io_tls *tls =
        io_tls_server_new(io, bytes_of_string(own.certificate_pem), bytes_of_string(own.key_pem), BYTES_NULL, &err);
    CHECK_OK(tls, &err);
    CHECK_OK(io_listen(io, &address, tls, never_accept, NULL, &listener, &err), &err);
    io_connect(io, &address, NULL, NULL, 1000, visit_connected, &visit);
    io_simulated_run_for(io, 10);
    CHECK(visit.caller);
    io_stream_start(visit.caller, &(struct io_stream_callbacks){.on_data = ignore_data, .on_end = stream_gone},
                    &visit.gone);
    io_simulated_run_for(io, 9900);
    CHECK(!visit.gone);
    io_simulated_run_for(io, 200);
    CHECK(visit.gone);
    io_stream_close(visit.caller);
    io_listener_close(listener);
    io_tls_free(tls);
    io_certificate_deinit(&ca);
    io_certificate_deinit(&own);
    io_free(io);
}

static void note_failure(void *ctx, struct io_stream *stream, const struct error *err)
{
    CHECK(!stream);
    *(enum error_kind *)ctx = err->kind;
}

TEST(a_connect_that_takes_too_long_is_a_timeout)
{
    struct io *io = io_simulated_new(9);
    enum error_kind why = 0;
    struct io_address address = simulated_address("10.0.0.1:80");
    io_simulated_faults(io)->latency_max_ns = UINT64_C(1000000000000);
    io_connect(io, &address, NULL, NULL, 500, note_failure, &why);
    io_simulated_run_for(io, 499);
    CHECK_INT(why, 0);
    io_simulated_run_for(io, 2);
    CHECK_INT(why, ERROR_TIMEOUT);
    io_free(io);
}

static void note_released(void *owner)
{
    *(bool *)owner = true;
}

TEST(close_after_write_gives_a_peer_that_does_not_read_five_seconds)
{
    struct error err;
    struct io *io = io_simulated_new(9);
    struct visit visit = {0};
    bool released = false;
    struct io_listener *listener;
    struct io_address address = simulated_address("127.0.0.1:80");
    static uint8_t much[8 << 20];
    CHECK_OK(io_listen(io, &address, NULL, visit_called, &visit, &listener, &err), &err);
    io_connect(io, &address, NULL, NULL, 1000, visit_connected, &visit);
    CHECK(io_simulated_run_until(io, met, &visit, 1000));
    io_stream_write_ref(visit.called, bytes_of(much, sizeof much), note_released, &released);
    io_stream_close_after_write(visit.called);
    io_simulated_run_for(io, 4900);
    CHECK(!released);
    io_simulated_run_for(io, 200);
    CHECK(released);
    io_stream_close(visit.caller);
    io_listener_close(listener);
    io_free(io);
}
