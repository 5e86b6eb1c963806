/* SPDX-License-Identifier: Apache-2.0 */
/* A Trigger's reader of what has left memory, beside a producer: only the reader waits for a slow disk. */
#include "dispatch/reader.h"

#include "io/simulated.h"
#include "log/log.h"
#include "test.h"

enum { RECORDS = 1000, DISK_NS = 1000000000 };

struct town {
    struct io *io, *machine;
    struct log *log;
    struct partition *partition;
    struct log_waiter synced;
    bool done, told;
};

static void on_synced(void *ctx, const struct error *err)
{
    struct town *town = ctx;
    CHECK(!err);
    town->done = true;
}

static void on_readable(void *ctx)
{
    ((struct town *)ctx)->told = true;
}

static void on_closed(void *ctx)
{
    ((struct town *)ctx)->done = true;
}

static bool is_done(void *ctx)
{
    return ((struct town *)ctx)->done;
}

static bool is_told(void *ctx)
{
    return ((struct town *)ctx)->told;
}

static void append(struct town *town, int count)
{
    struct kafka_batch_builder builder;
    struct append append = {.partition = town->partition};
    struct error err;
    uint64_t lsn;
    AUTO_BUF memory;
    buf_init(&memory, 1 << 20);
    kafka_batch_begin(&builder, &memory, 0);
    for (int i = 0; i < count; i++)
        kafka_batch_add(&builder, 1000 + i, BYTES_NULL, BYTES_LITERAL("a record"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &append.batch, &err), &err);
    CHECK_OK(log_append(town->log, &append, 1, &lsn, &err), &err);
    town->done = false;
    town->synced = (struct log_waiter){.run = on_synced, .ctx = town};
    log_wait(town->log, &town->synced, lsn, LOG_SYNCED);
    CHECK(io_simulated_run_until(town->machine, is_done, town, 60000));
}

static void init(struct town *town)
{
    const struct topic_config_entry keep = {BYTES_LITERAL("retention.ms"), BYTES_LITERAL("-1")};
    const struct topic_spec spec = {
        .name = BYTES_LITERAL("events"), .partition_count = 1, .configs = &keep, .config_count = 1};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    *town = (struct town){.io = io_simulated_new(1)};
    town->machine = io_simulated_another(town->io);
    town->log = log_open(town->io, &(struct log_options){.directory = "/data", .journal_file_size = 1 << 20}, &err);
    CHECK_OK(town->log != NULL, &err);
    CHECK_OK(topic_create(town->log, &spec, &topic, &lsn, &err), &err);
    town->partition = topic_partition(topic, 0);
}

static void deinit(struct town *town)
{
    town->done = false;
    log_close(town->log, on_closed, town);
    CHECK(io_simulated_run_until(town->machine, is_done, town, 60000));
    io_free(town->machine);
    io_free(town->io);
}

TEST(a_slow_disk_delays_a_trigger_that_reads_from_it_and_no_producer)
{
    struct town town;
    struct reader reader;
    struct error err;
    init(&town);
    append(&town, RECORDS);
    io_simulated_evict(town.io);
    io_simulated_faults(town.io)->cold_ns = DISK_NS;
    reader_init(&reader, town.partition, 0, on_readable, &town);
    uint64_t before_ns = io_now_ns(town.io);
    CHECK(!reader_peek(&reader, &err));
    CHECK_INT(reader.end, READER_WAITS);
    append(&town, 1);
    CHECK(io_now_ns(town.io) - before_ns < DISK_NS);
    CHECK(io_simulated_run_until(town.machine, is_told, &town, 60000));
    CHECK(io_now_ns(town.io) - before_ns >= DISK_NS);
    before_ns = io_now_ns(town.io);
    for (int64_t offset = 0; offset <= RECORDS; offset++) {
        const struct kafka_record *record = reader_peek(&reader, &err);
        CHECK(record && record->offset == offset);
        reader_skip(&reader);
    }
    CHECK_INT(io_now_ns(town.io), before_ns);
    reader_deinit(&reader);
    deinit(&town);
}
