/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that stand twice in one object of a JSON text, which a parsed value no longer shows. A walk over the text with a
 * stack of its own; it trusts that the text parses and stops quietly where it does not.
 */
#include <stdlib.h>

#include "api/field_path.h"
#include "api/schema.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"

struct level {
    struct map keys; /* of an object */
    bool is_object;
    size_t index;     /* in a list */
    size_t path_mark; /* to cut the current member or element off the path; SIZE_MAX: none is on it */
};

struct walk {
    struct bytes text;
    size_t at;
    struct field_path path;
    struct level *levels; /* LIMIT_JSON_DEPTH of them */
    size_t depth;
    enum schema_mode mode;
    struct warnings *warnings;
    struct buf *strict;
};

/* The string that begins at walk->at, with its quotes; null bytes when it does not end. */
static struct bytes take_string(struct walk *walk)
{
    size_t from = walk->at++;
    for (; walk->at < walk->text.size; walk->at++) {
        if (walk->text.data[walk->at] == '\\')
            walk->at++;
        else if (walk->text.data[walk->at] == '"')
            return bytes_slice(walk->text, from, ++walk->at - from);
    }
    return BYTES_NULL;
}

static void end_element(struct walk *walk)
{
    struct level *level = &walk->levels[walk->depth - 1];
    if (level->path_mark != SIZE_MAX)
        field_path_cut(&walk->path, level->path_mark);
    level->path_mark = SIZE_MAX;
}

static void begin_element(struct walk *walk)
{
    struct level *level = walk->depth ? &walk->levels[walk->depth - 1] : NULL;
    if (level && !level->is_object && level->path_mark == SIZE_MAX)
        level->path_mark = field_path_push_index(&walk->path, level->index++);
}

static void report(struct walk *walk)
{
    if (walk->mode == SCHEMA_STRICT)
        buf_printf(walk->strict, "%sduplicate field \"%s\"", walk->strict->size ? ", " : "", walk->path.text);
    else if (walk->mode == SCHEMA_WARN)
        warnings_add(walk->warnings, "duplicate field \"%s\"", walk->path.text);
}

/* A string is a key when a colon follows. */
static bool is_key(const struct walk *walk)
{
    size_t at = walk->at;
    while (at < walk->text.size && strchr(" \t\r\n", walk->text.data[at]) && walk->text.data[at])
        at++;
    return at < walk->text.size && walk->text.data[at] == ':';
}

static void add_key(struct walk *walk, struct bytes quoted)
{
    struct level *level = &walk->levels[walk->depth - 1];
    struct error ignored;
    AUTO_JSON *key = json_parse(quoted, 0, &ignored);
    if (!key)
        return;
    end_element(walk);
    level->path_mark = field_path_push(&walk->path, json_text(key));
    if (!map_add(&level->keys, json_bytes(key)))
        report(walk);
}

static bool open_level(struct walk *walk, bool is_object)
{
    begin_element(walk);
    if (walk->depth == LIMIT_JSON_DEPTH)
        return false;
    walk->levels[walk->depth++] = (struct level){.is_object = is_object, .path_mark = SIZE_MAX};
    return true;
}

static bool close_level(struct walk *walk)
{
    if (walk->depth == 0)
        return false;
    end_element(walk);
    map_deinit(&walk->levels[--walk->depth].keys, NULL);
    return true;
}

/* One token; false where the text stops making sense. */
static bool step(struct walk *walk)
{
    uint8_t byte = walk->text.data[walk->at];
    if (byte == '"') {
        struct bytes quoted = take_string(walk);
        if (!quoted.data)
            return false;
        if (walk->depth > 0 && walk->levels[walk->depth - 1].is_object && is_key(walk))
            add_key(walk, quoted);
        else
            begin_element(walk);
        return true;
    }
    walk->at++;
    if (byte == '{' || byte == '[')
        return open_level(walk, byte == '{');
    if (byte == '}' || byte == ']')
        return close_level(walk);
    if (byte == ',' && walk->depth > 0)
        end_element(walk);
    else if (byte > ' ' && byte != ':')
        begin_element(walk);
    return true;
}

bool schema_check_duplicates(const struct kind *kind, struct bytes text, enum schema_mode mode,
                             struct warnings *warnings, struct error *err)
{
    AUTO_BUF strict;
    buf_init(&strict, sizeof err->message);
    AUTO_FREE(struct level) levels = memory_new_array(LIMIT_JSON_DEPTH, sizeof *levels);
    struct walk walk = {.text = text, .levels = levels, .mode = mode, .warnings = warnings, .strict = &strict};
    while (mode != SCHEMA_IGNORE && walk.at < text.size && step(&walk))
        ;
    while (close_level(&walk))
        ;
    if (strict.size == 0)
        return true;
    return error_set(err, ERROR_INVALID, "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
                     kind->kind, kind->version, kind->kind, buf_string(&strict));
}
