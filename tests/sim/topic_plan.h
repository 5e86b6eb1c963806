/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's topics: the settings that each is made with, and how they are changed while it is used. What readers and
 * producers must expect of a setting, the ledger is told before it is asked for.
 *
 *     0, 1  keep all; change how they store it, and grow
 *     2     compacted; its cleanup.policy changes between those that keep the last value of each key
 *     3     has a retention that changes; with some seeds it is compacted, too, at times
 *     4     is deleted and made again
 *     5     changes its evoke.flush, and grows
 */
#ifndef SIM_TOPIC_PLAN_H
#define SIM_TOPIC_PLAN_H

#include "ledger.h"

enum { TOPIC_SETTINGS_MAX = 8, TOPIC_SETTING_SIZE = 32 };

struct topic_setting {
    const char *name;
    char value[TOPIC_SETTING_SIZE];
};

struct topic_plan {
    struct topic_setting settings[TOPIC_SETTINGS_MAX]; /* to be made with */
    size_t setting_count;
};

void topic_plan_choose(struct topic_plan *plan, struct ledger *ledger, int topic);
/* Before the topic is made again: how many partitions it gets. */
void topic_plan_choose_partitions(struct ledger *ledger, int topic);
/* A change of the seed's choice that is about to be asked for, and that was answered. False: this topic has none. */
bool topic_plan_change(struct ledger *ledger, int topic, struct topic_setting *out);
void topic_plan_changed(struct ledger *ledger, int topic, const struct topic_setting *setting);
/* Whether it gets more partitions. */
bool topic_plan_grows(const struct ledger *ledger, int topic);

#endif
