/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from a client with the admin's certificate to a whole API door over a store in a simulated world: requests, one
 * behind the other, as they stand in the input. */
#include <stdlib.h>

#include "base/diag.h"
#include "door/kube_call.h"
#include "io/simulated.h"
#include "io/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
    struct bytes input;
    struct io_stream *stream;
};

static void ignore_data(void *ctx, struct bytes data)
{
    (void)ctx, (void)data;
}

static void ignore_end(void *ctx, const struct error *err)
{
    (void)ctx, (void)err;
}

static void ignore_line(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

static void connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = ignore_data, .on_end = ignore_end};
    struct client *client = ctx;
    (void)err;
    client->stream = stream;
    if (!stream)
        return;
    io_stream_start(stream, &callbacks, client);
    io_stream_write(stream, client->input);
}

static void closed(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_closed(void *ctx)
{
    return *(bool *)ctx;
}

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void talk(struct io *machine, struct kube_door *door, struct bytes input)
{
    struct error err;
    struct client client = {.input = input};
    struct io_address address = kube_door_address(door);
    struct io_tls *tls = io_tls_client_new(machine, bytes_of_string(door->pki.ca.certificate_pem),
                                           bytes_of_string(door->pki.admin.certificate_pem),
                                           bytes_of_string(door->pki.admin.key_pem), &err);
    must(tls != NULL);
    io_connect(machine, &address, tls, "localhost", 1000, connected, &client);
    io_simulated_run_for(machine, 2000);
    must(client.stream != NULL);
    io_stream_close(client.stream);
    io_simulated_run_for(machine, 200000);
    io_tls_free(tls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct kube_door_options options = {.directory = "/data", .host_name = "here"};
    bool done = false;
    diag_set_sink(ignore_line, NULL, DIAG_ERROR);
    struct io *daemon = io_simulated_new(1), *machine = io_simulated_another(daemon);
    struct log_options log_options = {.directory = "/data", .journal_file_size = 1 << 20, .journal_size_max = 8 << 20};
    struct log *log = log_open(daemon, &log_options, &err);
    must(log && io_address_parse("127.0.0.1:6443", &options.address, &err));
    struct api *api = api_open(daemon, log, &err);
    must(api != NULL);
    struct kube_door *door = kube_door_open(api, &options, &err);
    must(door != NULL);
    talk(machine, door, bytes_of(data, size));
    kube_door_close(door);
    api_close(api);
    log_close(log, closed, &done);
    must(io_simulated_run_until(machine, is_closed, &done, 100000));
    io_free(machine);
    io_free(daemon);
    return 0;
}
