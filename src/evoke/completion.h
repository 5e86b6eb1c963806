/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts for shells, made from the tree of commands: every command, flag and choice that is in it. Values
 * called FILE, PATH and DIR are completed as such; TOPIC and GROUP by asking the server, if one answers.
 */
#ifndef EVOKE_COMPLETION_H
#define EVOKE_COMPLETION_H

#include <stdio.h>

#include "evoke/command.h"

void completion_print_bash(const struct command *root, FILE *out);
void completion_print_zsh(const struct command *root, FILE *out);
void completion_print_fish(const struct command *root, FILE *out);

#endif
