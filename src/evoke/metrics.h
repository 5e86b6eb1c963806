/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of all parts, for the admin door's /metrics. docs/metrics.md lists them. */
#ifndef EVOKE_METRICS_H
#define EVOKE_METRICS_H

#include "api/api.h"
#include "control/control.h"
#include "dispatch/dispatch.h"
#include "door/admin_door.h"
#include "door/events_door.h"
#include "door/kafka_door.h"
#include "door/kube_door.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "mesh/nameserver.h"
#include "node/node.h"

/* What has figures. A part that is not there (a door that is off) is NULL. */
struct parts {
    struct log *log;
    struct api *api;
    struct mesh *mesh;
    struct nameserver *names;
    struct dispatch *dispatch;
    struct node *node;
    struct control *control;
    struct kafka_door *kafka;
    struct events_door *events;
    struct kube_door *kube;
    struct admin_door *admin; /* set by metrics_register() */
};

/* `parts` outlives the door and may be filled later. */
void metrics_register(struct parts *parts, struct admin_door *door);

#endif
