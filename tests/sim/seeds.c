/* SPDX-License-Identifier: Apache-2.0 */
#include "seeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "io/simulated.h"
#include "tally.h"

/* A daemon that is killed frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* --- Traces --- */

static enum { TRACE_NOTHING, TRACE_WORDS, TRACE_ALL } trace; /* of this process, which runs one seed */
static double now_s;
static bool counting;

static void print_event(void *ctx, uint64_t now_ns, unsigned program, const char *what)
{
    (void)ctx;
    static const char *const words[] = {"- ", "killed", "power loss", "signal"};
    bool shown = trace == TRACE_ALL;
    now_s = (double)now_ns / 1e9;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        shown = shown || strncmp(what, words[i], strlen(words[i])) == 0;
    if (shown)
        printf("%12.6f %3u %s\n", now_s, program, what);
}

static void print_message(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    (void)ctx;
    printf("%12.6f     evoke: %s: %s: %s\n", now_s, (size_t)level < 4 ? names[level] : "", folder, message);
}

void seeds_trace(struct io *io)
{
    if (trace != TRACE_NOTHING)
        io_simulated_trace(io, print_event, NULL);
}

/* --- Runs --- */

static void count_only(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level;
    tally_message(folder, message);
}

static void say_how_to_repeat(const struct seeds *seeds, uint64_t seed)
{
    printf("  again: make sim SEED=%" PRIu64 " SIM=%s\n", seed, seeds->program);
    fflush(stdout);
}

static int run_here(const struct seeds *seeds, uint64_t seed, bool verbose)
{
    struct error err;
    char summary[SEEDS_SUMMARY_SIZE] = "";
    diag_set_sink(verbose ? print_message : count_only, NULL, verbose || counting ? DIAG_INFO : DIAG_ERROR);
    tally_seed(seed);
    bool ok = seeds->run(seed, summary, sizeof summary, &err);
    if (!ok) {
        printf("seed %" PRIu64 ": %s (%s)\n", seed, err.message, summary);
        say_how_to_repeat(seeds, seed);
    } else if (verbose) {
        printf("seed %" PRIu64 ": %s\n", seed, summary);
    }
    fflush(stdout);
    return ok ? 0 : 1;
}

static bool run_forked(const struct seeds *seeds, uint64_t seed)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_here(seeds, seed, false));
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return false;
    if (WIFSIGNALED(status)) {
        printf("seed %" PRIu64 ": ended by signal %d (%s)\n", seed, WTERMSIG(status), strsignal(WTERMSIG(status)));
        say_how_to_repeat(seeds, seed);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct tally {
    int passed, failed;
};

static void run_range(const struct seeds *seeds, uint64_t first, uint64_t count, time_t until, struct tally *tally)
{
    for (uint64_t seed = first; seed - first < count && (until == 0 || time(NULL) < until); seed++) {
        bool ok = run_forked(seeds, seed);
        tally->passed += ok;
        tally->failed += !ok;
    }
}

/* The first hexadecimal digits of the commit, so that every commit looks where none has looked before. 0: unknown. */
static uint64_t seed_of_commit(void)
{
    char digits[9];
    const char *commit = getenv("EVOKE_COMMIT");
    snprintf(digits, sizeof digits, "%s", commit ? commit : "");
    return strtoull(digits, NULL, 16);
}

int seeds_main(const struct seeds *seeds, int argc, char **argv)
{
    uint64_t one = 0, count = 0;
    long seconds = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            trace = TRACE_WORDS;
        else if (strcmp(argv[i], "--trace-all") == 0)
            trace = TRACE_ALL;
        else if (strcmp(argv[i], "--counts") == 0)
            counting = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            one = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = atol(argv[++i]);
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else
            return fprintf(stderr,
                           "usage: %s [--seed N [--trace | --trace-all] | [--seeds N | --seconds N] [--counts]]\n",
                           seeds->program),
                   2;
    }
    if (counting)
        tally_on();
    if (one)
        return run_here(seeds, one, true);
    struct tally tally = {0};
    if (seconds > 0) {
        run_range(seeds, (uint64_t)time(NULL) * 1000, UINT64_MAX, time(NULL) + seconds, &tally);
    } else if (count > 0) {
        run_range(seeds, 1, count, 0, &tally);
    } else {
        run_range(seeds, 1, seeds->fixed, 0, &tally);
        for (size_t i = 0; i < seeds->found_count; i++)
            run_range(seeds, seeds->found[i], 1, 0, &tally);
        if (seed_of_commit())
            run_range(seeds, 1000000 * seed_of_commit(), seeds->chosen, 0, &tally);
    }
    tally_print();
    printf("%d passed, %d failed\n", tally.passed, tally.failed);
    return tally.failed ? 1 : 0;
}
