/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thompson's construction: the tree becomes a program whose steps are the states of a nondeterministic automaton, and
 * matching follows all of them at once, each at most once a byte (Russ Cox, "Regular Expression Matching: the Virtual
 * Machine Approach").
 */
#include "base/regexp.h"

#include <assert.h>

#include "base/memory.h"
#include "base/regexp_priv.h"

enum step_kind { STEP_SET, STEP_ASSERTION, STEP_JUMP, STEP_SPLIT, STEP_MATCH };

struct step {
    enum step_kind kind;
    enum regexp_assertion assertion;
    uint32_t to, or_to;
    struct regexp_set set;
};

/* The steps that wait for the next byte. */
struct steps {
    uint32_t *at;
    size_t count;
};

struct regexp {
    struct step *program;
    uint32_t count;
    struct steps now, next;
    uint32_t *stack;
    uint32_t *seen; /* by step: the round in which it was last reached */
    uint32_t round;
};

/* --- Compiling --- */

struct compiler {
    struct step steps[REGEXP_PROGRAM_MAX];
    uint32_t count;
    uint32_t visits; /* nodes that were visited; empty ones make no step */
    bool too_long;
};

static uint32_t emit(struct compiler *to, struct step step)
{
    if (to->count == REGEXP_PROGRAM_MAX) {
        to->too_long = true;
        return 0;
    }
    to->steps[to->count] = step;
    return to->count++;
}

static void compile(struct compiler *to, const struct regexp_node *node);

static void compile_choice(struct compiler *to, const struct regexp_node *node)
{
    uint32_t jumps = UINT32_MAX; /* those to the end, linked by their targets until it is known */
    for (const struct regexp_node *child = node->first; child && !to->too_long; child = child->next) {
        if (!child->next) {
            compile(to, child);
            break;
        }
        uint32_t split = emit(to, (struct step){.kind = STEP_SPLIT, .to = to->count + 1});
        compile(to, child);
        jumps = emit(to, (struct step){.kind = STEP_JUMP, .to = jumps});
        to->steps[split].or_to = to->count;
    }
    while (jumps != UINT32_MAX && !to->too_long) {
        uint32_t before = to->steps[jumps].to;
        to->steps[jumps].to = to->count;
        jumps = before;
    }
}

static void compile_repeat(struct compiler *to, const struct regexp_node *node)
{
    for (int i = 0; i < node->repeat_min && !to->too_long; i++)
        compile(to, node->first);
    if (node->repeat_max < 0) {
        uint32_t split = emit(to, (struct step){.kind = STEP_SPLIT, .to = to->count + 1});
        compile(to, node->first);
        emit(to, (struct step){.kind = STEP_JUMP, .to = split});
        to->steps[split].or_to = to->count;
        return;
    }
    uint32_t splits = UINT32_MAX; /* each may leave, to the end */
    for (int i = node->repeat_min; i < node->repeat_max && !to->too_long; i++) {
        splits = emit(to, (struct step){.kind = STEP_SPLIT, .to = to->count + 1, .or_to = splits});
        compile(to, node->first);
    }
    while (splits != UINT32_MAX && !to->too_long) {
        uint32_t before = to->steps[splits].or_to;
        to->steps[splits].or_to = to->count;
        splits = before;
    }
}

static void compile(struct compiler *to, const struct regexp_node *node)
{
    if (++to->visits > 16 * REGEXP_PROGRAM_MAX)
        to->too_long = true;
    if (to->too_long)
        return;
    switch (node->kind) {
    case REGEXP_EMPTY:
        return;
    case REGEXP_SET:
        emit(to, (struct step){.kind = STEP_SET, .set = node->set});
        return;
    case REGEXP_ASSERTION:
        emit(to, (struct step){.kind = STEP_ASSERTION, .assertion = node->assertion});
        return;
    case REGEXP_SEQUENCE:
        for (const struct regexp_node *child = node->first; child && !to->too_long; child = child->next)
            compile(to, child);
        return;
    case REGEXP_CHOICE:
        compile_choice(to, node);
        return;
    case REGEXP_REPEAT:
        compile_repeat(to, node);
        return;
    }
}

struct regexp *regexp_compile(struct bytes pattern, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct regexp_node *tree = regexp_parse(pattern, &arena, err);
    if (!tree)
        return NULL;
    struct compiler *to = ARENA_NEW(&arena, struct compiler);
    compile(to, tree);
    emit(to, (struct step){.kind = STEP_MATCH});
    if (to->too_long) {
        error_set(err, ERROR_LIMIT, "the regular expression has more than %d steps", REGEXP_PROGRAM_MAX);
        return NULL;
    }
    struct regexp *regexp = NEW(struct regexp);
    regexp->count = to->count;
    regexp->program = memory_new_array(to->count, sizeof *regexp->program);
    memcpy(regexp->program, to->steps, to->count * sizeof *regexp->program);
    regexp->now.at = memory_new_array(to->count, sizeof(uint32_t));
    regexp->next.at = memory_new_array(to->count, sizeof(uint32_t));
    regexp->seen = memory_new_array(to->count, sizeof(uint32_t));
    regexp->stack = memory_new_array((size_t)2 * to->count + 1, sizeof(uint32_t));
    return regexp;
}

void regexp_free(struct regexp *regexp)
{
    if (!regexp)
        return;
    free(regexp->program);
    free(regexp->now.at);
    free(regexp->next.at);
    free(regexp->seen);
    free(regexp->stack);
    free(regexp);
}

/* --- Matching --- */

static bool is_word(struct bytes text, size_t at)
{
    if (at >= text.size)
        return false;
    uint8_t c = text.data[at];
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

static bool holds(enum regexp_assertion assertion, struct bytes text, size_t at)
{
    bool boundary = is_word(text, at) != (at > 0 && is_word(text, at - 1));
    switch (assertion) {
    case REGEXP_TEXT_START:
        return at == 0;
    case REGEXP_TEXT_END:
        return at == text.size;
    case REGEXP_LINE_START:
        return at == 0 || text.data[at - 1] == '\n';
    case REGEXP_LINE_END:
        return at == text.size || text.data[at] == '\n';
    case REGEXP_WORD_BOUNDARY:
        return boundary;
    case REGEXP_NO_WORD_BOUNDARY:
        return !boundary;
    }
    return false;
}

/* Follows what takes no byte, from `step` on. Each step is pushed at most twice a round: the stack has room. */
static void reach(struct regexp *regexp, struct steps *out, uint32_t step, struct bytes text, size_t at)
{
    size_t depth = 0;
    regexp->stack[depth++] = step;
    while (depth > 0) {
        step = regexp->stack[--depth];
        if (regexp->seen[step] == regexp->round)
            continue;
        regexp->seen[step] = regexp->round;
        const struct step *to = &regexp->program[step];
        if (to->kind == STEP_JUMP) {
            regexp->stack[depth++] = to->to;
        } else if (to->kind == STEP_SPLIT) {
            regexp->stack[depth++] = to->or_to;
            regexp->stack[depth++] = to->to;
        } else if (to->kind == STEP_ASSERTION) {
            if (holds(to->assertion, text, at))
                regexp->stack[depth++] = step + 1;
        } else {
            out->at[out->count++] = step;
        }
    }
}

static void begin_round(struct regexp *regexp)
{
    if (++regexp->round == 0) { /* after four billion of them */
        memset(regexp->seen, 0, regexp->count * sizeof *regexp->seen);
        regexp->round = 1;
    }
}

bool regexp_matches(struct regexp *regexp, struct bytes text)
{
    regexp->now.count = 0;
    begin_round(regexp);
    reach(regexp, &regexp->now, 0, text, 0);
    for (size_t at = 0; at < text.size && regexp->now.count > 0; at++) {
        regexp->next.count = 0;
        begin_round(regexp);
        for (size_t i = 0; i < regexp->now.count; i++) {
            uint32_t step = regexp->now.at[i];
            if (regexp->program[step].kind == STEP_SET && regexp_set_has(&regexp->program[step].set, text.data[at]))
                reach(regexp, &regexp->next, step + 1, text, at + 1);
        }
        struct steps swap = regexp->now;
        regexp->now = regexp->next;
        regexp->next = swap;
    }
    for (size_t i = 0; i < regexp->now.count; i++)
        if (regexp->program[regexp->now.at[i]].kind == STEP_MATCH)
            return true;
    return false;
}
