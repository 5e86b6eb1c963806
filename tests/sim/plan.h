/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run's manifests are, all of the seed's choice: services with their Deployments (of a fixed size, or scaled by
 * a ScaledObject), Brokers, and Triggers of every kind of delivery. And what is to come of an event at a Trigger, which
 * is a function of both, so that handlers and model agree without a word.
 *
 * A Trigger is known to its handler by its path: Trigger 3 delivers to /t3, its dead letters go to /dead-t3.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    PLAN_SERVICES_MAX = 3,
    PLAN_BROKERS_MAX = 2,
    PLAN_TRIGGERS_MAX = 6,
    PLAN_PRODUCERS_MAX = 4,
    PLAN_EVENTS_AT_ONCE = 4, /* that a producer sends in one batch */
    PLAN_TEXT_SIZE = 4096,
};

struct plan_service {
    int replicas;
    int version; /* of the pod template: a rolling update when it rises */
    bool scaled; /* by a ScaledObject, from 0 on */
    int replicas_max, cooldown_s, lag_threshold;
    bool scaled_by_demand; /* its ScaledObject watches no topic: who waits at the Service is the demand */
    bool present;          /* its Deployment is wanted now */
};

enum plan_dead_letters { PLAN_DROPPED, PLAN_TO_BROKER, PLAN_TO_SERVICE };

struct plan_trigger {
    int broker, service;
    char type; /* the events it takes: 'a', 'b', or '*': all, also replies */
    bool ordered;
    bool patient; /* tries so often that no fault but a final refusal ends it */
    int retry;    /* else */
    enum plan_dead_letters dead_letters;
    bool loose;   /* is deleted and made again: of its events nothing is sure but that no reply is doubled */
    bool present; /* is wanted now */
    int backoff_ms;
};

struct plan {
    uint64_t salt; /* of outcomes */
    struct plan_service services[PLAN_SERVICES_MAX];
    int service_count;
    int broker_count;
    struct plan_trigger triggers[PLAN_TRIGGERS_MAX];
    int trigger_count;
    bool extra_namespace; /* wanted now */
};

void plan_choose(struct plan *plan, uint64_t (*below)(void *ctx, uint64_t limit), void *ctx);

/* Manifests, with ' for ". The index is of its kind. */
void plan_deployment(const struct plan *plan, int service, char out[PLAN_TEXT_SIZE]);
void plan_service_object(const struct plan *plan, int service, char out[PLAN_TEXT_SIZE]);
void plan_scaled_object(const struct plan *plan, int service, char out[PLAN_TEXT_SIZE]);
void plan_trigger_object(const struct plan *plan, int trigger, char out[PLAN_TEXT_SIZE]);

/* --- Events: "p<producer>-<number>", of type "ping-a" or "ping-b" --- */
struct plan_event {
    int producer;
    int64_t number;
};
bool plan_event_parse(struct bytes id, const char *prefix, struct plan_event *out);
char plan_event_type(struct plan_event event); /* 'a' or 'b' */
bool plan_trigger_takes(const struct plan *plan, int trigger, struct plan_event event);

enum plan_outcome {
    PLAN_REPLY,
    PLAN_NO_REPLY,
    PLAN_REFUSED,       /* with a code that no retry can mend */
    PLAN_NEVER_ACCEPTED /* with one that retries, until they are used up */
};
enum plan_outcome plan_outcome(const struct plan *plan, int trigger, struct plan_event event);

#endif
