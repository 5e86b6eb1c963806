/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the program: a tree of constant tables, one file each (command_*.c). The tree chooses what runs,
 * prints the help, and makes the completion scripts (completion.h).
 */
#ifndef EVOKE_COMMAND_H
#define EVOKE_COMMAND_H

#include "evoke/flags.h"

struct command {
    const char *name;
    const char *about; /* a line in the list of commands */
    struct flags flags;
    const char *details;  /* below the line in the help; NULL: nothing more to say */
    const char *examples; /* whole lines, each ended; NULL: none */
    int (*run)(const struct command *self, int argc,
               char **argv);               /* argv: what follows the name; gives the exit code */
    const struct command *const *children; /* instead of `run`; ends with NULL */
};

extern const struct command command_root; /* main.c */
extern const struct command command_serve, command_up, command_down;
extern const struct command command_publish, command_consume, command_topic, command_group;
extern const struct command command_image, command_check, command_kubeconfig, command_version, command_completion;

/* Exit codes, for scripts. The help says them too. */
enum command_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,     /* the command line or a settings file is wrong */
    EXIT_NOT_FOUND = 3, /* what is named is not there */
    EXIT_NOT_NOW = 4,   /* nobody answers at the address; a port or directory is in use; too late: it may work later */
};

/* Runs the command that argv names below `command`; prints its help when asked to. */
int command_run(const struct command *command, int argc, char **argv);

/*
 * flags_parse() with the customary ends: prints the help and gives 0, or the error and gives 2, in *exit_code; true: go
 * on. `arguments` NULL: the command has none.
 */
bool command_parse(const struct command *self, int argc, char **argv, void *options, struct arguments *arguments,
                   int *exit_code);
/* "evoke: message" on standard error; returns the exit code that goes with the error. */
int command_fail(const struct error *err);
/* The same for what the user has written wrong. */
int command_fail_usage(const struct error *err);

#endif
