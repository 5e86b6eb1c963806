/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     sim_evoke                  seeds 1 to 100
 *     sim_evoke --seed N         one seed; with --trace, a line for each event of the world
 *     sim_evoke --seconds N      new seeds for so long
 * Each seed runs in a process of its own, so that a crash is a failure of that seed. Ends with "N passed, N failed".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "run.h"

/* A daemon that is killed frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void drop(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

static int run_here(uint64_t seed, bool trace, bool verbose)
{
    struct error err;
    struct run_result result;
    if (!verbose)
        diag_set_sink(drop, NULL, DIAG_ERROR);
    bool ok = run_seed(seed, trace, &result, &err);
    if (!ok)
        printf("seed %llu: %s (after %d crashes)\n  again: make sim SEED=%llu\n", (unsigned long long)seed, err.message,
               result.crashes, (unsigned long long)seed);
    else if (verbose)
        printf("seed %llu: %lld events, %lld replies, %d crashes (%d of them power losses), fingerprint %016llx\n",
               (unsigned long long)seed, (long long)result.events, (long long)result.replies, result.crashes,
               result.power_losses, (unsigned long long)result.fingerprint);
    fflush(stdout);
    return ok ? 0 : 1;
}

static bool run_forked(uint64_t seed)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_here(seed, false, false));
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return false;
    if (WIFSIGNALED(status))
        printf("seed %llu: ended by signal %d (%s)\n  again: make sim SEED=%llu\n", (unsigned long long)seed,
               WTERMSIG(status), strsignal(WTERMSIG(status)), (unsigned long long)seed);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 100;
    long seconds = 0;
    bool trace = false, one = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            one = true, first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = atol(argv[++i]);
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "usage: sim_evoke [--seed N [--trace] | --seeds N | --seconds N]\n"), 2;
    }
    if (one)
        return run_here(first, trace, true);
    int passed = 0, failed = 0;
    time_t end = time(NULL) + seconds;
    if (seconds > 0)
        first = (uint64_t)time(NULL) * 1000, count = UINT64_MAX;
    for (uint64_t seed = first; count > 0 && (seconds == 0 || time(NULL) < end); seed++, count--) {
        if (run_forked(seed))
            passed++;
        else
            failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
