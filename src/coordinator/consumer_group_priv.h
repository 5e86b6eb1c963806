/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of the new protocol, for this folder alone:
 *     consumer_group.c         a group's life; its epochs
 *     consumer_heartbeat.c     the call of the new protocol: what is refused
 *     consumer_classic.c       members that still speak the classic protocol: their calls
 *     consumer_convert.c       a classic group becomes one of the new protocol, and back
 *     consumer_step.c          what a call does: records, target, the member's next step
 *     consumer_member.c        members, their timers, who owns which partition
 *     consumer_reconcile.c     one member's next step towards its target: a pure function
 *     consumer_subscription.c  topics by name and by regular expression; who is told of new ones
 *     consumer_target.c        the target assignment
 *     consumer_records.c       the records: making and applying them
 *     consumer_describe.c      what tools see
 *
 * What a call decides becomes a batch of records; only applying them changes anything. So a disk that is full changes
 * nothing, and what is in memory is what a restart finds.
 */
#ifndef COORDINATOR_CONSUMER_GROUP_PRIV_H
#define COORDINATOR_CONSUMER_GROUP_PRIV_H

#include "base/regexp.h"
#include "coordinator/assignor.h"
#include "coordinator/consumer_group.h"
#include "coordinator/group_priv.h"

enum {
    CONSUMER_SESSION_TIMEOUT_MS = 45000, /* Kafka's defaults */
    CONSUMER_HEARTBEAT_INTERVAL_MS = 5000,
    CONSUMER_TOPICS_MAX = 10000,                 /* names in one subscription */
    CONSUMER_SUBSCRIPTIONS_SIZE_MAX = 256 << 20, /* of all groups together; equal ones of a group count once */
    CONSUMER_GROUP_SUBSCRIPTIONS_SIZE_MAX = 8 << 20,
    CONSUMER_REGEX_MAX = 10000, /* regular expressions, likewise */
    CONSUMER_GROUP_REGEX_MAX = 100,
    CONSUMER_PARTITIONS_MAX = 4000000, /* in the target assignments of all groups together */
};

/* Kafka's numbers, which are in the records. */
enum consumer_state { CONSUMER_STABLE = 1, CONSUMER_UNREVOKED = 2, CONSUMER_UNRELEASED = 3 };

/* What members subscribe to; those of a group that say the same share one. */
struct consumer_subscription {
    size_t refs;         /* members */
    struct bytes *names; /* ascending, each once; in `key` */
    size_t name_count;
    struct bytes regex; /* null: none; in `key` */
    struct regexp *compiled;
    struct bytes key; /* in group->subscriptions: all of it, as bytes */
};

struct consumer_member {
    struct consumer_group *in;
    struct bytes id, instance_id, rack_id, client_id, client_host, server_assignor; /* copies */
    bool described; /* its metadata is known: false only while records are read back */
    int32_t rebalance_timeout_ms;
    struct consumer_subscription *subscription; /* NULL: not described */
    bool is_classic;                            /* it speaks the classic protocol; and then: */
    int32_t session_timeout_ms;
    struct group_protocols protocols; /* at least one; all members' have one in common */
    int32_t epoch, previous_epoch;
    enum consumer_state state;
    struct partition_set assigned; /* what it may use */
    struct partition_set revoking; /* what it has to let go before its epoch rises */
    struct partition_set target;
    struct io_timer session;
    struct io_timer rebalance; /* until it has let go; of a classic member: until it joins or syncs, as it has to */
};

struct consumer_group {
    struct group *group;
    bool stored; /* there is a record of its epoch */
    int32_t epoch, assignment_epoch;
    uint64_t metadata_hash; /* of the topics it subscribes to, when its epoch rose */
    struct map members;     /* id -> struct consumer_member */
    struct map instances;   /* instance id -> struct consumer_member */
    struct map owners;      /* topic id, be32 index -> the member that has it assigned or is to let it go */
    struct map subscriptions;
    size_t subscriptions_size;
    size_t regex_count;       /* subscriptions that have an expression */
    struct list regex_link;   /* in groups->regex_groups, if any has */
    struct list changed_link; /* in groups->changed_groups: its topics may have changed */
    bool topics_missed;       /* they have, and it could not be written */
    int64_t changed_ms;       /* when its epoch rose; of an empty group: when it became empty */
};

/* --- A group's life --- */
struct consumer_group *consumer_group_new(struct group *group); /* not group->consumer yet */
struct consumer_group *consumer_group_ensure(struct groups *groups, struct bytes group_id);
void consumer_group_free(struct group *group); /* its part of the new protocol, if any */
void consumer_group_free_if_unused(struct group *group);
void consumer_group_start(struct group *group); /* after recovery */
void consumer_group_stop(struct group *group);
const char *consumer_group_state(const struct consumer_group *in);
/* An empty one ends, for a classic group to take its name. NON_EMPTY_GROUP; COORDINATOR_NOT_AVAILABLE. */
enum kafka_error consumer_group_give_way(struct group *group);
/* The records that end it, without members. */
void consumer_group_add_tombstones(struct group_batch *batch, const struct consumer_group *in);
/* A commit, or OffsetFetch by somebody who says who he is: UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, to classic members
 * ILLEGAL_GENERATION. */
enum kafka_error consumer_group_check_epoch(const struct consumer_group *in, struct bytes member_id, int32_t epoch);
/* All members of the classic protocol do; also if there are none. */
bool consumer_group_supports(const struct consumer_group *in, struct bytes protocol);
bool consumer_group_subscribes(const struct consumer_group *in, struct bytes topic);

/* --- Members --- */
struct consumer_member *consumer_member_find(const struct consumer_group *in, struct bytes id);
struct consumer_member *consumer_member_find_static(const struct consumer_group *in, struct bytes instance_id);
struct consumer_member *consumer_member_ensure(struct consumer_group *in, struct bytes id);
void consumer_member_free(struct consumer_member *member);
void consumer_member_set_instance(struct consumer_member *member, struct bytes instance_id);
/* What it has now; `owners` follows. The sets move in. */
void consumer_member_set_partitions(struct consumer_member *member, struct partition_set assigned,
                                    struct partition_set revoking);
struct consumer_member *consumer_owner(const struct consumer_group *in, const struct partition_name *name);
/* A GROUP configuration of that name, which who set it has checked, or what holds for all groups. */
uint32_t consumer_group_setting_ms(const struct consumer_group *in, const char *name, uint32_t otherwise_ms);
void consumer_member_restart_session(struct consumer_member *member);
/* Leaves, by itself or because it was silent: its records end, the group's epoch rises. */
enum kafka_error consumer_member_remove(struct consumer_member *member);

/* --- Reconciling --- */
struct consumer_progress {
    enum consumer_state state;
    int32_t epoch, previous_epoch;
    struct partition_set assigned, revoking;
};
/* The member's next step towards the target of `assignment_epoch`; false: it stays where it is. `owned`: as the member
 * tells; NULL: it does not. The sets are the caller's. */
bool consumer_reconcile(const struct consumer_member *member, const struct partition_set *owned,
                        struct consumer_progress *out);
bool consumer_member_is_done(const struct consumer_member *member);
/* There is something in its target that another has not let go of yet. */
bool consumer_member_waits(const struct consumer_member *member);

/* --- A member's call --- */
/* What JoinGroup says beyond a heartbeat. */
struct consumer_classic {
    int32_t session_timeout_ms;
    const struct coordinator_protocol *protocols;
    size_t protocol_count;
};
struct consumer_call {
    struct log *log;
    const struct consumer_heartbeat *request;
    const struct consumer_classic *classic; /* NULL: it is of the new protocol */
    struct arena *arena;
    struct consumer_heartbeat_result *out;
    struct bytes member_id; /* the request's, or one that is made */
    struct consumer_group *in;
    struct consumer_member *member;   /* NULL: it is new */
    struct consumer_member *replaced; /* a static member whose place the new one takes; gone after the step */
};
/* Both are false. */
__attribute__((format(printf, 3, 4))) bool consumer_refuse(struct consumer_call *call, enum kafka_error error,
                                                           const char *format, ...);
bool consumer_unavailable(struct consumer_call *call, const struct error *err);
void consumer_make_member_id(struct consumer_call *call);
/* The member, which is then there, takes a step. *changed: it may use something else than before. False: refused. */
bool consumer_step(struct consumer_call *call, bool *changed);

/* --- Members of the classic protocol in a group that has members. As coordinator.h has them. --- */
void consumer_classic_join(struct group *group, struct coordinator_join *request);
void consumer_classic_sync(struct group *group, struct coordinator_sync *request);
enum kafka_error consumer_classic_heartbeat(struct group *group, struct bytes member_id, struct bytes instance_id,
                                            int32_t epoch);
/* A member of either protocol, who leaves by itself or is removed by an administrator (member id ""). */
enum kafka_error consumer_classic_leave(struct group *group, struct bytes member_id, struct bytes instance_id);

/* --- From one protocol to the other, with all members (KIP-848, "Online Migration") --- */
/* A classic group that has members. ERROR_INVALID, ERROR_UNSUPPORTED: it cannot be, because not all are consumers as
 * Kafka's are. Their parked calls end with REBALANCE_IN_PROGRESS: they join again. */
MUST_CHECK bool consumer_group_upgrade(struct group *group, struct error *err);
/* Whether all that would be left without the member (NULL: without none) are of the classic protocol. */
bool consumer_group_may_downgrade(const struct consumer_group *in, const struct consumer_member *without);
/* The group is then a classic one, whose members are told to join again. */
MUST_CHECK bool consumer_group_downgrade(struct consumer_group *in, const struct consumer_member *without,
                                         struct error *err);

/* --- Subscriptions --- */
/* INVALID: too many, or one that cannot be a topic's name. */
MUST_CHECK bool consumer_subscription_check_names(const struct bytes *names, size_t count, struct error *err);
/* With refs as they are: 0 if it is new; consumer_subscription_drop_unused() if it then is not taken. NULL:
 * ERROR_UNAVAILABLE: one of the limits above; else names or expression are not in order. */
struct consumer_subscription *consumer_subscription_intern(struct consumer_group *in, const struct bytes *names,
                                                           size_t count, struct bytes regex, struct error *err);
void consumer_subscription_drop_unused(struct consumer_group *in, struct consumer_subscription *subscription);
void consumer_subscription_take(struct consumer_group *in, struct consumer_subscription *subscription);
void consumer_subscription_release(struct consumer_group *in, struct consumer_subscription *subscription);
bool consumer_subscription_wants(const struct consumer_subscription *subscription, struct bytes topic);
/* The topics that are there, ascending by id; in the arena. */
struct topic **consumer_subscription_topics(struct groups *groups, const struct consumer_subscription *subscription,
                                            struct arena *arena, size_t *count);
/* Of all topics that the group subscribes to; as if one member had changed from `without` to `with` (may be NULL). */
uint64_t consumer_topics_hash(const struct consumer_group *in, const struct consumer_subscription *without,
                              const struct consumer_subscription *with);
/* A topic is there, is gone, or has more partitions. */
void consumer_groups_topic_changed(struct groups *groups, struct bytes topic);
void consumer_groups_run_changed(void *groups);
/* If the topics are others than when the epoch rose last, it rises. */
MUST_CHECK bool consumer_group_follow_topics(struct consumer_group *in, struct error *err);

/* --- The target --- */
/* False: nothing could be written. */
MUST_CHECK bool consumer_target_update(struct consumer_group *in, struct error *err);
void consumer_target_set(struct consumer_member *member, struct partition_set target); /* the set moves in */
const struct assignor *consumer_group_assignor(const struct consumer_group *in);

/* --- Records --- */
void consumer_put_epoch(struct group_batch *batch, const struct consumer_group *in, int32_t epoch, uint64_t hash);
void consumer_put_assignment_epoch(struct group_batch *batch, const struct consumer_group *in, int32_t epoch);
/* What a member says of itself. */
struct consumer_metadata {
    struct bytes instance_id, rack_id, client_id, client_host, server_assignor;
    int32_t rebalance_timeout_ms;
    const struct consumer_subscription *subscription;
    const struct consumer_classic *classic; /* NULL: of the new protocol */
};
void consumer_put_metadata(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id,
                           const struct consumer_metadata *metadata);
void consumer_put_target(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id,
                         const struct partition_set *target);
void consumer_put_current(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id,
                          const struct consumer_progress *current);
void consumer_put_member_tombstones(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id);
MUST_CHECK bool consumer_append(struct consumer_group *in, struct group_batch *batch, struct error *err);

/* Whether a record of __consumer_offsets is one of these; *group_id is set. */
bool consumer_record_is(struct bytes key, struct bytes *group_id);
bool consumer_record_apply(struct groups *groups, const struct kafka_record *record);

#endif
