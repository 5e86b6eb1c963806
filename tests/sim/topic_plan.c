/* SPDX-License-Identifier: Apache-2.0 */
#include "topic_plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    DELETED = 4,
    RETENTION_MS_MIN = 500,
    RETENTION_MS_SPAN = 5500,
    MIN_LAG_MS_MAX = 900, /* never above a max.compaction.lag.ms, which evoke would refuse */
    MAX_LAG_MS_MIN = 1000,
    MAX_LAG_MS_SPAN = 3000,
};
static const int64_t delete_retention_ms_default = 24 * 3600 * 1000;

static uint64_t below(struct ledger *ledger, uint64_t limit)
{
    return io_random_below(ledger->io, limit);
}

static struct topic_setting text(const char *name, const char *value)
{
    struct topic_setting setting = {.name = name};
    snprintf(setting.value, sizeof setting.value, "%s", value);
    return setting;
}

static struct topic_setting number(const char *name, int64_t value)
{
    struct topic_setting setting = {.name = name};
    snprintf(setting.value, sizeof setting.value, "%" PRId64, value);
    return setting;
}

static struct topic_setting one_of(struct ledger *ledger, const char *name, const char *const *values, size_t count)
{
    return text(name, values[below(ledger, count)]);
}

/* -1: none so far. */
static int64_t smaller(int64_t so_far, int64_t value)
{
    return so_far < 0 || value < so_far ? value : so_far;
}

static int64_t larger(int64_t so_far, int64_t value)
{
    return value > so_far ? value : so_far;
}

/* --- What each may be set to --- */

static struct topic_setting segment_ms(struct ledger *ledger)
{
    return number("segment.ms", 200 + (int64_t)below(ledger, 2000));
}

static struct topic_setting segment_bytes(struct ledger *ledger)
{
    return number("segment.bytes", 2000 + (int64_t)below(ledger, 60000));
}

static struct topic_setting retention_ms(struct ledger *ledger, struct ledger_rules *rules)
{
    int64_t ms = RETENTION_MS_MIN + (int64_t)below(ledger, RETENTION_MS_SPAN);
    rules->retention_ms_min = smaller(rules->retention_ms_min, ms);
    rules->retention_ms_max = larger(rules->retention_ms_max, ms);
    return number("retention.ms", ms);
}

static struct topic_setting retention_bytes(struct ledger *ledger, struct ledger_rules *rules)
{
    int64_t bytes = 10000 + (int64_t)below(ledger, 100000);
    rules->retention_bytes_min = smaller(rules->retention_bytes_min, bytes);
    return number("retention.bytes", bytes);
}

static struct topic_setting policy(struct ledger *ledger)
{
    static const char *const policies[] = {"compact", "delete", "compact,delete"};
    return one_of(ledger, "cleanup.policy", policies, 3);
}

static struct topic_setting min_lag(struct ledger *ledger, struct ledger_rules *rules)
{
    int64_t ms = (int64_t)below(ledger, MIN_LAG_MS_MAX);
    rules->min_lag_ms_min = smaller(rules->min_lag_ms_min, ms);
    return number("min.compaction.lag.ms", ms);
}

static struct topic_setting max_lag(struct ledger *ledger, struct ledger_rules *rules)
{
    int64_t ms = MAX_LAG_MS_MIN + (int64_t)below(ledger, MAX_LAG_MS_SPAN);
    rules->max_lag_ms_max = larger(rules->max_lag_ms_max, ms);
    return number("max.compaction.lag.ms", ms);
}

static struct topic_setting delete_retention(struct ledger *ledger, struct ledger_rules *rules)
{
    int64_t ms = (int64_t)below(ledger, 3000);
    rules->delete_retention_ms_min = smaller(rules->delete_retention_ms_min, ms);
    return number("delete.retention.ms", ms);
}

/* Most of the time nothing is too large. */
static struct topic_setting size_max(struct ledger *ledger, struct ledger_rules *rules)
{
    rules->size_limited = true;
    return number("max.message.bytes", below(ledger, 4) == 0 ? 1500 + (int64_t)below(ledger, 4000) : 1 << 20);
}

static struct topic_setting timestamp_type(struct ledger *ledger, struct ledger_rules *rules)
{
    static const char *const types[] = {"CreateTime", "LogAppendTime"};
    rules->append_time = true;
    return one_of(ledger, "message.timestamp.type", types, 2);
}

static struct topic_setting storing(struct ledger *ledger, struct ledger_rules *rules)
{
    static const char *const codecs[] = {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"};
    switch (below(ledger, 5)) {
    case 0:
        return size_max(ledger, rules);
    case 1:
        return timestamp_type(ledger, rules);
    case 2:
        return one_of(ledger, "compression.type", codecs, 6);
    case 3:
        return segment_ms(ledger);
    default:
        return segment_bytes(ledger);
    }
}

static struct topic_setting compacting(struct ledger *ledger, struct ledger_rules *rules)
{
    static const char *const ratios[] = {"0.01", "0.5", "0.9"};
    switch (below(ledger, 6)) {
    case 0:
        return policy(ledger);
    case 1:
        return one_of(ledger, "min.cleanable.dirty.ratio", ratios, 3);
    case 2:
        return delete_retention(ledger, rules);
    case 3:
        return max_lag(ledger, rules);
    case 4:
        return min_lag(ledger, rules);
    default:
        return segment_bytes(ledger);
    }
}

static struct topic_setting retaining(struct ledger *ledger, struct ledger_rules *rules)
{
    if (rules->compacted && below(ledger, 3) == 0)
        return policy(ledger);
    if (rules->retention_bytes_min >= 0 && below(ledger, 2))
        return retention_bytes(ledger, rules);
    return below(ledger, 3) ? retention_ms(ledger, rules) : segment_ms(ledger);
}

/* --- Making --- */

void topic_plan_set(struct topic_plan *plan, const struct topic_setting *setting)
{
    size_t i = 0;
    while (i < plan->setting_count && strcmp(plan->settings[i].name, setting->name) != 0)
        i++;
    assert(i < TOPIC_SETTINGS_MAX);
    plan->settings[i] = *setting;
    plan->setting_count += i == plan->setting_count;
}

static void set(struct topic_plan *plan, struct topic_setting setting)
{
    topic_plan_set(plan, &setting);
}

/* Small segments, so that what works on segments has some. */
static void choose_compacted(struct topic_plan *plan, struct ledger *ledger, struct ledger_rules *rules)
{
    rules->compacted = rules->compacts = true;
    rules->delete_retention_ms_min = -1;
    set(plan, text("cleanup.policy", "compact"));
    set(plan, text("min.cleanable.dirty.ratio", "0.01"));
    set(plan, segment_ms(ledger));
    set(plan, delete_retention(ledger, rules));
    set(plan, max_lag(ledger, rules));
    if (below(ledger, 2)) {
        rules->min_lag_ms_min = -1;
        set(plan, min_lag(ledger, rules));
    }
}

static void choose_retained(struct topic_plan *plan, struct ledger *ledger, struct ledger_rules *rules)
{
    rules->compacted = below(ledger, 3) == 0;
    set(plan, segment_ms(ledger));
    set(plan, below(ledger, 2) ? retention_ms(ledger, rules) : retention_bytes(ledger, rules));
}

static enum topic_kind choose_kind(struct ledger *ledger, int topic)
{
    static const enum topic_kind kinds[] = {TOPIC_KEEPS,    TOPIC_KEEPS, TOPIC_COMPACTED,
                                            TOPIC_RETAINED, TOPIC_KEEPS, TOPIC_LOSSY};
    return topic == DELETED ? (enum topic_kind)below(ledger, TOPIC_LOSSY) : kinds[topic];
}

void topic_plan_choose(struct topic_plan *plan, struct ledger *ledger, int topic_index)
{
    struct ledger_topic *topic = &ledger->topics[topic_index];
    *plan = (struct topic_plan){.kind = choose_kind(ledger, topic_index)};
    topic->rules = (struct ledger_rules){.retention_ms_min = -1,
                                         .retention_ms_max = -1,
                                         .retention_bytes_min = -1,
                                         .max_lag_ms_max = -1,
                                         .delete_retention_ms_min = delete_retention_ms_default};
    topic->partition_count = 1 + (int)below(ledger, LEDGER_PARTITIONS);
    topic->deletable = topic_index == DELETED;
    topic->lossy = plan->kind == TOPIC_LOSSY;
    if (plan->kind == TOPIC_COMPACTED)
        choose_compacted(plan, ledger, &topic->rules);
    else if (plan->kind == TOPIC_RETAINED)
        choose_retained(plan, ledger, &topic->rules);
}

/* --- Changing --- */

struct topic_setting topic_plan_change(const struct topic_plan *plan, struct ledger *ledger, int topic)
{
    struct ledger_rules *rules = &ledger->topics[topic].rules;
    switch (plan->kind) {
    case TOPIC_COMPACTED:
        return compacting(ledger, rules);
    case TOPIC_RETAINED:
        return retaining(ledger, rules);
    case TOPIC_LOSSY: {
        bool os = below(ledger, 2);
        ledger_flush_asked(ledger, topic, os);
        return text("evoke.flush", os ? "os" : "sync");
    }
    default:
        return storing(ledger, rules);
    }
}

void topic_plan_changed(struct topic_plan *plan, struct ledger *ledger, int topic, const struct topic_setting *setting)
{
    topic_plan_set(plan, setting);
    if (strcmp(setting->name, "evoke.flush") == 0)
        ledger_flush_is(ledger, topic, strcmp(setting->value, "os") == 0);
    if (strcmp(setting->name, "cleanup.policy") == 0)
        ledger->topics[topic].rules.compacts = strncmp(setting->value, "compact", strlen("compact")) == 0;
}

bool topic_plan_grows(const struct ledger *ledger, int topic)
{
    return !ledger->topics[topic].deletable && ledger->topics[topic].partition_count < LEDGER_PARTITIONS;
}
