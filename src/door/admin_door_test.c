/* SPDX-License-Identifier: Apache-2.0 */
#include "door/admin_door.h"

#include <stdio.h>

#include "http/http_client.h"
#include "test.h"

static struct io *io;
static char result[2000];

static void on_called(void *ctx, const struct http_response *response, const struct error *err)
{
    (void)ctx;
    CHECK_OK(response != NULL, err);
    snprintf(result, sizeof result, "%d " BYTES_FORMAT, response->head->status, BYTES_ARGS(response->body));
    io_stop(io);
}

static void get(struct http_client *client, struct admin_door *door, const char *method, const char *path)
{
    struct http_call_options options = {
        .address = admin_door_address(door), .method = bytes_of_string(method), .target = bytes_of_string(path)};
    http_client_call(client, &options, on_called, NULL);
    io_run(io);
}

static void collect(void *ctx, struct metrics *metrics)
{
    static const double bounds[] = {0.001, 0.5};
    static const uint64_t counts[] = {1, 2, 3};
    struct metrics_histogram histogram = {.bounds = bounds, .counts = counts, .bound_count = 2, .sum = 4.25};
    metrics_family(metrics, "evoke_a_total", METRICS_COUNTER, "How often\nit happened.");
    metrics_sample(metrics, *(int *)ctx, "result", "a \"b\"\\", "kind", "c", NULL);
    metrics_sample(metrics, 1e18, NULL);
    metrics_one(metrics, "evoke_b", METRICS_GAUGE, "B.", 0.5);
    metrics_histogram(metrics, "evoke_c_seconds", "C.", &histogram);
}

TEST(admin_door_tells_of_health_and_metrics)
{
    struct error err;
    struct io_address address;
    int number = 7;
    io = io_linux_new(&err);
    CHECK_OK(io != NULL, &err);
    CHECK_OK(io_address_parse("127.0.0.1:0", &address, &err), &err);
    struct admin_door *door = admin_door_open(io, &address, &err);
    CHECK_OK(door != NULL, &err);
    struct http_client *client = http_client_new(io);

    get(client, door, "GET", "/healthz");
    CHECK_STR(result, "503 starting\n");
    admin_door_set_unhealthy(door, NULL);
    get(client, door, "GET", "/healthz");
    CHECK_STR(result, "200 ok\n");
    admin_door_add_collector(door, collect, &number);
    get(client, door, "GET", "/metrics");
    CHECK_STR(result, "200 # HELP evoke_a_total How often\\nit happened.\n"
                      "# TYPE evoke_a_total counter\n"
                      "evoke_a_total{result=\"a \\\"b\\\"\\\\\",kind=\"c\"} 7\n"
                      "evoke_a_total 1e+18\n"
                      "# HELP evoke_b B.\n"
                      "# TYPE evoke_b gauge\n"
                      "evoke_b 0.5\n"
                      "# HELP evoke_c_seconds C.\n"
                      "# TYPE evoke_c_seconds histogram\n"
                      "evoke_c_seconds_bucket{le=\"0.001\"} 1\n"
                      "evoke_c_seconds_bucket{le=\"0.5\"} 3\n"
                      "evoke_c_seconds_bucket{le=\"+Inf\"} 6\n"
                      "evoke_c_seconds_sum 4.25\n"
                      "evoke_c_seconds_count 6\n");
    get(client, door, "POST", "/metrics");
    CHECK(strncmp(result, "405 ", 4) == 0);
    get(client, door, "GET", "/");
    CHECK(strncmp(result, "404 ", 4) == 0);

    http_client_free(client);
    admin_door_close(door);
    io_free(io);
}
