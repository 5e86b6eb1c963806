/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on a connection, as a stranger sends them, to a whole door over a log in a simulated world. */
#include "base/diag.h"
#include "coordinator/coordinator_folds.h"
#include "door/kafka_door.h"
#include "io/simulated.h"
#include "io/stream.h"
#include "log/log.h"

#include <stdlib.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct client client = {.input = bytes_of(data, size)};
    struct kafka_door_options options = {.partition_count = 2};
    bool done = false;
    diag_set_sink(ignore_line, NULL, DIAG_ERROR);
    struct io *daemon = io_simulated_new(1), *machine = io_simulated_another(daemon);
    struct log_options log_options = {
        .directory = "/data", .journal_file_size = 1 << 20, .journal_size_max = 8 << 20, .folds = coordinator_folds};
    struct log *log = log_open(daemon, &log_options, &err);
    must(log && io_address_parse("127.0.0.1:9092", &options.address, &err));
    struct kafka_door *door = kafka_door_open(daemon, log, &options, &err);
    must(door != NULL);
    io_simulated_set_pace(daemon, 200000); /* so that work in steps takes turns */
    struct io_address address = kafka_door_address(door);
    io_connect(machine, &address, NULL, NULL, 1000, connected, &client);
    io_simulated_run_for(machine, 1000);
    io_stream_close(client.stream);
    io_simulated_run_for(machine, 100000);
    kafka_door_close(door);
    log_close(log, closed, &done);
    must(io_simulated_run_until(machine, is_closed, &done, 100000));
    io_free(machine);
    io_free(daemon);
    return 0;
}
