/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines, described by constant tables: "--name VALUE", "--name=VALUE", "-f VALUE", switches, and positional
 * arguments. The same tables parse, print the help and make the completion scripts, so these cannot differ. "--" ends
 * the flags; "--help" and "-h" are known everywhere.
 */
#ifndef EVOKE_FLAGS_H
#define EVOKE_FLAGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"

enum flag_type {
    FLAG_TEXT,   /* const char * */
    FLAG_CHOICE, /* const char *; `value` lists what may be: "text|json" */
    FLAG_NUMBER, /* int64_t */
    FLAG_COUNT,  /* int64_t, 1 to 2147483647 */
    FLAG_INDEX,  /* int64_t, 0 to 2147483647 */
    FLAG_SWITCH, /* bool */
    FLAG_LIST,   /* struct flag_list: the flag may be given again */
};

enum { FLAG_LIST_MAX = 64, FLAG_TABLES_MAX = 3, ARGUMENTS_MAX = 64 };

struct flag_list {
    const char *items[FLAG_LIST_MAX];
    size_t count;
};

struct flag {
    const char *name;  /* without the dashes */
    const char *value; /* what stands for the value in the help: "DIR"; NULL: a switch */
    const char *help;  /* one line */
    size_t at;         /* where the value goes: offsetof() in the command's options */
    char letter;       /* 0: none */
    enum flag_type type;
    bool (*check)(const char *value, struct error *err); /* of a text; NULL: any will do */
};

struct arguments {
    const char *items[ARGUMENTS_MAX];
    size_t count;
};

/* What a command takes. All tables end with a NULL name and speak of the same options; the first NULL ends them. */
struct flags {
    const struct flag *tables[FLAG_TABLES_MAX];
    const char *arguments; /* "TOPIC [VALUE]", "GROUP...": as in the usage, and what is checked. NULL: none */
};

enum flags_result { FLAGS_OK, FLAGS_HELP, FLAGS_WRONG };

/* Parses argv[0..argc) (the command's own name is not in it) into `options`. FLAGS_WRONG: err says what is wrong;
 * FLAGS_HELP: help was asked for. */
enum flags_result flags_parse(const struct flags *flags, int argc, char **argv, void *options,
                              struct arguments *arguments, struct error *err);
/* "NAME=VALUE" of the flag --`flag`. */
MUST_CHECK bool flags_split_pair(const char *flag, const char *text, struct bytes *name, struct bytes *value,
                                 struct error *err);
void flags_print_help(const struct flags *flags, FILE *out);

/* for each flag of all tables */
const struct flag *flags_first(const struct flags *flags);
const struct flag *flags_next(const struct flags *flags, const struct flag *flag);
#define flags_each(flag, flags) for (const struct flag *flag = flags_first(flags); flag; flag = flags_next(flags, flag))

#endif
