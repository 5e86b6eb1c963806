/* SPDX-License-Identifier: Apache-2.0 */
/* The journal, for the check: what it holds, what is damaged, and, repairing, what to put in its place. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "log/check_priv.h"
#include "log/partition_transactions.h"
#include "log/repair_journal.h"

static struct partition *partition_of(const struct check *check, uint64_t stream)
{
    return stream < check->log->stream_count ? check->log->streams[stream] : NULL;
}

static void cannot_mend(struct check *check, const struct error *why)
{
    check->not_mendable = true;
    check_say(check, "  it can not be mended: %s", why->message);
}

static void report_missing(struct check *check, const struct partition *partition, int64_t want, int64_t got,
                           bool covered)
{
    struct error err;
    if (check->result.damages == 0) /* else it is what has been reported */
        check->result.damages++;
    check_say(check, "  missing: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64,
              BYTES_ARGS(check_name_of(partition)), partition->index, want, got - 1);
    check->catalog_lost |= !partition->topic;
    if (!partition->topic)
        check_say(check, "  with them changes to topics, their settings, segments or producer ids: see that they are "
                         "what they should be");
    if (check->repair_journal &&
        !repair_journal_hole(check->repair_journal, partition->stream, want, got, covered, &err))
        cannot_mend(check, &err);
}

/* False: the batch is not where it can be. */
static bool check_order(struct check *check, const struct partition *partition, const struct kafka_batch *batch,
                        bool covered)
{
    bool may_begin_below;
    int64_t want = log_expected_offset(partition, covered, &may_begin_below);
    if (batch->base_offset > want)
        report_missing(check, partition, want, batch->base_offset, covered);
    if (batch->base_offset >= want || may_begin_below)
        return true;
    const struct error why = {.message = "offsets stand there twice"};
    check->result.damages++;
    check_say(check, "  " BYTES_FORMAT " [%" PRId32 "] has offset %" PRId64 " where %" PRId64 " should be",
              BYTES_ARGS(check_name_of(partition)), partition->index, batch->base_offset, want);
    if (check->repair_journal)
        cannot_mend(check, &why);
    return false;
}

/* The catalog's records make the partitions; one that no longer fits is of no use. A group's or a transaction's record
 * says what it says without those before it. */
static enum repair_action apply(struct check *check, struct partition *partition, const struct kafka_batch *batch)
{
    struct error err;
    if (log_apply(partition, batch, &err))
        return REPAIR_KEEP;
    check->result.damages++;
    check_say(check, "  " BYTES_FORMAT " [%" PRId32 "] offset %" PRId64 ": %s", BYTES_ARGS(check_name_of(partition)),
              partition->index, batch->base_offset, err.message);
    return partition->topic ? REPAIR_KEEP : REPAIR_EMPTY;
}

static enum repair_action take_known(struct check *check, struct partition *partition, const struct kafka_batch *batch,
                                     bool covered)
{
    check->result.records += (uint64_t)batch->record_count;
    if (covered && partition == check->log->catalog)
        return REPAIR_KEEP;
    if (!check_order(check, partition, batch, covered))
        return REPAIR_KEEP;
    if (covered) { /* what it means is in the checkpoint */
        partition->high_watermark = kafka_batch_last_offset(batch) + 1;
        return REPAIR_KEEP;
    }
    partition_note(partition, batch, (struct journal_place){0});
    return apply(check, partition, batch);
}

static enum repair_action take_batch(struct check *check, const struct frame_entry *entry, bool covered)
{
    struct partition *partition = partition_of(check, entry->stream);
    struct bytes rest = entry->batch;
    struct kafka_batch batch;
    struct error err;
    check->result.batches++;
    if (!partition) {
        check->unknown_streams += !covered; /* else its topic was deleted */
        return covered ? REPAIR_KEEP : REPAIR_DROP;
    }
    if (kafka_batch_parse(&rest, &batch, &err))
        return take_known(check, partition, &batch, covered);
    check->result.damages++;
    check_say(check, "  a batch of " BYTES_FORMAT " [%" PRId32 "]: %s", BYTES_ARGS(check_name_of(partition)),
              partition->index, err.message);
    if (check->repair_journal)
        cannot_mend(check, &err);
    return REPAIR_KEEP;
}

/* Once what the checkpoint covers has been read: each partition ends where the checkpoint says. */
static void end_covered(struct check *check)
{
    struct log *log = check->log;
    check->covered_done = true;
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            bool ignored;
            int64_t end = log_expected_offset(topic->partitions[i], true, &ignored);
            if (end < topic->partitions[i]->end_offset)
                report_missing(check, topic->partitions[i], end, topic->partitions[i]->end_offset, true);
        }
}

static void take_frame(struct check *check, const struct journal_scan_item *item)
{
    const struct frame *frame = &item->frame;
    struct log_check_result *result = &check->result;
    uint8_t actions[FRAME_COUNT_MAX];
    bool changes = false, covered = frame->lsn <= check->log->start.synced_lsn;
    if (result->first_lsn == 0)
        result->first_lsn = frame->lsn;
    result->last_lsn = frame->lsn;
    result->frames++;
    if (!covered && !check->covered_done)
        end_covered(check);
    size_t at;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &at);
        actions[i] = take_batch(check, &entry, covered);
        changes |= actions[i] != REPAIR_KEEP;
    }
    if (changes && check->repair_journal)
        repair_journal_change(check->repair_journal, item, actions);
    topics_free_dead(check->log);
}

/* --- Damage --- */

/* Where the partition's next batch begins if all that was claimed so far is so. */
static int64_t claimed_end(const struct check *check, const struct partition *partition)
{
    for (size_t i = check->claim_count; i > 0; i--)
        if (check->claims[i - 1].stream == partition->stream &&
            check->claims[i - 1].next_offset > partition->end_offset)
            return check->claims[i - 1].next_offset;
    return partition->end_offset;
}

static void claim(struct check *check, const struct partition *partition, const struct kafka_batch *batch)
{
    if (batch->base_offset != claimed_end(check, partition) ||
        batch->record_count != (int64_t)batch->last_offset_delta + 1)
        return;
    check->claims = memory_resize_array(check->claims, check->claim_count + 1, sizeof *check->claims);
    check->claims[check->claim_count++] = (struct check_claim){.stream = partition->stream,
                                                               .first_offset = batch->base_offset,
                                                               .next_offset = kafka_batch_last_offset(batch) + 1};
}

static void report_batch(struct check *check, const struct frame *frame, const struct frame_entry *entry)
{
    struct partition *partition = partition_of(check, entry->stream);
    struct bytes rest = entry->batch;
    struct kafka_batch batch;
    struct error err;
    if (!partition || !kafka_batch_parse(&rest, &batch, &err))
        return;
    check_say(check, "  it seems to hold: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64 "%s",
              BYTES_ARGS(check_name_of(partition)), partition->index, batch.base_offset,
              kafka_batch_last_offset(&batch), kafka_batch_is_control(&batch) ? ", the end of a transaction" : "");
    if (frame->lsn > check->log->start.synced_lsn)
        claim(check, partition, &batch);
}

static void report_content(struct check *check, const struct journal_scan_item *item)
{
    struct frame frame;
    size_t entry_at;
    for (uint64_t at = item->at; journal_scan_damaged_frame(&check->scan, item, &at, &frame);)
        for (size_t i = 0; i < frame.count; i++) {
            struct frame_entry entry = frame_entry(&frame, i, &entry_at);
            report_batch(check, &frame, &entry);
        }
}

static void report_damage(struct check *check, const struct journal_scan_item *item)
{
    struct error err;
    check->result.damages++;
    check_say(check, "%s: position %" PRIu64 ": DAMAGED: %s", check->scan.files[item->file].path, item->at,
              item->message);
    if (item->resumed_lsn > 0)
        check_say(check, "  lost: frames %" PRIu64 " to %" PRIu64, item->damaged_lsn, item->resumed_lsn - 1);
    if (check->repair_journal && !repair_journal_cut(check->repair_journal, &check->scan, item, &err))
        cannot_mend(check, &err);
    report_content(check, item);
}

/* Nothing that verifies says where these partitions went on. */
static void settle_claims(struct check *check)
{
    for (size_t i = 0; i < check->claim_count; i++) {
        const struct check_claim *claim = &check->claims[i];
        struct partition *partition = partition_of(check, claim->stream);
        if (!partition || partition->end_offset != claim->first_offset)
            continue;
        report_missing(check, partition, claim->first_offset, claim->next_offset, false);
        partition->end_offset = claim->next_offset;
    }
}

static void report_open_transactions(struct check *check)
{
    struct log *log = check->log;
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct partition *partition = topic->partitions[i];
            int64_t stable = partition_transactions_stable_end(partition->transactions, partition->end_offset);
            if (stable < partition->end_offset)
                check_say(check,
                          "  " BYTES_FORMAT " [%" PRId32 "]: a transaction that begins at offset %" PRId64
                          " has no end in what is left; if the end is lost, it is aborted when its time is out",
                          BYTES_ARGS(topic_name(topic)), partition->index, stable);
        }
}

static bool walk(struct check *check, struct error *err)
{
    for (;;) {
        struct journal_scan_item item;
        if (!journal_scan_next(&check->scan, &item, err))
            return false;
        switch (item.kind) {
        case JOURNAL_SCAN_FRAME:
            take_frame(check, &item);
            break;
        case JOURNAL_SCAN_DAMAGE:
            report_damage(check, &item);
            break;
        case JOURNAL_SCAN_END:
            if (!check->covered_done)
                end_covered(check);
            settle_claims(check);
            check->result.torn_tail_bytes = item.torn_bytes;
            if (item.torn_bytes > 0)
                check_say(check, "%s: position %" PRIu64 ": a torn tail of %" PRIu64 " bytes, which were never synced",
                          check->scan.files[item.file].path, item.at, item.torn_bytes);
            return true;
        }
    }
}

/* --- Mending --- */

static void say_nothing(void *ctx, const char *line)
{
    (void)ctx, (void)line;
}

/* Whether a start would take what the repair has made. */
static bool is_sound(struct check *check, struct error *err)
{
    struct check again = {.io = check->io, .print = say_nothing};
    bool ok = check_open(&again, &check->log->options, err) && walk(&again, err);
    if (ok && again.result.damages > 0)
        ok =
            error_set(err, ERROR_CORRUPT, "looked at again, the journal has %" PRIu64 " damages", again.result.damages);
    check_close(&again);
    return ok;
}

static bool mend(struct check *check, uint64_t damages)
{
    struct error err;
    if (!check->repair_journal || !repair_journal_needed(check->repair_journal))
        return false;
    if (check->not_mendable) {
        check_say(check, "the journal is left as it is");
        return false;
    }
    if (!repair_journal_apply(check->repair_journal, &check->scan, &err) || !is_sound(check, &err)) {
        check_say(check, "the journal can not be mended: %s", err.message);
        return false;
    }
    check->result.mended += damages;
    check_say(check, "the journal is mended: what was damaged is in %s", check->repair->side);
    return true;
}

static bool scan_again(struct check *check, struct error *err)
{
    journal_scan_close(&check->scan);
    return journal_scan_open(check->io, check->log->options.directory, &check->log->start, &check->scan, err);
}

/* The file that the checkpoint needs first is lost: an empty one takes its place, and all that was in it is found to be
 * lost when it is read. */
static bool make_first_file(struct check *check, struct error *err)
{
    const struct journal_start *start = &check->log->start;
    if (start->first_lsn == 0 || (check->scan.file_count > 0 && check->scan.files[0].first_lsn == start->first_lsn))
        return true;
    return repair_journal_make_file(check->repair, start, err) && scan_again(check, err);
}

static bool take_header(struct check *check, size_t file, const struct journal_file_header *header, struct error *err)
{
    struct journal_scan_file *scanned = &check->scan.files[file];
    check->result.damages++;
    check_say(check, "%s: position 0: DAMAGED: the file header does not verify or has a wrong number", scanned->path);
    if (!check->repair) { /* what it should be is enough to read on */
        scanned->header = *header;
        scanned->header_valid = true;
        return true;
    }
    if (!repair_journal_header(check->repair, &check->scan, file, header, err))
        return false;
    check->result.mended++;
    check_say(check, "  mended: the old one is in %s", check->repair->side);
    return true;
}

/* Headers first: without its mark nothing of a file can be read. */
static bool check_headers(struct check *check, struct error *err)
{
    bool any = false;
    for (size_t i = 0; i < check->scan.file_count; i++) {
        struct journal_file_header header;
        bool needed;
        if (!repair_journal_find_header(&check->scan, i, &header, &needed, err) ||
            (needed && !take_header(check, i, &header, err)))
            return false;
        any |= needed;
    }
    return !any || !check->repair || scan_again(check, err);
}

/* Where the journal begins must be beyond doubt: else all that is there would look as if much were lost before it. */
static bool begin_is_known(const struct check *check)
{
    return !check->checkpoint_damaged && (check->log->start.first_lsn > 0 || check->scan.files[0].first_lsn == 1);
}

/* No file, though the checkpoint needs one. */
static void report_no_files(struct check *check)
{
    check->result.damages++;
    check_say(check,
              "%s/journal: DAMAGED: the file %020" PRIu64 " is missing, which the checkpoint needs, and all others",
              check->log->options.directory, check->log->start.first_lsn);
    end_covered(check);
}

bool check_journal(struct check *check, struct error *err)
{
    bool known = begin_is_known(check), repairs = check->repair && known;
    if (check->repair && !repairs)
        check_say(check, "the journal is left as it is: without the checkpoint nothing says where it begins");
    if (repairs && !make_first_file(check, err))
        return false;
    if (known && !check_headers(check, err))
        return false;
    if (check->scan.file_count == 0) {
        report_no_files(check);
        return true;
    }
    if (repairs)
        check->repair_journal = repair_journal_new(check->repair, check->log->start.synced_lsn);
    uint64_t before = check->result.damages;
    bool ok = walk(check, err);
    if (ok && check->result.damages > before)
        report_open_transactions(check);
    if (ok && !mend(check, check->result.damages - before) && (check->repair || !known))
        check->catalog_lost = false; /* it is as it was */
    repair_journal_free(check->repair_journal);
    return ok;
}
