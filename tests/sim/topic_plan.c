/* SPDX-License-Identifier: Apache-2.0 */
#include "topic_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COMPACTED = 2, RETAINED = 3, DELETED = 4, LOSSY = 5, RETENTION_MS_MIN = 500, RETENTION_MS_SPAN = 5500 };

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

/* --- What each may be set to --- */

static struct topic_setting segment_ms(struct ledger *ledger)
{
    return number("segment.ms", 200 + (int64_t)below(ledger, 2000));
}

static struct topic_setting segment_bytes(struct ledger *ledger)
{
    return number("segment.bytes", 2000 + (int64_t)below(ledger, 60000));
}

static struct topic_setting retention_ms(struct ledger *ledger, struct ledger_topic *topic)
{
    int64_t ms = RETENTION_MS_MIN + (int64_t)below(ledger, RETENTION_MS_SPAN);
    topic->retention_ms = topic->retention_ms < 0 || ms < topic->retention_ms ? ms : topic->retention_ms;
    return number("retention.ms", ms);
}

static struct topic_setting retention_bytes(struct ledger *ledger, struct ledger_topic *topic)
{
    topic->retention_size = true;
    return number("retention.bytes", 10000 + (int64_t)below(ledger, 100000));
}

static struct topic_setting policy(struct ledger *ledger)
{
    static const char *const policies[] = {"compact", "delete", "compact,delete"};
    return one_of(ledger, "cleanup.policy", policies, 3);
}

/* Most of the time nothing is too large. */
static struct topic_setting size_max(struct ledger *ledger, struct ledger_topic *topic)
{
    topic->size_limited = true;
    return number("max.message.bytes", below(ledger, 4) == 0 ? 1500 + (int64_t)below(ledger, 4000) : 1 << 20);
}

static struct topic_setting storing(struct ledger *ledger, struct ledger_topic *topic)
{
    static const char *const types[] = {"CreateTime", "LogAppendTime"};
    static const char *const codecs[] = {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"};
    switch (below(ledger, 5)) {
    case 0:
        return size_max(ledger, topic);
    case 1:
        return one_of(ledger, "message.timestamp.type", types, 2);
    case 2:
        return one_of(ledger, "compression.type", codecs, 6);
    case 3:
        return segment_ms(ledger);
    default:
        return segment_bytes(ledger);
    }
}

static struct topic_setting compacting(struct ledger *ledger)
{
    static const char *const ratios[] = {"0.01", "0.5", "0.9"};
    switch (below(ledger, 5)) {
    case 0:
        return policy(ledger);
    case 1:
        return one_of(ledger, "min.cleanable.dirty.ratio", ratios, 3);
    case 2:
        return number("delete.retention.ms", (int64_t)below(ledger, 3000));
    case 3:
        return number("max.compaction.lag.ms", 1000 + (int64_t)below(ledger, 3000));
    default:
        return segment_bytes(ledger);
    }
}

static struct topic_setting retaining(struct ledger *ledger, struct ledger_topic *topic)
{
    if (topic->compacted && below(ledger, 3) == 0)
        return policy(ledger);
    if (topic->retention_size && below(ledger, 2))
        return retention_bytes(ledger, topic);
    return below(ledger, 3) ? retention_ms(ledger, topic) : segment_ms(ledger);
}

/* --- Making --- */

static void add(struct topic_plan *plan, struct topic_setting setting)
{
    plan->settings[plan->setting_count++] = setting;
}

/* Small segments, so that what works on segments has some. */
static void choose_compacted(struct topic_plan *plan, struct ledger *ledger, struct ledger_topic *topic)
{
    topic->compacted = true;
    add(plan, text("cleanup.policy", "compact"));
    add(plan, text("min.cleanable.dirty.ratio", "0.01"));
    add(plan, segment_ms(ledger));
    add(plan, number("delete.retention.ms", (int64_t)below(ledger, 3000)));
    add(plan, number("max.compaction.lag.ms", 1000 + (int64_t)below(ledger, 3000)));
}

static void choose_retained(struct topic_plan *plan, struct ledger *ledger, struct ledger_topic *topic)
{
    topic->compacted = below(ledger, 3) == 0;
    add(plan, segment_ms(ledger));
    add(plan, below(ledger, 2) ? retention_ms(ledger, topic) : retention_bytes(ledger, topic));
}

void topic_plan_choose(struct topic_plan *plan, struct ledger *ledger, int topic_index)
{
    struct ledger_topic *topic = &ledger->topics[topic_index];
    *plan = (struct topic_plan){0};
    topic_plan_choose_partitions(ledger, topic_index);
    topic->deletable = topic_index == DELETED;
    topic->lossy = topic_index == LOSSY;
    if (topic_index == COMPACTED)
        choose_compacted(plan, ledger, topic);
    else if (topic_index == RETAINED)
        choose_retained(plan, ledger, topic);
}

void topic_plan_choose_partitions(struct ledger *ledger, int topic)
{
    ledger->topics[topic].partition_count = 1 + (int)below(ledger, LEDGER_PARTITIONS);
}

/* --- Changing --- */

bool topic_plan_change(struct ledger *ledger, int topic_index, struct topic_setting *out)
{
    struct ledger_topic *topic = &ledger->topics[topic_index];
    switch (topic_index) {
    case COMPACTED:
        *out = compacting(ledger);
        return true;
    case RETAINED:
        *out = retaining(ledger, topic);
        return true;
    case LOSSY:
        *out = text("evoke.flush", below(ledger, 2) ? "os" : "sync");
        ledger_flush_asked(ledger, topic_index, strcmp(out->value, "os") == 0);
        return true;
    case DELETED:
        return false;
    default:
        *out = storing(ledger, topic);
        return true;
    }
}

void topic_plan_changed(struct ledger *ledger, int topic, const struct topic_setting *setting)
{
    if (strcmp(setting->name, "evoke.flush") == 0)
        ledger_flush_is(ledger, topic, strcmp(setting->value, "os") == 0);
}

bool topic_plan_grows(const struct ledger *ledger, int topic)
{
    return topic != DELETED && ledger->topics[topic].partition_count < LEDGER_PARTITIONS;
}
