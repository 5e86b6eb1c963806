/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of this folder: a consumer of the classic protocol as clients are, which goes through a rebalance by
 * itself. It joins again with the id that it is given, syncs, deals partitions out if it leads, and does what answers
 * tell it, once what they tell is on disk. An eager one lets go of everything before it joins; a cooperative one
 * (KIP-429) lets go of what it was not given again, and then joins once more.
 */
#ifndef COORDINATOR_FIXTURE_CLASSIC_H
#define COORDINATOR_FIXTURE_CLASSIC_H

#include "coordinator/coordinator.h"
#include "coordinator/partition_set.h"
#include "log/fixture.h"

enum { FIXTURE_CLASSIC_TOPICS_MAX = 4, FIXTURE_CLASSIC_SESSION_MS = 10000, FIXTURE_CLASSIC_REBALANCE_MS = 60000 };

struct fixture_classic {
    struct fixture *f;
    struct bytes group;
    const char *instance; /* NULL: dynamic */
    const char *topics[FIXTURE_CLASSIC_TOPICS_MAX];
    bool cooperative;
    char id[300];
    int32_t generation;
    struct partition_set uses; /* what it works on */
    bool joined;               /* it has synced, and has not been told anything else since */
    bool leads;
    enum kafka_error error; /* of its last answer */
    int rebalances;         /* that it has gone through */
    int32_t partitions_seen;

    struct coordinator_join join;
    struct coordinator_sync sync;
    bool join_sent, sync_sent;
    struct log_waiter told; /* an answer that is not on disk yet */
    bool waits;
    struct coordinator_join_result join_answer;
    struct bytes assignment;
    struct arena arena; /* of the answers */
};

struct fixture_classic fixture_classic_new(struct fixture *f, struct bytes group, const char *topic);
void fixture_classic_join(struct fixture_classic *c);
/* And what follows from the answer. Nothing while it waits for one. */
enum kafka_error fixture_classic_heartbeat(struct fixture_classic *c);
enum kafka_error fixture_classic_leave(struct fixture_classic *c); /* LeaveGroup; it uses nothing any more */
void fixture_classic_disconnect(struct fixture_classic *c);        /* what it waits for never comes */
void fixture_classic_end(struct fixture_classic *c);               /* as kill -9 would */

#endif
