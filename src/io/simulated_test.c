/* SPDX-License-Identifier: Apache-2.0 */
/* What only the simulated engine promises: repetition, and time that costs nothing. */
#include "io/simulated.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/simulated_fixture.h"
#include "io/stream.h"
#include "io/tls.h"
#include "test.h"

/* --- A busy little world: a server, clients that talk to it, a file, processes --- */

enum { CLIENTS = 5, ROUNDS = 20 };

struct town;

struct caller {
    struct town *town;
    struct io_stream *stream;
    int rounds;
};

struct town {
    struct io *server_io, *client_io;
    struct io_listener *listener;
    struct caller callers[CLIENTS];
    struct io_file *file;
    struct buf trace;
    int finished, exits, broken, syncs;
    uint64_t written;
};

static void trace_line(void *ctx, uint64_t now_ns, unsigned program, const char *what)
{
    struct town *town = ctx;
    buf_printf(&town->trace, "%llu %u %s\n", (unsigned long long)now_ns, program, what);
}

static void count_sync(void *ctx, const struct error *err)
{
    struct town *town = ctx;
    town->syncs += !err;
}

struct conversation {
    struct town *town;
    struct io_stream *stream;
};

static void echo(void *ctx, struct bytes data)
{
    struct conversation *conversation = ctx;
    struct town *town = conversation->town;
    struct bytes part = BYTES_LITERAL("entry");
    io_stream_write(conversation->stream, data);
    io_file_write(town->file, town->written, &part, 1, NULL, NULL);
    io_file_sync(town->file, count_sync, town);
    town->written += part.size;
}

static void conversation_end(void *ctx, const struct error *err)
{
    struct conversation *conversation = ctx;
    (void)err;
    io_stream_close(conversation->stream);
    free(conversation);
}

static void town_accept(void *ctx, struct io_stream *stream)
{
    struct conversation *conversation = NEW(struct conversation);
    *conversation = (struct conversation){.town = ctx, .stream = stream};
    io_stream_start(stream, &(struct io_stream_callbacks){.on_data = echo, .on_end = conversation_end}, conversation);
}

static void caller_over(struct caller *caller)
{
    io_stream_close(TAKE(caller->stream));
    caller->town->finished++;
}

static void caller_data(void *ctx, struct bytes data)
{
    struct caller *caller = ctx;
    if (++caller->rounds == ROUNDS)
        caller_over(caller);
    else
        io_stream_write(caller->stream, data);
}

static void caller_end(void *ctx, const struct error *err)
{
    struct caller *caller = ctx;
    caller->town->broken += err != NULL;
    caller_over(caller);
}

static void caller_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct caller *caller = ctx;
    if (err) {
        caller->town->broken++;
        caller->town->finished++;
        return;
    }
    caller->stream = stream;
    io_stream_start(stream, &(struct io_stream_callbacks){.on_data = caller_data, .on_end = caller_end}, caller);
    io_stream_write(stream, BYTES_LITERAL("some words that may arrive in pieces"));
}

static void town_exit(void *ctx, const struct io_process_exit *exit)
{
    struct town *town = ctx;
    (void)exit;
    town->exits++;
}

static void quick_start(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    simulated_process_exit(process, 3);
}

static bool town_quiet(void *ctx)
{
    const struct town *town = ctx;
    return town->finished == CLIENTS && town->exits == 1;
}

static uint64_t run_town(struct town *town, uint64_t seed, uint32_t reset_ppm)
{
    struct error err;
    struct io_process *process;
    struct io_address address = simulated_address("127.0.0.1:9092");
    *town = (struct town){.server_io = io_simulated_new(seed)};
    town->client_io = io_simulated_another(town->server_io);
    buf_init(&town->trace, 1 << 22);
    io_simulated_trace(town->server_io, trace_line, town);
    io_simulated_faults(town->server_io)->reset_ppm = reset_ppm;
    io_simulated_program(town->server_io, "quick", &(struct simulated_program){.start = quick_start});
    CHECK_OK(io_file_open(town->server_io, "/log", IO_FILE_WRITE | IO_FILE_CREATE, &town->file, &err), &err);
    CHECK_OK(io_listen(town->server_io, &address, NULL, town_accept, town, &town->listener, &err), &err);
    CHECK_OK(io_process_spawn(town->server_io,
                              &(struct io_process_options){.argv = (const char *const[]){"quick", NULL}}, town_exit,
                              town, &process, &err),
             &err);
    for (size_t i = 0; i < CLIENTS; i++) {
        town->callers[i].town = town;
        io_connect(town->client_io, &address, NULL, NULL, 1000, caller_connected, &town->callers[i]);
    }
    CHECK(io_simulated_run_until(town->server_io, town_quiet, town, 60000));
    io_simulated_run_for(town->server_io, 1000);
    CHECK(town->broken > 0 || town->syncs > 0);
    uint64_t fingerprint = io_simulated_fingerprint(town->server_io);
    io_process_release(process);
    io_file_close(town->file);
    io_listener_close(town->listener);
    io_free(town->client_io);
    io_free(town->server_io);
    return fingerprint;
}

TEST(the_same_seed_gives_the_same_events_and_another_seed_others)
{
    struct town first, second, other;
    uint64_t a = run_town(&first, 42, 0), b = run_town(&second, 42, 0), c = run_town(&other, 43, 0);
    CHECK_BYTES(buf_bytes(&second.trace), buf_bytes(&first.trace));
    CHECK(a == b);
    CHECK(a != c);
    CHECK(first.trace.size > 1000);
    CHECK_INT(first.broken, 0);
    buf_deinit(&first.trace);
    buf_deinit(&second.trace);
    buf_deinit(&other.trace);
}

TEST(connections_that_break_are_told_to_both_sides)
{
    struct town town;
    int broken = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        run_town(&town, seed, 20000);
        broken += town.broken;
        buf_deinit(&town.trace);
    }
    CHECK(broken > 0);
}

TEST(a_year_passes_at_once)
{
    struct io *io = io_simulated_new(1);
    bool rang = false;
    struct io_timer timer;
    int64_t wall_ms = io_wall_ms(io);
    io_timer_init(io, &timer, simulated_set_flag, &rang);
    io_timer_start(&timer, UINT64_C(365) * 24 * 3600 * 1000);
    CHECK(!io_simulated_run_until(io, simulated_is_set, &rang, 1000));
    CHECK(io_simulated_run_until(io, simulated_is_set, &rang, UINT64_MAX / 2000000));
    CHECK(io_wall_ms(io) - wall_ms >= INT64_C(365) * 24 * 3600 * 1000);
    CHECK(!io_simulated_step(io)); /* nothing is left */
    io_free(io);
}

/* --- Memory --- */

struct reader {
    struct io_file *file;
    bool done;
};

static void read_all_of_it(void *ctx)
{
    struct reader *reader = ctx;
    uint8_t memory[10000];
    size_t got;
    struct error err;
    CHECK_OK(io_file_read(reader->file, 0, memory, sizeof memory, &got, &err), &err);
    CHECK_INT(got, sizeof memory);
}

static void was_read(void *ctx)
{
    ((struct reader *)ctx)->done = true;
}

static bool is_read(void *ctx)
{
    return ((struct reader *)ctx)->done;
}

static uint64_t time_of_reading(struct io *io, struct reader *reader)
{
    uint64_t before_ns = io_now_ns(io);
    read_all_of_it(reader);
    return io_now_ns(io) - before_ns;
}

TEST(who_reads_what_is_not_in_memory_stands_still_and_so_does_a_helper_while_the_program_goes_on)
{
    struct io *io = io_simulated_new(1);
    struct reader reader = {.done = false};
    struct error err;
    struct bytes map;
    size_t bad_at;
    CHECK_OK(io_file_open(io, "/file", IO_FILE_WRITE | IO_FILE_CREATE, &reader.file, &err), &err);
    CHECK_OK(io_file_allocate(reader.file, 10000, &err), &err);
    CHECK_OK(io_file_map(reader.file, 10000, &map, &err), &err);
    io_simulated_faults(io)->cold_ns = 5000000;
    CHECK_INT(time_of_reading(io, &reader), 0);
    io_simulated_evict(io);
    CHECK_INT(io_map_cached(io, map), 0);
    CHECK_INT(time_of_reading(io, &reader), 5000000);
    CHECK_INT(time_of_reading(io, &reader), 0);
    io_simulated_evict(io);
    CHECK_OK(io_file_write_now(reader.file, 4096, BYTES_LITERAL("x"), &err), &err);
    CHECK_INT(io_map_cached(io, bytes_slice(map, 4096, 8000)), 4096);
    uint64_t before_ns = io_now_ns(io);
    CHECK(io_map_check(io, map, &bad_at));
    CHECK_INT(io_now_ns(io) - before_ns, 5000000);
    io_simulated_evict(io);
    io_work(io, read_all_of_it, was_read, &reader);
    CHECK(!io_simulated_run_until(io, is_read, &reader, 4));
    CHECK(io_simulated_run_until(io, is_read, &reader, 10));
    io_file_close(reader.file);
    io_free(io);
}
