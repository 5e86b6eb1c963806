/* SPDX-License-Identifier: Apache-2.0 */
#include "group_admin.h"

#include <stdio.h>

#include "base/memory.h"
#include "group_watcher.h"
#include "io/simulated.h"
#include "peer.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    OFFSETS = 1000,
    COMMIT_VERSION = 8,
    DELETE_GROUPS_VERSION = 2,
    DELETE_OFFSETS_VERSION = 0,
    PAUSE_MS = 300,
};

struct group_admin {
    struct ledger *ledger;
    struct peer peer;
    struct group_offsets offsets;
    struct group_watcher *watcher;
    int place;              /* that the request under way is about ... */
    struct group_view view; /* ... what was known of it then ... */
    int64_t value;          /* ... and what a commit asks for */
    int foreign;            /* the group with members that is to be deleted until that is answered; -1: none */
    bool offsets_only, stopping;
    char group_id[32]; /* of the request under way */
};

static uint64_t below(struct group_admin *admin, uint64_t limit)
{
    return io_random_below(admin->ledger->io, limit);
}

/* The answer may be about the topic before, or about this one. */
static bool is_stale(struct group_admin *admin)
{
    if (admin->view.incarnation == group_offsets_topic(&admin->offsets, admin->place)->incarnation)
        return false;
    group_offsets_begin_anew(&admin->offsets, admin->place);
    group_offsets_ask(&admin->offsets, admin->place, admin->value);
    return true;
}

static struct bytes topic_name(const struct group_admin *admin)
{
    return bytes_of_string(group_offsets_topic(&admin->offsets, admin->place)->name);
}

/* True: it is done. */
static bool in_order(struct group_admin *admin, const char *what, int16_t code)
{
    if (code != KAFKA_NONE && !peer_code_is_retriable(code))
        ledger_fail(admin->ledger, "%s of %s answered with code %d", what, admin->group_id, code);
    return code == KAFKA_NONE;
}

/* --- Commits --- */

static void on_committed(void *ctx, const void *answer)
{
    struct group_admin *admin = ctx;
    const struct kafka_offset_commit_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!is_stale(admin) && response && response->topics_count == 1 && response->topics->partitions_count == 1 &&
        in_order(admin, "OffsetCommit", response->topics->partitions->error_code))
        group_offsets_settle(&admin->offsets, admin->place);
}

static void commit(struct group_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_commit_request *request = KAFKA_NEW(&arena, kafka_offset_commit_request);
    request->group_id = bytes_of_string(admin->group_id);
    request->generation_id = -1;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = topic_name(admin);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->committed_offset = admin->value = (int64_t)below(admin, OFFSETS);
    group_offsets_ask(&admin->offsets, admin->place, admin->value);
    peer_call(&admin->peer, KAFKA_OFFSET_COMMIT, COMMIT_VERSION, request, on_committed);
    group_watcher_look(admin->watcher, admin->place);
}

static void on_fetched(void *ctx, const void *answer)
{
    struct group_admin *admin = ctx;
    peer_rest_a_while(&admin->peer);
    group_fetch_take(&admin->offsets, admin->place, admin->view, answer);
}

static void fetch(struct group_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    peer_call(&admin->peer, KAFKA_OFFSET_FETCH, GROUP_FETCH_VERSION,
              group_fetch_request(&arena, &admin->offsets, admin->place), on_fetched);
}

/* --- Deletions --- */

/* Of a group with members nothing is deleted while it has them. */
static void foreign_answered(struct group_admin *admin, const char *what, int16_t code)
{
    char text[TALLY_NAME_SIZE];
    bool expected =
        code == KAFKA_NON_EMPTY_GROUP || code == KAFKA_GROUP_SUBSCRIBED_TO_TOPIC || code == KAFKA_GROUP_ID_NOT_FOUND;
    if (peer_code_is_retriable(code))
        return;
    if (!expected)
        (void)in_order(admin, what, code);
    snprintf(text, sizeof text, "%s of a group with members: %s", what, code ? "refused" : "it was empty");
    tally(text);
    ledger_group_deleted(admin->ledger, admin->foreign);
    admin->foreign = -1;
}

/* GROUP_ID_NOT_FOUND: it went with its last offset, or an earlier try deleted it. */
static void own_answered(struct group_admin *admin, const char *what, int16_t code, int first, int count)
{
    if (code != KAFKA_GROUP_ID_NOT_FOUND && !in_order(admin, what, code))
        return;
    for (int place = first; place < first + count; place++)
        group_offsets_settle(&admin->offsets, place);
}

static void on_group_deleted(void *ctx, const void *answer)
{
    struct group_admin *admin = ctx;
    const struct kafka_delete_groups_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!response || response->results_count != 1)
        return;
    if (admin->foreign >= 0)
        foreign_answered(admin, "DeleteGroups", response->results->error_code);
    else
        own_answered(admin, "DeleteGroups", response->results->error_code, 0, GROUP_PLACES);
}

static void delete_group(struct group_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_delete_groups_request *request = KAFKA_NEW(&arena, kafka_delete_groups_request);
    struct bytes *id = arena_alloc(&arena, sizeof *id);
    *id = bytes_of_string(admin->group_id);
    request->group_ids = id;
    request->group_ids_count = 1;
    for (int place = 0; admin->foreign < 0 && place < GROUP_PLACES; place++)
        group_offsets_ask(&admin->offsets, place, GROUP_NO_OFFSET);
    peer_call(&admin->peer, KAFKA_DELETE_GROUPS, DELETE_GROUPS_VERSION, request, on_group_deleted);
    if (admin->foreign < 0)
        group_watcher_look(admin->watcher, admin->place);
}

static void on_offset_deleted(void *ctx, const void *answer)
{
    struct group_admin *admin = ctx;
    const struct kafka_offset_delete_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!response)
        return;
    int16_t code = response->error_code;
    if (code == KAFKA_NONE && (response->topics_count != 1 || response->topics->partitions_count != 1))
        ledger_fail(admin->ledger, "OffsetDelete of %s was answered for %zu topics", admin->group_id,
                    response->topics_count);
    else if (code == KAFKA_NONE)
        code = response->topics->partitions->error_code;
    if (admin->foreign >= 0)
        foreign_answered(admin, "OffsetDelete", code);
    else
        own_answered(admin, "OffsetDelete", code, admin->place, 1);
}

static void delete_offset(struct group_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_delete_request *request = KAFKA_NEW(&arena, kafka_offset_delete_request);
    request->group_id = bytes_of_string(admin->group_id);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_delete_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = topic_name(admin);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_offset_delete_request_partition, 1);
    request->topics->partitions_count = 1;
    if (admin->foreign < 0)
        group_offsets_ask(&admin->offsets, admin->place, GROUP_NO_OFFSET);
    peer_call(&admin->peer, KAFKA_OFFSET_DELETE, DELETE_OFFSETS_VERSION, request, on_offset_deleted);
    if (admin->foreign < 0)
        group_watcher_look(admin->watcher, admin->place);
}

static void delete_foreign(struct group_admin *admin)
{
    snprintf(admin->group_id, sizeof admin->group_id, "group-%d", admin->foreign);
    if (admin->offsets_only)
        delete_offset(admin);
    else
        delete_group(admin);
}

/* --- What next --- */

/* What the host waits for, if it is one of these. */
static bool do_wanted(struct group_admin *admin)
{
    if (peer_wants(KAFKA_OFFSET_COMMIT) || peer_wants(KAFKA_OFFSET_FETCH))
        commit(admin);
    else if (peer_wants(KAFKA_OFFSET_DELETE))
        delete_offset(admin);
    else if (peer_wants(KAFKA_DELETE_GROUPS))
        delete_group(admin);
    else
        return false;
    return true;
}

static void delete_something_foreign(struct group_admin *admin)
{
    admin->foreign = (int)below(admin, LEDGER_GROUPS);
    admin->offsets_only = below(admin, 2);
    ledger_group_deleting(admin->ledger, admin->foreign);
    delete_foreign(admin);
}

static void work(struct group_admin *admin)
{
    uint64_t choice = below(admin, 100);
    snprintf(admin->group_id, sizeof admin->group_id, GROUP_WITHOUT_MEMBERS);
    if (group_offsets_full(&admin->offsets, admin->place))
        fetch(admin);
    else if (do_wanted(admin))
        return;
    else if (choice < 20)
        fetch(admin);
    else if (choice < 40)
        commit(admin);
    else if (choice < 45)
        delete_offset(admin);
    else if (choice < 48)
        delete_group(admin);
    else if (choice < 50)
        delete_something_foreign(admin);
    else
        peer_rest(&admin->peer, below(admin, PAUSE_MS));
}

static void go_on(void *ctx)
{
    struct group_admin *admin = ctx;
    if (admin->stopping)
        return;
    for (int place = 0; place < GROUP_PLACES; place++)
        group_offsets_begin_anew(&admin->offsets, place);
    admin->place = (int)below(admin, GROUP_PLACES);
    admin->view = group_offsets_view(&admin->offsets, admin->place);
    if (!ledger_topic_is_there(group_offsets_topic(&admin->offsets, admin->place)))
        peer_rest_a_while(&admin->peer);
    else if (admin->foreign >= 0)
        delete_foreign(admin);
    else
        work(admin);
}

struct group_admin *group_admin_start(struct ledger *ledger)
{
    struct group_admin *admin = NEW(struct group_admin);
    *admin = (struct group_admin){.ledger = ledger, .foreign = -1};
    group_offsets_init(&admin->offsets, ledger);
    admin->watcher = group_watcher_start(&admin->offsets);
    peer_init(&admin->peer, ledger->io, go_on, admin);
    return admin;
}

void group_admin_stop(struct group_admin *admin)
{
    admin->stopping = true;
}
