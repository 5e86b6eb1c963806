/* SPDX-License-Identifier: Apache-2.0 */
#include "group_admin.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "peer.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    PLACES = 3, /* partition 0 of these topics */
    CANDIDATES_MAX = 64,
    OFFSETS = 1000,
    NONE = -1,
    COMMIT_VERSION = 8,
    FETCH_VERSION = 7,
    DELETE_GROUPS_VERSION = 2,
    DELETE_OFFSETS_VERSION = 0,
    PAUSE_MS = 300,
};

static const int topics[PLACES] = {0, 1, 4}; /* the last is deleted and made again */

/* What a committed offset may be: one value that is known, then those that were asked for since without an answer. */
struct place {
    int64_t candidates[CANDIDATES_MAX];
    int count;
    uint32_t incarnation; /* of the topic: when it is deleted, so is the offset */
};

struct group_admin {
    struct ledger *ledger;
    struct peer peer;
    struct place places[PLACES];
    int place;     /* that the request under way is about */
    int64_t value; /* that it asks for */
    int foreign;   /* the group with members that is to be deleted until that is answered; -1: none */
    bool offsets_only, stopping;
    char group_id[32]; /* of the request under way */
};

static uint64_t below(struct group_admin *admin, uint64_t limit)
{
    return io_random_below(admin->ledger->io, limit);
}

/* --- What may be there --- */

static void ask_for(struct group_admin *admin, int place, int64_t value)
{
    struct place *self = &admin->places[place];
    if (self->candidates[self->count - 1] != value)
        self->candidates[self->count++] = value;
    assert(self->count < CANDIDATES_MAX);
}

static void settle(struct group_admin *admin, int place, int64_t value)
{
    struct place *self = &admin->places[place];
    *self = (struct place){.candidates = {value}, .count = 1, .incarnation = self->incarnation};
}

static uint32_t incarnation_of(const struct group_admin *admin, int place)
{
    return admin->ledger->topics[topics[place]].incarnation;
}

static bool is_another(const struct group_admin *admin, int place)
{
    return admin->places[place].incarnation != incarnation_of(admin, place);
}

/* What was committed for the topic before it is gone. */
static void begin_anew(struct group_admin *admin, int place)
{
    if (!is_another(admin, place))
        return;
    tally_add("offsets that went with their topic", admin->places[place].candidates[0] != NONE);
    settle(admin, place, NONE);
    admin->places[place].incarnation = incarnation_of(admin, place);
}

/* The answer may be about the topic before, or about this one. */
static bool is_stale(struct group_admin *admin)
{
    if (!is_another(admin, admin->place))
        return false;
    begin_anew(admin, admin->place);
    ask_for(admin, admin->place, admin->value);
    return true;
}

static void check(struct group_admin *admin, int place, int64_t value)
{
    const struct place *self = &admin->places[place];
    for (int i = 0; i < self->count; i++)
        if (self->candidates[i] == value) {
            tally_add("offsets without members that were found again", value >= 0);
            settle(admin, place, value); /* what was told is not taken back */
            return;
        }
    ledger_fail(admin->ledger, "%s: topic-%d has offset %" PRId64 ", and %" PRId64 " was committed", admin->group_id,
                topics[place], value, self->candidates[0]);
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
        settle(admin, admin->place, admin->value);
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
    request->topics->name = bytes_of_string(admin->ledger->topics[topics[admin->place]].name);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->committed_offset = admin->value = (int64_t)below(admin, OFFSETS);
    ask_for(admin, admin->place, admin->value);
    peer_call(&admin->peer, KAFKA_OFFSET_COMMIT, COMMIT_VERSION, request, on_committed);
}

static void on_fetched(void *ctx, const void *answer)
{
    struct group_admin *admin = ctx;
    const struct kafka_offset_fetch_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!is_another(admin, admin->place) && response && in_order(admin, "OffsetFetch", response->error_code) &&
        response->topics_count == 1 && response->topics->partitions_count == 1 &&
        in_order(admin, "OffsetFetch", response->topics->partitions->error_code))
        check(admin, admin->place, response->topics->partitions->committed_offset);
}

static void fetch(struct group_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&arena, kafka_offset_fetch_request);
    int32_t *partition = arena_alloc(&arena, sizeof *partition);
    *partition = 0;
    request->group_id = bytes_of_string(admin->group_id);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(admin->ledger->topics[topics[admin->place]].name);
    request->topics->partition_indexes = partition;
    request->topics->partition_indexes_count = 1;
    peer_call(&admin->peer, KAFKA_OFFSET_FETCH, FETCH_VERSION, request, on_fetched);
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
        settle(admin, place, NONE);
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
        own_answered(admin, "DeleteGroups", response->results->error_code, 0, PLACES);
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
    for (int place = 0; admin->foreign < 0 && place < PLACES; place++)
        ask_for(admin, place, NONE);
    peer_call(&admin->peer, KAFKA_DELETE_GROUPS, DELETE_GROUPS_VERSION, request, on_group_deleted);
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
    request->topics->name = bytes_of_string(admin->ledger->topics[topics[admin->place]].name);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_offset_delete_request_partition, 1);
    request->topics->partitions_count = 1;
    if (admin->foreign < 0)
        ask_for(admin, admin->place, NONE);
    peer_call(&admin->peer, KAFKA_OFFSET_DELETE, DELETE_OFFSETS_VERSION, request, on_offset_deleted);
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

static void work(struct group_admin *admin)
{
    uint64_t choice = below(admin, 100);
    snprintf(admin->group_id, sizeof admin->group_id, "group-without-members");
    bool full = admin->places[admin->place].count + 2 >= CANDIDATES_MAX;
    if (choice < 20 || full)
        fetch(admin);
    else if (choice < 40)
        commit(admin);
    else if (choice < 45)
        delete_offset(admin);
    else if (choice < 48)
        delete_group(admin);
    else if (choice < 50) {
        admin->foreign = (int)below(admin, LEDGER_GROUPS);
        admin->offsets_only = below(admin, 2);
        ledger_group_deleting(admin->ledger, admin->foreign);
        delete_foreign(admin);
    } else
        peer_rest(&admin->peer, below(admin, PAUSE_MS));
}

static void go_on(void *ctx)
{
    struct group_admin *admin = ctx;
    if (admin->stopping)
        return;
    for (int place = 0; place < PLACES; place++)
        begin_anew(admin, place);
    admin->place = (int)below(admin, PLACES);
    if (!ledger_topic_is_there(&admin->ledger->topics[topics[admin->place]]))
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
    for (int place = 0; place < PLACES; place++)
        settle(admin, place, NONE);
    peer_init(&admin->peer, ledger->io, go_on, admin);
    return admin;
}

void group_admin_stop(struct group_admin *admin)
{
    admin->stopping = true;
}
