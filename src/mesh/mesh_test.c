/* SPDX-License-Identifier: Apache-2.0 */
/* Services in a real api over a real log; endpoints are listeners of the test on loopback addresses. */
#include "mesh/mesh.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "io/stream.h"
#include "test.h"

static struct io *io;
static struct log *event_log;
static struct api *api;
static struct mesh *mesh;
static struct io_timer guard, turn;

static void on_guard(void *ctx)
{
    (void)ctx;
    test_fail(__FILE__, __LINE__, "nothing happened");
}

static void on_turn(void *ctx)
{
    (void)ctx;
    io_stop(io);
}

/* Until there is nothing left to do at once. */
static void settle(void)
{
    io_timer_start(&turn, 2);
    io_run(io);
}

static void create(const char *kind, const char *format, ...) PRINTF_LIKE(2, 3);

static void create(const char *kind, const char *format, ...)
{
    char text[4096];
    struct error err;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    AUTO_JSON *json = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(json != NULL, &err);
    struct bytes namespace = strcmp(kind, "Namespace") == 0 ? BYTES_LITERAL("") : BYTES_LITERAL("shop");
    struct bytes name = json_bytes(json_at(json, "metadata.name"));
    if (api_get(api, kind_by_name(kind), namespace, name))
        CHECK_OK(api_update(api, kind_by_name(kind), namespace, name, json, 0, NULL, &err), &err);
    else
        CHECK_OK(api_create(api, kind_by_name(kind), namespace, json, API_STATUS, NULL, &err), &err);
}

static void start(void)
{
    struct error err;
    io = io_linux_new(&err);
    CHECK_OK(io != NULL, &err);
    io_timer_init(io, &guard, on_guard, NULL);
    io_timer_init(io, &turn, on_turn, NULL);
    io_timer_start(&guard, 10000);
    event_log = log_open(io, &(struct log_options){.directory = test_dir(), .journal_file_size = 1 << 20}, &err);
    CHECK_OK(event_log != NULL, &err);
    api = api_open(io, event_log, &err);
    CHECK_OK(api != NULL, &err);
    mesh = mesh_open(api);
    create("Namespace", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\"}}");
}

static void stop(void)
{
    mesh_close(mesh);
    api_close(api);
    log_close(event_log, on_turn, NULL);
    io_run(io);
    io_timer_stop(&guard);
    io_free(io);
}

static void create_service(const char *cluster_ip, int port)
{
    create("Service",
           "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"billing\",\"namespace\":\"shop\"},"
           "\"spec\":{\"clusterIP\":\"%s\",\"selector\":{\"app\":\"billing\"},\"ports\":[{\"name\":\"http\","
           "\"port\":%d}]}}",
           cluster_ip, port);
}

/* `ready` of the endpoints 127.0.7.1 .. n at that port. */
static void create_slice(int port, const char *ready)
{
    char endpoints[1000] = "";
    size_t at = 0;
    for (size_t i = 0; ready[i]; i++)
        at += (size_t)snprintf(endpoints + at, sizeof endpoints - at,
                               "%s{\"addresses\":[\"127.0.7.%zu\"],\"conditions\":{\"ready\":%s},\"targetRef\":{"
                               "\"kind\":\"Pod\",\"name\":\"pod-%zu\"}}",
                               i ? "," : "", i + 1, ready[i] == 'y' ? "true" : "false", i + 1);
    create("EndpointSlice",
           "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"billing-1\","
           "\"namespace\":\"shop\",\"labels\":{\"kubernetes.io/service-name\":\"billing\"}},\"addressType\":\"IPv4\","
           "\"ports\":[{\"name\":\"http\",\"port\":%d}],\"endpoints\":[%s]}",
           port, endpoints);
}

static void create_deployment(int replicas)
{
    create("Deployment",
           "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"billing\",\"namespace\":"
           "\"shop\"},\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":{\"app\":\"billing\"}},\"template\":{"
           "\"metadata\":{\"labels\":{\"app\":\"billing\"}},\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":"
           "\"a\"}]}}}}",
           replicas);
}

static void create_scaled_object(void)
{
    create("ScaledObject",
           "{\"apiVersion\":\"keda.sh/v1alpha1\",\"kind\":\"ScaledObject\",\"metadata\":{\"name\":\"billing\","
           "\"namespace\":\"shop\"},\"spec\":{\"scaleTargetRef\":{\"name\":\"billing\"},\"triggers\":[{\"type\":"
           "\"kafka\",\"metadata\":{\"topic\":\"a\",\"consumerGroup\":\"b\"}}]}}");
}

/* What an acquisition came to. */
struct taken {
    struct mesh_lease *lease;
    enum error_kind kind;
    int calls;
};

static void on_acquired(void *ctx, struct mesh_lease *lease, const struct error *err)
{
    struct taken *taken = ctx;
    taken->lease = lease;
    taken->kind = err ? err->kind : 0;
    taken->calls++;
}

static struct mesh_waiter *acquire(struct taken *taken, const char *port, uint32_t in_flight_max, uint64_t timeout_ms)
{
    *taken = (struct taken){0};
    struct mesh_acquire_options options = {.namespace = BYTES_LITERAL("shop"),
                                           .service = BYTES_LITERAL("billing"),
                                           .port = bytes_of_string(port),
                                           .in_flight_max = in_flight_max,
                                           .timeout_ms = timeout_ms};
    return mesh_acquire(mesh, &options, on_acquired, taken);
}

TEST(mesh_says_that_there_is_no_service_or_port)
{
    start();
    struct taken a, b;
    acquire(&a, NULL, 0, 0);
    CHECK_INT(a.calls, 0); /* never within the call */
    settle();
    CHECK_INT(a.kind, ERROR_NOT_FOUND);
    create_service("None", 80);
    settle();
    acquire(&a, "grpc", 0, 0);
    acquire(&b, "81", 0, 0);
    settle();
    CHECK_INT(a.kind, ERROR_NOT_FOUND);
    CHECK_INT(b.kind, ERROR_NOT_FOUND);
    stop();
}

TEST(mesh_refuses_when_nothing_can_start_an_endpoint)
{
    start();
    struct taken a;
    create_service("None", 80);
    create_slice(8080, "n");
    create_deployment(0);
    settle();
    acquire(&a, "http", 0, 0);
    settle();
    CHECK_INT(a.calls, 1);
    CHECK_INT(a.kind, ERROR_UNAVAILABLE);
    stop();
}

TEST(mesh_takes_the_endpoint_with_the_least_in_flight)
{
    start();
    struct taken taken[4];
    create_service("None", 80);
    create_slice(8080, "yny");
    settle();
    for (int i = 0; i < 4; i++)
        acquire(&taken[i], i % 2 ? "80" : NULL, 0, 0);
    settle();
    int first = 0;
    for (int i = 0; i < 4; i++) {
        CHECK(taken[i].lease);
        CHECK_INT(taken[i].lease->address.port, 8080);
        CHECK(strcmp(taken[i].lease->pod, "pod-2") != 0);
        first += strcmp(taken[i].lease->pod, "pod-1") == 0;
    }
    CHECK_INT(first, 2);
    CHECK_INT(mesh_in_flight(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 4);
    CHECK_INT(mesh_in_flight_at(mesh, BYTES_LITERAL("127.0.7.1")), 2);
    for (int i = 0; i < 4; i++)
        mesh_release(taken[i].lease);
    CHECK_INT(mesh_in_flight(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 0);
    stop();
}

static int demand_calls;
static uint32_t demand_held;

static void on_demand(void *ctx, struct bytes namespace, struct bytes service)
{
    (void)ctx;
    CHECK_BYTES(namespace, BYTES_LITERAL("shop"));
    demand_calls++;
    demand_held = mesh_held(mesh, namespace, service);
}

TEST(mesh_holds_while_a_workload_can_be_scaled_up_and_tells_of_the_demand)
{
    start();
    struct taken a, b;
    struct mesh_demand_listener listener = {.run = on_demand};
    mesh_listen_demand(mesh, &listener);
    create_service("None", 80);
    create_deployment(0);
    create_scaled_object();
    settle();
    acquire(&a, NULL, 0, 0);
    struct mesh_waiter *second = acquire(&b, NULL, 0, 0);
    settle();
    CHECK_INT(a.calls, 0);
    CHECK_INT(demand_held, 2);
    mesh_acquire_cancel(second);
    settle();
    CHECK_INT(demand_held, 1);
    create_slice(8080, "n");
    settle();
    CHECK_INT(a.calls, 0);
    create_slice(8080, "y");
    settle();
    CHECK(a.lease != NULL);
    CHECK_INT(b.calls, 0);
    CHECK_INT(demand_held, 0);
    mesh_release(a.lease);
    mesh_unlisten_demand(&listener);
    stop();
}

TEST(mesh_ends_the_waiting_after_its_time)
{
    start();
    struct taken a;
    create_service("None", 80);
    create_deployment(1);
    settle();
    acquire(&a, NULL, 0, 5);
    for (int i = 0; i < 1000 && a.calls == 0; i++)
        settle();
    CHECK_INT(a.kind, ERROR_TIMEOUT);
    CHECK_INT(mesh_held(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 0);
    stop();
}

TEST(mesh_bounds_those_who_wait)
{
    start();
    static struct taken taken[1001];
    create_service("None", 80);
    create_deployment(1);
    settle();
    for (int i = 0; i < 1001; i++)
        acquire(&taken[i], NULL, 0, 0);
    settle();
    settle();
    CHECK_INT(taken[999].calls, 0);
    CHECK_INT(taken[1000].kind, ERROR_LIMIT);
    create_slice(8080, "y");
    settle();
    for (int i = 0; i < 1000; i++)
        mesh_release(taken[i].lease);
    stop();
}

TEST(mesh_keeps_to_the_number_in_flight_that_is_asked_for)
{
    start();
    struct taken a, b, c;
    create_service("None", 80);
    create_slice(8080, "yy");
    settle();
    acquire(&a, NULL, 1, 0);
    acquire(&b, NULL, 1, 0);
    acquire(&c, NULL, 1, 0);
    settle();
    CHECK(a.lease && b.lease && !c.lease);
    CHECK_INT(mesh_held(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 0); /* it waits for its turn only */
    mesh_release(b.lease);
    settle();
    CHECK(c.lease != NULL);
    mesh_release(a.lease);
    mesh_release(c.lease);
    stop();
}

static int drained;

static void on_drained(void *ctx)
{
    (void)ctx;
    drained++;
}

TEST(mesh_drains_an_endpoint_before_its_pod_goes)
{
    start();
    struct taken a, b, c;
    struct mesh_drain drain = {.run = on_drained}, idle = {.run = on_drained};
    create_service("None", 80);
    create_slice(8080, "yy");
    settle();
    acquire(&a, NULL, 0, 0);
    settle();
    struct bytes ip = strcmp(a.lease->pod, "pod-1") == 0 ? BYTES_LITERAL("127.0.7.1") : BYTES_LITERAL("127.0.7.2");
    mesh_drain_begin(mesh, &drain, ip);
    acquire(&b, NULL, 0, 0);
    acquire(&c, NULL, 0, 0);
    settle();
    CHECK_INT(drained, 0);
    CHECK(strcmp(b.lease->pod, a.lease->pod) != 0);
    CHECK(strcmp(c.lease->pod, a.lease->pod) != 0);
    create_slice(8080, "nn"); /* it is no endpoint any more, and still has work */
    settle();
    CHECK_INT(drained, 0);
    mesh_release(a.lease);
    settle();
    CHECK_INT(drained, 1);
    mesh_drain_end(&drain);
    mesh_drain_end(&drain);
    mesh_drain_begin(mesh, &idle, BYTES_LITERAL("127.0.7.9"));
    settle();
    CHECK_INT(drained, 2);
    mesh_drain_end(&idle);
    mesh_release(b.lease);
    mesh_release(c.lease);
    stop();
}

/* --- The proxy --- */

struct peer {
    struct io_stream *stream;
    char got[100];
    size_t size;
    bool ended;
};

static struct peer client, server;

static void peer_data(void *ctx, struct bytes data)
{
    struct peer *peer = ctx;
    for (size_t i = 0; i < data.size && peer->size < sizeof peer->got - 1; i++)
        peer->got[peer->size++] = (char)data.data[i];
    if (peer == &server) {
        io_stream_write(peer->stream, BYTES_LITERAL("<"));
        io_stream_write(peer->stream, data);
        io_stream_write(peer->stream, BYTES_LITERAL(">"));
    }
}

static void peer_end(void *ctx, const struct error *err)
{
    (void)err;
    struct peer *peer = ctx;
    peer->ended = true;
    io_stream_close(TAKE(peer->stream));
}

static const struct io_stream_callbacks peer_callbacks = {.on_data = peer_data, .on_end = peer_end};

static void server_accept(void *ctx, struct io_stream *stream)
{
    (void)ctx;
    server.stream = stream;
    io_stream_start(stream, &peer_callbacks, &server);
}

static void client_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    (void)ctx;
    CHECK_OK(stream != NULL, err);
    client.stream = stream;
    io_stream_start(stream, &peer_callbacks, &client);
    io_stream_write(stream, BYTES_LITERAL("hello"));
}

static uint16_t listen_at(const char *address_text, struct io_listener **listener)
{
    struct io_address address;
    struct error err;
    CHECK_OK(io_address_parse(address_text, &address, &err), &err);
    CHECK_OK(io_listen(io, &address, NULL, server_accept, NULL, listener, &err), &err);
    return io_listener_address(*listener).port;
}

static void connect_to_service(uint16_t port)
{
    struct io_address address;
    CHECK(io_address_parse_ip(BYTES_LITERAL("127.0.8.1"), port, &address));
    io_connect(io, &address, NULL, NULL, 5000, client_connected, NULL);
}

TEST(mesh_proxies_a_connection_that_waited_for_its_endpoint)
{
    start();
    struct io_listener *listener, *free_port;
    uint16_t target = listen_at("127.0.7.1:0", &listener);
    uint16_t port = listen_at("127.0.8.1:0", &free_port);
    io_listener_close(free_port);
    create_service("127.0.8.1", port);
    create_deployment(1);
    settle();
    connect_to_service(port);
    for (int i = 0; i < 1000 && mesh_held(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")) == 0; i++)
        settle();
    CHECK(!server.stream);
    create_slice(target, "y");
    for (int i = 0; i < 1000 && client.size < 7; i++)
        settle();
    CHECK_STR(client.got, "<hello>");
    CHECK_INT(mesh_in_flight(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 1);
    io_stream_close(TAKE(client.stream));
    for (int i = 0; i < 1000 && !server.ended; i++)
        settle();
    for (int i = 0; i < 1000 && mesh_in_flight(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")) > 0; i++)
        settle();
    CHECK_INT(mesh_in_flight(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 0);
    io_listener_close(listener);
    stop();
}

TEST(mesh_proxy_closes_what_cannot_be_served_and_forgets_a_client_that_left)
{
    start();
    struct io_listener *free_port;
    uint16_t port = listen_at("127.0.8.1:0", &free_port);
    io_listener_close(free_port);
    create_service("127.0.8.1", port);
    settle();
    connect_to_service(port);
    for (int i = 0; i < 1000 && !client.ended; i++)
        settle();
    CHECK(client.ended);
    client = (struct peer){0};
    create_deployment(1);
    settle();
    connect_to_service(port);
    for (int i = 0; i < 1000 && mesh_held(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")) == 0; i++)
        settle();
    io_stream_close(TAKE(client.stream));
    for (int i = 0; i < 1000 && mesh_held(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")) > 0; i++)
        settle();
    CHECK_INT(mesh_held(mesh, BYTES_LITERAL("shop"), BYTES_LITERAL("billing")), 0);
    stop();
}

TEST(mesh_proxy_tries_another_endpoint_when_one_refuses)
{
    start();
    struct io_listener *listener, *free_port;
    uint16_t target = listen_at("127.0.7.2:0", &listener);
    uint16_t port = listen_at("127.0.8.1:0", &free_port);
    io_listener_close(free_port);
    create_service("127.0.8.1", port);
    create_slice(target, "yy"); /* nobody listens at 127.0.7.1 */
    settle();
    connect_to_service(port);
    for (int i = 0; i < 1000 && client.size < 7; i++)
        settle();
    CHECK_STR(client.got, "<hello>");
    io_stream_close(TAKE(client.stream));
    for (int i = 0; i < 1000 && !server.ended; i++)
        settle();
    io_listener_close(listener);
    stop();
}
