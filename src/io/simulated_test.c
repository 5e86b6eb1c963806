/* SPDX-License-Identifier: Apache-2.0 */
/* What only the simulated engine promises: repetition, deaths, and what a disk keeps. */
#include "io/simulated.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/memory.h"
#include "io/file.h"
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

static void server_data(void *ctx, struct bytes data)
{
    (void)ctx;
    (void)data;
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

static struct io_address address_of(const char *text)
{
    struct io_address address;
    struct error err;
    CHECK_OK(io_address_parse(text, &address, &err), &err);
    return address;
}

static uint64_t run_town(struct town *town, uint64_t seed, uint32_t reset_ppm)
{
    struct error err;
    struct io_process *process;
    struct io_address address = address_of("127.0.0.1:9092");
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

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

TEST(a_year_passes_at_once)
{
    struct io *io = io_simulated_new(1);
    bool rang = false;
    struct io_timer timer;
    int64_t wall_ms = io_wall_ms(io);
    io_timer_init(io, &timer, set_flag, &rang);
    io_timer_start(&timer, UINT64_C(365) * 24 * 3600 * 1000);
    CHECK(!io_simulated_run_until(io, is_set, &rang, 1000));
    CHECK(io_simulated_run_until(io, is_set, &rang, UINT64_MAX / 2000000));
    CHECK(io_wall_ms(io) - wall_ms >= INT64_C(365) * 24 * 3600 * 1000);
    CHECK(!io_simulated_step(io)); /* nothing is left */
    io_free(io);
}

/* --- The disk --- */

static struct io_file *open_file(struct io *io, const char *path)
{
    struct io_file *file;
    struct error err;
    CHECK_OK(io_file_open(io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file, &err), &err);
    return file;
}

static struct io *restart(struct io *dead)
{
    struct io *again = io_simulated_another(dead);
    io_free(dead);
    return again;
}

static uint8_t byte_at(struct io *io, const char *path, uint64_t offset)
{
    struct io_file *file;
    struct error err;
    uint8_t byte = 0;
    size_t got;
    CHECK_OK(io_file_open(io, path, 0, &file, &err), &err);
    CHECK_OK(io_file_read(file, offset, &byte, 1, &got, &err), &err);
    io_file_close(file);
    return byte;
}

static void write_sectors(struct io *io, const char *path, uint8_t with, bool sync)
{
    struct error err;
    uint8_t data[8 * 512];
    memset(data, with, sizeof data);
    struct io_file *file = open_file(io, path);
    CHECK_OK(io_file_write_now(file, 0, bytes_of(data, sizeof data), &err), &err);
    if (sync)
        CHECK_OK(io_file_sync_now(file, &err), &err);
    io_file_close(file);
}

TEST(power_loss_keeps_what_was_synced_and_some_sectors_of_the_rest)
{
    int kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        write_sectors(io, "/f", 'a', true);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        write_sectors(io, "/f", 'b', false);
        io_simulated_power_loss(io);
        io = restart(io);
        for (uint64_t sector = 0; sector < 8; sector++) {
            uint8_t byte = byte_at(io, "/f", 512 * sector);
            CHECK(byte == 'a' || byte == 'b');
            CHECK_INT(byte_at(io, "/f", 512 * sector + 511), byte); /* a sector is whole */
            kept += byte == 'b';
            lost += byte == 'a';
        }
        io_free(io);
    }
    CHECK(kept > 20 && lost > 20);
}

TEST(kill_keeps_what_was_written)
{
    struct error err;
    struct io *io = io_simulated_new(7);
    CHECK_OK(io_dir_lock(io, "/", &err), &err);
    write_sectors(io, "/f", 'a', false);
    io_simulated_kill(io);
    io = restart(io);
    CHECK_INT(byte_at(io, "/f", 4095), 'a');
    CHECK_OK(io_dir_lock(io, "/", &err), &err); /* the lock went with its holder */
    io_free(io);
}

TEST(names_that_were_not_synced_may_vanish_and_synced_ones_stay)
{
    int there = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        CHECK_OK(io_dir_make(io, "/d", &err), &err);
        write_sectors(io, "/d/synced", 'a', true);
        CHECK_OK(io_dir_sync(io, "/d", &err), &err);
        write_sectors(io, "/d/not", 'b', true);
        io_simulated_power_loss(io);
        io = restart(io);
        CHECK_INT(byte_at(io, "/d/synced", 0), 'a');
        there += io_path_exists(io, "/d/not");
        io_free(io);
    }
    CHECK(there > 5 && there < 25);
}

TEST(a_whole_file_write_leaves_the_old_or_the_new_content_wherever_the_power_fails)
{
    int changes = 0, old = 0, new = 0;
    for (bool over = false; !over; changes++) {
        struct error err;
        struct io *io = io_simulated_new((uint64_t)changes);
        CHECK_OK(io_path_write(io, "/f", BYTES_LITERAL("old"), 0600, &err), &err);
        io_simulated_faults(io)->changes_until_power_loss = (uint64_t)changes + 1;
        over = io_path_write(io, "/f", BYTES_LITERAL("new, and longer"), 0600, &err);
        CHECK(over != io_simulated_dead(io));
        io_simulated_faults(io)->changes_until_power_loss = 0;
        if (over)
            io_simulated_power_loss(io);
        io = restart(io);
        AUTO_BUF content;
        buf_init(&content, 100);
        CHECK_OK(io_path_read(io, "/f", &content, &err), &err);
        bool is_new = bytes_equal_string(buf_bytes(&content), "new, and longer");
        CHECK(is_new || bytes_equal_string(buf_bytes(&content), "old"));
        CHECK(is_new || !over);
        old += !is_new;
        new += is_new;
        io_free(io);
    }
    CHECK(changes >= 6 && old > 0 && new > 0);
}

struct helper {
    struct io *io;
    int steps;
    bool told;
};

static void write_in_steps(void *ctx)
{
    struct helper *helper = ctx;
    struct io_file *file;
    struct error err;
    if (!io_file_open(helper->io, "/f", IO_FILE_WRITE | IO_FILE_CREATE, &file, &err))
        return;
    for (uint64_t i = 0; i < 4; i++) {
        if (!io_file_write_now(file, 512 * i, bytes_of(&"abcd"[i], 1), &err))
            break;
        helper->steps++;
        if (!io_file_sync_now(file, &err))
            break;
        helper->steps++;
    }
    io_file_close(file);
}

static void hear(void *ctx)
{
    ((struct helper *)ctx)->told = true;
}

static bool is_told(void *ctx)
{
    return ((struct helper *)ctx)->told;
}

TEST(the_power_may_fail_between_any_two_changes_of_a_helper_thread_and_the_dead_are_told_nothing)
{
    int most = 0;
    for (uint64_t changes = 1; most < 8; changes++) {
        struct io *io = io_simulated_new(changes);
        struct helper helper = {.io = io};
        struct error err;
        write_sectors(io, "/f", '-', true);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        io_simulated_faults(io)->changes_until_power_loss = changes;
        io_work(io, write_in_steps, hear, &helper);
        CHECK_INT(io_simulated_run_until(io, is_told, &helper, 1000), !io_simulated_dead(io));
        CHECK_INT(helper.told, !io_simulated_dead(io));
        CHECK(helper.steps == most || helper.steps == most + 1);
        most = helper.steps;
        io_simulated_faults(io)->changes_until_power_loss = 0;
        if (!io_simulated_dead(io))
            io_simulated_power_loss(io);
        io = restart(io);
        for (int step = 0; step < 4; step++) /* each second step is the sync of a write */
            CHECK(byte_at(io, "/f", 512 * (uint64_t)step) == 'a' + step || 2 * step + 2 > helper.steps);
        io_free(io);
        CHECK(changes < 100);
    }
}

TEST(syncing_the_file_system_keeps_the_content_and_the_names_of_all_files)
{
    int lost = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        CHECK_OK(io_dir_make(io, "/a/b", &err) && io_dir_make(io, "/c", &err), &err);
        write_sectors(io, "/a/b/f", 'f', false);
        write_sectors(io, "/c/g", 'g', false);
        CHECK_OK(io_fs_sync(io, "/c", &err), &err);
        write_sectors(io, "/c/g", 'h', false);
        write_sectors(io, "/c/later", 'l', false);
        io_simulated_power_loss(io);
        io = restart(io);
        for (uint64_t sector = 0; sector < 8; sector++) {
            CHECK_INT(byte_at(io, "/a/b/f", 512 * sector), 'f');
            uint8_t byte = byte_at(io, "/c/g", 512 * sector);
            CHECK(byte == 'g' || byte == 'h');
        }
        lost += !io_path_exists(io, "/c/later");
        io_free(io);
    }
    CHECK(lost > 3);
}

struct counted {
    int good, bad, sys;
};

static void count(void *ctx, const struct error *err)
{
    struct counted *counted = ctx;
    counted->good += !err;
    counted->bad += err != NULL;
    if (err)
        counted->sys = err->sys;
}

TEST(writes_in_flight_when_the_power_fails_happen_up_to_some_point_in_order)
{
    int whole = 0, none = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        struct counted counted = {0};
        struct io_file *file = open_file(io, "/f");
        CHECK_OK(io_file_allocate(file, 4096, &err), &err);
        CHECK_OK(io_file_sync_now(file, &err), &err);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        for (uint64_t i = 0; i < 4; i++) {
            struct bytes part = BYTES_LITERAL("x");
            io_file_write(file, 1024 * i, &part, 1, count, &counted);
            io_file_sync(file, count, &counted);
        }
        io_simulated_kill(io);
        io_simulated_run_for(io, 1000);
        CHECK_INT(counted.good + counted.bad, 0); /* the dead hear nothing */
        io_file_close(file);
        io = restart(io);
        bool gone = false;
        for (uint64_t i = 0; i < 4; i++) {
            bool here = byte_at(io, "/f", 1024 * i) == 'x';
            CHECK(!(gone && here));
            gone = !here;
            whole += here && i == 3;
            none += !here && i == 0;
        }
        io_free(io);
    }
    CHECK(whole > 0 || none > 0);
}

TEST(a_full_disk_is_an_error_and_room_comes_back)
{
    struct error err;
    struct io *io = io_simulated_new(1);
    struct io_file *file = open_file(io, "/f");
    io_simulated_faults(io)->disk_size_max = 10000;
    CHECK_OK(io_file_allocate(file, 8000, &err), &err);
    CHECK_OK(io_file_write_now(file, 7999, BYTES_LITERAL("x"), &err), &err);
    CHECK(!io_file_write_now(file, 10000, BYTES_LITERAL("x"), &err));
    CHECK_INT(err.sys, ENOSPC);
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK(!io_path_write(io, "/g", bytes_of((uint8_t[3000]){0}, 3000), 0600, &err));
    io_file_close(file);
    CHECK_OK(io_path_remove(io, "/f", &err), &err);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    CHECK_OK(io_path_write(io, "/g", bytes_of((uint8_t[3000]){0}, 3000), 0600, &err), &err);
    io_free(io);
}

static bool all_counted(void *ctx)
{
    const struct counted *counted = ctx;
    return counted->good + counted->bad == 2;
}

TEST(after_a_failed_sync_a_later_one_does_not_bring_the_data_back)
{
    struct error err;
    struct io *io = io_simulated_new(5);
    struct counted counted = {0};
    write_sectors(io, "/f", 'a', true);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    write_sectors(io, "/f", 'b', false);
    struct io_file *file = open_file(io, "/f");
    io_simulated_faults(io)->sync_error_ppm = 1000000;
    io_file_sync(file, count, &counted);
    CHECK(!io_simulated_run_until(io, all_counted, &counted, 100));
    CHECK_INT(counted.bad, 1);
    CHECK_INT(counted.sys, EIO);
    io_simulated_faults(io)->sync_error_ppm = 0;
    io_file_sync(file, count, &counted);
    CHECK(io_simulated_run_until(io, all_counted, &counted, 100));
    CHECK_INT(counted.good, 1);
    CHECK_INT(byte_at(io, "/f", 0), 'b'); /* the page cache has it ... */
    io_simulated_power_loss(io);
    io_file_close(file);
    io = restart(io);
    CHECK_INT(byte_at(io, "/f", 0), 'a'); /* ... the disk never had */
    io_free(io);
}

TEST(a_failed_sync_of_the_file_system_is_told_by_the_next_sync_of_each_file_that_lost_something)
{
    struct error err;
    struct io *io = io_simulated_new(5);
    write_sectors(io, "/f", 'a', true);
    write_sectors(io, "/g", 'a', true);
    write_sectors(io, "/later", 'a', true);
    struct io_file *file = open_file(io, "/f"), *other = open_file(io, "/g");
    write_sectors(io, "/f", 'b', false);
    write_sectors(io, "/later", 'b', false);
    io_simulated_faults(io)->sync_error_ppm = 1000000;
    CHECK(!io_fs_sync(io, "/", &err));
    io_simulated_faults(io)->sync_error_ppm = 0;
    CHECK(!io_file_sync_now(file, &err)); /* else nobody could ever rely on a sync */
    CHECK_INT(err.sys, EIO);
    CHECK_OK(io_file_sync_now(file, &err), &err); /* once */
    CHECK_OK(io_file_sync_now(other, &err), &err);
    struct io_file *later = open_file(io, "/later");
    CHECK(!io_file_sync_now(later, &err)); /* nobody was told yet */
    io_file_close(later);
    later = open_file(io, "/later");
    CHECK_OK(io_file_sync_now(later, &err), &err);
    io_file_close(later);
    io_file_close(other);
    io_file_close(file);
    io_free(io);
}

/* How many of the bytes from `from` on are none of those two. */
static int count_others(struct io *io, uint64_t from, uint64_t to, uint8_t one, uint8_t other)
{
    int count = 0;
    for (uint64_t at = from; at < to; at++) {
        uint8_t byte = byte_at(io, "/f", at);
        count += byte != one && byte != other;
    }
    return count;
}

TEST(a_garbled_sector_has_a_wrong_bit_only_where_something_new_was_written)
{
    int garbled = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct error err;
        uint8_t half_sector[256];
        struct io *io = io_simulated_new(seed);
        memset(half_sector, 'b', sizeof half_sector);
        write_sectors(io, "/f", 'a', true);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        struct io_file *file = open_file(io, "/f");
        CHECK_OK(io_file_write_now(file, 0, bytes_of(half_sector, sizeof half_sector), &err), &err);
        io_simulated_faults(io)->garble_ppm = 1000000;
        io_simulated_power_loss(io);
        io_file_close(file);
        io = restart(io);
        garbled += count_others(io, 0, sizeof half_sector, 'a', 'b');
        CHECK_INT(count_others(io, sizeof half_sector, 512, 'a', 'a'), 0);
        io_free(io);
    }
    CHECK(garbled > 0);
}

TEST(a_flipped_bit_survives_a_power_loss_and_can_be_flipped_back)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    CHECK(!io_simulated_flip(io, "f"));
    write_sectors(io, "/f", 'a', true);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    CHECK(!io_simulated_flip(io, "g"));
    CHECK(io_simulated_flip(io, "f"));
    io_simulated_power_loss(io);
    io = restart(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 1);
    io_simulated_flip_back(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 0);
    io_free(io);
}

TEST(a_flipped_bit_that_was_written_over_is_not_flipped_back)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    write_sectors(io, "/f", 'a', true);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    CHECK(io_simulated_flip(io, "f"));
    write_sectors(io, "/f", 'a', true);
    io_simulated_flip_back(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 0);
    CHECK(io_simulated_flip(io, "f"));
    write_sectors(io, "/f", 'a', false); /* in the page cache only */
    io_simulated_flip_back(io);
    io_simulated_power_loss(io);
    io = restart(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 0);
    io_free(io);
}

TEST(a_spoiled_page_is_not_read_until_all_of_it_is_written)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    uint8_t bytes[3 * 4096] = {0};
    size_t got;
    struct io_file *file = open_file(io, "/f");
    CHECK(!io_simulated_spoil(io, "/f", 0));
    CHECK_OK(io_file_write_now(file, 0, bytes_of(bytes, sizeof bytes - 96), &err), &err);
    CHECK(io_simulated_spoil(io, "/f", 5000));
    CHECK(io_simulated_spoil(io, "/f", 8192));
    CHECK_OK(io_file_read(file, 0, bytes, 4096, &got, &err), &err);
    CHECK(!io_file_read(file, 4000, bytes, 97, &got, &err));
    CHECK_INT(err.sys, EIO);
    CHECK(!io_file_write_now(file, 8000, bytes_of(bytes, 192), &err));
    CHECK_INT(err.sys, EIO);
    CHECK_OK(io_file_write_now(file, 4000, bytes_of(bytes, 4192), &err), &err);
    CHECK_OK(io_file_read(file, 0, bytes, 8192, &got, &err), &err);
    CHECK(!io_file_read(file, 0, bytes, sizeof bytes, &got, &err));
    CHECK_OK(io_file_write_now(file, 8192, bytes_of(bytes, 4000), &err), &err); /* to the file's end */
    CHECK_OK(io_file_read(file, 0, bytes, sizeof bytes, &got, &err), &err);
    CHECK_INT(got, sizeof bytes - 96);
    io_file_close(file);
    io_free(io);
}

TEST(a_write_error_is_told)
{
    struct error err;
    struct io *io = io_simulated_new(5);
    struct io_file *file = open_file(io, "/f");
    io_simulated_faults(io)->write_error_ppm = 1000000;
    CHECK(!io_file_write_now(file, 0, BYTES_LITERAL("x"), &err));
    CHECK_INT(err.sys, EIO);
    io_file_close(file);
    io_free(io);
}

TEST(a_directory_moves_with_all_that_is_in_it)
{
    struct error err;
    struct io *io = io_simulated_new(1);
    CHECK_OK(io_dir_make(io, "/a/b", &err), &err);
    CHECK_OK(io_dir_make(io, "/ab", &err), &err);
    write_sectors(io, "/a/b/f", 'x', true);
    CHECK_OK(io_path_rename(io, "/a", "/c", &err), &err);
    CHECK(!io_path_exists(io, "/a/b/f"));
    CHECK_INT(byte_at(io, "/c/b/f", 0), 'x');
    CHECK(io_path_exists(io, "/ab"));
    CHECK(!io_path_rename(io, "/c", "/c/b/c", &err));
    io_free(io);
}

/* --- Deaths --- */

static void stream_gone(void *ctx, const struct error *err)
{
    (void)err;
    set_flag(ctx);
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
    struct io_address address = address_of("127.0.0.1:80");
    CHECK_OK(io_listen(daemon, &address, NULL, visit_called, &visit, &listener, &err), &err);
    io_connect(client, &address, NULL, NULL, 1000, visit_connected, &visit);
    CHECK(io_simulated_run_until(client, met, &visit, 1000));
    io_stream_start(visit.caller, &(struct io_stream_callbacks){.on_data = server_data, .on_end = stream_gone},
                    &visit.gone);
    io_stream_start(visit.called, &(struct io_stream_callbacks){.on_data = server_data, .on_end = stream_gone},
                    &dead_heard);
    struct io_timer timer;
    io_timer_init(daemon, &timer, set_flag, &rang);
    io_timer_start(&timer, 1);
    io_simulated_kill(daemon);
    io_stream_write(visit.called, BYTES_LITERAL("never heard"));
    CHECK(io_simulated_run_until(client, is_set, &visit.gone, 1000));
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

struct exits {
    int count, code, signal;
};

static void note_exit(void *ctx, const struct io_process_exit *exit)
{
    struct exits *exits = ctx;
    exits->count++;
    exits->code = exit->code;
    exits->signal = exit->signal;
}

static bool one_exit(void *ctx)
{
    return ((const struct exits *)ctx)->count == 1;
}

static void exit_on_signal(void *ctx, int signal)
{
    if (signal == SIGTERM)
        simulated_process_exit(ctx, 0);
}

static void serve_start(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    simulated_process_on_signal(process, exit_on_signal, process);
}

TEST(a_process_outlives_who_has_started_it_and_its_successor_can_watch_it)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    struct exits first = {0}, second = {0};
    struct io_process *process, *watched;
    struct io_process_options options = {.argv = (const char *const[]){"serve", NULL}};
    io_simulated_program(io, "serve", &(struct simulated_program){.start = serve_start});
    CHECK_OK(io_process_spawn(io, &options, note_exit, &first, &process, &err), &err);
    int pid = io_process_pid(process);
    io_simulated_run_for(io, 10);
    io_simulated_kill(io);
    struct io *again = io_simulated_another(io);
    io_process_release(process);
    io_free(io);
    CHECK_OK(io_process_watch(again, pid, note_exit, &second, &watched, &err), &err);
    io_process_signal(watched, SIGTERM);
    CHECK(io_simulated_run_until(again, one_exit, &second, 1000));
    CHECK_INT(second.code, -1); /* not its child: only that it is over */
    CHECK_INT(first.count, 0);
    io_process_release(watched);
    CHECK(!io_process_watch(again, pid, note_exit, &second, &watched, &err));
    io_free(again);
}

TEST(a_power_loss_ends_processes)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    struct exits exits = {0};
    struct io_process *process;
    struct io_process_options options = {.argv = (const char *const[]){"serve", NULL}};
    io_simulated_program(io, "serve", &(struct simulated_program){.start = serve_start});
    CHECK_OK(io_process_spawn(io, &options, note_exit, &exits, &process, &err), &err);
    int pid = io_process_pid(process);
    io_simulated_run_for(io, 10);
    io_simulated_power_loss(io);
    io_process_release(process);
    io = restart(io);
    CHECK(!io_process_watch(io, pid, note_exit, &exits, &process, &err));
    io_simulated_faults(io)->spawn_error_ppm = 1000000;
    CHECK(!io_process_spawn(io, &options, note_exit, &exits, &process, &err));
    CHECK_INT(err.sys, EAGAIN);
    io_free(io);
}

static void note_signal(void *ctx, int signal)
{
    *(int *)ctx = signal;
}

static bool any_signal(void *ctx)
{
    return *(const int *)ctx != 0;
}

TEST(a_program_gets_its_signals)
{
    struct io *io = io_simulated_new(1);
    int signal = 0;
    io_on_signal(io, note_signal, &signal);
    io_simulated_signal(io, SIGTERM);
    CHECK(io_simulated_run_until(io, any_signal, &signal, 10));
    CHECK_INT(signal, SIGTERM);
    io_free(io);
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
    struct io_address address = address_of("127.0.0.1:443");
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
    io_stream_start(visit.caller, &(struct io_stream_callbacks){.on_data = server_data, .on_end = stream_gone},
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
    struct io_address address = address_of("10.0.0.1:80");
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
    struct io_address address = address_of("127.0.0.1:80");
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
