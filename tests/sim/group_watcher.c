/* SPDX-License-Identifier: Apache-2.0 */
#include "group_watcher.h"

#include "base/memory.h"
#include "io/simulated.h"
#include "peer.h"
#include "wire/kafka_error.h"

struct group_watcher {
    struct group_offsets *offsets;
    struct peer peer;
    int place; /* to look at; -1: none */
    struct group_view view;
};

struct kafka_offset_fetch_request *group_fetch_request(struct arena *arena, const struct group_offsets *offsets,
                                                       int place)
{
    struct kafka_offset_fetch_request *request = KAFKA_NEW(arena, kafka_offset_fetch_request);
    int32_t *partition = arena_alloc(arena, sizeof *partition);
    *partition = 0;
    request->group_id = BYTES_LITERAL(GROUP_WITHOUT_MEMBERS);
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(group_offsets_topic(offsets, place)->name);
    request->topics->partition_indexes = partition;
    request->topics->partition_indexes_count = 1;
    return request;
}

void group_fetch_take(struct group_offsets *offsets, int place, struct group_view view,
                      const struct kafka_offset_fetch_response *response)
{
    if (!response || response->topics_count != 1 || response->topics->partitions_count != 1)
        return;
    int16_t code = response->error_code ? response->error_code : response->topics->partitions->error_code;
    if (code == KAFKA_NONE)
        group_offsets_check(offsets, place, view, response->topics->partitions->committed_offset);
    else if (!peer_code_is_retriable(code))
        ledger_fail(offsets->ledger, "OffsetFetch of " GROUP_WITHOUT_MEMBERS " answered with code %d", code);
}

static void on_fetched(void *ctx, const void *answer)
{
    struct group_watcher *watcher = ctx;
    group_fetch_take(watcher->offsets, watcher->place, watcher->view, answer);
    watcher->place = -1;
}

static void go_on(void *ctx)
{
    struct group_watcher *watcher = ctx;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (watcher->place < 0 || !ledger_topic_is_there(group_offsets_topic(watcher->offsets, watcher->place)))
        return;
    group_offsets_begin_anew(watcher->offsets, watcher->place);
    watcher->view = group_offsets_view(watcher->offsets, watcher->place);
    peer_call(&watcher->peer, KAFKA_OFFSET_FETCH, GROUP_FETCH_VERSION,
              group_fetch_request(&arena, watcher->offsets, watcher->place), on_fetched);
}

struct group_watcher *group_watcher_start(struct group_offsets *offsets)
{
    struct group_watcher *watcher = NEW(struct group_watcher);
    *watcher = (struct group_watcher){.offsets = offsets, .place = -1};
    peer_init(&watcher->peer, offsets->ledger->io, go_on, watcher);
    return watcher;
}

void group_watcher_look(struct group_watcher *watcher, int place)
{
    if (watcher->peer.call_count > 0)
        return;
    watcher->place = place;
    peer_rest(&watcher->peer, io_random_below(watcher->offsets->ledger->io, 2));
}
