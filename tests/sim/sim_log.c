/* SPDX-License-Identifier: Apache-2.0 */
/* The log under every client of the Kafka door at once: see seeds.h for how to call it, log_run.c for what it does. */
#include "log_run.h"
#include "seeds.h"

/* What OffsetFetch and DeleteGroups told was not on disk; damage in a segment, and what the simulation made of it; a
 * transaction whose topic was made again between its AddPartitionsToTxn and its batch (the simulation's own). */
static const uint64_t found[] = {1795936672102, 1795936710180, 1795936710252, 1795936710043, 1795936710088,
                                 1795937631593, 1795937823102, 1795961127294, 1795961127775};

int main(int argc, char **argv)
{
    const struct seeds seeds = {.program = "sim_log",
                                .fixed = 150,
                                .chosen = 50,
                                .found = found,
                                .found_count = sizeof found / sizeof *found,
                                .run = log_run_seed};
    return seeds_main(&seeds, argc, argv);
}
