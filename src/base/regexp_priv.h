/* SPDX-License-Identifier: Apache-2.0 */
/* What regexp_parse.c makes of an expression, and regexp.c turns into a program. */
#ifndef BASE_REGEXP_PRIV_H
#define BASE_REGEXP_PRIV_H

#include "base/arena.h"
#include "base/regexp.h"

struct regexp_set {
    uint64_t bits[4]; /* which bytes */
};

static inline bool regexp_set_has(const struct regexp_set *set, uint8_t byte)
{
    return set->bits[byte >> 6] >> (byte & 63) & 1;
}

enum regexp_assertion {
    REGEXP_TEXT_START, /* \A, and ^ without the flag m */
    REGEXP_TEXT_END,
    REGEXP_LINE_START,
    REGEXP_LINE_END,
    REGEXP_WORD_BOUNDARY,
    REGEXP_NO_WORD_BOUNDARY,
};

enum regexp_kind { REGEXP_EMPTY, REGEXP_SET, REGEXP_ASSERTION, REGEXP_SEQUENCE, REGEXP_CHOICE, REGEXP_REPEAT };

struct regexp_node {
    enum regexp_kind kind;
    struct regexp_set set;
    enum regexp_assertion assertion;
    int repeat_min, repeat_max;       /* max -1: any number */
    struct regexp_node *first, *last; /* children */
    struct regexp_node *next;         /* sibling */
};

/* In the arena; NULL with an error. */
struct regexp_node *regexp_parse(struct bytes pattern, struct arena *arena, struct error *err);

#endif
