/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of two words: evoke topic create. */
#ifndef EVOKE_SUBCOMMAND_H
#define EVOKE_SUBCOMMAND_H

#include "evoke/command.h"

/* Runs the one of `commands` (ends with a NULL name) that argv[0] names; help and errors speak of "evoke <parent>". */
int subcommand_run(const char *parent, const char *about, const struct command *commands, int argc, char **argv);

#endif
