/* SPDX-License-Identifier: Apache-2.0 */
#include "auditor.h"

#include <inttypes.h>

#include "base/memory.h"
#include "fetched.h"
#include "io/simulated.h"
#include "peer.h"
#include "wire/kafka_error.h"

enum { LIST_EARLIEST = -2, LIST_LATEST = -1, EMPTY_MAX = 40, FETCH_WAIT_MS = 50, REST_MS = 1000 };

struct auditor {
    struct ledger *ledger;
    struct peer peer;
    bool committed_too, rests;
    uint64_t began; /* ledger->passes at auditor_begin() */
    int at;         /* the partition it is at, over all topics */
    enum { ASK_START, ASK_END, READ, ASK_TIME, ASK_START_AGAIN } step;
    struct ledger_pass pass;
    int64_t durable_end; /* as known before the end was asked for */
    int64_t offset;
    int64_t told_time; /* the offset of the pass's time */
    int empty;         /* fetches that brought nothing, in a row */
};

static const struct ledger_topic *topic_of(const struct auditor *auditor)
{
    return &auditor->ledger->topics[auditor->pass.topic];
}

static void next_partition(struct auditor *auditor)
{
    auditor->at = (auditor->at + 1) % (LEDGER_TOPICS * LEDGER_PARTITIONS);
    auditor->pass =
        (struct ledger_pass){.topic = auditor->at / LEDGER_PARTITIONS,
                             .partition = auditor->at % LEDGER_PARTITIONS,
                             .committed_only = auditor->committed_too && io_random_below(auditor->ledger->io, 2)};
    auditor->step = ASK_START;
}

/* A power loss may have taken the end that the pass is to reach. */
static bool may_be_cut(const struct auditor *auditor)
{
    return topic_of(auditor)->lossy && auditor->step > ASK_END && auditor->pass.life != auditor->ledger->life;
}

/* The topic went away meanwhile, or it is another one now. */
static bool is_stale(const struct auditor *auditor)
{
    if (may_be_cut(auditor))
        return true;
    return !ledger_topic_is_there(topic_of(auditor)) || auditor->pass.partition >= topic_of(auditor)->partition_count ||
           auditor->pass.incarnation != topic_of(auditor)->incarnation;
}

/* From before the first record up to a little behind the last one. */
static int64_t choose_time(struct ledger *ledger)
{
    int64_t from_ms = ledger->began_ms, until_ms = io_wall_ms(ledger->io) + 1000;
    return from_ms + (int64_t)io_random_below(ledger->io, (uint64_t)(until_ms - from_ms));
}

static void begin(struct auditor *auditor, int64_t end)
{
    int64_t start = auditor->pass.start;
    if (!auditor->pass.committed_only && end < auditor->durable_end)
        ledger_fail(auditor->ledger, "%s-%d ends at %" PRId64 ", and %" PRId64 " was there", topic_of(auditor)->name,
                    auditor->pass.partition, end, auditor->durable_end - 1);
    ledger_pass_begin(auditor->ledger, &auditor->pass, start, end);
    auditor->offset = start;
    auditor->pass.time_ms = choose_time(auditor->ledger);
    auditor->pass.at_time = -1;
    auditor->empty = 0;
    auditor->step = start < end ? READ : ASK_START_AGAIN;
}

static void take_listed(struct auditor *auditor, int64_t offset)
{
    if (auditor->step == ASK_START || auditor->step == ASK_START_AGAIN)
        ledger_start_is(auditor->ledger, auditor->pass.topic, auditor->pass.partition, offset);
    switch (auditor->step) {
    case ASK_START:
        auditor->pass.start = offset;
        auditor->step = ASK_END;
        break;
    case ASK_END:
        begin(auditor, offset);
        break;
    case ASK_TIME:
        auditor->told_time = offset;
        auditor->step = ASK_START_AGAIN;
        break;
    case ASK_START_AGAIN:
        if (!auditor->pass.committed_only && offset == auditor->pass.start && offset < auditor->pass.end)
            ledger_time_is(auditor->ledger, &auditor->pass, auditor->told_time);
        ledger_pass_end(auditor->ledger, &auditor->pass, offset);
        next_partition(auditor);
        break;
    case READ:
        break;
    }
}

static void on_listed(void *ctx, const void *answer)
{
    struct auditor *auditor = ctx;
    const struct kafka_list_offsets_response *response = answer;
    const struct kafka_list_offsets_response_partition *listed =
        response && response->topics_count == 1 ? response->topics->partitions : NULL;
    if (is_stale(auditor)) {
        next_partition(auditor);
    } else if (listed && listed->error_code == KAFKA_NONE) {
        take_listed(auditor, listed->offset);
    } else if (listed) {
        io_simulated_say(auditor->ledger->io, "ListOffsets of %s-%d answered with code %d", topic_of(auditor)->name,
                         auditor->pass.partition, listed->error_code);
    }
    if (listed && !is_stale(auditor) && listed->error_code && !peer_code_is_retriable(listed->error_code)) {
        ledger_fail(auditor->ledger, "ListOffsets of %s answered with code %d", topic_of(auditor)->name,
                    listed->error_code);
    }
    peer_rest_a_while(&auditor->peer);
}

static void list(struct auditor *auditor, int64_t timestamp)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_list_offsets_request *request = KAFKA_NEW(&arena, kafka_list_offsets_request);
    request->isolation_level = auditor->pass.committed_only;
    request->replica_id = -1;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_list_offsets_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(topic_of(auditor)->name);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_list_offsets_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition_index = auditor->pass.partition;
    request->topics->partitions->timestamp = timestamp;
    peer_call(&auditor->peer, KAFKA_LIST_OFFSETS, 5, request, on_listed);
}

static void on_record(void *ctx, const struct kafka_batch *batch, const struct kafka_record *record)
{
    struct auditor *auditor = ctx;
    if (auditor->pass.at_time < 0 && record->timestamp_ms >= auditor->pass.time_ms)
        auditor->pass.at_time = record->offset;
    ledger_seen(auditor->ledger, &auditor->pass, batch, record);
}

/* Where compaction has taken all that is left before an open transaction, there is nothing to read until that ends. */
static bool waits_for_transaction(const struct auditor *auditor, const struct kafka_fetch_response_partition *fetched)
{
    return auditor->pass.committed_only && topic_of(auditor)->rules.compacted &&
           fetched->last_stable_offset < fetched->high_watermark;
}

static void take(struct auditor *auditor, const struct kafka_fetch_response_partition *fetched)
{
    struct error err;
    int64_t next;
    if (!fetched_each(fetched, auditor->offset, auditor->pass.committed_only, on_record, auditor, &next, &err))
        ledger_unreadable(auditor->ledger, auditor->pass.topic, auditor->pass.partition, &err);
    bool excused = auditor->ledger->damaged || waits_for_transaction(auditor, fetched);
    auditor->empty = next > auditor->offset || excused ? 0 : auditor->empty + 1;
    auditor->pass.size += fetched->records.size;
    auditor->offset = next;
    if (auditor->empty > EMPTY_MAX)
        ledger_fail(auditor->ledger, "%s-%d gives nothing at offset %" PRId64 ", though it ends at %" PRId64,
                    topic_of(auditor)->name, auditor->pass.partition, auditor->offset, auditor->pass.end);
    if (auditor->offset >= auditor->pass.end)
        auditor->step = auditor->pass.committed_only ? ASK_START_AGAIN : ASK_TIME;
}

static void on_fetched(void *ctx, const void *answer)
{
    struct auditor *auditor = ctx;
    const struct kafka_fetch_response *response = answer;
    const struct kafka_fetch_response_partition *fetched =
        response && response->topics_count == 1 ? response->topics->partitions : NULL;
    if (is_stale(auditor))
        next_partition(auditor);
    else if (fetched && fetched->error_code == KAFKA_NONE)
        take(auditor, fetched);
    else if (fetched && fetched->error_code == KAFKA_OFFSET_OUT_OF_RANGE)
        auditor->step = ASK_START; /* the log starts later now; what must not be gone, the next pass tells */
    else if (fetched && !peer_code_is_retriable(fetched->error_code))
        ledger_fail(auditor->ledger, "Fetch of %s answered with code %d", topic_of(auditor)->name, fetched->error_code);
    if (fetched && fetched->error_code != KAFKA_NONE)
        io_simulated_say(auditor->ledger->io, "Fetch of %s-%d at %" PRId64 " answered with code %d",
                         topic_of(auditor)->name, auditor->pass.partition, auditor->offset, fetched->error_code);
    if (auditor->step == READ)
        peer_rest(&auditor->peer, 1);
    else
        peer_rest_a_while(&auditor->peer);
}

static void read_on(struct auditor *auditor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    int16_t version;
    struct fetch_from from = {auditor->pass.topic, auditor->pass.partition, auditor->offset};
    struct kafka_fetch_request *request =
        fetch_request(&arena, auditor->ledger, &from, 1, auditor->pass.committed_only, FETCH_WAIT_MS, &version);
    peer_call(&auditor->peer, KAFKA_FETCH, version, request, on_fetched);
}

static void go_on(void *ctx)
{
    struct auditor *auditor = ctx;
    if (auditor->rests) {
        peer_rest(&auditor->peer, REST_MS);
        return;
    }
    if (auditor->step == ASK_START)
        auditor->pass.incarnation = topic_of(auditor)->incarnation;
    if (is_stale(auditor)) {
        next_partition(auditor);
        peer_rest(&auditor->peer, 5);
        return;
    }
    if (auditor->step == ASK_END)
        auditor->durable_end = ledger_durable_end(auditor->ledger, auditor->pass.topic, auditor->pass.partition);
    if (auditor->step == READ)
        read_on(auditor);
    else
        list(auditor, auditor->step == ASK_END    ? LIST_LATEST
                      : auditor->step == ASK_TIME ? auditor->pass.time_ms
                                                  : LIST_EARLIEST);
}

struct auditor *auditor_start(struct ledger *ledger, bool committed_too)
{
    struct auditor *auditor = NEW(struct auditor);
    *auditor = (struct auditor){.ledger = ledger, .committed_too = committed_too};
    next_partition(auditor);
    peer_init(&auditor->peer, ledger->io, go_on, auditor);
    return auditor;
}

void auditor_rest(struct auditor *auditor)
{
    auditor->rests = true;
}

void auditor_begin(struct auditor *auditor)
{
    auditor->rests = false;
    auditor->began = auditor->ledger->passes;
}

bool auditor_has_seen_all(const struct auditor *auditor)
{
    for (int t = 0; t < LEDGER_TOPICS; t++)
        for (int p = 0; p < auditor->ledger->topics[t].partition_count; p++) {
            const struct ledger_partition *partition = &auditor->ledger->topics[t].partitions[p];
            bool seen = partition->pass > auditor->began &&
                        (!auditor->committed_too || partition->committed_pass > auditor->began);
            if (ledger_topic_is_there(&auditor->ledger->topics[t]) && !seen)
                return false;
        }
    return true;
}
