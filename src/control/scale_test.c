/* SPDX-License-Identifier: Apache-2.0 */
/* How many replicas a backlog asks for, and when they go. */
#include "base/memory.h"
#include "control/kafka_trigger.h"
#include "control/scale_rule.h"
#include "test.h"

TEST(a_kafka_trigger_asks_for_one_replica_per_started_lag_threshold)
{
    static const struct {
        int64_t threshold, lag;
        bool limited;
        int32_t partitions;
        int64_t replicas;
    } rows[] = {
        {10, 0, true, 4, 0},
        {10, 1, true, 4, 1},
        {10, 10, true, 4, 1},
        {10, 11, true, 4, 2},
        {10, 40, true, 4, 4},
        {10, 1000, true, 4, 4},
        {10, 1000, false, 4, 100},
        {1, 7, false, 1, 7},
        {10, 11, true, 0, 2}, /* the topic is not there yet: no limit */
        {3, INT64_MAX, false, 1, INT64_MAX / 3 + 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct kafka_trigger trigger = {.lag_threshold = rows[i].threshold, .limited = rows[i].limited};
        CHECK_INT(kafka_trigger_replicas(&trigger, rows[i].lag, rows[i].partitions), rows[i].replicas);
    }
}

static bool parse(const char *text, struct kafka_trigger *out, struct buf *ignored, struct error *err)
{
    AUTO_JSON *json = json_parse(bytes_of_string(text), 0, err);
    CHECK_OK(json != NULL, err);
    return kafka_trigger_parse(json, 2, out, ignored, err);
}

TEST(a_kafka_trigger_reads_kedas_settings)
{
    struct error err;
    struct kafka_trigger trigger;
    AUTO_BUF ignored;
    buf_init(&ignored, 1000);
    CHECK_OK(
        parse("{\"type\":\"kafka\",\"metadata\":{\"bootstrapServers\":\"kafka:9092\",\"consumerGroup\":\"billing\","
              "\"topic\":\"shop.orders\",\"lagThreshold\":\"5\",\"activationLagThreshold\":\"3\","
              "\"offsetResetPolicy\":\"earliest\",\"sasl\":\"none\",\"tls\":\"enable\"}}",
              &trigger, &ignored, &err),
        &err);
    CHECK_STR(trigger.group, "billing");
    CHECK_STR(trigger.topic, "shop.orders");
    CHECK_STR(trigger.metric, "s2-kafka-shop-orders");
    CHECK_INT(trigger.lag_threshold, 5);
    CHECK_INT(trigger.activation_lag_threshold, 3);
    CHECK(trigger.from_earliest && trigger.limited && !trigger.zero_on_invalid_offset);
    CHECK_STR(buf_string(&ignored), "tls");
    kafka_trigger_deinit(&trigger);
}

TEST(a_kafka_trigger_of_a_trigger_is_not_limited_by_partitions)
{
    struct error err;
    struct kafka_trigger trigger;
    AUTO_BUF ignored;
    buf_init(&ignored, 1000);
    CHECK_OK(parse("{\"type\":\"kafka\",\"metadata\":{\"consumerGroup\":\"trigger.shop.billing\",\"topic\":\"t\"}}",
                   &trigger, &ignored, &err),
             &err);
    CHECK(!trigger.limited && trigger.zero_on_invalid_offset);
    CHECK_INT(trigger.lag_threshold, 10);
    CHECK_INT(ignored.size, 0);
    kafka_trigger_deinit(&trigger);
}

TEST(a_kafka_trigger_says_what_is_wrong_and_where)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{\"type\":\"cron\"}", "spec.triggers[2]: type cron is not supported, kafka is"},
        {"{\"type\":\"kafka\",\"metadata\":{\"topic\":\"t\"}}",
         "spec.triggers[2].metadata: consumerGroup: is required"},
        {"{\"type\":\"kafka\",\"metadata\":{\"consumerGroup\":\"g\"}}",
         "spec.triggers[2].metadata: topic: is required"},
        {"{\"type\":\"kafka\",\"metadata\":{\"consumerGroup\":\"g\",\"topic\":\"t\",\"lagThreshold\":\"0\"}}",
         "spec.triggers[2].metadata: lagThreshold: must be a number from 1 on, not \"0\""},
        {"{\"type\":\"kafka\",\"metadata\":{\"consumerGroup\":\"g\",\"topic\":\"t\",\"offsetResetPolicy\":\"none\"}}",
         "spec.triggers[2].metadata: offsetResetPolicy: must be latest or earliest, not \"none\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err;
        struct kafka_trigger trigger;
        AUTO_BUF ignored;
        buf_init(&ignored, 1000);
        CHECK(!parse(rows[i].text, &trigger, &ignored, &err));
        CHECK_STR(err.message, rows[i].message);
        kafka_trigger_deinit(&trigger);
    }
}

/* --- When --- */

TEST(a_window_remembers_the_greatest_of_its_time)
{
    struct scale_window window = {0};
    uint64_t next_ms;
    scale_window_add(&window, 1000, 5);
    scale_window_add(&window, 2000, 3);
    scale_window_add(&window, 3000, 4);
    CHECK_INT(scale_window_max(&window, 3000, 10000, &next_ms), 5);
    CHECK_INT(next_ms, 11000);
    CHECK_INT(scale_window_max(&window, 11000, 10000, &next_ms), 4);
    CHECK(next_ms == UINT64_MAX); /* the last one stays what it is until something else is asked for */
    for (uint64_t i = 0; i < 1000; i++)
        scale_window_add(&window, 12000 + i, (int64_t)(2000 - i));
    CHECK_INT(scale_window_max(&window, 13000, 10000, &next_ms), 2000);
    CHECK(scale_window_max(&window, 12000 + 10000 + 998, 10000, &next_ms) >= 1001);
}

static const struct scale_rule rule = {
    .replicas_min = 0, .replicas_max = 8, .idle = -1, .cooldown_ms = 10000, .window_ms = 5000};

/* One decision after the other; the target follows each. */
static void play(const struct scale_rule *with, const struct scale_input *inputs, const int64_t *wanted, size_t count)
{
    struct scale_window window = {0};
    uint64_t next_ms;
    int64_t current = inputs[0].current;
    for (size_t i = 0; i < count; i++) {
        struct scale_input input = inputs[i];
        input.current = current;
        current = scale_decide(with, &window, &input, &next_ms);
        CHECK_INT(current, wanted[i]);
    }
}

TEST(a_backlog_scales_from_none_to_what_it_asks_for_at_once_and_not_above_the_maximum)
{
    static const struct scale_input inputs[] = {{.now_ms = 1000, .asked = 3, .active = true},
                                                {.now_ms = 1000, .asked = 7, .active = true},
                                                {.now_ms = 1001, .asked = 100, .active = true}};
    play(&rule, inputs, (const int64_t[]){3, 7, 8}, ARRAY_SIZE(inputs));
}

TEST(a_held_connection_alone_asks_for_one)
{
    static const struct scale_input inputs[] = {{.now_ms = 1000, .asked = 0, .active = true}};
    play(&rule, inputs, (const int64_t[]){1}, ARRAY_SIZE(inputs));
}

TEST(fewer_come_only_after_the_window_and_none_after_the_cooldown)
{
    static const struct scale_input inputs[] = {
        {.now_ms = 1000, .asked = 6, .active = true},
        {.now_ms = 2000, .asked = 2, .active = true},
        {.now_ms = 5999, .asked = 2, .active = true},
        {.now_ms = 6000, .asked = 2, .active = true},                            /* the 6 is 5 s ago */
        {.now_ms = 7000, .asked = 0, .active = false, .inactive_at_ms = 16000},  /* nothing to do any more */
        {.now_ms = 12000, .asked = 0, .active = false, .inactive_at_ms = 16000}, /* but one stays */
        {.now_ms = 16000, .asked = 0, .active = false, .inactive_at_ms = 16000},
        {.now_ms = 17000, .asked = 0, .active = false, .inactive_at_ms = 16000},
        {.now_ms = 18000, .asked = 1, .active = true},
    };
    play(&rule, inputs, (const int64_t[]){6, 6, 6, 2, 2, 1, 0, 0, 1}, ARRAY_SIZE(inputs));
}

TEST(without_a_window_fewer_come_at_once)
{
    struct scale_rule at_once = rule;
    at_once.window_ms = 0;
    static const struct scale_input inputs[] = {{.now_ms = 1000, .asked = 6, .active = true},
                                                {.now_ms = 1001, .asked = 2, .active = true},
                                                {.now_ms = 1002, .inactive_at_ms = 16000}};
    play(&at_once, inputs, (const int64_t[]){6, 2, 1}, ARRAY_SIZE(inputs));
}

TEST(a_minimum_above_zero_never_sleeps_unless_an_idle_count_says_so)
{
    struct scale_rule with_min = rule;
    with_min.replicas_min = 2;
    with_min.window_ms = 0;
    static const struct scale_input inputs[] = {
        {.now_ms = 1000}, {.now_ms = 1000, .asked = 5, .active = true}, {.now_ms = 90000, .inactive_at_ms = 20000}};
    play(&with_min, inputs, (const int64_t[]){2, 5, 2}, ARRAY_SIZE(inputs));
    with_min.idle = 0;
    play(&with_min, inputs, (const int64_t[]){0, 5, 0}, ARRAY_SIZE(inputs));
}

TEST(a_decision_tells_when_to_look_again)
{
    struct scale_window window = {0};
    uint64_t next_ms;
    struct scale_input input = {.now_ms = 1000, .asked = 6, .active = true};
    scale_decide(&rule, &window, &input, &next_ms);
    CHECK(next_ms == UINT64_MAX); /* only a change can change it */
    input = (struct scale_input){.now_ms = 2000, .current = 6, .inactive_at_ms = 11000};
    scale_decide(&rule, &window, &input, &next_ms);
    CHECK_INT(next_ms, 6000); /* the end of the window, before the end of the cool-down */
    input.now_ms = 6000;
    CHECK_INT(scale_decide(&rule, &window, &input, &next_ms), 1);
    CHECK_INT(next_ms, 11000);
}

TEST(a_rule_has_kedas_defaults)
{
    struct error err;
    AUTO_JSON *empty = json_parse(BYTES_LITERAL("{}"), 0, &err);
    struct scale_rule defaults = scale_rule_of(empty);
    CHECK_INT(defaults.replicas_min, 0);
    CHECK_INT(defaults.replicas_max, 100);
    CHECK_INT(defaults.cooldown_ms, 300000);
    CHECK_INT(defaults.window_ms, 300000);
    CHECK_INT(defaults.idle, -1);
    AUTO_JSON *given = json_parse(BYTES_LITERAL("{\"cooldownPeriod\":20}"), 0, &err);
    CHECK_INT(scale_rule_of(given).window_ms, 20000);
    json_set_at(given, "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds",
                json_new_int(0));
    CHECK_INT(scale_rule_of(given).window_ms, 0);
}
