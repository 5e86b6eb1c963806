/* SPDX-License-Identifier: Apache-2.0 */
#include "log_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auditor.h"
#include "base/memory.h"
#include "consumer_member.h"
#include "consuming.h"
#include "group_admin.h"
#include "group_member.h"
#include "host.h"
#include "ledger.h"
#include "log_producer.h"
#include "pipeliner.h"
#include "seeds.h"
#include "tally.h"
#include "topic_admin.h"
#include "transactor.h"

enum {
    MEMBERS_MAX = 4,
    CONSUMERS_MAX = 3,
    TRANSACTORS_MAX = 3,
    PIPELINERS_MAX = 1,
    PRODUCERS_MAX = LEDGER_PRODUCERS_MAX - TRANSACTORS_MAX - PIPELINERS_MAX,
    LIFE_MS = 4000,
    DEATHS_MAX = 6,
    SETTLE_MS = 600000,
    SETTLE_STEP_MS = 500,
    REST_MS = 400000, /* longer than RETENTION_GRACE_MS, CLEANING_RETRY_MS, and whatever topic_plan.c chooses */
    FLIPS_MAX = 5,
    DAMAGED_MS = 2000,
    JOURNAL_FILE = 64 << 10,
    JOURNAL_FILE_SMALL = 16 << 10,
    JOURNAL_FILES_MIN = 4,
    SLOW_DISK_NS = 300000000,
    BUSY_HELPERS_NS = 2000000,
    TOPICS_KEPT = 1 << 0 | 1 << 1, /* what members subscribe to: bits of topic_plan.h's topics */
    TOPICS_ALL = TOPICS_KEPT | 1 << 2 | 1 << 5,
    TOPIC_DELETED = 1 << 4,
};

struct run {
    struct host host;
    struct ledger ledger;
    struct log_producer *producers[PRODUCERS_MAX];
    int producer_count;
    struct pipeliner *pipeliner; /* NULL: there is none */
    struct transactor *transactors[TRANSACTORS_MAX];
    int transactor_count;
    struct group_member *members[MEMBERS_MAX + TRANSACTORS_MAX];
    int member_count;
    struct consumer_member *consumers[CONSUMERS_MAX + TRANSACTORS_MAX]; /* members by the new protocol */
    int consumer_count;
    struct auditor *auditor;
    struct topic_admin *admin;
    struct group_admin *group_admin;
    int refused; /* times that damage was found */
};

static uint64_t below(struct run *run, uint64_t limit)
{
    return host_below(&run->host, limit);
}

static void start_member(struct run *run, const struct consuming_options *options)
{
    run->members[run->member_count++] = group_member_start(&run->ledger, options);
}

static void start_consumer(struct run *run, const struct consuming_options *options)
{
    run->consumers[run->consumer_count] = consumer_member_start(&run->ledger, options, run->consumer_count);
    run->consumer_count++;
}

static void start_members(struct run *run)
{
    bool is_static = below(run, 2) == 0, rivals = below(run, 2) == 0;
    const unsigned all = TOPICS_ALL | (below(run, 2) ? TOPIC_DELETED : 0);
    for (uint64_t left = below(run, MEMBERS_MAX + 1); left > 0; left--) {
        struct consuming_options options = {
            .group = (int)below(run, LEDGER_GROUPS_CLASSIC), .instance = -1, .has_rivals = rivals};
        options.topics = options.group == 0 ? TOPICS_KEPT : all;
        if (is_static)
            options.instance = (int)(rivals ? below(run, 2 * MEMBERS_MAX) : left);
        start_member(run, &options);
    }
    is_static = below(run, 4) == 0;
    for (uint64_t left = below(run, CONSUMERS_MAX + 1); left > 0; left--) {
        const struct consuming_options options = {
            .group = LEDGER_GROUPS_CLASSIC,
            .instance = is_static ? (int)left : -1,
            .topics = TOPICS_ALL}; /* a topic that is made again has two owners for a while, of two ids */
        start_consumer(run, &options);
    }
}

/* A member of the group worker-0 for it, by one of the protocols. */
static const struct consuming *start_worker(struct run *run, bool classic, int instance)
{
    const struct consuming_options options = {
        .group = 0, .holds = true, .instance = instance, .topics = 1 << LEDGER_WORKER_TOPIC};
    if (classic) {
        start_member(run, &options);
        return group_member_consuming(run->members[run->member_count - 1]);
    }
    start_consumer(run, &options);
    return consumer_member_consuming(run->consumers[run->consumer_count - 1]);
}

/* Some fence each other by their id, some by their membership; the others have nothing to do with each other. */
static void start_transactors(struct run *run)
{
    enum { ALONE, RIVALS, WORKERS, WORKERS_NEW, WAYS } way = (int)below(run, 2) * (int)below(run, WAYS);
    bool is_static = below(run, 3) == 0;
    run->transactor_count = (int)below(run, TRANSACTORS_MAX + 1);
    for (int i = 0; i < run->transactor_count; i++) {
        struct transactor_options options = {
            .number = PRODUCERS_MAX + PIPELINERS_MAX + i, .id = way == RIVALS ? 0 : i, .has_rivals = way == RIVALS};
        options.worker = way == ALONE ? i : 0;
        if (way >= WORKERS)
            options.consumer = start_worker(run, way == WORKERS, is_static ? i : -1);
        run->transactors[i] = transactor_start(&run->ledger, &options);
    }
}

static void start_clients(struct run *run)
{
    run->admin = topic_admin_start(&run->ledger);
    run->group_admin = group_admin_start(&run->ledger);
    run->auditor = auditor_start(&run->ledger, true);
    run->producer_count = 1 + (int)below(run, PRODUCERS_MAX);
    for (int i = 0; i < run->producer_count; i++) {
        struct log_producer_options options = {.number = i, .idempotent = below(run, 2), .acks = -1};
        if (!options.idempotent) /* an idempotent one that forgot less than evoke could not go on */
            options.acks = (int16_t)below(run, 3) - 1;
        run->producers[i] = log_producer_start(&run->ledger, &options);
    }
    if (below(run, 2))
        run->pipeliner = pipeliner_start(&run->ledger, PRODUCERS_MAX);
    start_members(run);
    start_transactors(run);
}

/* --- Deaths --- */

static bool start(struct run *run, struct error *err)
{
    return host_start(&run->host, err);
}

static void die(struct run *run)
{
    bool errors = host_disk_fails(&run->host);
    int losses = run->host.power_losses;
    host_crash(&run->host);
    ledger_evoke_died(&run->ledger, errors || run->host.power_losses > losses);
}

#define SEGMENTS "/segments/"

/* What a start reads has a witness for all of itself when it was closed: whatever bit turns, it is refused or it was of
 * no account. What lies in segments is met later: whoever reads there is refused, all others go on; and when the bit is
 * right again, everything is there. */
static bool live_damaged(struct run *run, struct error *err)
{
    ledger_damaged(&run->ledger, true);
    io_simulated_run_for(run->host.client, below(run, DAMAGED_MS));
    if (!host_close(&run->host, err))
        return false;
    ledger_evoke_died(&run->ledger, false);
    io_simulated_run_for(run->host.client, 1 + below(run, 500)); /* what was on its way arrives */
    ledger_damaged(&run->ledger, false);
    return true;
}

/* *running: a bit that a start reads was of no account, and evoke runs with it: what is there will be looked at. */
static bool start_damaged(struct run *run, const char *within, bool *running, struct error *err)
{
    char what[TALLY_NAME_SIZE];
    bool started = host_start(&run->host, err);
    if (!started && err->kind != ERROR_CORRUPT)
        return error_wrap(err, "with a wrong bit in %s", within);
    snprintf(what, sizeof what, "host: wrong bits in %s, start %s", within, started ? "taken" : "refused");
    tally(what);
    run->refused += !started;
    *running = started && strcmp(within, SEGMENTS) != 0;
    if (started && !*running)
        return live_damaged(run, err);
    if (!started)
        io_simulated_kill(run->host.io);
    return true;
}

static bool flip_bits(struct run *run, struct error *err)
{
    static const char *const places[] = {"/journal/", "/checkpoint", SEGMENTS, SEGMENTS};
    bool running = false;
    if (!host_close(&run->host, err))
        return false;
    ledger_evoke_died(&run->ledger, false);
    for (uint64_t flips = below(run, FLIPS_MAX); flips > 0; flips--) {
        const char *within = places[below(run, ARRAY_SIZE(places))];
        if (!io_simulated_flip(run->host.client, within))
            continue;
        if (!start_damaged(run, within, &running, err))
            return false;
        if (running)
            return true;
        io_simulated_flip_back(run->host.client);
    }
    return start(run, err);
}

static bool live_and_die(struct run *run, struct error *err)
{
    uint64_t life_ms = below(run, LIFE_MS);
    host_choose_faults(&run->host);
    if (below(run, 3) == 0)
        io_simulated_faults(run->host.client)->work_max_ns = BUSY_HELPERS_NS;
    if (run->host.config.journal_file_bytes == JOURNAL_FILE_SMALL && below(run, 4)) {
        io_simulated_faults(run->host.client)->disk_max_ns = SLOW_DISK_NS;
        life_ms *= 2;
    }
    io_simulated_run_for(run->host.client, life_ms);
    if (below(run, 4) == 0)
        host_fill_disk(&run->host);
    if (below(run, 6) == 0 && !host_disk_fails(&run->host))
        return flip_bits(run, err);
    die(run);
    io_simulated_run_for(run->host.client, below(run, 500));
    return start(run, err);
}

/* --- The end --- */

/* Who has not come to an end yet; NULL: everybody has. */
static const char *busy(const struct run *run)
{
    for (int i = 0; i < run->producer_count; i++)
        if (!log_producer_finished(run->producers[i]))
            return "a producer";
    if (run->pipeliner && !pipeliner_finished(run->pipeliner))
        return "a pipeliner";
    for (int i = 0; i < run->transactor_count; i++)
        if (!transactor_finished(run->transactors[i]))
            return "a transactor";
    return topic_admin_finished(run->admin) ? NULL : "who administers topics";
}

static bool quiet(const struct run *run)
{
    return busy(run) == NULL;
}

static void run_until(struct run *run, bool (*met)(const struct run *run), int *left_ms)
{
    for (; *left_ms > 0 && !run->ledger.failed && !met(run); *left_ms -= SETTLE_STEP_MS)
        io_simulated_run_for(run->host.client, SETTLE_STEP_MS);
}

static bool audited(const struct run *run)
{
    return auditor_has_seen_all(run->auditor);
}

static void check_ends(struct run *run)
{
    ledger_check_transactions(&run->ledger);
    ledger_check_workers(&run->ledger);
}

static void rest(struct run *run)
{
    group_admin_stop(run->group_admin);
    for (int i = 0; i < run->member_count; i++)
        group_member_stop(run->members[i]);
    for (int i = 0; i < run->consumer_count; i++)
        consumer_member_stop(run->consumers[i]);
    auditor_rest(run->auditor);
    io_simulated_run_for(run->host.client, REST_MS);
    run->ledger.rested = true;
}

/* A disk that failed leaves evoke read-only: it is started again, on a good disk. */
static bool settle(struct run *run, struct error *err)
{
    int left_ms = SETTLE_MS;
    bool failed_disk = host_disk_fails(&run->host);
    host_clear_faults(&run->host);
    if (failed_disk) {
        io_simulated_kill(run->host.io);
        ledger_evoke_died(&run->ledger, true);
        if (!start(run, err))
            return false;
    }
    topic_admin_stop(run->admin);
    for (int i = 0; i < run->producer_count; i++)
        log_producer_stop(run->producers[i]);
    if (run->pipeliner)
        pipeliner_stop(run->pipeliner);
    for (int i = 0; i < run->transactor_count; i++)
        transactor_stop(run->transactors[i]);
    run_until(run, quiet, &left_ms);
    if (!run->ledger.failed && !quiet(run))
        return error_set(err, ERROR_TIMEOUT, "%s comes to no end", busy(run));
    rest(run);
    auditor_begin(run->auditor);
    run_until(run, audited, &left_ms);
    if (audited(run))
        check_ends(run);
    return run->ledger.failed || audited(run) ||
           error_set(err, ERROR_TIMEOUT, "partitions cannot be read to their end");
}

static bool run_all(struct run *run, struct error *err)
{
    if (!start(run, err))
        return error_wrap(err, "first start");
    start_clients(run);
    bool ok = true;
    for (uint64_t deaths = 1 + below(run, DEATHS_MAX); ok && !run->ledger.failed && deaths > 0; deaths--)
        ok = live_and_die(run, err) || error_wrap(err, "after death %d", run->ledger.life);
    ok = ok && settle(run, err);
    if (!ok || !run->ledger.failed)
        return ok;
    *err = run->ledger.failure;
    return false;
}

/* So that it spills; with the smallest one who produces is faster than a slow disk, and waits for it. */
static void choose_journal(struct run *run)
{
    struct config *config = &run->host.config;
    config->journal_file_bytes = below(run, 3) == 0 ? JOURNAL_FILE_SMALL : JOURNAL_FILE;
    bool small = config->journal_file_bytes == JOURNAL_FILE_SMALL;
    config->journal_bytes_max =
        (JOURNAL_FILES_MIN + (small ? 0 : below(run, 2) * below(run, 16))) * config->journal_file_bytes;
}

bool log_run_seed(uint64_t seed, char *summary, size_t size, struct error *err)
{
    AUTO_FREE(struct run) run = NEW(struct run);
    struct io *client = io_simulated_new(seed);
    seeds_trace(client);
    host_init(&run->host, client);
    choose_journal(run);
    ledger_init(&run->ledger, client);
    bool ok = run_all(run, err);
    snprintf(
        summary, size,
        "%d producers, %d transactors, %d and %d members, %" PRIu64 " records acknowledged, %" PRIu64
        " seen in %" PRIu64
        " passes, %d deaths (%d power losses), disk full %d times, damage refused %d times, fingerprint %016" PRIx64,
        run->producer_count, run->transactor_count, run->member_count, run->consumer_count, run->ledger.acknowledged,
        run->ledger.records_seen, run->ledger.passes, run->ledger.life, run->host.power_losses, run->host.full,
        run->refused, io_simulated_fingerprint(client));
    ledger_deinit(&run->ledger);
    return ok;
}
