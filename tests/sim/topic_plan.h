/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's topics: the settings that each has, and how they are changed while it is used. What readers and
 * producers must expect of a setting, the ledger's rules say before it is asked for.
 *
 *     0, 1  keep all; change how they store it, and grow
 *     2     compacted; its cleanup.policy changes between those that keep the last value of each key
 *     3     has a retention that changes; with some seeds it is compacted, too, at times
 *     4     is deleted and made again, as one like 0, 2 or 3
 *     5     changes its evoke.flush, and grows
 */
#ifndef SIM_TOPIC_PLAN_H
#define SIM_TOPIC_PLAN_H

#include "ledger.h"

enum { TOPIC_SETTINGS_MAX = 16, TOPIC_SETTING_SIZE = 32 };

struct topic_setting {
    const char *name;
    char value[TOPIC_SETTING_SIZE];
};

struct topic_plan {
    enum topic_kind { TOPIC_KEEPS, TOPIC_COMPACTED, TOPIC_RETAINED, TOPIC_LOSSY } kind;
    struct topic_setting settings[TOPIC_SETTINGS_MAX]; /* that it is made with, or has */
    size_t setting_count;
};

/* Before the topic is made, each time. */
void topic_plan_choose(struct topic_plan *plan, struct ledger *ledger, int topic);
void topic_plan_set(struct topic_plan *plan, const struct topic_setting *setting);
/* A change of the seed's choice that is about to be asked for, and that was answered. */
struct topic_setting topic_plan_change(const struct topic_plan *plan, struct ledger *ledger, int topic);
void topic_plan_changed(struct topic_plan *plan, struct ledger *ledger, int topic, const struct topic_setting *setting);
/* Whether it gets more partitions. */
bool topic_plan_grows(const struct ledger *ledger, int topic);

#endif
