/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives and deaths of transactional producers in a simulated world: random transactions that are committed, aborted,
 * taken over, left to their timeout, beside plain appends; power loss between any two changes of the disk, kill -9,
 * proper ends. The model is the list of what was done, each with its LSN; a death cuts it off behind what recovery
 * found, which must hold all that was told to be durable. After each step and each start, a reader of committed records
 * sees exactly what the model says is committed, and a group stands where the last committed transaction put it.
 * A seed that fails is printed; EVOKE_SEED repeats it, EVOKE_SEEDS tries more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "coordinator/transaction.h"
#include "io/simulated.h"
#include "log/fixture.h"

enum {
    SEEDS = 200,
    LIVES = 8,
    STEPS = 80,
    PRODUCERS = 4,
    PARTITIONS = 3,
    DEEDS_MAX = 8000,
    DEEDS_TO_SPILL = 100, /* then the journal has let go of files */
    VALUES_MAX = 6000,
    JOURNAL_SIZE_MAX = 256 << 10,
    TIMEOUT_MAX_MS = 4500
};

enum deed_kind { DEED_INIT, DEED_ADD, DEED_APPEND, DEED_COMMIT_OFFSET, DEED_END };

/* Something that was done. */
struct deed {
    enum deed_kind kind;
    uint64_t lsn;
    int who;       /* -1: a plain append */
    int partition; /* of DEED_ADD and DEED_APPEND */
    int64_t offset, value;
    struct transaction_producer producer; /* who it is from then on */
    bool committed, by_timeout;
    int32_t timeout_ms;
    int64_t time_ms;
};

enum fate { OPEN, COMMITTED, ABORTED };

/* A record, by its transaction's number: plain ones have 0. */
struct value {
    int64_t offset, value;
    size_t transaction;
};

/* What the deeds come to. */
struct client {
    struct transaction_producer producer;
    bool known, ongoing, added[PARTITIONS];
    int32_t sequences[PARTITIONS], timeout_ms;
    int64_t start_ms, pending_offset; /* -1: none */
    size_t transaction;
};

struct model {
    struct client clients[PRODUCERS];
    struct value values[PARTITIONS][VALUES_MAX];
    size_t counts[PARTITIONS];
    enum fate fates[DEEDS_MAX];
    uint64_t end_lsns[DEEDS_MAX]; /* of their markers; 0: not known, but not later than the deed */
    size_t transaction_count;
    int64_t committed_offset; /* of the group */
};

struct town {
    struct fixture f;
    uint64_t random;
    int64_t next_value;
    struct deed deeds[DEEDS_MAX];
    size_t deed_count;
    struct model model;
    struct list promises;
    uint64_t durable; /* the newest LSN that was told to be on disk */
    int deaths, commits, aborts, timeouts, fenced;
};

struct promise {
    struct list link;
    struct town *town;
    struct log_waiter waiter;
};

static uint32_t below(struct town *town, uint32_t limit)
{
    town->random = town->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(town->random >> 33) % limit;
}

static struct bytes id_of(int who)
{
    static const char *const ids[PRODUCERS] = {"a", "b", "c", "d"};
    return bytes_of_string(ids[who]);
}

static struct partition *partition_of(struct town *town, int index)
{
    return fixture_partition(&town->f, "orders", index);
}

/* --- The model --- */

static void end_in_model(struct model *model, struct client *client, bool committed, uint64_t lsn)
{
    if (!client->ongoing)
        return;
    model->fates[client->transaction] = committed ? COMMITTED : ABORTED;
    model->end_lsns[client->transaction] = lsn;
    if (committed && client->pending_offset >= 0)
        model->committed_offset = client->pending_offset;
    client->ongoing = false;
    client->pending_offset = -1;
    memset(client->added, 0, sizeof client->added);
}

static void become(struct client *client, struct transaction_producer producer)
{
    if (producer.id != client->producer.id || producer.epoch != client->producer.epoch)
        memset(client->sequences, 0, sizeof client->sequences);
    client->producer = producer;
    client->known = true;
}

static void begin_in_model(struct model *model, struct client *client, int64_t time_ms)
{
    if (client->ongoing)
        return;
    client->ongoing = true;
    client->start_ms = time_ms;
    client->transaction = ++model->transaction_count;
    model->fates[client->transaction] = OPEN;
}

static void add_value(struct model *model, const struct deed *deed)
{
    struct client *client = deed->who >= 0 ? &model->clients[deed->who] : NULL;
    CHECK(model->counts[deed->partition] < VALUES_MAX);
    model->values[deed->partition][model->counts[deed->partition]++] =
        (struct value){deed->offset, deed->value, client ? client->transaction : 0};
    if (client)
        client->sequences[deed->partition]++;
}

static void follow(struct model *model, const struct deed *deed)
{
    struct client *client = deed->who >= 0 ? &model->clients[deed->who] : NULL;
    switch (deed->kind) {
    case DEED_INIT:
        end_in_model(model, client, false, deed->lsn);
        become(client, deed->producer);
        client->timeout_ms = deed->timeout_ms;
        break;
    case DEED_ADD:
        begin_in_model(model, client, deed->time_ms);
        client->added[deed->partition] = true;
        break;
    case DEED_APPEND:
        add_value(model, deed);
        break;
    case DEED_COMMIT_OFFSET:
        begin_in_model(model, client, deed->time_ms);
        client->pending_offset = deed->value;
        break;
    case DEED_END:
        end_in_model(model, client, deed->committed, deed->by_timeout ? 0 : deed->lsn);
        become(client, deed->producer);
        break;
    }
}

static void model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->committed_offset = -1;
    model->fates[0] = COMMITTED;
    for (int i = 0; i < PRODUCERS; i++)
        model->clients[i].pending_offset = -1;
}

/* --- Promises --- */

static void kept(void *ctx, const struct error *err)
{
    struct promise *promise = ctx;
    if (!err && promise->waiter.lsn > promise->town->durable)
        promise->town->durable = promise->waiter.lsn;
    list_remove(&promise->link);
    free(promise);
}

static void did(struct town *town, struct deed deed)
{
    struct promise *promise = NEW(struct promise);
    CHECK(town->deed_count < DEEDS_MAX);
    deed.time_ms = io_wall_ms(town->f.io);
    town->deeds[town->deed_count++] = deed;
    follow(&town->model, &deed);
    promise->town = town;
    promise->waiter = (struct log_waiter){.run = kept, .ctx = promise};
    list_append(&town->promises, &promise->link);
    log_wait(town->f.log, &promise->waiter, deed.lsn, LOG_SYNCED);
}

static void drop_promises(struct town *town)
{
    list_each (struct promise, promise, &town->promises, link) {
        log_wait_cancel(&promise->waiter);
        list_remove(&promise->link);
        free(promise);
    }
}

/* An error that only a dying disk explains. */
static bool is_death(struct town *town, enum kafka_error error)
{
    if (error == KAFKA_COORDINATOR_NOT_AVAILABLE) {
        CHECK(io_simulated_dead(town->f.io));
        return true;
    }
    CHECK_INT(error, KAFKA_NONE);
    return false;
}

/* --- Steps --- */

static void init(struct town *town, int who)
{
    struct client *client = &town->model.clients[who];
    struct deed deed = {.kind = DEED_INIT, .who = who, .timeout_ms = 500 + (int32_t)below(town, TIMEOUT_MAX_MS - 500)};
    struct transaction_producer expected = {-1, -1};
    if (client->known && below(town, 2))
        expected = client->producer;
    if (is_death(town, transaction_init(town->f.log, id_of(who), deed.timeout_ms, expected, &deed.producer, &deed.lsn)))
        return;
    CHECK(deed.producer.id != client->producer.id || deed.producer.epoch > client->producer.epoch || !client->known);
    town->fenced += client->known;
    did(town, deed);
}

static bool add(struct town *town, int who, int partition)
{
    struct client *client = &town->model.clients[who];
    struct transaction_partition one = {.topic = BYTES_LITERAL("orders"), .index = partition};
    struct deed deed = {.kind = DEED_ADD, .who = who, .partition = partition};
    if (client->ongoing && client->added[partition])
        return true;
    if (is_death(town, transaction_add_partitions(town->f.log, id_of(who), client->producer, TRANSACTION_V1, &one, 1,
                                                  &deed.lsn)))
        return false;
    CHECK_INT(one.error, KAFKA_NONE);
    did(town, deed);
    return true;
}

static bool append(struct town *town, int who, struct transaction_producer producer, int32_t sequence, int partition,
                   struct deed *deed, struct error *err)
{
    AUTO_BUF buf;
    struct kafka_batch_builder builder;
    struct append append = {.partition = partition_of(town, partition)};
    char text[2600];
    *deed = (struct deed){.kind = DEED_APPEND, .who = who, .partition = partition, .value = town->next_value};
    snprintf(text, sizeof text, "%" PRId64 "%*s", deed->value, (int)below(town, 2500), "");
    buf_init(&buf, 1 << 20);
    kafka_batch_begin(&builder, &buf, who >= 0 ? KAFKA_BATCH_TRANSACTIONAL : 0);
    builder.producer_id = producer.id;
    builder.producer_epoch = producer.epoch;
    builder.base_sequence = sequence;
    kafka_batch_add(&builder, 1000, BYTES_NULL, bytes_of_string(text), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &append.batch, err), err);
    if (!log_append(town->f.log, &append, 1, &deed->lsn, err))
        return false;
    CHECK(!append.duplicate);
    deed->offset = append.base_offset;
    town->next_value++;
    return true;
}

static void write_record(struct town *town, int who, int partition)
{
    struct client *client = &town->model.clients[who];
    struct deed deed;
    struct error err;
    if (!add(town, who, partition))
        return;
    if (append(town, who, client->producer, client->sequences[partition], partition, &deed, &err))
        did(town, deed);
    else if (!io_simulated_dead(town->f.io))
        test_fail(__FILE__, __LINE__, "%s", err.message);
}

static void write_plain(struct town *town, int partition)
{
    struct deed deed;
    struct error err;
    if (append(town, -1, (struct transaction_producer){-1, -1}, -1, partition, &deed, &err))
        did(town, deed);
    else
        CHECK(io_simulated_dead(town->f.io));
}

/* One that was fenced tries it all the same. */
static void haunt(struct town *town, int who)
{
    struct client *client = &town->model.clients[who];
    struct transaction_producer old = {client->producer.id, (int16_t)(client->producer.epoch - 1)}, out;
    struct transaction_partition one = {.topic = BYTES_LITERAL("orders")};
    struct deed deed;
    struct error err;
    uint64_t lsn;
    if (!client->known || old.epoch < 0)
        return;
    CHECK(!append(town, who, old, 0, 0, &deed, &err));
    CHECK(err.kind == ERROR_CONFLICT && err.sys == ESTALE);
    CHECK_INT(transaction_add_partitions(town->f.log, id_of(who), old, TRANSACTION_V1, &one, 1, &lsn),
              KAFKA_PRODUCER_FENCED);
    CHECK_INT(transaction_end(town->f.log, id_of(who), old, true, TRANSACTION_V1, &out, &lsn), KAFKA_PRODUCER_FENCED);
}

static void commit_offset(struct town *town, int who)
{
    struct client *client = &town->model.clients[who];
    struct deed deed = {.kind = DEED_COMMIT_OFFSET, .who = who, .value = town->next_value};
    struct coordinator_offset one = {.topic = BYTES_LITERAL("orders"), .offset = deed.value, .leader_epoch = -1};
    const struct transaction_commit commit = {.transactional_id = id_of(who),
                                              .group_id = BYTES_LITERAL("g"),
                                              .member_id = BYTES_LITERAL(""),
                                              .producer = client->producer,
                                              .generation = -1,
                                              .version = TRANSACTION_V2};
    if (who != 0) /* one producer for a group, as applications have it */
        return;
    transaction_commit_offsets(town->f.log, &commit, &one, 1, &deed.lsn);
    if (!is_death(town, one.error))
        did(town, deed);
}

static void end(struct town *town, int who)
{
    struct client *client = &town->model.clients[who];
    struct deed deed = {.kind = DEED_END, .who = who, .committed = below(town, 3) > 0};
    enum transaction_version version = below(town, 2) ? TRANSACTION_V1 : TRANSACTION_V2;
    if (is_death(town, transaction_end(town->f.log, id_of(who), client->producer, deed.committed, version,
                                       &deed.producer, &deed.lsn)))
        return;
    town->commits += deed.committed;
    town->aborts += !deed.committed;
    did(town, deed);
}

/* What its timeout has ended meanwhile. */
static void notice_timeouts(struct town *town)
{
    for (int who = 0; who < PRODUCERS; who++) {
        struct client *client = &town->model.clients[who];
        if (!client->ongoing)
            continue;
        const struct transaction_description now = transaction_describe(transaction_find(town->f.log, id_of(who)));
        if (now.state == TRANSACTION_ONGOING)
            continue;
        CHECK_INT(now.state, TRANSACTION_COMPLETE_ABORT);
        CHECK_INT(now.producer.epoch, client->producer.epoch + 1);
        CHECK(io_wall_ms(town->f.io) - client->start_ms >= client->timeout_ms);
        town->timeouts++;
        did(town, (struct deed){.kind = DEED_END,
                                .who = who,
                                .producer = now.producer,
                                .by_timeout = true,
                                .lsn = log_lsn(town->f.log)});
    }
}

static void step(struct town *town)
{
    int who = (int)below(town, PRODUCERS), partition = (int)below(town, PARTITIONS);
    struct client *client = &town->model.clients[who];
    uint32_t what = below(town, 20);
    if (!client->known || what == 0)
        init(town, who);
    else if (what == 1)
        haunt(town, who);
    else if (what < 5)
        write_plain(town, partition);
    else if (what < 7)
        commit_offset(town, who);
    else if (what < 11 && client->ongoing)
        end(town, who);
    else
        write_record(town, who, partition);
}

/* --- Checks --- */

static int64_t parse_value(struct bytes value)
{
    uint64_t number;
    CHECK(bytes_to_u64(bytes_slice(value, 0, bytes_find(value, 0, ' ')), &number));
    return (int64_t)number;
}

/* The next one of the model that a reader of committed records is to see. */
static const struct value *next_committed(const struct model *model, int partition, size_t *at, int64_t end)
{
    while (*at < model->counts[partition] && model->values[partition][*at].offset < end) {
        const struct value *value = &model->values[partition][(*at)++];
        CHECK(model->fates[value->transaction] != OPEN); /* what is below the last stable offset is decided */
        if (model->fates[value->transaction] == COMMITTED)
            return value;
    }
    return NULL;
}

static void check_batch(struct town *town, int index, struct bytes *bytes, size_t *at, int64_t end)
{
    struct kafka_batch batch;
    struct kafka_record record;
    struct error err;
    AUTO_KAFKA_RECORDS records = {0};
    CHECK_OK(kafka_batch_parse(bytes, &batch, &err), &err);
    if (!partition_is_committed(partition_of(town, index), &batch))
        return;
    CHECK_OK(kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    while (kafka_records_next(&records, &record)) {
        const struct value *value = next_committed(&town->model, index, at, end);
        CHECK(value != NULL);
        CHECK_INT(record.offset, value->offset);
        CHECK_INT(parse_value(record.value), value->value);
    }
}

static bool is_undecided(const struct town *town, size_t transaction)
{
    return town->model.fates[transaction] == OPEN || town->model.end_lsns[transaction] > log_synced_lsn(town->f.log);
}

/* The first record of those whose transaction has no marker on disk. */
static int64_t first_undecided(const struct town *town, int index)
{
    for (size_t i = 0; i < town->model.counts[index]; i++)
        if (is_undecided(town, town->model.values[index][i].transaction))
            return town->model.values[index][i].offset;
    return INT64_MAX;
}

static void check_partition(struct town *town, int index)
{
    struct partition *partition = partition_of(town, index);
    struct error err;
    int64_t end = partition_last_stable_offset(partition), open = first_undecided(town, index);
    size_t at = 0;
    CHECK(end <= partition_high_watermark(partition) && end <= open);
    if (partition_high_watermark(partition) == partition_end_offset(partition))
        CHECK_INT(end, open < partition_end_offset(partition) ? open : partition_end_offset(partition));
    for (int64_t offset = 0; offset < end;) {
        struct log_slice slice;
        CHECK_OK(partition_read_below(partition, offset, end, 5000, NULL, &slice, &err), &err);
        CHECK(slice.count > 0);
        for (size_t i = 0; i < slice.count; i++)
            while (slice.parts[i].size > 0)
                check_batch(town, index, &slice.parts[i], &at, end);
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
    CHECK(next_committed(&town->model, index, &at, end) == NULL);
}

static void check(struct town *town)
{
    for (int i = 0; i < PARTITIONS; i++)
        check_partition(town, i);
    CHECK_INT(group_committed(town->f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset,
              town->model.committed_offset);
    CHECK(group_offset_is_unstable(town->f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0) ==
          (town->model.clients[0].pending_offset >= 0));
}

/* --- Lives --- */

/* What recovery did not find was not done. */
static void forget_what_is_lost(struct town *town)
{
    uint64_t found = log_synced_lsn(town->f.log); /* what the start itself has appended is not on its way yet */
    CHECK(found >= town->durable);
    while (town->deed_count > 0 && town->deeds[town->deed_count - 1].lsn > found)
        town->deed_count--;
    model_init(&town->model);
    for (size_t i = 0; i < town->deed_count; i++)
        follow(&town->model, &town->deeds[i]);
}

static void start(struct town *town)
{
    struct error err;
    while (!fixture_try_open(&town->f, &err)) { /* the power may fail during recovery, too */
        if (err.kind == ERROR_CORRUPT)
            test_fail(__FILE__, __LINE__, "%s", err.message);
        town->deaths++;
    }
    forget_what_is_lost(town);
    notice_timeouts(town); /* one that came just before the end */
    check(town);
}

static void die(struct town *town, void (*how)(struct fixture *fixture))
{
    drop_promises(town);
    how(&town->f);
    town->deaths++;
}

static void live(struct town *town)
{
    struct io_simulated_faults *faults = io_simulated_faults(town->f.io);
    uint32_t how = below(town, 4);
    if (how == 0)
        faults->changes_until_power_loss = 1 + below(town, below(town, 2) ? 4 : 60);
    uint32_t steps = below(town, 3) ? STEPS : below(town, 4);
    for (uint32_t i = 0; i < steps && !io_simulated_dead(town->f.io); i++) {
        step(town);
        if (below(town, 3) == 0)
            io_simulated_run_for(town->f.world, below(town, 20) ? below(town, 3) : below(town, 3000));
        if (io_simulated_dead(town->f.io))
            break;
        notice_timeouts(town);
        check(town);
    }
    faults->changes_until_power_loss = 0;
    if (io_simulated_dead(town->f.io) || how == 2)
        die(town, fixture_kill);
    else if (how <= 1)
        die(town, fixture_power_loss);
    else {
        io_simulated_run_for(town->f.world, 1000);
        CHECK(list_empty(&town->promises));
        notice_timeouts(town);
        io_simulated_run_for(town->f.world, 10);
        drop_promises(town);
        fixture_close(&town->f);
    }
}

/* Nobody ends what is open after the last start: its timeout does. */
static void outlast_timeouts(struct town *town)
{
    io_simulated_run_for(town->f.world, TIMEOUT_MAX_MS);
    notice_timeouts(town);
    io_simulated_run_for(town->f.world, 1000);
    check(town);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(!town->model.clients[i].ongoing);
    for (int i = 0; i < PARTITIONS; i++)
        CHECK_INT(partition_last_stable_offset(partition_of(town, i)), partition_end_offset(partition_of(town, i)));
}

static void run_seed(uint64_t seed)
{
    static struct town town;
    memset(&town, 0, sizeof town);
    town.random = seed;
    list_init(&town.promises);
    model_init(&town.model);
    fixture_init_simulated(&town.f, seed);
    if (seed % 2) /* what the journal lets go of moves to segments, and starts begin with a checkpoint */
        town.f.options.journal_size_max = JOURNAL_SIZE_MAX;
    fixture_open(&town.f);
    fixture_topic(&town.f, "orders", PARTITIONS);
    fixture_sync(&town.f);
    for (int i = 0; i < LIVES; i++) {
        live(&town);
        start(&town);
    }
    io_simulated_faults(town.f.world)->changes_until_power_loss = 0;
    outlast_timeouts(&town);
    CHECK(town.commits > 0 && town.aborts + town.timeouts + town.fenced > 0);
    struct log_metrics metrics;
    log_metrics(town.f.log, &metrics);
    if (town.deed_count >= DEEDS_TO_SPILL)
        CHECK((seed % 2 == 1) == (metrics.segments > 0));
    drop_promises(&town);
    fixture_deinit(&town.f);
}

TEST(whatever_dies_and_when_readers_of_committed_records_see_what_was_committed_and_nothing_else)
{
    fixture_run_seeds(run_seed, SEEDS);
}
