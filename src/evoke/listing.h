/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands list or describe: made once as JSON, printed as the user likes it.
 */
#ifndef EVOKE_LISTING_H
#define EVOKE_LISTING_H

#include <stdio.h>

#include "evoke/flags.h"
#include "wire/json.h"

struct listing_column {
    const char *key;   /* of a row; a string or a number; a number is right-aligned */
    const char *title; /* NULL: ends the columns */
};

/* `rows`: an array of objects. As wide as its widest value needs on a terminal; a value that is missing or null is "-",
   control characters are shown as \x1b. */
void listing_print_table(const struct json *rows, const struct listing_column *columns, FILE *out);
/* Indented, and a line break. */
void listing_print_json(const struct json *value, FILE *out);
/* A value of `key` for each row, a line each: for scripts and completion. */
void listing_print_names(const struct json *rows, const char *key, FILE *out);

/* The flag of commands that list: --output table, json or name. `at`: where it goes, a const char *; NULL: a table. */
#define LISTING_FLAG(at)                                                                                               \
    {                                                                                                                  \
        "output", "table|json|name", "what is printed (default table)", (at), 'o', FLAG_CHOICE                         \
    }
/* The flag of those that describe. */
#define LISTING_DESCRIBE_FLAG(at)                                                                                      \
    {                                                                                                                  \
        "output", "text|json", "what is printed (default text)", (at), 'o', FLAG_CHOICE                                \
    }

/* Prints as the flag says. `rows` has a column "name" at the front. */
void listing_print(const struct json *rows, const struct listing_column *columns, const char *output);
bool listing_is_json(const char *output);

#endif
