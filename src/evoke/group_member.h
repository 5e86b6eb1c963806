/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a classic consumer group that reads one topic, for evoke consume --group: it joins, leads if it is chosen
 * to (range assignor, as the other clients know it), beats its heart between fetches, commits and leaves. Other members
 * may be any Kafka client.
 */
#ifndef EVOKE_GROUP_MEMBER_H
#define EVOKE_GROUP_MEMBER_H

#include "evoke/kafka_client.h"

struct group_member;

/* Nothing is sent yet. The client is borrowed. */
struct group_member *group_member_new(struct kafka_client *client, const char *group, const char *topic);
void group_member_free(struct group_member *member); /* without leaving; NULL is allowed */

/* Joins, and again when the group rebalances: *changed says that the partitions may be others than before. Beats when
 * it is time. To be called every GROUP_MEMBER_BEAT_MS or more often. */
enum { GROUP_MEMBER_BEAT_MS = 1000 };
MUST_CHECK bool group_member_keep(struct group_member *member, bool *changed, struct error *err);
void group_member_leave(struct group_member *member); /* as good as it can */

const int32_t *group_member_partitions(const struct group_member *member, size_t *count);
/* -1: nothing is committed. */
MUST_CHECK bool group_member_committed(struct group_member *member, int32_t partition, int64_t *offset,
                                       struct error *err);
/* A rebalance in progress is no error: group_member_keep() sees it too. */
MUST_CHECK bool group_member_commit(struct group_member *member, int32_t partition, int64_t offset, struct error *err);

#endif
