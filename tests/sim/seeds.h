/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which seeds a program of the simulation runs, each in a process of its own, so that a crash is a failure of that
 * seed:
 *
 *     sim_x                        as in `make test`: a fixed set, and one that the commit chooses (EVOKE_COMMIT)
 *     sim_x --seed N [--trace]     one; with what clients and evoke did and said, or, with --trace-all, a line for each
 *                                  event of the world
 *     sim_x --seeds N | --seconds N    seeds 1 to N; new ones for so long
 *     ... --counts                 and how often each thing happened (tally.h)
 * Ends with "N passed, N failed".
 */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/io.h"

struct seeds {
    const char *program; /* for messages */
    uint64_t fixed, chosen;
    const uint64_t *found; /* seeds that failed once: part of the fixed set */
    size_t found_count;
    /* False: something that was promised does not hold. `summary` is one line about a run. */
    bool (*run)(uint64_t seed, char *summary, size_t size, struct error *err);
};
enum { SEEDS_SUMMARY_SIZE = 512 };

/* To be called once by `run`, with an io of the world: prints what was asked for. */
void seeds_trace(struct io *io);

int seeds_main(const struct seeds *seeds, int argc, char **argv);

#endif
