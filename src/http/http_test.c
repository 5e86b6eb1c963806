/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server and client over real sockets of the loopback. The server's handler does what the path says; the peer is
 * either our client or a raw connection that sends what a test wants and collects what comes.
 */
#include <stdio.h>

#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "http/http_client.h"
#include "http/http_server.h"
#include "test.h"

struct world {
    struct io *io;
    struct http_server *server;
    struct http_client *client;
    struct io_timer guard;
    struct http_request *kept; /* "/later", "/stream" */
    int closed;                /* on_close was called so often */
    uint64_t received;
    size_t written;
    bool drained;
    struct io_stream *raw;
    struct buf got;
    const char *until; /* stop when the raw peer has got this */
    bool ended;
    char result[600]; /* of the client's call */
    int calls;
};

static struct world *world; /* one test, one process */

static void on_guard(void *ctx)
{
    (void)ctx;
    test_fail(__FILE__, __LINE__, "nothing happened; got so far: %s", buf_string(&world->got));
}

static void respond_body(struct http_request *request)
{
    struct http_field field = HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain"));
    http_respond(request, 200, &field, 1, request->body);
}

static void on_piece(struct http_request *request, struct bytes piece)
{
    if (piece.data)
        world->received += piece.size;
    else
        http_respond_text(request, 200, "%llu", (unsigned long long)world->received);
}

static void on_closed(struct http_request *request)
{
    CHECK(request->connection == NULL);
    world->closed++;
    world->kept = NULL;
    http_respond_text(request, 200, "too late"); /* does nothing */
    io_stop(world->io);
}

static void fill(struct http_request *request)
{
    static char block[64 << 10];
    memset(block, 'x', sizeof block);
    while (world->written < (8u << 20) && http_response_queued(request) < IO_STREAM_QUEUE_HIGH) {
        http_response_write(request, bytes_of(block, sizeof block));
        world->written += sizeof block;
    }
    if (world->written >= (8u << 20))
        http_response_end(request);
}

static void on_drain(struct http_request *request)
{
    world->drained = true;
    fill(request);
}

static void ignore_close(struct http_request *request)
{
    (void)request;
}

static void on_request(void *ctx, struct http_request *request)
{
    (void)ctx;
    struct bytes path = request->head->path;
    if (bytes_equal_string(path, "/echo")) {
        http_request_read_body(request, 100, respond_body, NULL);
    } else if (bytes_equal_string(path, "/upload")) {
        http_request_stream_body(request, on_piece);
    } else if (bytes_equal_string(path, "/later")) {
        world->kept = request;
    } else if (bytes_equal_string(path, "/stream")) {
        world->kept = request;
        http_response_begin(request, 200, NULL, 0);
        http_response_write(request, BYTES_LITERAL("one,"));
        http_request_on_close(request, on_closed);
    } else if (bytes_equal_string(path, "/much")) {
        http_response_begin(request, 200, NULL, 0);
        http_request_on_close(request, ignore_close);
        http_response_on_drain(request, on_drain);
        fill(request);
    } else {
        http_respond_text(request, 404, "no " BYTES_FORMAT, BYTES_ARGS(path));
    }
}

static void start(struct http_server_options options)
{
    struct error err;
    world = NEW(struct world);
    buf_init(&world->got, 64 << 20);
    world->io = io_linux_new(&err);
    CHECK_OK(world->io != NULL, &err);
    options.name = "test door";
    options.flag = "--listen-test";
    options.on_request = on_request;
    if (options.address.family == IO_ADDRESS_NONE)
        CHECK_OK(io_address_parse("127.0.0.1:0", &options.address, &err), &err);
    world->server = http_server_open(world->io, &options, &err);
    CHECK_OK(world->server != NULL, &err);
    world->client = http_client_new(world->io);
    io_timer_init(world->io, &world->guard, on_guard, NULL);
}

static void stop(void)
{
    io_stream_close(world->raw);
    http_client_free(world->client);
    http_server_close(world->server);
    io_free(world->io);
    buf_deinit(&world->got);
    free(world);
}

static void run(void)
{
    io_timer_start(&world->guard, 10000);
    io_run(world->io);
    io_timer_stop(&world->guard);
}

static void stop_running(void *ctx)
{
    (void)ctx;
    io_stop(world->io);
}

static void run_until_kept(void)
{
    struct io_timer turn;
    io_timer_init(world->io, &turn, stop_running, NULL);
    while (!world->kept) {
        io_timer_start(&turn, 1);
        run();
    }
}

/* --- The raw peer --- */

static void raw_data(void *ctx, struct bytes data)
{
    (void)ctx;
    buf_append(&world->got, data);
    if (world->until && strstr(buf_string(&world->got), world->until))
        io_stop(world->io);
}

static void raw_end(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    world->ended = true;
    io_stop(world->io);
}

static void raw_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = raw_data, .on_end = raw_end};
    (void)ctx;
    CHECK_OK(stream != NULL, err);
    world->raw = stream;
    io_stream_start(stream, &callbacks, NULL);
    io_stop(world->io);
}

static void raw_connect(void)
{
    struct io_address address = http_server_address(world->server);
    io_connect(world->io, &address, NULL, NULL, 5000, raw_connected, NULL);
    run();
}

static void raw_send(const char *text)
{
    io_stream_write(world->raw, bytes_of_string(text));
}

/* Runs until the raw peer has got `text`, or the connection has ended (text NULL). */
static void raw_expect(const char *text)
{
    world->until = text;
    if (!(text && strstr(buf_string(&world->got), text)))
        run();
    if (text && !strstr(buf_string(&world->got), text))
        test_fail(__FILE__, __LINE__, "not in the answer: %s\n%s", text, buf_string(&world->got));
    if (!text)
        CHECK(world->ended);
}

#define HOST "Host: a\r\n"

TEST(http_server_answers_pipelined_requests_in_order)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nfirst"
             "GET /later HTTP/1.1\r\n" HOST "\r\n"
             "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nthird\r\n0\r\n\r\n");
    raw_expect("first");
    run_until_kept();
    CHECK(strstr(buf_string(&world->got), "third") == NULL);
    http_respond_text(TAKE(world->kept), 200, "second");
    raw_expect("third");
    CHECK(strstr(buf_string(&world->got), "second") < strstr(buf_string(&world->got), "third"));
    CHECK(strncmp(buf_string(&world->got), "HTTP/1.1 200 OK\r\nDate: ", 23) == 0);
    stop();
}

TEST(http_server_gathers_a_body_that_comes_byte_by_byte)
{
    start((struct http_server_options){0});
    raw_connect();
    static const char text[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nbytes";
    for (const char *at = text; *at; at++) {
        char one[2] = {*at, 0};
        raw_send(one);
    }
    raw_expect("\r\n\r\nbytes");
    stop();
}

TEST(http_server_refuses_a_body_over_the_limit)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n");
    raw_expect("HTTP/1.1 413 ");
    raw_expect(NULL);
    stop();
}

TEST(http_server_refuses_a_chunked_body_over_the_limit)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n");
    for (int i = 0; i < 101; i++)
        raw_send("x");
    raw_expect("HTTP/1.1 413 ");
    raw_expect(NULL);
    stop();
}

TEST(http_server_answers_content_that_is_badly_coded)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
    raw_expect("HTTP/1.1 400 ");
    raw_expect(NULL);
    io_stream_close(TAKE(world->raw));
    world->ended = false;
    buf_reset(&world->got);
    raw_connect();
    raw_send("POST /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
    raw_expect(NULL);
    CHECK_INT(world->got.size, 0);
    struct http_server_metrics metrics;
    http_server_metrics(world->server, &metrics);
    CHECK_INT(metrics.bad_requests, 2);
    stop();
}

TEST(http_server_invites_a_client_that_expects_it)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    raw_expect("HTTP/1.1 100 Continue\r\n\r\n");
    raw_send("hello");
    raw_expect("\r\n\r\nhello");
    stop();
}

TEST(http_server_answers_what_is_not_http)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("\x16\x03\x01 hello\r\n\r\n");
    raw_expect("HTTP/1.1 400 ");
    raw_expect(NULL);
    struct http_server_metrics metrics;
    http_server_metrics(world->server, &metrics);
    CHECK_INT(metrics.bad_requests, 1);
    stop();
}

static void count_tls_line(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)folder;
    if (level == DIAG_WARN && strstr(message, " speaks TLS at 127.0.0.1:") && strstr(message, "plain HTTP"))
        ++*(int *)ctx;
}

TEST(http_server_tells_its_operator_of_clients_that_speak_tls_but_not_of_each)
{
    int lines = 0;
    start((struct http_server_options){0});
    diag_set_sink(count_tls_line, &lines, DIAG_WARN);
    for (int i = 0; i < 3; i++) {
        raw_connect();
        raw_send("\x16\x03\x01 hello\r\n\r\n");
        raw_expect("HTTP/1.1 400 ");
        raw_expect(NULL);
    }
    CHECK_INT(lines, 1);
    diag_set_sink(NULL, NULL, DIAG_INFO);
    stop();
}

TEST(http_server_closes_slow_and_idle_connections)
{
    start((struct http_server_options){.head_timeout_ms = 20, .body_timeout_ms = 20, .idle_timeout_ms = 20});
    raw_connect();
    raw_expect(NULL);
    CHECK_INT(world->got.size, 0);
    io_stream_close(TAKE(world->raw));

    world->ended = false;
    raw_connect();
    raw_send("GET / HT");
    raw_expect("HTTP/1.1 408 ");
    raw_expect(NULL);
    io_stream_close(TAKE(world->raw));

    world->ended = false;
    buf_reset(&world->got);
    raw_connect();
    raw_send("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    raw_expect(NULL);
    CHECK_INT(world->got.size, 0);
    stop();
}

TEST(http_server_streams_and_tells_that_the_client_has_gone)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    raw_expect("4\r\none,\r\n");
    http_response_write(world->kept, BYTES_LITERAL("two"));
    raw_expect("3\r\ntwo\r\n");
    io_stream_close(TAKE(world->raw));
    run();
    CHECK_INT(world->closed, 1);
    CHECK(!world->kept);
    stop();
}

TEST(http_server_ends_a_stream_so_that_the_connection_goes_on)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    raw_expect("one,");
    http_response_end(TAKE(world->kept));
    raw_expect("0\r\n\r\n");
    raw_send("GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    raw_expect("no /nothing");
    stop();
}

TEST(http_server_breaks_a_stream_off_without_a_last_chunk)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    raw_expect("one,");
    http_response_abort(TAKE(world->kept));
    raw_expect(NULL);
    CHECK(strstr(buf_string(&world->got), "0\r\n\r\n") == NULL);
    CHECK_INT(world->closed, 0);
    stop();
}

TEST(http_server_drops_an_answer_whose_client_has_gone)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("GET /later HTTP/1.1\r\n" HOST "\r\n");
    run_until_kept();
    io_stream_close(TAKE(world->raw));
    http_server_close(TAKE(world->server));
    CHECK(world->kept->connection == NULL);
    CHECK_BYTES(world->kept->head->path, BYTES_LITERAL("/later")); /* still there */
    http_respond_text(TAKE(world->kept), 200, "nobody hears it");
    stop();
}

TEST(http_server_speaks_to_clients_of_http_1_0)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("GET /stream HTTP/1.0\r\n\r\n");
    raw_expect("\r\n\r\none,");
    CHECK(strstr(buf_string(&world->got), "Connection: close\r\n") != NULL);
    http_response_end(TAKE(world->kept));
    raw_expect(NULL);
    stop();
}

TEST(http_server_leaves_the_body_out_for_head)
{
    start((struct http_server_options){0});
    raw_connect();
    raw_send("HEAD /x HTTP/1.1\r\n" HOST "\r\nGET /y HTTP/1.1\r\n" HOST "\r\n");
    raw_expect("no /y");
    CHECK(strstr(buf_string(&world->got), "no /x") == NULL);
    CHECK(strstr(buf_string(&world->got), "Content-Length: 6\r\n\r\nHTTP/1.1 404") != NULL);
    stop();
}

TEST(http_server_takes_an_upload_piece_by_piece)
{
    start((struct http_server_options){0});
    raw_connect();
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    raw_send("PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 4194304\r\n\r\n");
    for (int i = 0; i < 4; i++)
        io_stream_write(world->raw, bytes_of(block, sizeof block));
    raw_expect("\r\n\r\n4194304\n");
    stop();
}

TEST(http_server_bounds_its_connections)
{
    start((struct http_server_options){.connections_max = 1});
    raw_connect();
    struct io_stream *first = TAKE(world->raw);
    raw_connect();
    raw_expect(NULL);
    io_stream_close(first);
    struct http_server_metrics metrics;
    http_server_metrics(world->server, &metrics);
    CHECK_INT(metrics.connections_refused, 1);
    stop();
}

TEST(http_server_says_which_port_is_taken_and_which_flag_changes_it)
{
    start((struct http_server_options){0});
    struct error err = {0};
    struct http_server_options options = {.address = http_server_address(world->server),
                                          .name = "events door",
                                          .flag = "--listen-http",
                                          .on_request = on_request};
    CHECK(http_server_open(world->io, &options, &err) == NULL);
    CHECK_INT(err.kind, ERROR_UNAVAILABLE);
    CHECK(strstr(err.message, "events door at 127.0.0.1:") && strstr(err.message, "--listen-http"));
    stop();
}

/* --- The client --- */

static void on_called(void *ctx, const struct http_response *response, const struct error *err)
{
    (void)ctx;
    if (response)
        snprintf(world->result, sizeof world->result, "%d " BYTES_FORMAT, response->head->status,
                 BYTES_ARGS(response->body));
    else
        snprintf(world->result, sizeof world->result, "%s: %s", error_kind_name(err->kind), err->message);
    world->calls++;
    io_stop(world->io);
}

static void call(const char *method, const char *target, const char *body, size_t response_size_max)
{
    struct http_call_options options = {
        .address = http_server_address(world->server),
        .method = bytes_of_string(method),
        .target = bytes_of_string(target),
        .body = bytes_of_string(body),
        .response_size_max = response_size_max,
        .timeout_ms = 5000,
    };
    http_client_call(world->client, &options, on_called, NULL);
    run();
}

TEST(http_client_uses_one_connection_again_and_again)
{
    start((struct http_server_options){0});
    call("POST", "/echo", "hello", 0);
    CHECK_STR(world->result, "200 hello");
    call("GET", "/nothing", NULL, 0);
    CHECK_STR(world->result, "404 no /nothing\n");
    call("HEAD", "/nothing", NULL, 0);
    CHECK_STR(world->result, "404 ");
    call("POST", "/echo", "", 0);
    CHECK_STR(world->result, "200 ");
    struct http_server_metrics metrics;
    http_server_metrics(world->server, &metrics);
    CHECK_INT(metrics.connections_total, 1);
    stop();
}

TEST(http_client_reads_a_long_stream_that_its_server_writes_as_it_drains)
{
    start((struct http_server_options){0});
    call("GET", "/much", NULL, 16 << 20);
    CHECK(strncmp(world->result, "200 xxxx", 8) == 0);
    CHECK(world->drained);
    call("GET", "/nothing", NULL, 0);
    CHECK_STR(world->result, "404 no /nothing\n");
    stop();
}

TEST(http_client_bounds_the_response)
{
    start((struct http_server_options){0});
    call("GET", "/much", NULL, 1000);
    CHECK(strncmp(world->result, "limit: 127.0.0.1:", 17) == 0);
    stop();
}

TEST(http_client_gives_up_after_its_time)
{
    start((struct http_server_options){0});
    struct http_call_options options = {
        .address = http_server_address(world->server), .target = BYTES_LITERAL("/later"), .timeout_ms = 20};
    http_client_call(world->client, &options, on_called, NULL);
    run();
    CHECK(strncmp(world->result, "timeout: ", 9) == 0);
    CHECK(strstr(world->result, "no response within 20 ms") != NULL);
    http_server_close(TAKE(world->server));
    http_respond_text(TAKE(world->kept), 200, "nobody hears it");
    stop();
}

TEST(http_client_says_that_nobody_listens)
{
    start((struct http_server_options){0});
    struct http_call_options options = {.address = http_server_address(world->server)};
    http_server_close(TAKE(world->server));
    http_client_call(world->client, &options, on_called, NULL);
    run();
    CHECK(strncmp(world->result, "unavailable: 127.0.0.1:", 23) == 0);
    stop();
}

TEST(http_client_repeats_a_safe_request_when_a_kept_connection_was_closed)
{
    start((struct http_server_options){.idle_timeout_ms = 10});
    call("GET", "/a", NULL, 0);
    call("GET", "/b", NULL, 0);
    CHECK_STR(world->result, "404 no /b\n");
    /* The server is reopened on the same port: the kept connection is dead, and we may not know it yet. */
    struct http_server_options options = {
        .address = http_server_address(world->server), .name = "test door", .on_request = on_request};
    struct error err;
    http_server_close(world->server);
    world->server = http_server_open(world->io, &options, &err);
    CHECK_OK(world->server != NULL, &err);
    call("GET", "/c", NULL, 0);
    CHECK_STR(world->result, "404 no /c\n");
    stop();
}

TEST(http_client_cancels_without_a_callback)
{
    start((struct http_server_options){0});
    struct http_call_options options = {.address = http_server_address(world->server),
                                        .target = BYTES_LITERAL("/later")};
    struct http_call *first = http_client_call(world->client, &options, on_called, NULL);
    http_call_cancel(first);
    struct http_call *second = http_client_call(world->client, &options, on_called, NULL);
    run_until_kept();
    http_call_cancel(second);
    CHECK_INT(world->calls, 0);
    http_server_close(TAKE(world->server));
    http_respond_text(TAKE(world->kept), 200, "nobody hears it");
    stop();
}

TEST(http_status_codes_follow_the_kind_of_error)
{
    CHECK_INT(http_status_of(ERROR_INVALID), 400);
    CHECK_INT(http_status_of(ERROR_NOT_FOUND), 404);
    CHECK_INT(http_status_of(ERROR_UNAVAILABLE), 503);
    CHECK_INT(http_status_of(ERROR_UNSUPPORTED), 501);
}
