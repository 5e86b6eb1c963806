/* SPDX-License-Identifier: Apache-2.0 */
#include "log/fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/simulated.h"

static void say_nothing(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

void fixture_init(struct fixture *fixture)
{
    static int count;
    diag_set_sink(say_nothing, NULL, DIAG_ERROR); /* what fails here fails on purpose */
    *fixture = (struct fixture){0};
    snprintf(fixture->directory, sizeof fixture->directory, "%s/data%d", test_dir(), count++);
    fixture->options =
        (struct log_options){.directory = fixture->directory, .journal_file_size = 64 << 10, .folds = fixture_folds};
    buf_init(&fixture->scratch, 64 << 20);
}

void fixture_init_simulated(struct fixture *fixture, uint64_t seed)
{
    fixture_init(fixture);
    fixture->world = io_simulated_new(seed);
    snprintf(fixture->directory, sizeof fixture->directory, "/data");
}

bool fixture_try_open(struct fixture *fixture, struct error *err)
{
    fixture->io = fixture->world ? io_simulated_another(fixture->world) : io_linux_new(err);
    if (!fixture->io)
        return false;
    fixture->log = log_open(fixture->io, &fixture->options, err);
    if (fixture->log)
        return true;
    io_free(fixture->io);
    return false;
}

void fixture_open(struct fixture *fixture)
{
    struct error err;
    CHECK_OK(fixture_try_open(fixture, &err), &err);
}

static void stop(void *ctx)
{
    io_stop(ctx);
}

void fixture_close(struct fixture *fixture)
{
    log_close(fixture->log, stop, fixture->io);
    io_run(fixture->io);
    io_free(fixture->io);
    fixture->log = NULL;
}

void fixture_deinit(struct fixture *fixture)
{
    if (fixture->log)
        fixture_close(fixture);
    if (fixture->world)
        io_free(fixture->world);
    buf_deinit(&fixture->scratch);
}

static void bury(struct fixture *fixture)
{
    log_abandon(fixture->log);
    io_free(fixture->io);
    fixture->log = NULL;
}

void fixture_power_loss(struct fixture *fixture)
{
    io_simulated_power_loss(fixture->io);
    bury(fixture);
}

void fixture_kill(struct fixture *fixture)
{
    io_simulated_kill(fixture->io);
    bury(fixture);
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

void fixture_run_ms(struct fixture *fixture, uint64_t duration_ms)
{
    struct io_timer timer; /* the clock stands still when there is nothing to wait for */
    bool over = false;
    io_timer_init(fixture->world, &timer, set_true, &over);
    io_timer_start(&timer, duration_ms);
    io_simulated_run_until(fixture->io, is_true, &over, duration_ms + 1);
    io_timer_stop(&timer);
}

static void stop_when_synced(void *ctx, const struct error *err)
{
    if (err)
        test_fail(__FILE__, __LINE__, "%s", err->message);
    io_stop(ctx);
}

void fixture_sync(struct fixture *fixture)
{
    struct log_waiter waiter = {.run = stop_when_synced, .ctx = fixture->io};
    log_wait(fixture->log, &waiter, log_lsn(fixture->log), LOG_SYNCED);
    io_run(fixture->io);
}

void fixture_turn(struct fixture *fixture)
{
    struct io_timer timer;
    io_timer_init(fixture->io, &timer, stop, fixture->io);
    io_timer_start(&timer, 1);
    io_run(fixture->io);
}

struct topic *fixture_topic(struct fixture *fixture, const char *name, int32_t partition_count)
{
    const struct topic_config_entry keep = {BYTES_LITERAL("retention.ms"), BYTES_LITERAL("-1")};
    const struct topic_spec spec = {
        .name = bytes_of_string(name), .partition_count = partition_count, .configs = &keep, .config_count = 1};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_create(fixture->log, &spec, &topic, &lsn, &err), &err);
    return topic;
}

struct partition *fixture_partition(struct fixture *fixture, const char *topic, int32_t index)
{
    struct topic *found = topic_find(fixture->log, bytes_of_string(topic));
    return found ? topic_partition(found, index) : NULL;
}

struct bytes fixture_producer_batch(struct fixture *fixture, const char *text, int count, int64_t producer_id,
                                    int16_t epoch, int32_t sequence)
{
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    buf_reset(&fixture->scratch);
    kafka_batch_begin(&builder, &fixture->scratch, 0);
    builder.producer_id = producer_id;
    builder.producer_epoch = epoch;
    builder.base_sequence = sequence;
    for (int i = 0; i < count; i++) {
        char value[200];
        snprintf(value, sizeof value, "%s %d", text, i);
        kafka_batch_add(&builder, 1000 + i, BYTES_NULL, bytes_of_string(value), NULL, 0);
    }
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

struct bytes fixture_batch(struct fixture *fixture, const char *text, int count)
{
    return fixture_producer_batch(fixture, text, count, -1, -1, -1);
}

int64_t fixture_append(struct fixture *fixture, struct partition *partition, struct bytes batch)
{
    struct append append = {.partition = partition, .batch = batch};
    struct error err;
    uint64_t lsn;
    CHECK_OK(log_append(fixture->log, &append, 1, &lsn, &err), &err);
    return append.base_offset;
}

static void append_batch_values(const struct kafka_batch *batch, int64_t *offset, struct buf *out)
{
    struct error err;
    struct kafka_record record;
    AUTO_KAFKA_RECORDS records = {0};
    CHECK_OK(kafka_batch_verify(batch, &err), &err);
    CHECK_OK(kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    while (kafka_records_next(&records, &record)) {
        CHECK_INT(record.offset, *offset);
        ++*offset;
        buf_append(out, record.value);
        buf_append_byte(out, '\n');
    }
    CHECK(!records.corrupt);
}

static void append_values(struct bytes batches, int64_t *offset, struct buf *out)
{
    struct error err;
    struct kafka_batch batch;
    while (batches.size > 0) {
        CHECK_OK(kafka_batch_parse(&batches, &batch, &err), &err);
        append_batch_values(&batch, offset, out);
    }
}

char *fixture_read(struct partition *partition)
{
    struct error err;
    struct buf out;
    buf_init(&out, 256 << 20);
    for (int64_t offset = 0; offset < partition_high_watermark(partition);) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, offset, 1 << 20, &slice, &err), &err);
        CHECK(slice.count > 0);
        for (size_t i = 0; i < slice.count; i++)
            append_values(slice.parts[i], &offset, &out);
        CHECK_INT(slice.next_offset, offset);
        log_slice_release(&slice);
    }
    buf_append_byte(&out, '\0');
    return (char *)(uintptr_t)buf_take(&out).data;
}

static bool run_forked(void (*run)(uint64_t seed), uint64_t seed)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        run(seed);
        exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

void fixture_run_seeds(void (*run)(uint64_t seed), uint64_t count)
{
    const char *only = getenv("EVOKE_SEED"), *more = getenv("EVOKE_SEEDS");
    if (only)
        run(strtoull(only, NULL, 10));
    count = more ? strtoull(more, NULL, 10) : count;
    for (uint64_t seed = 1; !only && seed <= count; seed++)
        if (!run_forked(run, seed))
            test_fail(__FILE__, __LINE__, "EVOKE_SEED=%" PRIu64 " repeats it", seed);
}
