/* SPDX-License-Identifier: Apache-2.0 */
#include "control/scale_rule.h"

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

struct scale_rule scale_rule_of(const struct json *spec)
{
    const char *window = "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds";
    int64_t cooldown_s = json_int_at(spec, "cooldownPeriod", SCALE_COOLDOWN_DEFAULT_S);
    int64_t window_s = cooldown_s < SCALE_WINDOW_DEFAULT_S ? cooldown_s : SCALE_WINDOW_DEFAULT_S;
    window_s = json_int_at(spec, window, window_s);
    return (struct scale_rule){
        .replicas_min = json_int_at(spec, "minReplicaCount", 0),
        .replicas_max = json_int_at(spec, "maxReplicaCount", SCALE_REPLICAS_MAX_DEFAULT),
        .idle = json_int_at(spec, "idleReplicaCount", -1),
        .cooldown_ms = cooldown_s > 0 ? (uint64_t)cooldown_s * 1000 : 0,
        .window_ms = window_s > 0 ? (uint64_t)window_s * 1000 : 0,
    };
}

/* Awake: as asked, but no lower than what was asked for in the window. */
static int64_t decide_awake(const struct scale_rule *rule, struct scale_window *window, const struct scale_input *in,
                            uint64_t *next_ms)
{
    int64_t least = rule->replicas_min > 1 ? rule->replicas_min : 1;
    int64_t asked = clamp(in->asked, least, rule->replicas_max);
    scale_window_add(window, in->now_ms, asked);
    int64_t greatest = scale_window_max(window, in->now_ms, rule->window_ms, next_ms);
    if (asked >= in->current || rule->window_ms == 0)
        return asked;
    int64_t held = clamp(greatest, asked, rule->replicas_max);
    return held < in->current ? held : clamp(in->current, asked, rule->replicas_max);
}

int64_t scale_decide(const struct scale_rule *rule, struct scale_window *window, const struct scale_input *in,
                     uint64_t *next_ms)
{
    int64_t asleep = rule->idle >= 0 ? rule->idle : rule->replicas_min;
    *next_ms = UINT64_MAX;
    if (in->active || (asleep > 0 && rule->idle < 0))
        return decide_awake(rule, window, in, next_ms);
    if (in->current <= asleep || in->now_ms >= in->inactive_at_ms) {
        window->count = 0;
        return asleep;
    }
    int64_t wanted = decide_awake(rule, window, in, next_ms);
    if (in->inactive_at_ms < *next_ms)
        *next_ms = in->inactive_at_ms;
    return wanted;
}
