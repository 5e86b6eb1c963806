/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions whose matching time is the product of the text's length and the expression's, whatever either is:
 * they come from clients. So there are no back references and no look-around, which is what RE2 leaves out too.
 *
 * The syntax is RE2's (https://github.com/google/re2/wiki/Syntax) over bytes: literals, ., classes with ranges,
 * negation, [:posix:] and \d \w \s, groups of all kinds, |, * + ? {n,m} and their lazy twins, ^ $ \A \z \b \B, the
 * flags i, m, s, U, and \Q..\E. Unicode classes (\pL) are refused. Beyond ASCII a byte stands for itself.
 */
#ifndef BASE_REGEXP_H
#define BASE_REGEXP_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    REGEXP_SIZE_MAX = 4096,    /* bytes of an expression */
    REGEXP_PROGRAM_MAX = 2000, /* steps that it may compile to; x{1000} has a thousand */
    REGEXP_REPEAT_MAX = 1000,
    REGEXP_DEPTH_MAX = 100, /* groups within groups */
};

struct regexp;

/* ERROR_INVALID says what is wrong and where; ERROR_LIMIT: one of the limits above. */
struct regexp *regexp_compile(struct bytes pattern, struct error *err);
void regexp_free(struct regexp *regexp);

/* Whether it matches the whole of the text. */
bool regexp_matches(struct regexp *regexp, struct bytes text);

#endif
