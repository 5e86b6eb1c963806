/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the program, one file each (command_*.c). Exit codes: 0 done, 1 it failed, 2 wrong usage. */
#ifndef EVOKE_COMMAND_H
#define EVOKE_COMMAND_H

#include "evoke/flags.h"

struct command {
    const char *name;
    const char *about;                 /* a line in `evoke help` */
    int (*run)(int argc, char **argv); /* what follows the command's name */
};

int command_serve(int argc, char **argv);
int command_up(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_consume(int argc, char **argv);
int command_topic(int argc, char **argv);
int command_group(int argc, char **argv);
int command_image(int argc, char **argv);
int command_check(int argc, char **argv);
int command_kubeconfig(int argc, char **argv);
int command_version(int argc, char **argv);

/*
 * flags_parse() with the customary ends: prints the help and gives 0, or the error and gives 2, in *exit_code; true:
 * go on.
 */
bool command_parse(const struct command_line *line, int argc, char **argv, const char **arguments,
                   size_t *argument_count, int *exit_code);
/* "evoke: message" on standard error; returns 1. */
int command_fail(const struct error *err);

/* $EVOKE_DATA, else /var/lib/evoke as root, else $XDG_DATA_HOME/evoke or ~/.local/share/evoke. Lives for ever. */
const char *command_default_data(void);

#endif
