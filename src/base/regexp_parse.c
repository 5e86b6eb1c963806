/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax: an expression becomes a tree. Recursion is bounded by REGEXP_DEPTH_MAX. */
#include <string.h>

#include "base/memory.h"
#include "base/regexp_priv.h"
#include "base/text.h"

struct parser {
    struct bytes pattern;
    size_t at;
    int depth;
    bool fold_case, multi_line, dot_all;
    struct arena *arena;
    struct error *err;
};

static struct regexp_node *fail(struct parser *in, const char *what)
{
    error_set(in->err, ERROR_INVALID, "regular expression \"" BYTES_FORMAT "\", at %zu: %s", BYTES_ARGS(in->pattern),
              in->at, what);
    return NULL;
}

static bool more(const struct parser *in)
{
    return in->at < in->pattern.size;
}

static uint8_t peek(const struct parser *in)
{
    return more(in) ? in->pattern.data[in->at] : 0;
}

static bool next_is(const struct parser *in, const char *text)
{
    return bytes_starts_with(bytes_slice(in->pattern, in->at, SIZE_MAX), bytes_of_string(text));
}

static bool skip(struct parser *in, const char *text)
{
    if (!next_is(in, text))
        return false;
    in->at += strlen(text);
    return true;
}

static struct regexp_node *new_node(struct parser *in, enum regexp_kind kind)
{
    struct regexp_node *node = ARENA_NEW(in->arena, struct regexp_node);
    node->kind = kind;
    return node;
}

static void add_child(struct regexp_node *parent, struct regexp_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

/* --- Sets of bytes --- */

static void add_range(struct regexp_set *set, int from, int to)
{
    for (int byte = from; byte <= to; byte++)
        set->bits[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

static void invert(struct regexp_set *set)
{
    for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
        set->bits[i] = ~set->bits[i];
}

static void add_set(struct regexp_set *set, struct regexp_set other)
{
    for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
        set->bits[i] |= other.bits[i];
}

static void fold(const struct parser *in, struct regexp_set *set)
{
    for (int byte = 'a'; in->fold_case && byte <= 'z'; byte++)
        if (regexp_set_has(set, (uint8_t)byte) || regexp_set_has(set, (uint8_t)(byte - 32))) {
            add_range(set, byte, byte);
            add_range(set, byte - 32, byte - 32);
        }
}

static struct regexp_node *new_set(struct parser *in, struct regexp_set set)
{
    struct regexp_node *node = new_node(in, REGEXP_SET);
    node->set = set;
    fold(in, &node->set);
    return node;
}

static struct regexp_node *new_literal(struct parser *in, uint8_t byte)
{
    struct regexp_set set = {0};
    add_range(&set, byte, byte);
    return new_set(in, set);
}

/* Pairs of first and last, as a string. */
static struct regexp_set set_of(const char *ranges)
{
    struct regexp_set set = {0};
    for (; *ranges; ranges += 2)
        add_range(&set, (uint8_t)ranges[0], (uint8_t)ranges[1]);
    return set;
}

/* \d \w \s and their opposites. */
static bool class_letter(uint8_t letter, struct regexp_set *out)
{
    switch (letter | 32) {
    case 'd':
        *out = set_of("09");
        break;
    case 'w':
        *out = set_of("azAZ09__");
        break;
    case 's':
        *out = set_of("\t\n\f\r  ");
        break;
    default:
        return false;
    }
    if (!(letter & 32))
        invert(out);
    return true;
}

static bool posix_class(struct parser *in, struct regexp_set *set)
{
    static const struct {
        const char *name, *ranges;
    } classes[] = {
        {"alnum:]", "09azAZ"},
        {"alpha:]", "azAZ"},
        {"ascii:]", "\x01\x7f"},
        {"blank:]", "\t\t  "},
        {"cntrl:]", "\x01\x1f\x7f\x7f"},
        {"digit:]", "09"},
        {"graph:]", "!~"},
        {"lower:]", "az"},
        {"print:]", " ~"},
        {"punct:]", "!/:@[`{~"},
        {"space:]", "\t\r  "},
        {"upper:]", "AZ"},
        {"word:]", "09azAZ__"},
        {"xdigit:]", "09afAF"},
    };
    bool negated = skip(in, "^");
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (skip(in, classes[i].name)) {
            struct regexp_set found = set_of(classes[i].ranges);
            if (negated)
                invert(&found);
            add_set(set, found);
            return true;
        }
    return fail(in, "no such class") != NULL;
}

/* --- Escapes --- */

/* Behind "\x": two digits, or any number in braces. */
static bool take_hex(struct parser *in, uint8_t *byte)
{
    bool braces = skip(in, "{");
    int value = 0, digits = 0;
    for (int digit; more(in) && (braces || digits < 2) && (digit = text_hex_digit(peek(in))) >= 0; in->at++, digits++)
        if ((value = value * 16 + digit) > 255)
            return fail(in, "only bytes, up to \\xff") != NULL;
    if (digits == 0 || (!braces && digits < 2) || (braces && !skip(in, "}")))
        return fail(in, "\\x wants two hexadecimal digits") != NULL;
    *byte = (uint8_t)value;
    return true;
}

/* Behind the backslash, what stands for one byte. */
static bool take_escape(struct parser *in, uint8_t *byte)
{
    static const char letters[] = "aftnrv", values[] = "\a\f\t\n\r\v";
    if (!more(in))
        return fail(in, "a backslash at the end") != NULL;
    uint8_t c = in->pattern.data[in->at++];
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter) {
        *byte = (uint8_t)values[letter - letters];
        return true;
    }
    if (c == 'x')
        return take_hex(in, byte);
    if (c == '0') {
        *byte = 0;
        return true;
    }
    if ((c >= '1' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        in->at -= 2;
        return fail(in, "an escape that is not supported") != NULL;
    }
    *byte = c;
    return true;
}

/* --- Classes --- */

static bool take_class_byte(struct parser *in, uint8_t *byte)
{
    if (skip(in, "\\"))
        return take_escape(in, byte);
    *byte = in->pattern.data[in->at++];
    return true;
}

static bool take_class_item(struct parser *in, struct regexp_set *set)
{
    struct regexp_set letters;
    if (skip(in, "[:"))
        return posix_class(in, set);
    if (next_is(in, "\\") && in->at + 1 < in->pattern.size && class_letter(in->pattern.data[in->at + 1], &letters)) {
        in->at += 2;
        add_set(set, letters);
        return true;
    }
    uint8_t from, to;
    if (!take_class_byte(in, &from))
        return false;
    to = from;
    if (next_is(in, "-") && !next_is(in, "-]")) {
        in->at++;
        if (!more(in) || !take_class_byte(in, &to))
            return more(in) ? false : fail(in, "] is missing") != NULL;
    }
    if (to < from)
        return fail(in, "a range that ends before it begins") != NULL;
    add_range(set, from, to);
    return true;
}

/* Behind "[". A "]" that comes first is a member. */
static struct regexp_node *parse_class(struct parser *in)
{
    struct regexp_set set = {0};
    bool negated = skip(in, "^");
    for (bool first = true; first || !next_is(in, "]"); first = false) {
        if (!more(in))
            return fail(in, "] is missing");
        if (!take_class_item(in, &set))
            return NULL;
    }
    in->at++;
    fold(in, &set);
    if (negated)
        invert(&set);
    struct regexp_node *node = new_node(in, REGEXP_SET);
    node->set = set;
    return node;
}

/* --- Groups --- */

static struct regexp_node *parse_choice(struct parser *in);

/* "(?" and flags up to ")" or ":". *group: a group follows. */
static bool take_flags(struct parser *in, bool *group)
{
    bool on = true;
    for (; more(in); in->at++) {
        uint8_t c = peek(in);
        if (c == 'i')
            in->fold_case = on;
        else if (c == 'm')
            in->multi_line = on;
        else if (c == 's')
            in->dot_all = on;
        else if (c == '-' && on)
            on = false;
        else if (c == ':' || c == ')') {
            *group = c == ':';
            in->at++;
            return true;
        } else if (c != 'U') /* which only changes what is preferred, not what matches */
            break;
    }
    return fail(in, "(? begins flags, (?:, (?P<name> or (?<name>; nothing that looks ahead or behind") != NULL;
}

static bool take_group_name(struct parser *in)
{
    size_t start = in->at;
    while (more(in) && peek(in) != '>')
        in->at++;
    return (in->at > start && skip(in, ">")) || fail(in, "a group's name is missing") != NULL;
}

/* Behind "(". */
static struct regexp_node *parse_group(struct parser *in)
{
    const struct parser before = *in;
    bool group = true;
    bool named = skip(in, "?P<") || (next_is(in, "?<") && !next_is(in, "?<=") && !next_is(in, "?<!") && skip(in, "?<"));
    if (named ? !take_group_name(in) : skip(in, "?") && !take_flags(in, &group))
        return NULL;
    if (!group)
        return new_node(in, REGEXP_EMPTY); /* the flags hold to the end of the group around it */
    if (++in->depth > REGEXP_DEPTH_MAX) {
        error_set(in->err, ERROR_LIMIT, "regular expression: groups are nested deeper than %d", REGEXP_DEPTH_MAX);
        return NULL;
    }
    struct regexp_node *node = parse_choice(in);
    if (node && !skip(in, ")"))
        return fail(in, ") is missing");
    in->depth--;
    in->fold_case = before.fold_case;
    in->multi_line = before.multi_line;
    in->dot_all = before.dot_all;
    return node;
}

/* --- What stands for itself, repetition, sequence, choice --- */

static struct regexp_node *new_assertion(struct parser *in, enum regexp_assertion assertion)
{
    struct regexp_node *node = new_node(in, REGEXP_ASSERTION);
    node->assertion = assertion;
    return node;
}

static struct regexp_node *parse_quote(struct parser *in)
{
    struct regexp_node *sequence = new_node(in, REGEXP_SEQUENCE);
    while (more(in) && !skip(in, "\\E"))
        add_child(sequence, new_literal(in, in->pattern.data[in->at++]));
    return sequence;
}

/* Behind the backslash. */
static struct regexp_node *parse_escape(struct parser *in)
{
    struct regexp_set set;
    uint8_t byte;
    if (more(in) && class_letter(peek(in), &set)) {
        in->at++;
        return new_set(in, set);
    }
    if (skip(in, "Q"))
        return parse_quote(in);
    if (skip(in, "A"))
        return new_assertion(in, REGEXP_TEXT_START);
    if (skip(in, "z"))
        return new_assertion(in, REGEXP_TEXT_END);
    if (skip(in, "b"))
        return new_assertion(in, REGEXP_WORD_BOUNDARY);
    if (skip(in, "B"))
        return new_assertion(in, REGEXP_NO_WORD_BOUNDARY);
    return take_escape(in, &byte) ? new_literal(in, byte) : NULL;
}

static struct regexp_node *parse_atom(struct parser *in)
{
    uint8_t c = in->pattern.data[in->at++];
    struct regexp_set any = {0};
    switch (c) {
    case '(':
        return parse_group(in);
    case '[':
        return parse_class(in);
    case '\\':
        return parse_escape(in);
    case '^':
        return new_assertion(in, in->multi_line ? REGEXP_LINE_START : REGEXP_TEXT_START);
    case '$':
        return new_assertion(in, in->multi_line ? REGEXP_LINE_END : REGEXP_TEXT_END);
    case '.':
        add_range(&any, '\n', in->dot_all ? '\n' - 1 : '\n');
        invert(&any);
        return new_set(in, any);
    case '*':
    case '+':
    case '?':
        in->at--;
        return fail(in, "nothing to repeat");
    default:
        return new_literal(in, c);
    }
}

static int take_number(struct parser *in)
{
    int number = -1;
    for (; more(in) && peek(in) >= '0' && peek(in) <= '9'; in->at++)
        if (number <= REGEXP_REPEAT_MAX)
            number = (number < 0 ? 0 : number * 10) + peek(in) - '0';
    return number;
}

/* "{2}", "{2,}", "{2,5}". Anything else that begins so is a literal, as in RE2. */
static bool take_braces(struct parser *in, int *min, int *max)
{
    size_t start = in->at++;
    *min = *max = take_number(in);
    if (*min >= 0 && skip(in, ","))
        *max = take_number(in);
    if (*min >= 0 && skip(in, "}"))
        return true;
    in->at = start;
    return false;
}

static bool take_repetition(struct parser *in, int *min, int *max)
{
    *max = -1;
    if (skip(in, "*"))
        *min = 0;
    else if (skip(in, "+"))
        *min = 1;
    else if (skip(in, "?"))
        *min = 0, *max = 1;
    else
        return next_is(in, "{") && take_braces(in, min, max);
    return true;
}

static struct regexp_node *parse_repetition(struct parser *in)
{
    struct regexp_node *atom = parse_atom(in);
    int min, max;
    if (!atom || !take_repetition(in, &min, &max))
        return atom;
    skip(in, "?"); /* lazy: the same texts match */
    if (min > REGEXP_REPEAT_MAX || max > REGEXP_REPEAT_MAX || (max >= 0 && max < min))
        return fail(in, "a repetition is {min,max} with 0 <= min <= max <= 1000");
    size_t behind = in->at;
    int ignored;
    if (take_repetition(in, &ignored, &ignored)) {
        in->at = behind;
        return fail(in, "a repetition of a repetition needs a group around it");
    }
    struct regexp_node *node = new_node(in, REGEXP_REPEAT);
    node->repeat_min = min;
    node->repeat_max = max;
    add_child(node, atom);
    return node;
}

static struct regexp_node *parse_sequence(struct parser *in)
{
    struct regexp_node *sequence = new_node(in, REGEXP_SEQUENCE);
    while (more(in) && peek(in) != '|' && peek(in) != ')') {
        struct regexp_node *node = parse_repetition(in);
        if (!node)
            return NULL;
        add_child(sequence, node);
    }
    return sequence;
}

static struct regexp_node *parse_choice(struct parser *in)
{
    struct regexp_node *choice = new_node(in, REGEXP_CHOICE);
    do {
        struct regexp_node *sequence = parse_sequence(in);
        if (!sequence)
            return NULL;
        add_child(choice, sequence);
    } while (skip(in, "|"));
    return choice;
}

struct regexp_node *regexp_parse(struct bytes pattern, struct arena *arena, struct error *err)
{
    struct parser in = {.pattern = pattern, .arena = arena, .err = err};
    if (pattern.size > REGEXP_SIZE_MAX) {
        error_set(err, ERROR_LIMIT, "a regular expression has at most %d bytes, not %zu", REGEXP_SIZE_MAX,
                  pattern.size);
        return NULL;
    }
    struct regexp_node *node = parse_choice(&in);
    if (node && more(&in))
        return fail(&in, "a ) without its (");
    return node;
}
