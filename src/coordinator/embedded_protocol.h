/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What consumers of a classic group tell each other through the coordinator: bytes to it, except where it has to know
 * (the "Consumer Embedded Protocol" of Kafka's guide; wire/api/group_record.api has the fields). Versions 0 to 3; a
 * newer one is read as 3, as Kafka does, and what follows is passed over.
 */
#ifndef COORDINATOR_EMBEDDED_PROTOCOL_H
#define COORDINATOR_EMBEDDED_PROTOCOL_H

#include "base/arena.h"
#include "base/buf.h"
#include "coordinator/partition_set.h"
#include "log/log.h"

/* A member's metadata in JoinGroup. Bytes point into it, arrays are in the arena. */
struct embedded_subscription {
    const struct bytes *topics;
    size_t topic_count;
    struct partition_set owned; /* of topics that are there; the caller's. Empty before version 1 */
    struct bytes rack_id;       /* null: none */
};
MUST_CHECK bool embedded_subscription_read(struct log *log, struct bytes metadata, struct arena *arena,
                                           struct embedded_subscription *out, struct error *err);
/* Of one topic, version 0. */
void embedded_subscription_write(struct bytes topic, struct buf *out);
/* True also when it does not parse: who knows what that one reads. */
bool embedded_subscribes(struct bytes metadata, struct bytes topic);

/* A member's assignment in SyncGroup; "" is an empty one. Partitions of topics that are gone are left out. *out is the
 * caller's. ERROR_UNSUPPORTED: the leader's assignor put data of its own in it, which nobody else could make. */
MUST_CHECK bool embedded_assignment_read(struct log *log, struct bytes assignment, struct arena *arena,
                                         struct partition_set *out, struct error *err);
/* Version 0, which the later ones equal. What does not fit shows as overflow of `out`. */
void embedded_assignment_write(struct log *log, const struct partition_set *set, struct buf *out);

#endif
