/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a rollout. The figures are those that Kubernetes' controller comes to for the same input. */
#include "control/rollout.h"

#include <stdio.h>

#include "base/memory.h"
#include "control/victims.h"
#include "test.h"

static struct rollout_bounds bounds_of(const char *surge, const char *unavailable, int64_t replicas)
{
    char text[200];
    struct error err;
    snprintf(text, sizeof text,
             "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":%s,\"maxUnavailable\":%s}}", surge,
             unavailable);
    AUTO_JSON *strategy = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(strategy != NULL, &err);
    return rollout_bounds(strategy, replicas);
}

TEST(rollout_rounds_surge_up_and_unavailable_down)
{
    static const struct {
        const char *surge, *unavailable;
        int64_t replicas, max_surge, max_unavailable;
    } rows[] = {
        {"\"25%\"", "\"25%\"", 1, 1, 0},   {"\"25%\"", "\"25%\"", 3, 1, 0}, {"\"25%\"", "\"25%\"", 4, 1, 1},
        {"\"25%\"", "\"25%\"", 10, 3, 2},  {"\"25%\"", "\"25%\"", 0, 0, 0}, {"0", "0", 5, 0, 1},
        {"\"0%\"", "\"0%\"", 5, 0, 1},     {"0", "\"10%\"", 5, 0, 1},       {"2", "7", 5, 2, 5},
        {"\"100%\"", "\"100%\"", 3, 3, 3}, {"\"200%\"", "0", 3, 6, 0},      {"\"1%\"", "\"1%\"", 100, 1, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rollout_bounds bounds = bounds_of(rows[i].surge, rows[i].unavailable, rows[i].replicas);
        CHECK_INT(bounds.max_surge, rows[i].max_surge);
        CHECK_INT(bounds.max_unavailable, rows[i].max_unavailable);
    }
}

TEST(rollout_of_recreate_has_no_bounds)
{
    struct error err;
    AUTO_JSON *strategy = json_parse(BYTES_LITERAL("{\"type\":\"Recreate\"}"), 0, &err);
    struct rollout_bounds bounds = rollout_bounds(strategy, 10);
    CHECK_INT(bounds.max_surge, 0);
    CHECK_INT(bounds.max_unavailable, 0);
}

TEST(rollout_scales_the_newest_up_as_far_as_the_surge_has_room)
{
    static const struct {
        int64_t replicas, surge, total, newest, wanted;
    } rows[] = {
        {10, 0, 10, 0, 0},                    /* no room */
        {10, 2, 10, 0, 2}, {10, 2, 5, 5, 10}, /* never above what is wanted */
        {10, 2, 8, 2, 6},  {10, 0, 12, 2, 2}, {1, 1, 0, 0, 1}, {3, 1, 3, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        CHECK_INT(rollout_scale_up(rows[i].replicas, rows[i].surge, rows[i].total, rows[i].newest), rows[i].wanted);
}

/* replicas/available */
struct pair {
    int64_t replicas, available;
};

TEST(rollout_scales_old_ones_down_only_as_far_as_availability_allows)
{
    static const struct {
        int64_t replicas, max_unavailable;
        struct pair newest, old[2];
        int64_t wanted[2];
    } rows[] = {
        /* the new ones are not ready yet: nothing may go */
        {10, 0, {2, 0}, {{10, 10}}, {10}},
        /* two of them are ready: two may go */
        {10, 0, {2, 2}, {{10, 10}}, {8}},
        /* two may be missing, so two go at once */
        {10, 2, {0, 0}, {{10, 10}}, {8}},
        /* what is not available goes first, from the oldest on, and takes nothing from anybody */
        {10, 2, {0, 0}, {{5, 3}, {5, 5}}, {3, 5}},
        {10, 2, {0, 0}, {{8, 8}, {4, 0}}, {8, 0}},
        /* the newest is complete: everything old goes */
        {3, 0, {3, 3}, {{1, 1}}, {0}},
        {3, 0, {3, 3}, {{1, 1}, {2, 0}}, {0, 0}},
        /* there is nothing old */
        {3, 0, {3, 1}, {{0, 0}}, {0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rollout_set newest = {.replicas = rows[i].newest.replicas, .available = rows[i].newest.available};
        struct rollout_set old[2] = {{0}};
        for (size_t j = 0; j < 2; j++)
            old[j] = (struct rollout_set){.replicas = rows[i].old[j].replicas, .available = rows[i].old[j].available};
        bool moved = rollout_scale_down(old, 2, &newest, rows[i].replicas, rows[i].max_unavailable);
        CHECK_INT(moved, rows[i].wanted[0] != rows[i].old[0].replicas || rows[i].wanted[1] != rows[i].old[1].replicas);
        CHECK_INT(old[0].wanted, rows[i].wanted[0]);
        CHECK_INT(old[1].wanted, rows[i].wanted[1]);
    }
}

TEST(rollout_never_goes_below_what_must_be_available_or_above_the_surge)
{
    for (int64_t replicas = 1; replicas <= 20; replicas++) {
        for (int64_t surge = 0; surge <= 4; surge++) {
            int64_t unavailable = surge ? 0 : 1;
            struct rollout_set old = {.replicas = replicas, .available = replicas}, newest = {0};
            int steps = 0;
            for (; newest.replicas < replicas || old.replicas > 0; steps++) {
                CHECK(steps < 100);
                newest.replicas = rollout_scale_up(replicas, surge, newest.replicas + old.replicas, newest.replicas);
                CHECK(newest.replicas + old.replicas <= replicas + surge);
                if (rollout_scale_down(&old, 1, &newest, replicas, unavailable))
                    old.replicas = old.available = old.wanted;
                CHECK(newest.available + old.available >= replicas - unavailable);
                newest.available = newest.replicas; /* they become ready */
            }
        }
    }
}

TEST(rollout_spreads_a_change_of_size_over_the_sets_in_proportion)
{
    static const struct {
        int64_t replicas, surge, status_replicas;
        struct {
            int64_t replicas, max_replicas, wanted;
        } sets[3]; /* the first is the oldest */
    } rows[] = {
        /* 10 with surge 3, amid a rollout, to 15 with surge 3 (of 25%: 4) */
        {15, 4, 13, {{8, 13, 12}, {5, 13, 7}}},
        /* up from 5 to 20: 5+5 each */
        {20, 0, 10, {{5, 10, 10}, {5, 10, 10}}},
        /* the rest goes to the largest */
        {6, 0, 5, {{3, 5, 4}, {2, 5, 2}}},
        /* of equals the newer one grows first, the older one shrinks first */
        {3, 0, 2, {{1, 2, 1}, {1, 2, 2}}},
        {3, 0, 4, {{2, 4, 1}, {2, 4, 2}}},
        /* to zero */
        {0, 0, 10, {{5, 10, 0}, {5, 10, 0}}},
        /* without an annotation the deployment's own count is the base */
        {20, 0, 10, {{5, 0, 10}, {5, 0, 10}}},
        {12, 0, 10, {{6, 10, 8}, {3, 10, 4}, {0, 10, 0}}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rollout_set sets[3];
        for (int64_t j = 0; j < 3; j++)
            sets[j] = (struct rollout_set){
                .replicas = rows[i].sets[j].replicas, .max_replicas = rows[i].sets[j].max_replicas, .age_order = j};
        rollout_scale_in_proportion(sets, rows[i].sets[2].max_replicas ? 3 : 2, rows[i].replicas, rows[i].surge,
                                    rows[i].status_replicas);
        for (size_t j = 0; j < 2; j++)
            CHECK_INT(sets[j].wanted, rows[i].sets[j].wanted);
    }
}

/* --- Victims --- */

static bool same_victim(const struct victim *a, const struct victim *b)
{
    return a->assigned == b->assigned && a->phase == b->phase && a->ready == b->ready && a->in_flight == b->in_flight &&
           a->deletion_cost == b->deletion_cost && a->ready_for_s == b->ready_for_s && a->restarts == b->restarts &&
           a->created_s == b->created_s;
}

TEST(victims_go_in_the_order_of_how_little_they_are_missed)
{
    /* Each row differs from the one before in what is compared first; the last one stays longest. */
    static const struct victim order[] = {
        {.assigned = false},
        {.assigned = true, .phase = 0},
        {.assigned = true, .phase = 1},
        {.assigned = true, .phase = 2, .ready = false, .ready_for_s = -1, .in_flight = 1},
        {.assigned = true, .phase = 2, .ready = true, .deletion_cost = -5, .ready_for_s = 100},
        {.assigned = true, .phase = 2, .ready = true, .ready_for_s = 10, .restarts = 3, .created_s = 90},
        {.assigned = true, .phase = 2, .ready = true, .ready_for_s = 100, .restarts = 3, .created_s = 10},
        {.assigned = true, .phase = 2, .ready = true, .ready_for_s = 101, .restarts = 2, .created_s = 20},
        {.assigned = true, .phase = 2, .ready = true, .ready_for_s = 102, .restarts = 2, .created_s = 10},
        {.assigned = true, .phase = 2, .ready = true, .deletion_cost = 7, .ready_for_s = 1},
        {.assigned = true, .phase = 2, .ready = true, .deletion_cost = -9, .ready_for_s = 1, .in_flight = 1},
        {.assigned = true, .phase = 2, .ready = true, .deletion_cost = -8, .ready_for_s = 1, .in_flight = 4},
    };
    enum { COUNT = ARRAY_SIZE(order) };
    struct victim shuffled[COUNT];
    for (size_t step = 1; step < COUNT; step++) {
        if (COUNT % step == 0 && step > 1)
            continue; /* a step that has no divisor with COUNT visits each once */
        if (step > 1 && (step % 2 == 0 || step % 3 == 0))
            continue;
        for (size_t i = 0; i < COUNT; i++)
            shuffled[i] = order[i * step % COUNT];
        victims_sort(shuffled, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            CHECK(same_victim(&shuffled[i], &order[i]));
    }
}
