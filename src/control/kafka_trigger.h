/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trigger of type `kafka` of a ScaledObject: the backlog of a consumer group on a topic, and how many replicas it
 * asks for. The names and the formula are KEDA's (pkg/scalers/kafka_scaler.go); what differs:
 *
 *     bootstrapServers     is not used: the log is this one
 *     no commit yet        with offsetResetPolicy earliest counts from the log's start, not from 0
 *     more replicas than partitions  make sense for a Trigger (its group has no members that own partitions), so the
 *                          limit holds only for other groups
 *     a Trigger's group    is dispatch's, trigger.NAMESPACE.NAME: events behind its offset that are done are no backlog
 */
#ifndef CONTROL_KAFKA_TRIGGER_H
#define CONTROL_KAFKA_TRIGGER_H

#include "base/buf.h"
#include "coordinator/group.h"
#include "wire/json.h"

struct kafka_trigger {
    char *metric; /* "s0-kafka-shop-default": its name in the status */
    char *group, *topic;
    int64_t lag_threshold, activation_lag_threshold;
    bool from_earliest;
    bool limited;                                 /* to one replica per partition */
    bool is_trigger;                              /* the group is that of the Trigger of this name: */
    struct bytes trigger_namespace, trigger_name; /* within `group` */
    bool zero_on_invalid_offset; /* a group without a commit and with offsetResetPolicy latest has no backlog */
};

/* `trigger` is an element of spec.triggers, `index` its place. ERROR_UNSUPPORTED, ERROR_INVALID. Settings that are not
 * acted on are listed in `ignored`, separated by commas. */
MUST_CHECK bool kafka_trigger_parse(const struct json *trigger, size_t index, struct kafka_trigger *out,
                                    struct buf *ignored, struct error *err);
void kafka_trigger_deinit(struct kafka_trigger *trigger);

int64_t kafka_trigger_lag(const struct kafka_trigger *trigger, struct log *log);
/* ceil(lag / lagThreshold), within the limit; `partitions` of the topic. */
int64_t kafka_trigger_replicas(const struct kafka_trigger *trigger, int64_t lag, int32_t partitions);

#endif
