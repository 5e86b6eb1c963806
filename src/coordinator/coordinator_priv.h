/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator's parts:
 *     coordinator.c            the calls: join, heartbeat, leave; sessions that end
 *     coordinator_sync.c       sync, and the group's record
 *     coordinator_rebalance.c  a generation's beginning and end
 *     coordinator_member.c     members: protocols, assignments, timers
 *     coordinator_answer.c     parked requests and their answers
 *     coordinator_offsets.c    commits and deletions
 *     coordinator_describe.c   what tools see
 */
#ifndef COORDINATOR_COORDINATOR_PRIV_H
#define COORDINATOR_COORDINATOR_PRIV_H

#include "coordinator/group_priv.h"

enum {
    COORDINATOR_NEW_MEMBER_TIMEOUT_MS = 300000, /* for its first rebalance to end; as in Kafka */
    COORDINATOR_PROTOCOLS_MAX = 100,
    COORDINATOR_PROTOCOLS_SIZE_MAX = 1 << 20, /* of a member, names and metadata */
    COORDINATOR_ID_SIZE_MAX = 1024,           /* member id */
    COORDINATOR_NAME_SIZE_MAX = 249,          /* instance id, protocol type and name */
    COORDINATOR_CLIENT_SIZE_MAX = 255,        /* client id and host: longer ones are cut */
};

/* --- For group.c --- */
void coordinator_init_group(struct group *group);
void coordinator_deinit_group(struct group *group);
/* After recovery: its members' sessions begin anew, and without a leader a rebalance. */
void coordinator_start_group(struct group *group);
void coordinator_stop_group(struct group *group);   /* no timer, no callback any more */
void coordinator_retire_group(struct group *group); /* the new protocol takes over; who waits is told to join again */
/* The member has joined the next generation: the request is answered when that begins. */
void coordinator_await_join(struct group_member *member, struct coordinator_join *request);
bool coordinator_uses_group(const struct group *group);
/* During recovery the group as the record says; later only deletion is news. False: does not parse. */
bool coordinator_apply_group(struct groups *groups, struct bytes group_id, struct bytes value);
void coordinator_run_answers(void *groups);
void coordinator_drop_answers(struct groups *groups);

/* --- Members --- */
static inline struct group_member *coordinator_member_of(struct list *link)
{
    return CONTAINER_OF(link, struct group_member, link);
}
/* In the order of joining. The current one may be removed in the body. */
#define group_each_member(member, group)                                                                               \
    for (struct list *member##_at = (group)->members.next, *member##_next = member##_at->next;                         \
         member##_at != &(group)->members; member##_at = member##_next, member##_next = member##_at->next)             \
        for (struct group_member *member = coordinator_member_of(member##_at); member; member = NULL)

struct group_member *coordinator_find_member(const struct group *group, struct bytes member_id);
struct group_member *coordinator_find_static(const struct group *group, struct bytes group_instance_id);
/* The member of that id, or of that instance id, whose id it must be: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. */
enum kafka_error coordinator_identify(const struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                      struct group_member **out);
/* A member of that generation has spoken: its session starts anew. As above, or ILLEGAL_GENERATION; a member that had
 * not caught up when the group became a classic one goes on until it has joined. */
enum kafka_error coordinator_hear(const struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                  int32_t generation);
struct group_member *coordinator_add_member(struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                            struct bytes client_id, struct bytes client_host);
void coordinator_remove_member(struct group_member *member); /* its parked requests must have been answered */
void coordinator_rename_member(struct group_member *member, struct bytes member_id);
/* Its metadata for a protocol; "" when it does not have it. */
struct bytes coordinator_member_metadata(const struct group_member *member, struct bytes protocol);
void coordinator_set_assignment(struct group_member *member, struct bytes assignment);
struct bytes coordinator_assignment_of(const struct group_member *member); /* never null */
void coordinator_restart_session(struct group_member *member);
bool coordinator_supports(const struct group *group, struct bytes protocol_type,
                          const struct coordinator_protocol *protocols, size_t count);
/* The one that all support and most prefer. */
struct bytes coordinator_select_protocol(const struct group *group);
void coordinator_set_bytes(struct bytes *copy, struct bytes value); /* frees what was there */

/* "<client or instance>-<uuid>", as Kafka's look. */
struct bytes coordinator_make_member_id(struct log *log, const struct coordinator_join *request,
                                        char out[COORDINATOR_ID_SIZE_MAX]);

/* --- Answers. The request is not parked any more. --- */
void coordinator_answer_join(struct groups *groups, struct coordinator_join *request,
                             const struct coordinator_join_result *result);
void coordinator_refuse_join(struct groups *groups, struct coordinator_join *request, enum kafka_error error,
                             struct bytes member_id);
/* The member's generation. `leader`: as it is to see it; `skip`: skip_assignment. */
void coordinator_answer_generation(struct group_member *member, struct coordinator_join *request, struct bytes leader,
                                   bool with_members, bool skip);
void coordinator_give_sync(struct groups *groups, struct coordinator_sync *request,
                           const struct coordinator_sync_result *result);
void coordinator_answer_sync(struct group_member *member, struct coordinator_sync *request);
void coordinator_refuse_sync(struct groups *groups, struct coordinator_sync *request, enum kafka_error error);
void coordinator_park_join(struct group_member *member, struct coordinator_join *request);
void coordinator_park_sync(struct group_member *member, struct coordinator_sync *request);
struct coordinator_join *coordinator_take_join(struct group_member *member); /* NULL: none */
struct coordinator_sync *coordinator_take_sync(struct group_member *member);

/* --- Rebalances --- */
void coordinator_prepare_rebalance(struct group *group); /* unless one is being prepared */
void coordinator_try_complete_join(struct group *group);
void coordinator_member_leaves(struct group_member *member); /* answers what it has parked, and frees it */
void coordinator_rebalance_timer(void *group);
void coordinator_sync_arrived(struct group_member *member);
void coordinator_on_session_end(void *member);

/* --- Offsets --- */
/* The error in each of them; returns it. */
enum kafka_error coordinator_fail_offsets(struct coordinator_offset *offsets, size_t count, enum kafka_error error);
/* Records of all that are in order, the others get their errors; how many. */
size_t coordinator_batch_offsets(struct group_batch *batch, struct bytes group_id, struct coordinator_offset *offsets,
                                 size_t count);
/* Whether a transaction may commit offsets for the group: as coordinator_commit(), but without a member also beside
 * members, and during a rebalance. */
enum kafka_error coordinator_check_transactional(struct log *log, struct bytes group_id, struct bytes member_id,
                                                 struct bytes group_instance_id, int32_t generation);

/* --- The record --- */
MUST_CHECK bool coordinator_put_group(struct group_batch *batch, const struct group *group, struct error *err);
/* Appends the group as it is. *lsn: of the record. */
MUST_CHECK bool coordinator_store(struct group *group, uint64_t *lsn, struct error *err);
void coordinator_on_stored(void *group, const struct error *err);

#endif
