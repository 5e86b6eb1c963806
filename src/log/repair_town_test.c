/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repairs under seeds, in a simulated world: a log with a random past (records in many partitions, some compacted, some
 * with a retention; a journal so small that its files move to segments; proper ends and kill -9), then random damage:
 * wrong bits, sectors of zeros, pages that the disk does not give, files that are cut or lost. It is checked, mended,
 * checked again and opened. Then
 *
 *   - every record that is there is the one that was appended at that offset: nothing is invented;
 *   - every record whose batch lies in no frame and in no segment that was hit is there;
 *   - a second check finds nothing, and the log goes on.
 *
 * A seed that fails is printed; EVOKE_SEED repeats it, EVOKE_SEEDS tries more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/simulated.h"
#include "journal/journal_scan.h"
#include "log/check.h"
#include "log/checkpoint_copies.h"
#include "log/fixture.h"
#include "log/log_priv.h"
#include "log/segment_scan.h"

enum {
    SEEDS = 120,
    TOPICS = 3,
    STATE = 1, /* is compacted */
    PARTITIONS = 2,
    KEYS = 5,
    STEPS = 250,
    VALUES_MAX = 3000,
    DAMAGES_MAX = 4,
    UNITS_MAX = 20000,
};

struct expected {
    uint32_t values[VALUES_MAX];
    int64_t count;
    int64_t start, end;       /* when it was closed */
    bool lost[VALUES_MAX];    /* may be */
    bool missing[VALUES_MAX]; /* was before the damage */
};

/* A batch on the disk: in a frame of the journal, or in a segment. */
struct unit {
    char path[120];
    uint64_t at, end; /* what it is lost with */
    uint64_t stream;
    int64_t first_offset, next_offset;
    uint64_t lsn, group_lsn; /* of the frame */
    bool hit;
};

struct town {
    struct fixture f;
    uint64_t random;
    uint32_t next_value;
    struct expected expected[TOPICS][PARTITIONS];
    uint64_t streams[TOPICS][PARTITIONS];
    struct unit *units;
    size_t unit_count;
    bool catalog_hit; /* what is known of topics and segments may be lost with it */
    struct buf text;
    struct log_check_result result;
};

static uint32_t below(struct town *town, uint64_t limit)
{
    town->random = town->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)((town->random >> 33) % limit);
}

static const char *topic_of(int index)
{
    static const char *const names[TOPICS] = {"orders", "state", "audit"};
    return names[index];
}

/* --- A past --- */

static struct bytes make_batch(struct town *town, struct expected *expected, uint32_t count)
{
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    buf_reset(&town->f.scratch);
    kafka_batch_begin(&builder, &town->f.scratch, 0);
    for (uint32_t i = 0; i < count; i++) {
        char value[1100], key[12];
        uint32_t number = town->next_value++;
        snprintf(value, sizeof value, "%" PRIu32 "%*s", number, (int)below(town, 1000), "");
        snprintf(key, sizeof key, "%" PRIu32, number % KEYS);
        kafka_batch_add(&builder, 1000, bytes_of_string(key), bytes_of_string(value), NULL, 0);
        CHECK(expected->count + i < VALUES_MAX);
        expected->values[expected->count + i] = number;
    }
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

static void append_one(struct town *town)
{
    int t = (int)below(town, TOPICS), p = (int)below(town, PARTITIONS);
    struct expected *expected = &town->expected[t][p];
    uint32_t count = 1 + below(town, 4);
    struct error err;
    uint64_t lsn;
    struct append append = {.partition = fixture_partition(&town->f, topic_of(t), p),
                            .batch = make_batch(town, expected, count)};
    if (log_append(town->f.log, &append, 1, &lsn, &err))
        expected->count += count;
    else
        CHECK_INT(err.sys, EAGAIN);
}

static void set_config(struct town *town, const char *topic, const char *name, const char *value)
{
    const struct topic_config_entry config = {bytes_of_string(name), bytes_of_string(value)};
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_set_configs(town->f.log, topic_find(town->f.log, bytes_of_string(topic)), &config, 1, &lsn, &err),
             &err);
}

static void open_new(struct town *town, uint64_t seed)
{
    fixture_init_simulated(&town->f, seed);
    town->f.options.journal_size_max = seed % 3 ? 256 << 10 : 1 << 30; /* a third has no checkpoint */
    fixture_open(&town->f);
    for (int t = 0; t < TOPICS; t++)
        fixture_topic(&town->f, topic_of(t), PARTITIONS);
    for (int t = 0; t < TOPICS; t++)
        set_config(town, topic_of(t), "segment.bytes", "20000");
    set_config(town, "state", "cleanup.policy", "compact");
    set_config(town, "state", "segment.ms", "500");
    set_config(town, "state", "min.cleanable.dirty.ratio", "0.1");
    set_config(town, "audit", "retention.bytes", "60000");
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++)
            town->streams[t][p] = fixture_partition(&town->f, topic_of(t), p)->stream;
}

static void live(struct town *town)
{
    for (int i = 0; i < STEPS; i++) {
        append_one(town);
        if (below(town, 3) == 0)
            io_simulated_run_for(town->f.world, below(town, 20) ? below(town, 3) : 1500);
    }
    fixture_sync(&town->f);
}

static void note_ends(struct town *town)
{
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            const struct partition *partition = fixture_partition(&town->f, topic_of(t), p);
            town->expected[t][p].start = partition_log_start_offset(partition);
            town->expected[t][p].end = partition_end_offset(partition);
            CHECK_INT(town->expected[t][p].end, town->expected[t][p].count);
        }
}

/* --- What lies where --- */

static struct unit *add_unit(struct town *town, const char *path, uint64_t at, uint64_t end)
{
    CHECK(town->unit_count < UNITS_MAX);
    struct unit *unit = &town->units[town->unit_count++];
    *unit = (struct unit){.at = at, .end = end};
    snprintf(unit->path, sizeof unit->path, "%.119s", path);
    return unit;
}

static struct unit *add_frame(struct town *town, const struct journal_scan *scan, const struct journal_scan_item *item)
{
    struct unit *unit = add_unit(town, scan->files[item->file].path, item->at, item->at + item->frame.bytes.size);
    unit->stream = UINT64_MAX;
    unit->lsn = item->frame.lsn;
    unit->group_lsn = item->frame.group_lsn;
    return unit;
}

static void list_frame(struct town *town, const struct journal_scan *scan, const struct journal_scan_item *item)
{
    size_t entry_at;
    add_frame(town, scan, item); /* for one without batches */
    for (size_t i = 0; i < item->frame.count; i++) {
        struct frame_entry entry = frame_entry(&item->frame, i, &entry_at);
        struct kafka_batch batch;
        struct error err;
        CHECK_OK(kafka_batch_parse(&entry.batch, &batch, &err), &err);
        struct unit *unit = add_frame(town, scan, item);
        unit->stream = entry.stream;
        unit->first_offset = batch.base_offset;
        unit->next_offset = kafka_batch_last_offset(&batch) + 1;
    }
}

static void list_journal(struct town *town, struct io *io)
{
    AUTO_FREE(struct checkpoint_copies) copies = NEW(struct checkpoint_copies);
    struct journal_scan scan;
    struct journal_scan_item item;
    struct error err;
    CHECK_OK(checkpoint_copies_read(io, "/data", copies, &err), &err);
    const struct journal_start start = copies->best ? copies->best->start : (struct journal_start){0};
    checkpoint_copies_free(copies);
    CHECK_OK(journal_scan_open(io, "/data", &start, &scan, &err), &err);
    do {
        CHECK_OK(journal_scan_next(&scan, &item, &err), &err);
        CHECK(item.kind != JOURNAL_SCAN_DAMAGE);
        if (item.kind == JOURNAL_SCAN_FRAME)
            list_frame(town, &scan, &item);
    } while (item.kind != JOURNAL_SCAN_END);
    journal_scan_close(&scan);
}

static void list_segment(struct town *town, struct io *io, uint64_t stream, const struct segment *segment)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct segment_scan scan;
    struct kafka_batch batch;
    struct error err;
    CHECK_OK(segment_path(path, "/data", stream, segment, "log", &err) && io_file_open(io, path, 0, &file, &err), &err);
    segment_scan_init(&scan, file, path, segment->size);
    for (;;) {
        CHECK_OK(segment_scan_next(&scan, &batch, &err), &err);
        if (batch.bytes.size == 0)
            break;
        struct unit *unit = add_unit(town, path, scan.at - batch.bytes.size, scan.at);
        unit->stream = stream;
        unit->first_offset = batch.base_offset;
        unit->next_offset = kafka_batch_last_offset(&batch) + 1;
    }
    segment_scan_deinit(&scan);
    io_file_close(file);
}

/* What is damaged is damaged for all that it holds. Headers of files are made again, but not with the first frame. */
static void hit(struct town *town, const char *path, uint64_t from, uint64_t to)
{
    bool header = from < JOURNAL_FILE_HEADER_SIZE;
    for (size_t i = 0; i < town->unit_count; i++) {
        struct unit *unit = &town->units[i];
        if (strcmp(unit->path, path) != 0)
            continue;
        if (header && strstr(path, "/journal/") && to > JOURNAL_FILE_HEADER_SIZE)
            to = UINT64_MAX;
        unit->hit |= unit->at < to && unit->end > from;
    }
}

/* --- Damage --- */

struct names {
    struct town *town;
    const char *directory;
    char chosen[SEGMENT_PATH_SIZE];
    uint32_t seen;
};

static void choose_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    if (below(names->town, ++names->seen) == 0)
        snprintf(names->chosen, sizeof names->chosen, "%s/%s", names->directory, name);
}

static bool choose_in(struct town *town, struct io *io, const char *directory, char out[SEGMENT_PATH_SIZE])
{
    struct names names = {.town = town, .directory = directory};
    struct error err;
    if (!io_path_exists(io, directory))
        return false;
    CHECK_OK(io_dir_list(io, directory, choose_name, &names, &err), &err);
    memcpy(out, names.chosen, SEGMENT_PATH_SIZE);
    return names.seen > 0;
}

/* Of the journal or of the segments; one of the copies of the checkpoint at most, always the same. */
static bool choose_file(struct town *town, struct io *io, char out[SEGMENT_PATH_SIZE])
{
    char directory[SEGMENT_PATH_SIZE];
    switch (below(town, 5)) {
    case 0:
    case 1:
        return choose_in(town, io, "/data/segments", directory) && choose_in(town, io, directory, out);
    case 2:
        snprintf(out, SEGMENT_PATH_SIZE, "/data/checkpoint.copy");
        return io_path_exists(io, out);
    default:
        return choose_in(town, io, "/data/journal", out) && !strstr(out, "/spare");
    }
}

static void overwrite(struct io_file *file, uint64_t at, size_t size, uint8_t flipped)
{
    AUTO_FREE(uint8_t) bytes = memory_new(size);
    struct error err;
    size_t got;
    if (flipped && !io_file_read(file, at, bytes, size, &got, &err))
        return; /* a page that is not given any more */
    bytes[0] ^= flipped;
    (void)(io_file_write_now(file, at, bytes_of(bytes, size), &err) && io_file_sync_now(file, &err));
}

static uint64_t content_end(struct town *town, const char *path, uint64_t size)
{
    uint64_t end = 0;
    for (size_t i = 0; i < town->unit_count; i++)
        if (strcmp(town->units[i].path, path) == 0 && town->units[i].end > end)
            end = town->units[i].end;
    return end && end < size ? end : size;
}

static void damage_content(struct town *town, struct io *io, const char *path)
{
    struct io_file *file;
    struct error err;
    uint64_t size;
    CHECK_OK(io_file_open(io, path, IO_FILE_WRITE, &file, &err) && io_file_size(file, &size, &err), &err);
    uint64_t at = size > 0 ? below(town, content_end(town, path, size)) : 0, page = at - at % 4096;
    size_t sector = size - at < 512 ? (size_t)(size - at) : 512;
    switch (size > 0 ? below(town, 4) : 9) {
    case 0:
        overwrite(file, at, 1, (uint8_t)(1 << below(town, 8)));
        hit(town, path, at, at + 1);
        break;
    case 1:
        overwrite(file, at, sector, 0);
        hit(town, path, at, at + sector);
        break;
    case 2:
        CHECK(io_simulated_spoil(io, path, at));
        hit(town, path, page, page + 4096);
        break;
    case 3:
        CHECK_OK(io_file_truncate(file, at, &err) && io_file_sync_now(file, &err), &err);
        hit(town, path, at < JOURNAL_FILE_HEADER_SIZE ? 0 : at, UINT64_MAX);
        break;
    }
    io_file_close(file);
}

static void damage_one(struct town *town, struct io *io)
{
    char path[SEGMENT_PATH_SIZE];
    struct error err;
    if (!choose_file(town, io, path))
        return;
    if (getenv("EVOKE_SEED"))
        printf("damage in %s\n", path);
    /* Without its first file a journal of which there is no checkpoint has no topics: nothing can be mended. */
    bool first = strstr(path, "/journal/00000000000000000001");
    if (first || below(town, 6) > 0) {
        damage_content(town, io, path);
        return;
    }
    CHECK_OK(io_path_remove(io, path, &err), &err);
    hit(town, path, 0, UINT64_MAX);
}

/* --- What may be lost --- */

static struct expected *expected_of(struct town *town, uint64_t stream)
{
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++)
            if (town->streams[t][p] == stream)
                return &town->expected[t][p];
    return NULL;
}

/* A frame that is hit is damage if a later one says that it was synced (journal_scan.h). If none that is left does, it
 * may as well be a torn tail, and all behind it goes with it. */
static void spread_hits(struct town *town)
{
    uint64_t witnessed = 0, torn = UINT64_MAX; /* frames below; the first that is hit and not below */
    for (size_t i = 0; i < town->unit_count; i++)
        if (!town->units[i].hit && town->units[i].group_lsn > witnessed)
            witnessed = town->units[i].group_lsn;
    for (size_t i = 0; i < town->unit_count; i++) {
        const struct unit *unit = &town->units[i];
        if (unit->hit && unit->lsn > 0 && unit->lsn >= witnessed && unit->lsn < torn)
            torn = unit->lsn;
    }
    for (size_t i = 0; i < town->unit_count; i++)
        town->units[i].hit |= town->units[i].lsn >= torn;
}

static void allow_losses(struct town *town)
{
    spread_hits(town);
    for (size_t i = 0; i < town->unit_count; i++) {
        const struct unit *unit = &town->units[i];
        struct expected *expected = expected_of(town, unit->stream);
        town->catalog_hit |= unit->hit && unit->stream == 0;
        for (int64_t offset = unit->first_offset; unit->hit && expected && offset < unit->next_offset; offset++)
            expected->lost[offset] = true;
    }
}

/* --- Looking at what is left --- */

static void check_batch(const struct kafka_batch *batch, const struct expected *expected, bool *there)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    struct error err;
    if (kafka_batch_is_control(batch))
        return; /* it stands for what is lost */
    CHECK_OK(kafka_batch_verify(batch, &err), &err);
    CHECK_OK(kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    while (kafka_records_next(&records, &record)) {
        uint64_t number;
        CHECK(record.offset < expected->count);
        CHECK(bytes_to_u64(bytes_slice(record.value, 0, bytes_find(record.value, 0, ' ')), &number));
        CHECK_INT(number, expected->values[record.offset]);
        there[record.offset] = true;
    }
    CHECK(!records.corrupt);
}

static void read_partition(struct partition *partition, const struct expected *expected, bool *there)
{
    int64_t offset = partition_log_start_offset(partition), end = partition_high_watermark(partition);
    while (offset < end) {
        struct log_slice slice;
        struct kafka_batch batch;
        struct error err;
        CHECK_OK(partition_read(partition, offset, 5000, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++)
            for (struct bytes rest = slice.parts[i]; rest.size > 0;) {
                CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
                check_batch(&batch, expected, there);
            }
        CHECK(slice.next_offset > offset);
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
}

/* What is there before the damage: compaction has taken some. */
static void note_missing(struct town *town)
{
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            struct expected *expected = &town->expected[t][p];
            bool there[VALUES_MAX] = {false};
            read_partition(fixture_partition(&town->f, topic_of(t), p), expected, there);
            for (int64_t i = 0; i < expected->count; i++)
                expected->missing[i] = !there[i];
        }
}

static void check_partition(struct town *town, int t, int p)
{
    struct expected *expected = &town->expected[t][p];
    struct topic *topic = topic_find(town->f.log, bytes_of_string(topic_of(t)));
    bool there[VALUES_MAX] = {false};
    if (!topic && town->catalog_hit)
        return;
    CHECK(topic != NULL);
    struct partition *partition = topic_partition(topic, p);
    read_partition(partition, expected, there);
    for (int64_t i = expected->start; !town->catalog_hit && i < expected->end; i++)
        if (!there[i] && !expected->missing[i] && !expected->lost[i])
            test_fail(__FILE__, __LINE__, "%s [%d]: offset %" PRId64 " is lost without a cause:\n%s", topic_of(t), p, i,
                      buf_string(&town->text));
    expected->count = partition_end_offset(partition);
}

static void gather(void *ctx, const char *line)
{
    buf_printf(ctx, "%s\n", line);
}

static void check(struct town *town, bool repairing)
{
    struct error err;
    struct io *io = io_simulated_another(town->f.world);
    CHECK_OK(log_check(io, &town->f.options, repairing, gather, &town->text, &town->result, &err), &err);
    io_free(io);
}

static void mend(struct town *town)
{
    check(town, false);
    uint64_t damages = town->result.damages;
    CHECK_INT(town->result.mended, 0);
    buf_append_string(&town->text, "--- mending:\n");
    check(town, true);
    if (town->result.mended != town->result.damages || town->result.damages != damages)
        test_fail(__FILE__, __LINE__, "%" PRIu64 " damages, mended:\n%s", damages, buf_string(&town->text));
    buf_append_string(&town->text, "--- again:\n");
    check(town, false);
    if (town->result.damages > 0)
        test_fail(__FILE__, __LINE__, "it is not mended:\n%s", buf_string(&town->text));
}

static void open_and_go_on(struct town *town)
{
    struct error err;
    if (!fixture_try_open(&town->f, &err))
        test_fail(__FILE__, __LINE__, "it does not open: %s\n%s", err.message, buf_string(&town->text));
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++)
            check_partition(town, t, p);
    for (int i = 0; i < 20 && !town->catalog_hit; i++)
        append_one(town);
    fixture_sync(&town->f);
    io_simulated_run_for(town->f.world, 3000);
    fixture_close(&town->f);
    check(town, false);
    CHECK_INT(town->result.damages, 0);
}

static void run_seed(uint64_t seed)
{
    static struct town town;
    memset(&town, 0, sizeof town);
    town.random = seed;
    town.units = memory_new_array(UNITS_MAX, sizeof *town.units);
    buf_init(&town.text, 16 << 20);
    open_new(&town, seed);
    live(&town);
    io_simulated_run_for(town.f.world, 5000); /* what moves has moved */
    note_ends(&town);
    note_missing(&town);
    struct io *io = io_simulated_another(town.f.world);
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            const struct segment_list *segments = &fixture_partition(&town.f, topic_of(t), p)->segments;
            for (size_t i = 0; i < segments->count; i++)
                list_segment(&town, io, town.streams[t][p], &segments->at[i]);
        }
    if (below(&town, 3) == 0)
        fixture_kill(&town.f);
    else
        fixture_close(&town.f);
    list_journal(&town, io);
    for (uint32_t i = 1 + below(&town, DAMAGES_MAX); i > 0; i--)
        damage_one(&town, io);
    io_free(io);
    allow_losses(&town);
    mend(&town);
    open_and_go_on(&town);
    fixture_deinit(&town.f);
    buf_deinit(&town.text);
    free(town.units);
}

TEST(whatever_is_damaged_a_repair_keeps_all_that_was_not_and_invents_nothing)
{
    fixture_run_seeds(run_seed, SEEDS);
}
