/* SPDX-License-Identifier: Apache-2.0 */
/* The whole daemon: see seeds.h for how to call it, run.c for what it does. */
#include "run.h"
#include "seeds.h"

int main(int argc, char **argv)
{
    static const uint64_t found[] = {
        1795929053300, /* a Broker's finalizer that a full journal would not let go */
    };
    const struct seeds seeds = {.program = "sim_evoke",
                                .fixed = 100,
                                .chosen = 20,
                                .found = found,
                                .found_count = sizeof found / sizeof found[0],
                                .run = run_seed};
    return seeds_main(&seeds, argc, argv);
}
