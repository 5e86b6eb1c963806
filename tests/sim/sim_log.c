/* SPDX-License-Identifier: Apache-2.0 */
/* The log under every client of the Kafka door at once: see seeds.h for how to call it, log_run.c for what it does. */
#include "log_run.h"
#include "seeds.h"

int main(int argc, char **argv)
{
    const struct seeds seeds = {.program = "sim_log", .fixed = 150, .chosen = 50, .run = log_run_seed};
    return seeds_main(&seeds, argc, argv);
}
