/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text, handed to libfyaml as it asks for it. A flow collection may turn out to be the key of a mapping
 * ("[a, b]: c"), so before its first event libfyaml reads on to its end and keeps every token, some hundred bytes for a
 * "[". So what it may read between two events is bounded by the indicators therein: a mebibyte of brackets took three
 * hundred. A scalar that is quoted or a block is one token whatever is in it, and has no such bound.
 */
#ifndef WIRE_YAML_FEED_H
#define WIRE_YAML_FEED_H

#include <sys/types.h>

#include "base/bytes.h"

enum { YAML_INDICATORS_AHEAD_MAX = 500000 };

struct yaml_feed {
    struct bytes text;
    size_t given;      /* bytes of it */
    size_t settled;    /* the end of the last token that came as an event */
    size_t indicators; /* given since that event */
    bool too_far;      /* the bound was reached: what the parser says is of no account */
};

/* For fy_parser_set_input_callback(). Reaching the bound looks like the end of the text: after an error libfyaml asks
 * again and again. */
ssize_t yaml_feed_give(void *feed, void *out, size_t size);
/* An event came, whose token ends at `end`. */
void yaml_feed_settle(struct yaml_feed *feed, size_t end);

#endif
