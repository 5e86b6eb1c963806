/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines, described by a table: "--name VALUE", "--name=VALUE", "-f VALUE", switches, and positional arguments.
 * The same table prints the help. "--" ends the flags; "--help" and "-h" are known everywhere.
 */
#ifndef EVOKE_FLAGS_H
#define EVOKE_FLAGS_H

#include <stdio.h>

#include "base/error.h"

enum flag_type { FLAG_TEXT, FLAG_NUMBER, FLAG_SWITCH, FLAG_LIST };

enum { FLAG_LIST_MAX = 64 };

struct flag_list {
    const char *items[FLAG_LIST_MAX];
    size_t count;
};

struct flag {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum flag_type type;
    void *out;         /* const char **, int64_t *, bool *, struct flag_list * */
    const char *value; /* what stands for the value in the help: "DIR" */
    const char *help;  /* one line */
};

struct command_line {
    const char *usage;        /* "evoke publish [flags] TOPIC" */
    const char *about;        /* what it does: a paragraph */
    const struct flag *flags; /* ends with a NULL name; may be NULL */
    size_t arguments_min, arguments_max;
};

enum flags_result { FLAGS_OK, FLAGS_HELP, FLAGS_WRONG };

/* Parses argv[0..argc) (the command's own name is not in it). The positional arguments come out in `arguments`, which
 * has room for arguments_max. FLAGS_WRONG: err says what is wrong; FLAGS_HELP: help was asked for. */
enum flags_result flags_parse(const struct command_line *line, int argc, char **argv, const char **arguments,
                              size_t *argument_count, struct error *err);
void flags_print_help(const struct command_line *line, FILE *out);

#endif
