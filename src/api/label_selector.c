/* SPDX-License-Identifier: Apache-2.0 */
/* See label_selector.h. Values are slices of one copy of the text, so that a parsed selector is three allocations. */
#include "api/label_selector.h"

#include <ctype.h>

#include "api/api.h"
#include "base/memory.h"

enum operator{ IN, NOT_IN, EXISTS, NOT_EXISTS, GREATER, LESS };

struct requirement {
    struct bytes key;
    enum operator op;
    size_t first_value, value_count;
};

struct label_selector {
    char *text;
    struct requirement *requirements;
    size_t requirement_count;
    struct bytes *values;
    size_t value_count;
};

/* --- Syntax of labels --- */

static bool name_valid(struct bytes name)
{
    if (name.size == 0 || name.size > 63 || !isalnum(name.data[0]) || !isalnum(name.data[name.size - 1]))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum(name.data[i]) && name.data[i] != '-' && name.data[i] != '_' && name.data[i] != '.')
            return false;
    return true;
}

static bool prefix_valid(struct bytes prefix)
{
    if (prefix.size == 0 || prefix.size > 253)
        return false;
    for (size_t i = 0; i < prefix.size; i++) {
        uint8_t c = prefix.data[i];
        bool edge = i == 0 || i == prefix.size - 1 || prefix.data[i - 1] == '.' || prefix.data[i + 1] == '.';
        if (!(islower(c) || isdigit(c) || (!edge && (c == '-' || c == '.'))))
            return false;
    }
    return true;
}

bool label_key_valid(struct bytes key)
{
    size_t slash = bytes_find(key, 0, '/');
    if (slash == key.size)
        return name_valid(key);
    return prefix_valid(bytes_slice(key, 0, slash)) && name_valid(bytes_slice(key, slash + 1, key.size));
}

bool label_value_valid(struct bytes value)
{
    return value.size == 0 || name_valid(value);
}

/* --- Parsing --- */

struct parser {
    struct bytes text;
    size_t at;
    struct label_selector *selector;
    struct error *err;
};

static void skip_space(struct parser *p)
{
    while (p->at < p->text.size && isspace(p->text.data[p->at]))
        p->at++;
}

static bool take(struct parser *p, const char *token)
{
    skip_space(p);
    struct bytes want = bytes_of_string(token);
    if (!bytes_starts_with(bytes_slice(p->text, p->at, want.size), want))
        return false;
    p->at += want.size;
    return true;
}

/* The longest run of characters that end no word. */
static struct bytes take_word(struct parser *p)
{
    skip_space(p);
    size_t from = p->at;
    while (p->at < p->text.size && !isspace(p->text.data[p->at]) && !strchr("=!,()<>", p->text.data[p->at]))
        p->at++;
    return bytes_slice(p->text, from, p->at - from);
}

static bool bad(struct parser *p, const char *what)
{
    return error_set(p->err, ERROR_INVALID, "label selector \"" BYTES_FORMAT "\": %s at character %zu",
                     BYTES_ARGS(p->text), what, p->at + 1);
}

static bool add_value(struct parser *p, struct requirement *r, struct bytes value)
{
    struct label_selector *s = p->selector;
    if (!label_value_valid(value))
        return bad(p, "a value must be up to 63 letters, digits, '-', '_' or '.'");
    if (s->value_count == LABEL_SELECTOR_VALUES_MAX)
        return error_set(p->err, ERROR_LIMIT, "label selector: more than %d values", LABEL_SELECTOR_VALUES_MAX);
    s->values = memory_resize_array(s->values, s->value_count + 1, sizeof *s->values);
    s->values[s->value_count++] = value;
    r->value_count++;
    return true;
}

static bool parse_set(struct parser *p, struct requirement *r)
{
    if (!take(p, "("))
        return bad(p, "'(' expected");
    do
        if (!add_value(p, r, take_word(p)))
            return false;
    while (take(p, ","));
    return take(p, ")") ? true : bad(p, "',' or ')' expected");
}

static bool parse_comparison(struct parser *p, struct requirement *r)
{
    int64_t number;
    struct bytes word = take_word(p);
    if (!bytes_to_i64(word, &number))
        return bad(p, "a number expected");
    return add_value(p, r, word);
}

static bool parse_operator(struct parser *p, struct requirement *r)
{
    if (take(p, "==") || take(p, "=")) {
        r->op = IN;
        return add_value(p, r, take_word(p));
    }
    if (take(p, "!=")) {
        r->op = NOT_IN;
        return add_value(p, r, take_word(p));
    }
    if (take(p, ">") || take(p, "<")) {
        r->op = p->text.data[p->at - 1] == '>' ? GREATER : LESS;
        return parse_comparison(p, r);
    }
    struct bytes word = take_word(p);
    if (word.size == 0) {
        r->op = EXISTS;
        return true;
    }
    if (!bytes_equal_string(word, "in") && !bytes_equal_string(word, "notin"))
        return bad(p, "an operator expected: =, ==, !=, in, notin, <, >");
    r->op = word.size == 2 ? IN : NOT_IN;
    return parse_set(p, r);
}

static bool parse_requirement(struct parser *p)
{
    struct label_selector *s = p->selector;
    if (s->requirement_count == LABEL_SELECTOR_REQUIREMENTS_MAX)
        return error_set(p->err, ERROR_LIMIT, "label selector: more than %d requirements",
                         LABEL_SELECTOR_REQUIREMENTS_MAX);
    bool negated = take(p, "!");
    struct requirement r = {.key = take_word(p), .op = NOT_EXISTS, .first_value = s->value_count};
    if (!label_key_valid(r.key))
        return bad(p, "a label key expected");
    if (!negated && !parse_operator(p, &r))
        return false;
    s->requirements = memory_resize_array(s->requirements, s->requirement_count + 1, sizeof *s->requirements);
    s->requirements[s->requirement_count++] = r;
    return true;
}

bool label_selector_parse(struct bytes text, struct label_selector **out, struct error *err)
{
    text = bytes_trim(text);
    if (text.size == 0) {
        *out = NULL;
        return true;
    }
    struct label_selector *selector = NEW(struct label_selector);
    selector->text = memory_string(text);
    struct parser p = {.text = bytes_of(selector->text, text.size), .selector = selector, .err = err};
    bool good;
    do
        good = parse_requirement(&p);
    while (good && take(&p, ","));
    skip_space(&p);
    if (good && p.at < p.text.size)
        good = bad(&p, "',' expected");
    if (!good) {
        label_selector_free(selector);
        return false;
    }
    *out = selector;
    return true;
}

void label_selector_free(struct label_selector *selector)
{
    if (!selector)
        return;
    free(selector->text);
    free(selector->requirements);
    free(selector->values);
    free(selector);
}

/* --- Matching --- */

static bool has_value(const struct label_selector *s, const struct requirement *r, struct bytes value)
{
    for (size_t i = 0; i < r->value_count; i++)
        if (bytes_equal(s->values[r->first_value + i], value))
            return true;
    return false;
}

static bool compares(const struct label_selector *s, const struct requirement *r, struct bytes value)
{
    int64_t have, want;
    if (!bytes_to_i64(value, &have) || !bytes_to_i64(s->values[r->first_value], &want))
        return false;
    return r->op == GREATER ? have > want : have < want;
}

static bool requirement_matches(const struct label_selector *s, const struct requirement *r, const struct json *labels)
{
    const struct json *label = json_get_bytes(labels, r->key);
    switch (r->op) {
    case IN:
        return label && has_value(s, r, json_bytes(label));
    case NOT_IN:
        return !label || !has_value(s, r, json_bytes(label));
    case EXISTS:
        return label != NULL;
    case NOT_EXISTS:
        return label == NULL;
    case GREATER:
    case LESS:
        return label && compares(s, r, json_bytes(label));
    }
    return false;
}

bool label_selector_matches(const struct label_selector *selector, const struct json *labels)
{
    if (!selector)
        return true;
    for (size_t i = 0; i < selector->requirement_count; i++)
        if (!requirement_matches(selector, &selector->requirements[i], labels))
            return false;
    return true;
}

/* --- The structure in manifests --- */

static bool labels_contain(const struct json *map, const struct json *labels)
{
    json_object_each (member, map) {
        const struct json *label = json_get(labels, member.key);
        if (!label || !bytes_equal(json_bytes(label), json_bytes(member.value)))
            return false;
    }
    return true;
}

static bool expression_matches(const struct json *expression, const struct json *labels)
{
    struct bytes op = json_bytes(json_get(expression, "operator"));
    const struct json *label = json_get_bytes(labels, json_bytes(json_get(expression, "key")));
    if (bytes_equal_string(op, "Exists"))
        return label != NULL;
    if (bytes_equal_string(op, "DoesNotExist"))
        return label == NULL;
    bool found = false;
    json_array_each (i, value, json_get(expression, "values")) {
        found = found || (label && bytes_equal(json_bytes(value), json_bytes(label)));
    }
    if (bytes_equal_string(op, "In"))
        return found;
    return bytes_equal_string(op, "NotIn") && !found;
}

bool object_matches_selector(const struct json *label_selector, const struct json *object)
{
    if (!json_is_object(label_selector))
        return false; /* no selector selects nothing; an empty one selects everything */
    const struct json *labels = json_at(object, "metadata.labels");
    if (!labels_contain(json_get(label_selector, "matchLabels"), labels))
        return false;
    json_array_each (i, expression, json_get(label_selector, "matchExpressions")) {
        if (!expression_matches(expression, labels))
            return false;
    }
    return true;
}

bool object_matches_labels(const struct json *map, const struct json *object)
{
    return json_size(map) > 0 && labels_contain(map, json_at(object, "metadata.labels"));
}
