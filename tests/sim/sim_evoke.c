/* SPDX-License-Identifier: Apache-2.0 */
/* The whole daemon: see seeds.h for how to call it, run.c for what it does. */
#include "run.h"
#include "seeds.h"

int main(int argc, char **argv)
{
    const struct seeds seeds = {.program = "sim_evoke", .fixed = 100, .chosen = 20, .run = run_seed};
    return seeds_main(&seeds, argc, argv);
}
