/* SPDX-License-Identifier: Apache-2.0 */
/* How many replicas, on numbers alone: the meaning of a ScaledObject's fields. */
#ifndef CONTROL_SCALE_RULE_H
#define CONTROL_SCALE_RULE_H

#include <stdbool.h>

#include "control/scale_window.h"
#include "wire/json.h"

/* Of spec, with its defaults. */
struct scale_rule {
    int64_t replicas_min, replicas_max;
    int64_t idle;         /* idleReplicaCount; -1: not set */
    uint64_t cooldown_ms; /* cooldownPeriod */
    uint64_t window_ms;   /* scale-down stabilization */
};
struct scale_rule scale_rule_of(const struct json *spec);

enum { SCALE_COOLDOWN_DEFAULT_S = 300, SCALE_WINDOW_DEFAULT_S = 300, SCALE_REPLICAS_MAX_DEFAULT = 100 };

struct scale_input {
    uint64_t now_ms;
    int64_t current;         /* the target's spec.replicas */
    int64_t asked;           /* by the backlog */
    bool active;             /* there is something to do */
    uint64_t inactive_at_ms; /* when the cool-down of the last activity ends; 0: there never was any */
};

/* The replicas that the target shall have. *next_ms: look again then (now_ms or later; UINT64_MAX: no need). */
int64_t scale_decide(const struct scale_rule *rule, struct scale_window *window, const struct scale_input *input,
                     uint64_t *next_ms);

#endif
