/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: who may do what, what readers of committed records see, and what a restart makes of it. */
#include "coordinator/transaction.h"

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "coordinator/coordinator_folds.h"
#include "io/simulated.h"
#include "log/fixture.h"

#define WITH_FIXTURE(topics)                                                                                           \
    struct fixture f;                                                                                                  \
    fixture_init_simulated(&f, 1);                                                                                     \
    fixture_open(&f);                                                                                                  \
    fixture_topic(&f, "orders", topics);                                                                               \
    fixture_topic(&f, "replies", topics);                                                                              \
    fixture_sync(&f)

static const struct transaction_producer nobody = {-1, -1};

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

static struct transaction_producer init(struct fixture *f, const char *id)
{
    struct transaction_producer producer;
    uint64_t lsn;
    CHECK_INT(transaction_init(f->log, text(id), 60000, nobody, &producer, &lsn), KAFKA_NONE);
    return producer;
}

static enum kafka_error add(struct fixture *f, const char *id, struct transaction_producer producer, const char *topic)
{
    struct transaction_partition partition = {.topic = text(topic)};
    uint64_t lsn;
    enum kafka_error error =
        transaction_add_partitions(f->log, text(id), producer, TRANSACTION_V1, &partition, 1, &lsn);
    CHECK(!error || partition.error == error);
    return partition.error;
}

/* The errno of the refusal; 0: it is there. */
static int try_write(struct fixture *f, struct transaction_producer producer, const char *topic, int32_t sequence,
                     const char *value)
{
    AUTO_BUF buf;
    struct kafka_batch_builder builder;
    struct append append = {.partition = fixture_partition(f, topic, 0)};
    struct error err;
    uint64_t lsn;
    buf_init(&buf, 1 << 20);
    kafka_batch_begin(&builder, &buf, KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = producer.id;
    builder.producer_epoch = producer.epoch;
    builder.base_sequence = sequence;
    kafka_batch_add(&builder, 1000, BYTES_NULL, text(value), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &append.batch, &err), &err);
    if (log_append(f->log, &append, 1, &lsn, &err))
        return 0;
    CHECK_INT(err.kind, ERROR_CONFLICT);
    return err.sys;
}

static void write(struct fixture *f, struct transaction_producer producer, const char *topic, int32_t sequence,
                  const char *value)
{
    CHECK_INT(try_write(f, producer, topic, sequence, value), 0);
}

static enum kafka_error end(struct fixture *f, const char *id, struct transaction_producer producer, bool committed)
{
    struct transaction_producer out;
    uint64_t lsn;
    return transaction_end(f->log, text(id), producer, committed, TRANSACTION_V1, &out, &lsn);
}

/* What a reader of committed records gets: the values, each with a blank behind it. */
static char *committed(struct fixture *f, const char *topic)
{
    struct partition *partition = fixture_partition(f, topic, 0);
    int64_t end = partition_last_stable_offset(partition);
    struct buf out;
    buf_init(&out, 1 << 20);
    for (int64_t at = partition_log_start_offset(partition); at < end;) {
        struct log_slice slice;
        struct error err;
        CHECK_OK(partition_read_below(partition, at, end, 1 << 20, NULL, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++) {
            struct bytes rest = slice.parts[i];
            struct kafka_batch batch;
            struct kafka_record record;
            AUTO_KAFKA_RECORDS records = {0};
            CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
            CHECK_OK(kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
            while (partition_is_committed(partition, &batch) && kafka_records_next(&records, &record)) {
                buf_append(&out, record.value);
                buf_append_byte(&out, ' ');
            }
        }
        at = slice.next_offset;
        log_slice_release(&slice);
    }
    buf_append_byte(&out, '\0');
    return (char *)(uintptr_t)buf_take(&out).data;
}

static void check_committed(struct fixture *f, const char *topic, const char *expected)
{
    AUTO_FREE(char) got = committed(f, topic);
    CHECK_STR(got, expected);
}

static void restart(struct fixture *f)
{
    fixture_sync(f);
    fixture_kill(f);
    fixture_open(f);
}

/* --- Committing and aborting --- */

TEST(what_is_committed_is_seen_once_the_marker_is_synced_and_not_before)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    CHECK_INT(add(&f, "t", producer, "replies"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    write(&f, producer, "replies", 0, "b");
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), 1);
    CHECK_INT(partition_last_stable_offset(fixture_partition(&f, "orders", 0)), 0);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(partition_last_stable_offset(fixture_partition(&f, "orders", 0)), 0);
    fixture_sync(&f);
    CHECK_INT(partition_last_stable_offset(fixture_partition(&f, "orders", 0)), 2);
    check_committed(&f, "orders", "a ");
    check_committed(&f, "replies", "b ");
    restart(&f);
    check_committed(&f, "orders", "a ");
    fixture_deinit(&f);
}

TEST(what_is_aborted_is_never_seen_by_readers_of_committed_records)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t"), other = init(&f, "u");
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    CHECK_INT(add(&f, "u", other, "orders"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    write(&f, other, "orders", 0, "b");
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "plain", 1));
    CHECK_INT(end(&f, "t", producer, false), KAFKA_NONE);
    fixture_sync(&f);
    check_committed(&f, "orders", "");
    CHECK_INT(partition_last_stable_offset(fixture_partition(&f, "orders", 0)), 1);
    CHECK_INT(end(&f, "u", other, true), KAFKA_NONE);
    fixture_sync(&f);
    check_committed(&f, "orders", "b plain 0 ");
    const struct aborted_transaction *aborted = partition_next_aborted(fixture_partition(&f, "orders", 0), 0, 5, NULL);
    CHECK(aborted && aborted->producer_id == producer.id);
    CHECK_INT(aborted->first_offset, 0);
    CHECK_INT(aborted->last_offset, 3);
    CHECK_INT(aborted->last_stable_offset, 1);
    CHECK(!partition_next_aborted(fixture_partition(&f, "orders", 0), 0, 5, aborted));
    CHECK(!partition_next_aborted(fixture_partition(&f, "orders", 0), 4, 5, NULL));
    restart(&f);
    check_committed(&f, "orders", "b plain 0 ");
    fixture_deinit(&f);
}

TEST(a_marker_stands_only_where_the_transaction_has_written)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    CHECK_INT(add(&f, "t", producer, "replies"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    uint64_t lsn = log_lsn(f.log);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(log_lsn(f.log), lsn + 1); /* one frame */
    CHECK_INT(partition_end_offset(fixture_partition(&f, "orders", 0)), 2);
    CHECK_INT(partition_end_offset(fixture_partition(&f, "replies", 0)), 0);
    fixture_deinit(&f);
}

TEST(ending_again_is_a_success_and_ending_otherwise_is_refused)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    CHECK_INT(end(&f, "t", producer, true), KAFKA_INVALID_TXN_STATE); /* nothing was begun */
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    uint64_t lsn = log_lsn(f.log);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(end(&f, "t", producer, false), KAFKA_INVALID_TXN_STATE);
    CHECK_INT(log_lsn(f.log), lsn);
    fixture_deinit(&f);
}

TEST(who_ends_again_waits_for_what_the_first_end_has_written)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t"), next;
    uint64_t first, again;
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    for (int v2 = 0; v2 < 2; v2++) {
        enum transaction_version version = v2 ? TRANSACTION_V2 : TRANSACTION_V1;
        CHECK_INT(transaction_end(f.log, text("t"), producer, true, version, &next, &first), KAFKA_NONE);
        CHECK_INT(transaction_end(f.log, text("t"), producer, true, version, &next, &again), KAFKA_NONE);
        CHECK(first > 0 && again >= first);
        CHECK_INT(add(&f, "t", producer = next, "orders"), KAFKA_NONE);
        CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    }
    fixture_deinit(&f);
}

/* --- Who may --- */

TEST(a_batch_that_is_not_of_its_producers_transaction_is_refused)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    CHECK_INT(try_write(&f, producer, "orders", 0, "a"), ENOTCONN);
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    CHECK_INT(try_write(&f, producer, "replies", 0, "a"), ENOTCONN);
    CHECK_INT(try_write(&f, (struct transaction_producer){producer.id + 1, 0}, "orders", 0, "a"), ENOENT);
    CHECK_INT(try_write(&f, (struct transaction_producer){producer.id, 1}, "orders", 0, "a"), ESTALE);
    write(&f, producer, "orders", 0, "a");
    struct append plain = {.partition = fixture_partition(&f, "orders", 0),
                           .batch = fixture_producer_batch(&f, "plain", 1, producer.id, producer.epoch, 1)};
    struct error err;
    uint64_t lsn;
    CHECK(!log_append(f.log, &plain, 1, &lsn, &err));
    CHECK_INT(err.sys, ENOTCONN);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(try_write(&f, producer, "orders", 1, "late"), ENOTCONN);
    fixture_deinit(&f);
}

TEST(a_new_producer_fences_the_one_before_and_aborts_its_transaction)
{
    WITH_FIXTURE(1);
    struct transaction_producer first = init(&f, "t");
    CHECK_INT(add(&f, "t", first, "orders"), KAFKA_NONE);
    write(&f, first, "orders", 0, "a");
    struct transaction_producer second = init(&f, "t");
    CHECK_INT(second.id, first.id);
    CHECK_INT(second.epoch, first.epoch + 1);
    CHECK_INT(add(&f, "t", first, "orders"), KAFKA_PRODUCER_FENCED);
    CHECK_INT(try_write(&f, first, "orders", 1, "a"), ESTALE);
    CHECK_INT(end(&f, "t", first, true), KAFKA_PRODUCER_FENCED);
    CHECK_INT(add(&f, "t", second, "orders"), KAFKA_NONE);
    write(&f, second, "orders", 0, "b");
    CHECK_INT(end(&f, "t", second, true), KAFKA_NONE);
    fixture_sync(&f);
    check_committed(&f, "orders", "b ");
    fixture_deinit(&f);
}

TEST(a_producer_that_says_who_it_is_keeps_its_id_and_a_fenced_one_is_told)
{
    WITH_FIXTURE(1);
    struct transaction_producer first = init(&f, "t"), second, again, fenced;
    uint64_t lsn;
    CHECK_INT(transaction_init(f.log, text("t"), 1000, first, &second, &lsn), KAFKA_NONE);
    CHECK_INT(second.epoch, first.epoch + 1);
    CHECK_INT(transaction_init(f.log, text("t"), 1000, first, &again, &lsn), KAFKA_NONE); /* the answer was lost */
    CHECK_INT(again.epoch, second.epoch);
    init(&f, "t");
    CHECK_INT(transaction_init(f.log, text("t"), 1000, second, &fenced, &lsn), KAFKA_PRODUCER_FENCED);
    CHECK_INT(transaction_init(f.log, text("t"), 1000, (struct transaction_producer){first.id + 7, 0}, &fenced, &lsn),
              KAFKA_PRODUCER_FENCED);
    CHECK_INT(fenced.id, -1);
    fixture_deinit(&f);
}

TEST(what_cannot_be_is_refused_and_changes_nothing)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t"), out;
    struct transaction_partition partitions[] = {
        {.topic = text("orders")}, {.topic = text("nowhere")}, {.topic = text("__consumer_offsets")}};
    uint64_t lsn, before = log_lsn(f.log);
    CHECK_INT(transaction_init(f.log, text(""), 1000, nobody, &out, &lsn), KAFKA_INVALID_REQUEST);
    CHECK_INT(transaction_init(f.log, text("t"), 0, nobody, &out, &lsn), KAFKA_INVALID_TRANSACTION_TIMEOUT);
    CHECK_INT(transaction_init(f.log, text("t"), 900001, nobody, &out, &lsn), KAFKA_INVALID_TRANSACTION_TIMEOUT);
    CHECK_INT(transaction_init(f.log, text("t"), 1, (struct transaction_producer){1, -1}, &out, &lsn),
              KAFKA_INVALID_REQUEST);
    CHECK_INT(add(&f, "unknown", producer, "orders"), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    CHECK_INT(add(&f, "t", (struct transaction_producer){producer.id + 1, 0}, "orders"),
              KAFKA_INVALID_PRODUCER_ID_MAPPING);
    CHECK_INT(transaction_add_partitions(f.log, text("t"), producer, TRANSACTION_V1, partitions, 3, &lsn), KAFKA_NONE);
    CHECK_INT(partitions[0].error, KAFKA_OPERATION_NOT_ATTEMPTED);
    CHECK_INT(partitions[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(partitions[2].error, KAFKA_TOPIC_AUTHORIZATION_FAILED);
    CHECK_INT(log_lsn(f.log), before);
    fixture_deinit(&f);
}

TEST(a_transaction_takes_in_no_more_than_one_frame_of_a_small_journal_can_end)
{
    WITH_FIXTURE(1);
    fixture_topic(&f, "wide", 1000);
    struct transaction_producer producer = init(&f, "t");
    enum kafka_error error = KAFKA_NONE;
    int32_t count = 0;
    for (; count < 1000 && !error; count++) {
        struct transaction_partition one = {.topic = text("wide"), .index = count};
        struct append append = {.partition = fixture_partition(&f, "wide", count)};
        AUTO_BUF buf;
        struct kafka_batch_builder builder;
        struct error err;
        uint64_t lsn;
        buf_init(&buf, 1 << 10);
        transaction_add_partitions(f.log, text("t"), producer, TRANSACTION_V1, &one, 1, &lsn);
        if ((error = one.error))
            break;
        kafka_batch_begin(&builder, &buf, KAFKA_BATCH_TRANSACTIONAL);
        builder.producer_id = producer.id;
        builder.producer_epoch = producer.epoch;
        builder.base_sequence = 0;
        kafka_batch_add(&builder, 1000, BYTES_NULL, text("a"), NULL, 0);
        CHECK_OK(kafka_batch_end(&builder, &append.batch, &err), &err);
        CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
        fixture_sync(&f);
    }
    CHECK_INT(error, KAFKA_POLICY_VIOLATION);
    CHECK_INT(count, (64 << 10) / 256);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    fixture_deinit(&f);
}

TEST(a_transaction_has_at_most_as_many_partitions_as_one_frame_can_end)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    f.options.journal_file_size = 1 << 20;
    fixture_open(&f);
    fixture_topic(&f, "wide", TRANSACTION_PARTITIONS_MAX + 1);
    struct transaction_producer producer = init(&f, "t");
    struct transaction_partition *partitions = memory_new_array(TRANSACTION_PARTITIONS_MAX + 1, sizeof *partitions);
    uint64_t lsn;
    for (int i = 0; i <= TRANSACTION_PARTITIONS_MAX; i++)
        partitions[i] = (struct transaction_partition){.topic = text("wide"), .index = i};
    CHECK_INT(transaction_add_partitions(f.log, text("t"), producer, TRANSACTION_V1, partitions,
                                         TRANSACTION_PARTITIONS_MAX + 1, &lsn),
              KAFKA_POLICY_VIOLATION);
    CHECK_INT(transaction_add_partitions(f.log, text("t"), producer, TRANSACTION_V1, partitions,
                                         TRANSACTION_PARTITIONS_MAX, &lsn),
              KAFKA_NONE);
    CHECK_INT(end(&f, "t", producer, false), KAFKA_NONE);
    free(partitions);
    fixture_deinit(&f);
}

/* --- TV2 --- */

static enum kafka_error end_v2(struct fixture *f, struct transaction_producer producer, bool commit,
                               struct transaction_producer *out)
{
    uint64_t lsn;
    return transaction_end(f->log, text("t"), producer, commit, TRANSACTION_V2, out, &lsn);
}

TEST(with_transaction_version_2_each_transaction_has_an_epoch_of_its_own)
{
    WITH_FIXTURE(1);
    struct transaction_producer first = init(&f, "t"), second, third, again;
    CHECK_INT(add(&f, "t", first, "orders"), KAFKA_NONE);
    write(&f, first, "orders", 0, "a");
    CHECK_INT(end_v2(&f, first, true, &second), KAFKA_NONE);
    CHECK_INT(second.epoch, first.epoch + 1);
    CHECK_INT(end_v2(&f, first, true, &again), KAFKA_NONE); /* the answer was lost */
    CHECK_INT(again.epoch, second.epoch);
    CHECK_INT(end_v2(&f, first, false, &again), KAFKA_INVALID_TXN_STATE);
    CHECK_INT(try_write(&f, first, "orders", 1, "late"), ESTALE);
    CHECK_INT(end_v2(&f, second, true, &again), KAFKA_INVALID_TXN_STATE); /* nothing was begun */
    CHECK_INT(end_v2(&f, second, false, &third), KAFKA_NONE);             /* but may be aborted */
    CHECK_INT(third.epoch, second.epoch + 1);
    CHECK_INT(end_v2(&f, first, true, &again), KAFKA_PRODUCER_FENCED);
    CHECK_INT(add(&f, "t", third, "orders"), KAFKA_NONE);
    write(&f, third, "orders", 0, "b"); /* the sequence begins anew with the epoch */
    CHECK_INT(end_v2(&f, third, false, &again), KAFKA_NONE);
    fixture_sync(&f);
    check_committed(&f, "orders", "a ");
    fixture_deinit(&f);
}

TEST(who_was_fenced_is_not_told_the_end_of_a_transaction_of_version_1_as_its_own)
{
    WITH_FIXTURE(1);
    struct transaction_producer first = init(&f, "t"), out;
    CHECK_INT(add(&f, "t", first, "orders"), KAFKA_NONE);
    write(&f, first, "orders", 0, "a");
    struct transaction_producer second = init(&f, "t"); /* which aborts that */
    CHECK_INT(add(&f, "t", second, "orders"), KAFKA_NONE);
    write(&f, second, "orders", 0, "b");
    CHECK_INT(end(&f, "t", second, true), KAFKA_NONE);
    CHECK_INT(end_v2(&f, first, true, &out), KAFKA_PRODUCER_FENCED);
    fixture_sync(&f);
    check_committed(&f, "orders", "b ");
    fixture_deinit(&f);
}

TEST(when_its_epochs_are_used_up_a_producer_gets_a_new_id)
{
    WITH_FIXTURE(1);
    struct transaction_producer first = init(&f, "t"), last, next, again;
    for (last = first; last.epoch < INT16_MAX - 1;) {
        CHECK_INT(end_v2(&f, last, false, &next), KAFKA_NONE);
        last = next;
        if (last.epoch % 1000 == 0)
            fixture_sync(&f);
    }
    CHECK_INT(add(&f, "t", last, "orders"), KAFKA_NONE);
    write(&f, last, "orders", 0, "a");
    CHECK_INT(end_v2(&f, last, true, &next), KAFKA_NONE);
    CHECK(next.id != first.id);
    CHECK_INT(next.epoch, 0);
    CHECK_INT(end_v2(&f, last, true, &again), KAFKA_NONE);
    CHECK_INT(again.id, next.id);
    CHECK_INT(try_write(&f, last, "orders", 1, "late"), ENOENT);
    fixture_deinit(&f);
}

/* --- Offsets --- */

static enum kafka_error commit_offset(struct fixture *f, struct transaction_producer producer,
                                      enum transaction_version version, int64_t offset)
{
    struct coordinator_offset one = {.topic = text("orders"), .offset = offset, .leader_epoch = -1};
    const struct transaction_commit commit = {.transactional_id = text("t"),
                                              .group_id = text("g"),
                                              .member_id = text(""),
                                              .producer = producer,
                                              .generation = -1,
                                              .version = version};
    uint64_t lsn;
    transaction_commit_offsets(f->log, &commit, &one, 1, &lsn);
    return one.error;
}

static int64_t offset_of(struct fixture *f)
{
    return group_committed(f->log, text("g"), text("orders"), 0).offset;
}

static bool is_unstable(struct fixture *f)
{
    return group_offset_is_unstable(f->log, text("g"), text("orders"), 0);
}

TEST(offsets_count_when_their_transaction_is_committed)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    uint64_t lsn;
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V1, 5), KAFKA_INVALID_TXN_STATE);
    CHECK_INT(transaction_add_offsets(f.log, text("t"), producer, text("g"), &lsn), KAFKA_NONE);
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V1, 5), KAFKA_NONE);
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V1, 6), KAFKA_NONE);
    CHECK_INT(offset_of(&f), -1);
    CHECK(is_unstable(&f));
    restart(&f);
    CHECK_INT(offset_of(&f), -1);
    CHECK(is_unstable(&f));
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(offset_of(&f), 6);
    CHECK(!is_unstable(&f));
    CHECK_INT(transaction_add_offsets(f.log, text("t"), producer, text("g"), &lsn), KAFKA_NONE);
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V1, 9), KAFKA_NONE);
    CHECK_INT(end(&f, "t", producer, false), KAFKA_NONE);
    CHECK_INT(offset_of(&f), 6);
    CHECK(!is_unstable(&f));
    restart(&f);
    CHECK_INT(offset_of(&f), 6);
    fixture_deinit(&f);
}

TEST(the_last_record_of_an_offset_counts_whenever_its_marker_comes)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    struct coordinator_offset plain = {.topic = text("orders"), .offset = 7, .leader_epoch = -1};
    uint64_t lsn;
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V2, 5), KAFKA_NONE); /* adds its partition by itself */
    CHECK_INT(coordinator_commit(f.log, text("g"), text(""), BYTES_NULL, -1, &plain, 1, &lsn), KAFKA_NONE);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(offset_of(&f), 7);
    restart(&f);
    CHECK_INT(offset_of(&f), 7);
    fixture_deinit(&f);
}

TEST(a_topic_that_is_deleted_takes_the_offsets_along_that_wait_for_a_marker)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    struct error err;
    uint64_t lsn;
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V2, 5), KAFKA_NONE);
    CHECK_OK(topic_delete(f.log, topic_find(f.log, text("orders")), &lsn, &err), &err);
    CHECK(!is_unstable(&f));
    fixture_topic(&f, "orders", 1);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(offset_of(&f), -1);
    CHECK_INT(partition_end_offset(fixture_partition(&f, "orders", 0)), 0);
    restart(&f);
    CHECK_INT(offset_of(&f), -1);
    fixture_deinit(&f);
}

TEST(a_group_that_is_deleted_takes_the_offsets_along_that_wait_for_a_marker)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    struct coordinator_offset plain = {.topic = text("orders"), .offset = 7, .leader_epoch = -1};
    uint64_t lsn;
    CHECK_INT(coordinator_commit(f.log, text("g"), text(""), BYTES_NULL, -1, &plain, 1, &lsn), KAFKA_NONE);
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V2, 9), KAFKA_NONE);
    CHECK_INT(coordinator_delete_group(f.log, text("g"), &lsn), KAFKA_NONE);
    CHECK(!is_unstable(&f));
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(offset_of(&f), -1);
    CHECK(!group_find(f.log, text("g")));
    fixture_deinit(&f);
}

TEST(offsets_of_a_group_stay_while_a_transaction_commits_some_and_then_expire)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer;
    struct coordinator_offset plain = {.topic = text("orders"), .offset = 7, .leader_epoch = -1};
    uint64_t lsn;
    fixture_close(&f);
    static const struct coordinator_options options = {.offsets_retention_ms = 2000};
    f.options.fold_options = &options;
    fixture_open(&f);
    CHECK_INT(coordinator_commit(f.log, text("g"), text(""), BYTES_NULL, -1, &plain, 1, &lsn), KAFKA_NONE);
    producer = init(&f, "t");
    CHECK_INT(commit_offset(&f, producer, TRANSACTION_V2, 9), KAFKA_NONE);
    fixture_run_ms(&f, 10000);
    CHECK_INT(offset_of(&f), 7);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    CHECK_INT(offset_of(&f), 9);
    fixture_run_ms(&f, 10000);
    CHECK_INT(offset_of(&f), -1);
    fixture_deinit(&f);
}

/* --- Time --- */

TEST(a_transaction_that_is_not_ended_in_time_is_aborted_and_its_producer_fenced)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    fixture_run_ms(&f, 59000);
    CHECK_INT(transaction_describe(transaction_find(f.log, text("t"))).state, TRANSACTION_ONGOING);
    fixture_run_ms(&f, 2000);
    CHECK_INT(transaction_describe(transaction_find(f.log, text("t"))).state, TRANSACTION_COMPLETE_ABORT);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_PRODUCER_FENCED);
    CHECK_INT(try_write(&f, producer, "orders", 1, "late"), ESTALE);
    CHECK_INT(partition_last_stable_offset(fixture_partition(&f, "orders", 0)), 2);
    check_committed(&f, "orders", "");
    fixture_deinit(&f);
}

TEST(a_transaction_goes_on_after_a_crash_and_so_does_its_time)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    fixture_sync(&f);
    fixture_run_ms(&f, 40000);
    fixture_kill(&f);
    fixture_open(&f);
    write(&f, producer, "orders", 1, "b");
    fixture_run_ms(&f, 18000);
    CHECK_INT(transaction_describe(transaction_find(f.log, text("t"))).state, TRANSACTION_ONGOING);
    fixture_run_ms(&f, 3000);
    CHECK_INT(transaction_describe(transaction_find(f.log, text("t"))).state, TRANSACTION_COMPLETE_ABORT);
    fixture_deinit(&f);
}

TEST(a_transactional_id_that_nobody_uses_is_forgotten_after_a_week)
{
    WITH_FIXTURE(1);
    init(&f, "old");
    fixture_run_ms(&f, 24 * 3600 * 1000);
    init(&f, "new");
    fixture_run_ms(&f, (uint64_t)TRANSACTIONAL_ID_EXPIRATION_MS - 2000 - 24 * 3600 * 1000);
    CHECK(transaction_find(f.log, text("old")));
    fixture_run_ms(&f, 4000);
    CHECK(!transaction_find(f.log, text("old")));
    CHECK(transaction_find(f.log, text("new")));
    restart(&f);
    CHECK(!transaction_find(f.log, text("old")));
    fixture_run_ms(&f, 24 * 3600 * 1000 + 4000);
    CHECK(!transaction_first(f.log));
    fixture_deinit(&f);
}

/* --- Tools --- */

TEST(an_administrators_marker_ends_a_transaction_in_one_partition)
{
    WITH_FIXTURE(1);
    struct transaction_producer producer = init(&f, "t");
    struct partition *orders = fixture_partition(&f, "orders", 0);
    uint64_t lsn;
    CHECK_INT(add(&f, "t", producer, "orders"), KAFKA_NONE);
    CHECK_INT(add(&f, "t", producer, "replies"), KAFKA_NONE);
    write(&f, producer, "orders", 0, "a");
    write(&f, producer, "replies", 0, "b");
    AUTO_ARENA arena;
    struct producer_description *producers;
    arena_init(&arena, 0);
    CHECK_INT(partition_producers(orders, &arena, &producers), 1);
    CHECK_INT(producers[0].first_offset, 0);
    CHECK_INT(producers[0].coordinator_epoch, -1);
    CHECK_INT(transaction_write_marker(orders, (struct transaction_producer){producer.id, -1}, false, 0, &lsn),
              KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(transaction_write_marker(orders, producer, false, 3, &lsn), KAFKA_NONE);
    CHECK(lsn > 0);
    CHECK_INT(transaction_write_marker(orders, producer, false, 2, &lsn), KAFKA_TRANSACTION_COORDINATOR_FENCED);
    CHECK_INT(transaction_write_marker(orders, producer, false, 3, &lsn), KAFKA_NONE);
    CHECK_INT(lsn, 0);
    CHECK_INT(partition_producers(orders, &arena, &producers), 1);
    CHECK_INT(producers[0].first_offset, -1);
    CHECK_INT(producers[0].coordinator_epoch, 3);
    CHECK_INT(end(&f, "t", producer, true), KAFKA_NONE);
    fixture_sync(&f);
    check_committed(&f, "orders", "");
    check_committed(&f, "replies", "b ");
    fixture_deinit(&f);
}
