/* SPDX-License-Identifier: Apache-2.0 */
/* Names of Services over a real api, asked by real sockets; the machine's own server is one of the test's. */
#include "mesh/names.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "io/datagram.h"
#include "io/stream.h"
#include "mesh/nameserver.h"
#include "test.h"

static struct io *io;
static struct log *event_log;
static struct api *api;
static struct io_timer guard;

static void on_guard(void *ctx)
{
    (void)ctx;
    test_fail(__FILE__, __LINE__, "nothing happened");
}

static void on_stop(void *ctx)
{
    (void)ctx;
    io_stop(io);
}

static void create(const char *namespace, const char *kind, const char *text)
{
    struct error err;
    AUTO_JSON *json = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(json != NULL, &err);
    CHECK_OK(api_create(api, kind_by_name(kind), bytes_of_string(namespace), json, API_STATUS, NULL, &err), &err);
}

static void start(void)
{
    struct error err;
    io = io_linux_new(&err);
    CHECK_OK(io != NULL, &err);
    io_timer_init(io, &guard, on_guard, NULL);
    io_timer_start(&guard, 10000);
    event_log = log_open(io, &(struct log_options){.directory = test_dir(), .journal_file_size = 1 << 20}, &err);
    CHECK_OK(event_log != NULL, &err);
    api = api_open(io, event_log, &err);
    CHECK_OK(api != NULL, &err);
    create("", "Namespace", "{\"metadata\":{\"name\":\"shop\"}}");
    create("shop", "Service",
           "{\"metadata\":{\"name\":\"billing\"},\"spec\":{\"clusterIP\":\"10.96.7.8\",\"ports\":[{\"name\":\"http\","
           "\"port\":80},{\"name\":\"admin\",\"port\":81}]}}");
    create("shop", "Service",
           "{\"metadata\":{\"name\":\"each\"},\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"name\":\"http\",\"port\":"
           "80}]}}");
    create(
        "shop", "Service",
        "{\"metadata\":{\"name\":\"far\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"db.example.org\"}}");
    create("shop", "EndpointSlice",
           "{\"metadata\":{\"name\":\"each-1\",\"labels\":{\"kubernetes.io/service-name\":\"each\"}},\"addressType\":"
           "\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"}],\"endpoints\":["
           "{\"addresses\":[\"10.88.0.7\"],\"conditions\":{\"ready\":true}},"
           "{\"addresses\":[\"10.88.0.8\"],\"hostname\":\"first\",\"conditions\":{\"ready\":true}},"
           "{\"addresses\":[\"10.88.0.9\"],\"conditions\":{\"ready\":false}}]}");
}

static void stop(void)
{
    api_close(api);
    log_close(event_log, on_stop, NULL);
    io_run(io);
    io_timer_stop(&guard);
    io_free(io);
}

/* --- Questions and answers as text --- */

static void append_question(struct buf *out, const char *name, uint16_t type)
{
    struct bytes rest = bytes_of_string(name), label;
    buf_append(out, BYTES_LITERAL("\x77\x77\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"));
    while (bytes_split(&rest, '.', &label)) {
        buf_append_byte(out, (uint8_t)label.size);
        buf_append(out, label);
    }
    buf_append_byte(out, 0);
    buf_append_be16(out, type);
    buf_append_be16(out, DNS_CLASS_IN);
}

static size_t print_name(struct bytes message, size_t at, struct buf *out)
{
    for (const char *dot = ""; message.data[at]; dot = ".") {
        buf_printf(out, "%s" BYTES_FORMAT, dot, BYTES_ARGS(bytes_slice(message, at + 1, message.data[at])));
        at += 1u + message.data[at];
    }
    return at + 1;
}

/* "0 A 10.96.7.8", "3" ...: the code, then the answers. */
static void print_reply(struct bytes message, struct buf *out)
{
    CHECK(message.size >= DNS_HEADER_SIZE);
    AUTO_BUF ignored;
    buf_init(&ignored, 1000);
    buf_printf(out, "%d", message.data[3] & 15);
    size_t at = print_name(message, DNS_HEADER_SIZE, &ignored) + 4;
    for (unsigned i = 0; i < message.data[7] + message.data[6] * 256u; i++) {
        unsigned type = message.data[at + 3];
        size_t data = at + 12, size = (size_t)(message.data[at + 10] << 8 | message.data[at + 11]);
        if (type == DNS_A) {
            buf_printf(out, " A %d.%d.%d.%d", message.data[data], message.data[data + 1], message.data[data + 2],
                       message.data[data + 3]);
        } else {
            buf_printf(out, type == DNS_SRV ? " SRV %d " : " CNAME ",
                       message.data[data + 4] << 8 | message.data[data + 5]);
            print_name(message, type == DNS_SRV ? data + 6 : data, out);
        }
        at = data + size;
    }
}

static void check_name(const char *name, uint16_t type, const char *expected)
{
    struct dns_query query;
    struct error err;
    AUTO_BUF question, reply, text;
    buf_init(&question, 1000);
    buf_init(&reply, 100000);
    buf_init(&text, 100000);
    append_question(&question, name, type);
    CHECK_OK(dns_query_parse(buf_bytes(&question), &query, &err), &err);
    if (names_reply(api, &query, DNS_MESSAGE_SIZE_MAX, &reply))
        print_reply(buf_bytes(&reply), &text);
    CHECK_STR(buf_string(&text), expected);
}

TEST(a_service_is_found_by_its_name_and_nothing_else_is)
{
    start();
    check_name("billing.shop.svc.cluster.local", DNS_A, "0 A 10.96.7.8");
    check_name("BILLING.shop.svc.Cluster.Local", DNS_A, "0 A 10.96.7.8");
    check_name("billing.shop.svc.cluster.local", DNS_AAAA, "0"); /* it is there, and has none of those */
    check_name("billing.default.svc.cluster.local", DNS_A, "3");
    check_name("nobody.shop.svc.cluster.local", DNS_A, "3");
    check_name("x.billing.shop.svc.cluster.local", DNS_A, "3");
    check_name("a.b.c.d.e.f.g.svc.cluster.local", DNS_A, "3");
    check_name("example.org.shop.svc.cluster.local", DNS_A, "3"); /* as a search list asks */
    check_name("other.cluster.local", DNS_A, "3");
    check_name("cluster.local", DNS_A, "0");
    check_name("shop.svc.cluster.local", DNS_A, "0");
    check_name("none.svc.cluster.local", DNS_A, "3");
    check_name("example.org", DNS_A, ""); /* not ours to answer */
    check_name("notcluster.local", DNS_A, "");
    stop();
}

TEST(a_headless_service_is_its_ready_endpoints)
{
    start();
    check_name("each.shop.svc.cluster.local", DNS_A, "0 A 10.88.0.7 A 10.88.0.8");
    check_name("first.each.shop.svc.cluster.local", DNS_A, "0 A 10.88.0.8");
    check_name("10-88-0-7.each.shop.svc.cluster.local", DNS_A, "0 A 10.88.0.7");
    check_name("10-88-0-9.each.shop.svc.cluster.local", DNS_A, "3"); /* it is not ready */
    stop();
}

TEST(ports_external_names_and_pods_have_records_of_their_own)
{
    start();
    check_name("_admin._tcp.billing.shop.svc.cluster.local", DNS_SRV, "0 SRV 81 billing.shop.svc.cluster.local");
    check_name("_admin._udp.billing.shop.svc.cluster.local", DNS_SRV, "3");
    check_name("_http._tcp.each.shop.svc.cluster.local", DNS_SRV,
               "0 SRV 8080 10-88-0-7.each.shop.svc.cluster.local SRV 8080 first.each.shop.svc.cluster.local");
    check_name("far.shop.svc.cluster.local", DNS_A, "0 CNAME db.example.org");
    check_name("10-88-0-7.shop.pod.cluster.local", DNS_A, "0 A 10.88.0.7");
    check_name("10-88-0.shop.pod.cluster.local", DNS_A, "3");
    check_name("10-88-0-7.none.pod.cluster.local", DNS_A, "3");
    stop();
}

/* --- The server --- */

struct machine_server {
    struct io_datagram *datagram;
    struct io_listener *listener;
    struct io_stream *stream;
    struct nameserver *server;
    char path[300];
    int asked;
    bool silent;
};

/* The answer to whatever is asked: 9.9.9.9. */
static void answer(struct bytes question, struct buf *out)
{
    static const uint8_t ip[4] = {9, 9, 9, 9};
    struct dns_query query;
    struct dns_reply reply;
    struct error err;
    CHECK_OK(dns_query_parse(question, &query, &err), &err);
    dns_reply_begin(&reply, out, &query, DNS_MESSAGE_SIZE_MAX, DNS_OK);
    dns_reply_add_a(&reply, 5, ip);
    dns_reply_end(&reply);
}

static void on_question(void *ctx, const struct io_address *from, struct bytes question)
{
    struct machine_server *machine = ctx;
    AUTO_BUF out;
    buf_init(&out, 1000);
    machine->asked++;
    if (machine->silent)
        return;
    answer(question, &out);
    AUTO_BUF forged;
    buf_init(&forged, 1000);
    buf_append(&forged, buf_bytes(&out));
    forged.data[1] ^= 1; /* somebody who guesses the id is not believed */
    io_datagram_send(machine->datagram, from, buf_bytes(&forged));
    io_datagram_send(machine->datagram, from, buf_bytes(&out));
}

static void on_stream_question(void *ctx, struct bytes data)
{
    struct machine_server *machine = ctx;
    AUTO_BUF out;
    buf_init(&out, 1000);
    machine->asked++;
    answer(bytes_slice(data, 2, data.size), &out);
    const uint8_t size[2] = {0, (uint8_t)out.size};
    io_stream_write(machine->stream, bytes_of(size, 2));
    io_stream_write(machine->stream, buf_bytes(&out));
}

static void on_stream_end(void *ctx, const struct error *err)
{
    struct machine_server *machine = ctx;
    (void)err;
    io_stream_close(TAKE(machine->stream));
}

static void on_accept(void *ctx, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_stream_question, .on_end = on_stream_end};
    struct machine_server *machine = ctx;
    machine->stream = stream;
    io_stream_start(stream, &callbacks, machine);
}

static void open_server(struct machine_server *machine)
{
    struct error err;
    struct io_address address;
    *machine = (struct machine_server){0};
    CHECK_OK(io_address_parse("127.0.0.1:0", &address, &err), &err);
    CHECK_OK(io_listen(io, &address, NULL, on_accept, machine, &machine->listener, &err), &err);
    struct io_address there = io_listener_address(machine->listener);
    CHECK_OK(io_datagram_open(io, &there, on_question, machine, &machine->datagram, &err), &err);
    snprintf(machine->path, sizeof machine->path, "%s/resolv.conf", test_dir());
    FILE *file = fopen(machine->path, "w");
    fprintf(file, "nameserver 127.0.0.1\n");
    fclose(file);
    machine->server = nameserver_open(&(struct nameserver_options){
        .api = api, .address = address, .resolv_conf = machine->path, .forward_port = there.port});
}

static void close_server(struct machine_server *machine)
{
    nameserver_close(machine->server);
    io_stream_close(machine->stream);
    io_listener_close(machine->listener);
    io_datagram_close(machine->datagram);
}

static void on_reply(void *ctx, const struct io_address *from, struct bytes message)
{
    (void)from;
    CHECK_INT(message.data[0] << 8 | message.data[1], 0x7777);
    print_reply(message, ctx);
    io_stop(io);
}

static void check_udp(struct machine_server *machine, struct bytes question, const char *expected)
{
    struct io_address any, server = nameserver_address(machine->server);
    struct io_datagram *datagram;
    struct error err;
    AUTO_BUF text;
    buf_init(&text, 1000);
    CHECK_OK(io_address_parse("127.0.0.1:0", &any, &err), &err);
    CHECK_OK(io_datagram_open(io, &any, on_reply, &text, &datagram, &err), &err);
    io_datagram_send(datagram, &server, question);
    io_run(io);
    CHECK_STR(buf_string(&text), expected);
    io_datagram_close(datagram);
}

static void check_udp_name(struct machine_server *machine, const char *name, const char *expected)
{
    AUTO_BUF question;
    buf_init(&question, 1000);
    append_question(&question, name, DNS_A);
    check_udp(machine, buf_bytes(&question), expected);
}

TEST(the_server_answers_for_services_and_passes_the_rest_on)
{
    struct machine_server machine;
    start();
    open_server(&machine);
    check_udp_name(&machine, "billing.shop.svc.cluster.local", "0 A 10.96.7.8");
    CHECK_INT(machine.asked, 0);
    check_udp_name(&machine, "example.org", "0 A 9.9.9.9");
    CHECK_INT(machine.asked, 1);
    struct nameserver_metrics metrics;
    nameserver_metrics(machine.server, &metrics);
    CHECK_INT(metrics.queries, 2);
    CHECK_INT(metrics.forwarded, 1);
    close_server(&machine);
    stop();
}

TEST(a_question_that_makes_no_sense_is_refused_and_one_that_nobody_answers_fails)
{
    struct machine_server machine;
    start();
    open_server(&machine);
    check_udp(&machine, BYTES_LITERAL("\x77\x77\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c"), "1");
    machine.silent = true;
    check_udp_name(&machine, "example.org", "2");
    CHECK_INT(machine.asked, 1);
    remove(machine.path); /* it is not asked for again within seconds: nothing changes yet */
    close_server(&machine);
    stop();
}

/* --- By TCP --- */

struct tcp_client {
    struct io_stream *stream;
    struct buf got;
    size_t replies;
    struct buf questions;
};

static void on_tcp_data(void *ctx, struct bytes data)
{
    struct tcp_client *client = ctx;
    buf_append(&client->got, data);
    size_t at = 0, count = 0;
    while (at + 2 <= client->got.size && at + 2 + client->got.data[at + 1] <= client->got.size) {
        at += 2u + client->got.data[at + 1];
        count++;
    }
    if (count == client->replies)
        io_stop(io);
}

static void on_tcp_end(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    test_fail(__FILE__, __LINE__, "the connection ended");
}

static void on_tcp_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_tcp_data, .on_end = on_tcp_end};
    struct tcp_client *client = ctx;
    CHECK_OK(stream != NULL, err);
    client->stream = stream;
    io_stream_start(stream, &callbacks, client);
    io_stream_write(stream, buf_bytes(&client->questions));
}

static void add_tcp_question(struct tcp_client *client, const char *name)
{
    size_t at = client->questions.size;
    buf_append_be16(&client->questions, 0);
    append_question(&client->questions, name, DNS_A);
    client->questions.data[at + 1] = (uint8_t)(client->questions.size - at - 2);
    client->replies++;
}

TEST(by_tcp_questions_are_answered_one_after_the_other)
{
    struct machine_server machine;
    struct tcp_client client = {0};
    start();
    open_server(&machine);
    buf_init(&client.got, 10000);
    buf_init(&client.questions, 10000);
    add_tcp_question(&client, "billing.shop.svc.cluster.local");
    add_tcp_question(&client, "example.org");
    add_tcp_question(&client, "nobody.shop.svc.cluster.local");
    add_tcp_question(&client, "example.com");
    struct io_address server = nameserver_address(machine.server);
    io_connect(io, &server, NULL, NULL, 5000, on_tcp_connected, &client);
    io_run(io);
    AUTO_BUF text;
    buf_init(&text, 1000);
    for (size_t at = 0; at < client.got.size; at += 2u + client.got.data[at + 1]) {
        print_reply(bytes_slice(buf_bytes(&client.got), at + 2, client.got.data[at + 1]), &text);
        buf_append_string(&text, ";");
    }
    CHECK_STR(buf_string(&text), "0 A 10.96.7.8;0 A 9.9.9.9;3;0 A 9.9.9.9;");
    io_stream_close(client.stream);
    buf_deinit(&client.got);
    buf_deinit(&client.questions);
    close_server(&machine);
    stop();
}
