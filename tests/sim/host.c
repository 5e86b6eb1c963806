/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <assert.h>
#include <stdio.h>

#include "door/kafka_door.h"
#include "log/log.h"
#include "peer.h"
#include "sandbox.h"
#include "tally.h"

enum {
    START_TRIES = 50,
    CRASH_STEP_MS = 20,
    CRASH_STEPS = 100,
    CRASH_CHANGES = 60,
    CRASH_ANSWER_MS = 3000,
    SLOW_DISK_NS = 20000000,
    CLOSE_MAX_MS = 60000,
    FULL_ROOM_MAX = 300000,
    FULL_MS = 3000
};

uint64_t host_below(struct host *host, uint64_t limit)
{
    return io_random_below(host->client, limit);
}

void host_init(struct host *host, struct io *client)
{
    struct error err;
    *host = (struct host){.client = client};
    host->config.data = "/data";
    host->config.journal_file_bytes = 256 << 10;
    host->config.journal_bytes_max = 512 << 20;
    host->config.service_cidr = "10.96.0.0/16";
    bool ok = io_address_parse("127.0.0.1:9092", &host->config.kafka, &err) &&
              io_address_parse("127.0.0.1:8080", &host->config.http, &err);
    assert(ok);
    host->machine = (struct machine){.cpus = 2, .memory = 1ll << 34};
    snprintf(host->machine.hostname, sizeof host->machine.hostname, "sim");
    snprintf(host->machine.ip, sizeof host->machine.ip, "127.0.0.1");
}

bool host_alive(const struct host *host)
{
    return host->daemon && !io_simulated_dead(host->io);
}

static void clear_disk_errors(struct host *host)
{
    struct io_simulated_faults *faults = io_simulated_faults(host->client);
    faults->write_error_ppm = faults->sync_error_ppm = 0;
}

bool host_disk_fails(struct host *host)
{
    const struct io_simulated_faults *faults = io_simulated_faults(host->client);
    return faults->write_error_ppm || faults->sync_error_ppm;
}

static void start_once(struct host *host, struct error *err)
{
    host->io = io_simulated_another(host->client);
    struct daemon_options options = {.config = &host->config, .machine = &host->machine};
    options.processes = sandbox_runtime_open(host->io, host->config.data);
    host->daemon = options.processes ? daemon_open(host->io, &options, err) : NULL;
    host->lives++;
}

bool host_start(struct host *host, struct error *err)
{
    for (int i = 0; i < START_TRIES; i++) {
        bool failing = host_disk_fails(host) || host->disk_failed; /* a sync may still have to tell */
        error_set(err, ERROR_UNAVAILABLE, "the runtime did not open");
        start_once(host, err);
        if (host_alive(host)) {
            host->disk_failed = host_disk_fails(host);
            return true;
        }
        host->daemon = NULL;
        if (io_simulated_dead(host->io)) {
            host->power_losses++;
            tally("host: power loss while it starts");
            continue;
        }
        if (!failing || err->kind == ERROR_CORRUPT)
            return false;
        io_simulated_kill(host->io);
        clear_disk_errors(host);
    }
    return error_set(err, ERROR_TIMEOUT, "it did not start");
}

/* What the log and its door did in this life. */
static void tally_log(struct daemon *daemon)
{
    struct log_metrics metrics;
    struct kafka_door_metrics door;
    kafka_door_metrics(daemon_kafka(daemon), &door);
    tally_add("door: Produce that waited for room", door.produce_waits);
    log_metrics(daemon_log(daemon), &metrics);
    tally_add("log: journal files moved to segments", metrics.journal_files_spilled);
    tally_add("log: times that retention dropped something", metrics.retention_runs);
    tally_add("log: segments compacted", metrics.compaction_runs);
    tally_add("log: appends refused", metrics.appends_refused);
}

static void run_into_power_loss(struct host *host)
{
    struct io_simulated_faults *faults = io_simulated_faults(host->client);
    faults->changes_until_power_loss = 1 + host_below(host, CRASH_CHANGES);
    for (int i = 0; i < CRASH_STEPS && !io_simulated_dead(host->io); i++)
        io_simulated_run_for(host->client, CRASH_STEP_MS);
    faults->changes_until_power_loss = 0;
}

struct awaited {
    enum kafka_api_key key;
    uint64_t answers; /* so far */
};

static bool has_come(void *ctx)
{
    const struct awaited *awaited = ctx;
    return peer_answers(awaited->key) > awaited->answers;
}

static bool promises_nothing(enum kafka_api_key key)
{
    return key == KAFKA_METADATA || key == KAFKA_LIST_OFFSETS || key == KAFKA_HEARTBEAT;
}

/* One of a kind that has come before. Each is as likely as any other, however often it comes. */
static enum kafka_api_key choose_answer(struct host *host)
{
    enum kafka_api_key keys[PEER_KEYS];
    size_t count = 0;
    for (int key = 0; key < PEER_KEYS; key++)
        if (peer_answers((enum kafka_api_key)key) > 0 && !promises_nothing((enum kafka_api_key)key))
            keys[count++] = (enum kafka_api_key)key;
    return count > 0 ? keys[host_below(host, count)] : KAFKA_PRODUCE;
}

/* What a client has been told is on disk, also of the answer that it got a moment ago: the disk is slow meanwhile, so
 * that an answer which did not wait for it would be there long before. */
static void lose_power_behind_answer(struct host *host)
{
    struct io_simulated_faults *faults = io_simulated_faults(host->client);
    uint64_t disk_max_ns = faults->disk_max_ns;
    struct awaited awaited = {.key = choose_answer(host)};
    awaited.answers = peer_answers(awaited.key);
    faults->disk_max_ns = disk_max_ns > SLOW_DISK_NS ? disk_max_ns : SLOW_DISK_NS;
    peer_want((int)awaited.key);
    if (io_simulated_run_until(host->client, has_come, &awaited, CRASH_ANSWER_MS))
        tally("host: power loss behind an answer");
    peer_want(-1);
    faults->disk_max_ns = disk_max_ns;
    io_simulated_power_loss(host->io);
    host->power_losses++;
}

/* Half of them behind an answer, a quarter between two changes of the disk, the rest at any moment. */
void host_crash(struct host *host)
{
    uint64_t way = host_below(host, 4);
    if (way == 0)
        run_into_power_loss(host);
    host->crashes++;
    tally_log(host->daemon);
    if (io_simulated_dead(host->io)) {
        host->power_losses++;
        tally("host: power loss between two changes of the disk");
    } else if (way < 3) {
        lose_power_behind_answer(host);
    } else if (host_below(host, 2)) {
        io_simulated_kill(host->io);
        tally("host: kill -9");
    } else {
        io_simulated_power_loss(host->io);
        host->power_losses++;
        tally("host: power loss at any moment");
    }
    host->daemon = NULL; /* nobody frees what a killed program held */
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

bool host_close(struct host *host, struct error *err)
{
    bool closed = false;
    tally("host: proper ends");
    tally_log(host->daemon);
    daemon_close(host->daemon, set_true, &closed);
    host->daemon = NULL;
    bool ok = io_simulated_run_until(host->client, is_true, &closed, CLOSE_MAX_MS);
    io_simulated_kill(host->io);
    return ok || error_set(err, ERROR_TIMEOUT, "it did not end within %d s", CLOSE_MAX_MS / 1000);
}

/* At times as slow as an ordinary one, and now and then as one that is worn out: much is on its way when it dies. */
static uint64_t choose_disk_max_ns(struct host *host)
{
    uint64_t choice = host_below(host, 16);
    return choice == 0 ? 400000000 : choice < 4 ? 20000000 : 0;
}

/* Each fault of the disk in some runs only: what a failing sync stops, nothing else of the run would be seen. */
void host_choose_faults(struct host *host)
{
    struct io_simulated_faults *faults = io_simulated_faults(host->client);
    faults->reset_ppm = host_below(host, 3) == 0 ? 0 : (uint32_t)host_below(host, 2000);
    faults->refuse_ppm = (uint32_t)host_below(host, 20000);
    faults->disk_max_ns = choose_disk_max_ns(host);
    faults->garble_ppm = host_below(host, 2) == 0 ? (uint32_t)host_below(host, 300000) : 0;
    faults->sync_error_ppm = host_below(host, 8) == 0 ? (uint32_t)host_below(host, 10000) : 0;
    faults->write_error_ppm = host_below(host, 8) == 0 ? (uint32_t)host_below(host, 10000) : 0;
    host->disk_failed |= host_disk_fails(host);
    faults->cold_ppm = host_below(host, 2) == 0 ? (uint32_t)host_below(host, 1000000) : 0;
    faults->disk_size_max = 0;
    tally_add("host: lives with little in memory", faults->cold_ppm > 0);
    tally_add("host: lives with a slow disk", faults->disk_max_ns > 0);
    tally_add("host: lives with a disk that takes up to 400 ms", faults->disk_max_ns == 400000000);
    tally_add("host: lives with garbled sectors", faults->garble_ppm > 0);
    tally_add("host: lives with failing syncs", faults->sync_error_ppm > 0);
    tally_add("host: lives with failing writes", faults->write_error_ppm > 0);
}

void host_clear_faults(struct host *host)
{
    struct io_simulated_faults *faults = io_simulated_faults(host->client);
    uint64_t disk_max_ns = faults->disk_max_ns;
    host->disk_failed |= host_disk_fails(host);
    *faults = (struct io_simulated_faults){.disk_max_ns = disk_max_ns};
}

void host_fill_disk(struct host *host)
{
    struct io_simulated_faults *faults = io_simulated_faults(host->client);
    faults->disk_size_max = io_simulated_disk_used(host->client) + host_below(host, FULL_ROOM_MAX);
    host->full++;
    tally("host: disk full");
    io_simulated_run_for(host->client, host_below(host, FULL_MS));
    faults->disk_size_max = 0;
}
