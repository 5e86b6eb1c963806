/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of io.h: clock, timers, deferred calls, work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"
#include "world.h"

struct script {
    struct io *io;
    char said[256];
    struct io_timer timers[8];
    struct io_deferred deferred[4];
    int count;
};

static void say(struct script *script, const char *word)
{
    size_t used = strlen(script->said);
    snprintf(script->said + used, sizeof script->said - used, "%s ", word);
}

static void say_a(void *ctx)
{
    say(ctx, "a");
}

static void say_b(void *ctx)
{
    say(ctx, "b");
}

static void say_c(void *ctx)
{
    say(ctx, "c");
}

static void say_stop(void *ctx)
{
    struct script *script = ctx;
    say(script, "stop");
    io_stop(script->io);
}

TEST(timers_run_by_due_time_then_in_the_order_they_were_started)
{
    struct script script = {.io = world_new()};
    io_timer_init(script.io, &script.timers[0], say_a, &script);
    io_timer_init(script.io, &script.timers[1], say_b, &script);
    io_timer_init(script.io, &script.timers[2], say_c, &script);
    io_timer_init(script.io, &script.timers[3], say_stop, &script);
    io_timer_start(&script.timers[3], 20);
    io_timer_start(&script.timers[2], 10);
    io_timer_start(&script.timers[0], 10);
    io_timer_start(&script.timers[1], 5);
    uint64_t before_ns = io_now_ns(script.io);
    io_run(script.io);
    CHECK_STR(script.said, "b c a stop ");
    CHECK(io_now_ns(script.io) - before_ns >= 20000000);
    CHECK(!io_timer_active(&script.timers[3]));
    io_free(script.io);
}

TEST(a_stopped_timer_does_not_run_and_a_started_one_can_be_moved)
{
    struct script script = {.io = world_new()};
    io_timer_init(script.io, &script.timers[0], say_a, &script);
    io_timer_init(script.io, &script.timers[1], say_b, &script);
    io_timer_init(script.io, &script.timers[2], say_stop, &script);
    io_timer_start(&script.timers[0], 1);
    io_timer_start(&script.timers[1], 60000);
    io_timer_start(&script.timers[1], 2);
    io_timer_start(&script.timers[2], 10);
    io_timer_stop(&script.timers[0]);
    io_timer_stop(&script.timers[0]);
    CHECK(io_timer_active(&script.timers[1]));
    io_run(script.io);
    CHECK_STR(script.said, "b stop ");
    io_free(script.io);
}

static void restart_at_once(void *ctx)
{
    struct script *script = ctx;
    if (++script->count == 1000)
        io_stop(script->io);
    io_timer_start(&script->timers[0], 0);
}

TEST(a_timer_that_restarts_itself_without_delay_does_not_starve_the_loop)
{
    struct script script = {.io = world_new()};
    io_timer_init(script.io, &script.timers[0], restart_at_once, &script);
    io_timer_start(&script.timers[0], 0);
    io_run(script.io);
    CHECK(script.count >= 1000); /* the turn in which it stops may hold more than one */
    io_timer_stop(&script.timers[0]);
    io_free(script.io);
}

TEST(a_thousand_timers_in_random_order_run_sorted)
{
    struct script script = {.io = world_new()};
    static struct io_timer timers[1000];
    io_timer_init(script.io, &script.timers[0], say_stop, &script);
    for (size_t i = 0; i < 1000; i++) {
        io_timer_init(script.io, &timers[i], say_a, &script);
        io_timer_start_ns(&timers[i], io_random_below(script.io, 3000000));
    }
    for (size_t i = 0; i < 1000; i += 2)
        io_timer_stop(&timers[i]);
    io_timer_start(&script.timers[0], 4);
    io_run(script.io);
    for (size_t i = 0; i < 1000; i++)
        CHECK(!io_timer_active(&timers[i]));
    io_free(script.io);
}

static void defer_two(void *ctx)
{
    struct script *script = ctx;
    io_defer(&script->deferred[0]);
    io_defer(&script->deferred[1]);
    io_defer(&script->deferred[0]);
    io_defer(&script->deferred[2]);
    io_deferred_cancel(&script->deferred[2]);
    say(script, "asked");
}

TEST(deferred_calls_run_once_after_the_callback_that_asked)
{
    struct script script = {.io = world_new()};
    io_deferred_init(script.io, &script.deferred[0], say_a, &script);
    io_deferred_init(script.io, &script.deferred[1], say_stop, &script);
    io_deferred_init(script.io, &script.deferred[2], say_c, &script);
    io_timer_init(script.io, &script.timers[0], defer_two, &script);
    io_timer_start(&script.timers[0], 1);
    io_run(script.io);
    CHECK_STR(script.said, "asked a stop ");
    io_free(script.io);
}

static void defer_again(void *ctx)
{
    struct script *script = ctx;
    script->count++;
    io_defer(&script->deferred[0]);
}

TEST(a_deferred_call_that_defers_itself_does_not_starve_timers)
{
    struct script script = {.io = world_new()};
    io_deferred_init(script.io, &script.deferred[0], defer_again, &script);
    io_timer_init(script.io, &script.timers[0], say_stop, &script);
    io_timer_start(&script.timers[0], 3);
    io_defer(&script.deferred[0]);
    io_run(script.io);
    CHECK(script.count > 0);
    io_deferred_cancel(&script.deferred[0]);
    io_free(script.io);
}

static void do_work(void *ctx)
{
    struct script *script = ctx;
    script->count = 7;
}

TEST(work_is_done_before_its_callback)
{
    struct script script = {.io = world_new()};
    io_work(script.io, do_work, say_stop, &script);
    CHECK_STR(script.said, "");
    io_run(script.io);
    CHECK_INT(script.count, 7);
    CHECK_STR(script.said, "stop ");
    io_free(script.io);
}

static void sleep_a_little(void *ctx)
{
    (void)ctx;
    usleep(20000);
}

TEST(work_that_is_still_going_on_when_the_io_ends_calls_nobody)
{
    struct script script = {.io = world_new()};
    io_work(script.io, sleep_a_little, say_a, &script);
    io_free(script.io);
    CHECK_STR(script.said, "");
}

struct beside {
    struct io *io;
    int64_t wall_ns;
    int count;
};

static void work_beside(void *ctx)
{
    struct beside *beside = ctx;
    usleep(1000);
    beside->wall_ns = io_wall_ns(beside->io);
    beside->count++;
}

TEST(a_task_goes_on_beside_others_and_is_done_when_it_is_joined)
{
    struct io *io = world_new();
    struct beside beside[3] = {{.io = io}, {.io = io}, {.io = io}};
    struct io_task *tasks[ARRAY_SIZE(beside)];
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
        tasks[i] = io_task_begin(io, work_beside, &beside[i]);
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        io_task_join(tasks[i]);
        CHECK_INT(beside[i].count, 1);
        CHECK_INT(beside[i].wall_ns, io_wall_ns(io));
    }
    io_free(io);
}

TEST(time_stands_still_within_a_turn)
{
    struct io *io = world_new();
    uint64_t now_ns = io_now_ns(io);
    int64_t wall_ns = io_wall_ns(io);
    for (volatile int i = 0; i < 100000; i++)
        ;
    CHECK_INT(io_now_ns(io), now_ns);
    CHECK_INT(io_wall_ns(io), wall_ns);
    CHECK(wall_ns > INT64_C(1700000000) * 1000000000);
    io_free(io);
}

TEST(the_clock_is_never_behind_the_time_of_the_turn)
{
    struct io *io = world_new();
    uint64_t before_ns = io_now_ns(io);
    for (int i = 0; i < 1000; i++) {
        uint64_t clock_ns = io_clock_ns(io);
        CHECK(clock_ns >= before_ns);
        before_ns = clock_ns;
    }
    io_free(io);
}

TEST(random_numbers_stay_below_their_limit)
{
    struct io *io = world_new();
    bool seen[6] = {0};
    for (int i = 0; i < 1000; i++)
        seen[io_random_below(io, 6)] = true;
    for (int i = 0; i < 6; i++)
        CHECK(seen[i]);
    CHECK_INT(io_random_below(io, 1), 0);
    io_free(io);
}

static void count_down(void *ctx)
{
    struct script *script = ctx;
    if (--script->count == 0)
        io_stop(script->io);
    else
        io_timer_start_ns(&script->timers[0], (uint64_t)script->count * 1000);
}

TEST(timers_of_microseconds_never_fall_asleep)
{
    struct script script = {.io = world_new(), .count = 300};
    io_timer_init(script.io, &script.timers[0], count_down, &script);
    io_timer_start(&script.timers[0], 0);
    io_run(script.io);
    CHECK_INT(script.count, 0);
    io_free(script.io);
}
