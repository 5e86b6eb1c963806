/* SPDX-License-Identifier: Apache-2.0 */
/* See json_patch.h. */
#include "api/json_patch.h"

#include "base/memory.h"

struct patching {
    struct json *document;
    size_t copies;
    struct error *err;
};

/* One part of a pointer, unescaped in place of the caller's copy: ~1 is a slash, ~0 a tilde. */
static bool unescape(char *part)
{
    char *to = part;
    for (const char *from = part; *from; from++) {
        if (*from == '~') {
            from++;
            if (*from != '0' && *from != '1')
                return false;
            *to++ = *from == '0' ? '~' : '/';
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

/* Where an operation acts: the container and the last part of the pointer. */
struct place {
    struct json *parent; /* NULL: the document itself */
    char *copy;          /* of the pointer; `key` points into it */
    const char *key;
};

static void place_deinit(struct place *place)
{
    free(place->copy);
}

static bool array_index(const struct json *array, const char *key, bool may_append, size_t *out)
{
    uint64_t index;
    if (may_append && strcmp(key, "-") == 0) {
        *out = json_size(array);
        return true;
    }
    if (!bytes_to_u64(bytes_of_string(key), &index) || (key[0] == '0' && key[1]))
        return false;
    if (index > json_size(array) || (index == json_size(array) && !may_append))
        return false;
    *out = (size_t)index;
    return true;
}

static struct json *child_of(struct json *container, const char *key)
{
    size_t index;
    if (json_is_object(container))
        return json_get(container, key);
    if (json_is_array(container) && array_index(container, key, false, &index))
        return json_index(container, index);
    return NULL;
}

static bool find_place(struct patching *p, const char *pointer, struct place *out)
{
    if (!pointer)
        return error_set(p->err, ERROR_INVALID, "the pointer is missing or not a string");
    if (*pointer == '\0')
        return true;
    if (*pointer != '/')
        return error_set(p->err, ERROR_INVALID, "\"%s\" is not a JSON pointer: it must begin with a slash", pointer);
    out->copy = memory_string(bytes_of_string(pointer + 1));
    struct json *at = p->document;
    size_t depth = 0;
    for (char *part = out->copy;;) {
        char *slash = strchr(part, '/');
        if (slash)
            *slash = '\0';
        if (!unescape(part) || ++depth > JSON_PATCH_DEPTH_MAX)
            return error_set(p->err, ERROR_INVALID, "\"%s\" is not a JSON pointer", pointer);
        if (!slash) {
            out->parent = at;
            out->key = part;
            return true;
        }
        at = child_of(at, part);
        if (!json_is_object(at) && !json_is_array(at))
            return error_set(p->err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
        part = slash + 1;
    }
}

#define AUTO_PLACE __attribute__((cleanup(place_deinit))) struct place

static struct json *find_value(struct patching *p, const char *pointer)
{
    AUTO_PLACE place = {0};
    if (!find_place(p, pointer, &place))
        return NULL;
    struct json *value = place.key ? child_of(place.parent, place.key) : p->document;
    if (!value)
        error_set(p->err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
    return value;
}

/* Takes over the value. */
static bool add(struct patching *p, const char *pointer, struct json *value, bool replace)
{
    AUTO_PLACE place = {0};
    size_t index;
    if (!value)
        return error_set(p->err, ERROR_INVALID, "the value is missing");
    AUTO_JSON *owned = value;
    if (!find_place(p, pointer, &place))
        return false;
    if (!place.key) {
        json_unref(p->document);
        p->document = TAKE(owned);
        return true;
    }
    if (replace && !child_of(place.parent, place.key))
        return error_set(p->err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
    if (json_is_object(place.parent))
        return json_set(place.parent, place.key, TAKE(owned));
    if (!json_is_array(place.parent) || !array_index(place.parent, place.key, !replace, &index))
        return error_set(p->err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
    return replace ? json_replace_index(place.parent, index, TAKE(owned))
                   : json_insert(place.parent, index, TAKE(owned));
}

static bool remove_at(struct patching *p, const char *pointer)
{
    AUTO_PLACE place = {0};
    size_t index;
    if (!find_place(p, pointer, &place))
        return false;
    if (!place.key)
        return error_set(p->err, ERROR_INVALID, "the whole document cannot be removed");
    if (!child_of(place.parent, place.key))
        return error_set(p->err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
    if (json_is_object(place.parent))
        json_remove(place.parent, place.key);
    else if (array_index(place.parent, place.key, false, &index))
        json_remove_index(place.parent, index);
    return true;
}

static bool test(struct patching *p, const char *pointer, const struct json *want)
{
    const struct json *have = find_value(p, pointer);
    if (!have)
        return false;
    if (!want || !json_same(have, want))
        return error_set(p->err, ERROR_INVALID, "testing path \"%s\" failed", pointer);
    return true;
}

/* A place below itself cannot be the target of a move. */
static bool moves_into_itself(const char *from, const char *path)
{
    size_t size = strlen(from);
    return strncmp(from, path, size) == 0 && path[size] == '/';
}

static bool move_or_copy(struct patching *p, const char *from, const char *path, bool move)
{
    struct json *value = find_value(p, from);
    if (!value)
        return false;
    if (!path || (move && moves_into_itself(from, path)))
        return error_set(p->err, ERROR_INVALID, "\"%s\" cannot move into itself", from);
    if (!move && ++p->copies > JSON_PATCH_COPIES_MAX)
        return error_set(p->err, ERROR_LIMIT, "more than %d copies in one patch", JSON_PATCH_COPIES_MAX);
    AUTO_JSON *taken = move ? json_ref(value) : json_clone(value);
    if (move && strcmp(from, path) == 0)
        return true;
    if (move && !remove_at(p, from))
        return false;
    return add(p, path, TAKE(taken), false);
}

static bool apply_operation(struct patching *p, const struct json *operation)
{
    const char *op = json_text(json_get(operation, "op")), *path = json_text(json_get(operation, "path"));
    const char *from = json_text(json_get(operation, "from"));
    const struct json *value = json_get(operation, "value");
    if (!op)
        return error_set(p->err, ERROR_INVALID, "\"op\" is missing or not a string");
    if (strcmp(op, "add") == 0)
        return add(p, path, json_clone(value), false);
    if (strcmp(op, "replace") == 0)
        return add(p, path, json_clone(value), true);
    if (strcmp(op, "remove") == 0)
        return remove_at(p, path);
    if (strcmp(op, "test") == 0)
        return test(p, path, value);
    if (strcmp(op, "move") == 0 || strcmp(op, "copy") == 0)
        return move_or_copy(p, from, path, op[0] == 'm');
    return error_set(p->err, ERROR_INVALID, "\"%s\" is not an operation of JSON Patch", op);
}

struct json *json_patch_apply(const struct json *document, const struct json *patch, struct error *err)
{
    if (!json_is_array(patch)) {
        error_set(err, ERROR_INVALID, "a JSON patch is an array of operations");
        return NULL;
    }
    if (json_size(patch) > JSON_PATCH_OPERATIONS_MAX) {
        error_set(err, ERROR_LIMIT, "a JSON patch of more than %d operations", JSON_PATCH_OPERATIONS_MAX);
        return NULL;
    }
    struct patching p = {.document = json_clone(document), .err = err};
    json_array_each (i, operation, patch) {
        if (!apply_operation(&p, operation)) {
            error_wrap(err, "operation %zu of the patch", i);
            json_unref(p.document);
            return NULL;
        }
    }
    return p.document;
}
