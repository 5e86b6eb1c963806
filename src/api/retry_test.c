/* SPDX-License-Identifier: Apache-2.0 */
#include "api/retry.h"

#include "base/diag.h"
#include "io/simulated.h"
#include "test.h"

struct trial {
    struct io *io;
    struct retry retry;
    unsigned runs, refusals; /* how many of the first runs fail */
    uint64_t at_ms[64];
};

static bool run(void *ctx, struct error *err)
{
    struct trial *trial = ctx;
    trial->at_ms[trial->runs % 64] = io_now_ms(trial->io);
    return trial->runs++ >= trial->refusals || error_set(err, ERROR_LIMIT, "the disk is full");
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static void trial_run_ms(struct trial *trial, uint64_t ms)
{
    CHECK(!io_simulated_run_until(trial->io, never, NULL, ms));
}

static void say_nothing(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

static void trial_open(struct trial *trial, unsigned refusals)
{
    diag_set_sink(say_nothing, NULL, DIAG_ERROR); /* what fails here fails on purpose */
    *trial = (struct trial){.io = io_simulated_new(1), .refusals = refusals};
    retry_init(trial->io, &trial->retry, "api", run, trial);
}

static void trial_close(struct trial *trial)
{
    retry_stop(&trial->retry);
    io_free(trial->io);
}

TEST(what_succeeds_runs_once)
{
    struct trial trial;
    trial_open(&trial, 0);
    retry_soon(&trial.retry);
    retry_soon(&trial.retry);
    CHECK_INT(trial.runs, 0);
    trial_run_ms(&trial, 600000);
    CHECK_INT(trial.runs, 1);
    trial_close(&trial);
}

TEST(what_fails_runs_again_after_pauses_that_double_up_to_a_minute)
{
    struct trial trial;
    trial_open(&trial, 20);
    retry_now(&trial.retry);
    CHECK_INT(trial.runs, 1);
    trial_run_ms(&trial, 3600000);
    CHECK_INT(trial.runs, 21);
    CHECK_INT(trial.at_ms[1] - trial.at_ms[0], RETRY_PAUSE_MIN_MS);
    CHECK_INT(trial.at_ms[2] - trial.at_ms[1], 2 * RETRY_PAUSE_MIN_MS);
    CHECK_INT(trial.at_ms[20] - trial.at_ms[19], RETRY_PAUSE_MAX_MS);
    trial.refusals = trial.runs + 1; /* after a success it is the first failure again */
    retry_now(&trial.retry);
    trial_run_ms(&trial, RETRY_PAUSE_MIN_MS);
    CHECK_INT(trial.runs, 23);
    trial_close(&trial);
}

TEST(asking_again_cuts_a_pause_short)
{
    struct trial trial;
    trial_open(&trial, 12);
    retry_now(&trial.retry);
    for (unsigned i = 1; i < 12; i++)
        retry_now(&trial.retry);
    uint64_t failed_ms = io_now_ms(trial.io);
    retry_within(&trial.retry, 3);
    retry_within(&trial.retry, 1000); /* later than what was asked for */
    trial_run_ms(&trial, 3600000);
    CHECK_INT(trial.runs, 13);
    CHECK_INT(trial.at_ms[12] - failed_ms, 3);
    trial_close(&trial);
}

TEST(what_was_stopped_does_not_run)
{
    struct trial trial;
    trial_open(&trial, 1);
    retry_now(&trial.retry);
    retry_soon(&trial.retry);
    retry_stop(&trial.retry);
    trial_run_ms(&trial, 600000);
    CHECK_INT(trial.runs, 1);
    trial_close(&trial);
}
