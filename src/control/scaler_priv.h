/* SPDX-License-Identifier: Apache-2.0 */
/* What scaler.c (deciding), scaler_state.c (what is remembered of a ScaledObject) and scaler_status.c (what is said
 * about it) share. For this folder only. */
#ifndef CONTROL_SCALER_PRIV_H
#define CONTROL_SCALER_PRIV_H

#include "base/map.h"
#include "control/kafka_trigger.h"
#include "control/scale_rule.h"
#include "control/scaler.h"

enum { SCALER_TRIGGERS_MAX = 16, SCALER_SERVICES_MAX = 16, SCALER_GROW_SETTLE_MS = 5 };

struct scaled;

struct scaled_trigger {
    struct kafka_trigger kafka;
    struct group_lag_listener listener;
    bool listening;
};

/* What is remembered of a ScaledObject; all of it can be made again from the api. */
struct scaled {
    struct scaler *scaler;
    struct bytes namespace, name; /* copies */
    uint64_t generation;          /* that the following was read from; 0: none */
    struct scale_rule rule;
    char *target;
    struct scaled_trigger triggers[SCALER_TRIGGERS_MAX];
    size_t trigger_count;
    struct error refusal; /* kind 0: it is fine */
    char *ignored;        /* settings that are not acted on; NULL: none */
    /* Services that choose the target's pods: who waits there wants it awake. */
    char *services[SCALER_SERVICES_MAX];
    size_t service_count;
    bool services_known;
    /* Activity */
    struct scale_window window;
    bool ever_active;
    uint64_t active_ms;      /* monotonic: when it was seen active last */
    uint64_t said_active_ms; /* when that was last written */
    uint64_t held, in_flight;
    uint64_t grow_at_ms; /* when a backlog that dispatch may yet find to be others' counts in full; 0: nothing waits */
    const char *waited_at; /* one of `services`; NULL: nobody waits */
    struct scaled_said {   /* what the status was last seen to say, rightly */
        uint64_t resource_version;
        bool active, paused, has_target;
        int64_t paused_at;
    } said;
    struct object *ended; /* the ScaledObject, when it is gone and its target has not got back what it had */
    const char *cause;    /* metric or Service that made it active; borrowed from the above */
};

struct scaler {
    struct api *api;
    struct mesh *mesh;
    struct reconciler reconciler;
    const struct kind *kind, *target_kind, *service_kind, *trigger_kind;
    struct map scaled; /* namespace, 0, name -> struct scaled */
    struct mesh_demand_listener demand;
    struct scaler_counts counts;
};

/* --- scaler_state.c --- */
struct scaled *scaled_find(struct scaler *scaler, struct bytes namespace, struct bytes name);
struct scaled *scaled_find_or_add(struct scaler *scaler, const struct object *object);
void scaled_remove(struct scaler *scaler, struct bytes namespace, struct bytes name);
void scaled_free(void *scaled);
/* In a namespace: the first (after == NULL) or the next. */
struct scaled *scaled_next(struct scaler *scaler, struct bytes namespace, const struct scaled *after);
/* Reads spec again if it has changed. */
void scaled_read(struct scaled *scaled, const struct object *object);
/* Which Services choose the target's pods, if that is not known. */
void scaled_find_services(struct scaled *scaled, const struct object *target);

/* --- scaler_status.c --- */
enum { SCALER_SETTLE_MS = 1000, SCALER_SAY_ACTIVE_MS = 30000 };
/* *next_ms is lowered to when the status has to be looked at again. `paused_at`: replicas, -1: not a number. */
MUST_CHECK bool scaled_write_status(struct scaled *scaled, const struct object *object, const struct object *target,
                                    bool active, bool paused, int64_t paused_at, uint64_t *next_ms, struct error *err);
void scaled_tell(struct scaled *scaled, const struct object *object, int64_t from, int64_t to);

#endif
