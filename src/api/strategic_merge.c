/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch, by the merge keys of the tables. What a patch can say beyond a plain merge:
 *
 *     in an object            "$patch": "replace" | "delete" | "merge"
 *                             "$retainKeys": [...]                    what is not named goes
 *     beside a list f         "$setElementOrder/f": [...]             keys (or values) in their order
 *                             "$deleteFromPrimitiveList/f": [...]     values that go
 *     in an element           "$patch": "delete" (with the key), or {"$patch": "replace"}: the list is only this one
 *
 * A field that no table knows merges as in RFC 7386; decoding will have its say about it. Known oddity, kept because
 * clients compute their patches for it: elements with the same merge key (53/TCP and 53/UDP) are one, unless the
 * patch's element also equals one of them in the other keys.
 */
#include <stdio.h>

#include "api/schema.h"
#include "api/schema_table.h"
#include "base/memory.h"

enum { COMPARISONS_MAX = 16 << 20 }; /* elements of a list times elements of its patch */

static const char order_prefix[] = "$setElementOrder/", delete_prefix[] = "$deleteFromPrimitiveList/";

static struct json *merge_object(const struct message *message, const struct json *original, const struct json *patch,
                                 struct error *err);

static bool is_directive(const char *key)
{
    return key[0] == '$' && (strcmp(key, "$patch") == 0 || strcmp(key, "$retainKeys") == 0 ||
                             strncmp(key, order_prefix, sizeof order_prefix - 1) == 0 ||
                             strncmp(key, delete_prefix, sizeof delete_prefix - 1) == 0);
}

/* The value of a directive that stands beside a field; NULL: none. */
static const struct json *beside(const struct json *patch, const char *prefix, const char *name)
{
    char key[300];
    int size = snprintf(key, sizeof key, "%s%s", prefix, name);
    if (size < 0 || (size_t)size >= sizeof key)
        return NULL;
    return json_get(patch, key);
}

static bool contains(const struct json *list, const struct json *value)
{
    json_array_each (i, element, list)
        if (json_same(element, value))
            return true;
    return false;
}

static bool too_many(const struct json *a, const struct json *b, const char *name, struct error *err)
{
    size_t product;
    if (!__builtin_mul_overflow(json_size(a), json_size(b), &product) && product <= COMPARISONS_MAX)
        return false;
    error_set(err, ERROR_LIMIT, "%s: the list and its patch have too many elements to merge", name);
    return true;
}

/* --- Order --- */

/* What an element is known by: its merge key's value, or itself. */
static const struct json *identity(const struct json *element, const char *key)
{
    return *key ? json_get(element, key) : element;
}

static size_t index_of(const struct json *list, const struct json *wanted, const char *key)
{
    json_array_each (i, element, list)
        if (json_same(identity(element, key), wanted))
            return i;
    return SIZE_MAX;
}

/* Those that the order names, in its order. */
static struct json *ordered_part(const struct json *merged, const struct json *order, const char *key)
{
    struct json *part = json_new_array();
    json_array_each (i, named, order) {
        if (index_of(part, identity(named, key), key) != SIZE_MAX)
            continue; /* named twice */
        json_array_each (j, element, merged)
            if (json_same(identity(element, key), identity(named, key)))
                json_append(part, json_ref(element));
    }
    return part;
}

/* The named ones in the order's order; each other one stands before the first that followed it in the original. */
static struct json *in_order(const struct json *merged, const struct json *original, const struct json *order,
                             const char *key)
{
    struct json *out = ordered_part(merged, order, key);
    size_t from = 0;
    json_array_each (i, element, merged) {
        const struct json *known_by = identity(element, key);
        if (index_of(order, known_by, key) != SIZE_MAX)
            continue;
        size_t was_at = index_of(original, known_by, key), at = from;
        for (; at < json_size(out); at++) {
            size_t other_was_at = index_of(original, identity(json_index(out, at), key), key);
            if (other_was_at != SIZE_MAX && other_was_at > was_at)
                break;
        }
        json_insert(out, at, json_ref(element));
        from = at + 1;
    }
    return out;
}

/* --- Lists --- */

/* The element that the patch's one is about: equal in all list keys if there is one, else in the merge key. */
static size_t find_element(const struct json *list, const struct json *wanted, const struct field *field)
{
    const char *key = schema_names + field->merge_key;
    size_t first = SIZE_MAX;
    json_array_each (i, element, list) {
        if (!json_same(json_get(element, key), json_get(wanted, key)))
            continue;
        if (first == SIZE_MAX)
            first = i;
        bool all = true;
        struct bytes rest = bytes_of_string(schema_names + field->list_keys), part;
        while (bytes_split(&rest, ',', &part))
            all &= json_same(json_get_bytes(element, part), json_get_bytes(wanted, part));
        if (all)
            return i;
    }
    return first;
}

static bool merge_element(struct json *list, const struct json *element, const struct field *field, struct error *err)
{
    const char *key = schema_names + field->merge_key;
    if (!json_is_object(element) || !json_get(element, key))
        return error_set(err, ERROR_INVALID, "%s: an element of the patch has no merge key %s", field_name(field), key);
    const char *directive = json_text_at(element, "$patch", "merge");
    size_t at = find_element(list, element, field);
    if (strcmp(directive, "delete") == 0) {
        for (; (at = index_of(list, json_get(element, key), key)) != SIZE_MAX;)
            json_remove_index(list, at);
        return true;
    }
    AUTO_JSON *empty = json_new_object();
    struct json *merged =
        merge_object(field_message(field), at == SIZE_MAX ? empty : json_index(list, at), element, err);
    if (!merged)
        return error_wrap(err, "%s", field_name(field));
    if (at == SIZE_MAX)
        json_append(list, merged);
    else
        json_replace_index(list, at, merged);
    return true;
}

/* A copy of the list whose elements may be exchanged. */
static struct json *shallow_copy(const struct json *list)
{
    struct json *copy = json_new_array();
    json_array_each (i, element, list)
        json_append(copy, json_ref(element));
    return copy;
}

/* {"$patch": "replace"}, without the key, as an element. */
static bool replaces_list(const struct json *patch, const char *key)
{
    json_array_each (i, element, patch)
        if (strcmp(json_text_at(element, "$patch", ""), "replace") == 0 && !json_get(element, key))
            return true;
    return false;
}

static struct json *merge_keyed_list(const struct field *field, const struct json *original, const struct json *patch,
                                     struct error *err)
{
    const char *key = schema_names + field->merge_key;
    bool replace = replaces_list(patch, key);
    AUTO_JSON *list = replace ? json_new_array() : shallow_copy(original);
    json_array_each (i, element, patch) {
        if (replace && !json_get(element, key) && json_get(element, "$patch"))
            continue;
        if (!merge_element(list, element, field, err))
            return NULL;
    }
    return TAKE(list);
}

static struct json *merge_plain_list(const struct json *original, const struct json *patch,
                                     const struct json *to_delete)
{
    struct json *list = json_new_array();
    json_array_each (i, element, original)
        if (!contains(to_delete, element))
            json_append(list, json_ref(element));
    json_array_each (i, element, patch)
        if (!contains(list, element))
            json_append(list, json_ref(element));
    return list;
}

static bool order_covers(const struct json *order, const struct json *patch, const char *key)
{
    json_array_each (i, element, patch) {
        bool special = json_is_object(element) && json_get(element, "$patch");
        if (!special && index_of(order, identity(element, key), key) == SIZE_MAX)
            return false;
    }
    return true;
}

static struct json *merge_list(const struct field *field, const struct json *original, const struct json *patch,
                               const struct json *order, const struct json *to_delete, struct error *err)
{
    const char *key = schema_names + field->merge_key;
    original = json_is_array(original) ? original : NULL;
    const struct json *lists[] = {original, patch, order, to_delete};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t j = 0; j < ARRAY_SIZE(lists); j++)
            if (too_many(lists[i], lists[j], field_name(field), err))
                return NULL;
    AUTO_JSON *merged =
        *key ? merge_keyed_list(field, original, patch, err) : merge_plain_list(original, patch, to_delete);
    if (!merged || !order)
        return TAKE(merged);
    if (!json_is_array(order) || !order_covers(order, patch, key)) {
        error_set(err, ERROR_INVALID, "%s: the patch has elements that %s%s does not name", field_name(field),
                  order_prefix, field_name(field));
        return NULL;
    }
    return in_order(merged, original, order, key);
}

/* --- Objects --- */

static bool merge_field(const struct message *message, struct json *out, const char *name, const struct json *patch,
                        const struct json *whole_patch, struct error *err)
{
    const struct field *field = message ? message_field(message, bytes_of_string(name)) : NULL;
    const struct json *original = json_get(out, name);
    const struct json *order = beside(whole_patch, order_prefix, name);
    const struct json *to_delete = beside(whole_patch, delete_prefix, name);
    struct json *merged;
    if (field && field->flags & FIELD_MERGE && field->shape == SHAPE_LIST && (json_is_array(patch) || !patch)) {
        merged = merge_list(field, original, patch, order, to_delete, err);
    } else if (!patch) {
        return true; /* a directive about a list that does not merge says nothing */
    } else if (json_is_object(patch)) {
        AUTO_JSON *empty = json_new_object();
        bool one = field && field->shape == SHAPE_ONE && field->type == TYPE_MESSAGE;
        merged =
            merge_object(one ? field_message(field) : NULL, json_is_object(original) ? original : empty, patch, err);
    } else {
        merged = json_clone(patch);
    }
    if (!merged)
        return false;
    json_set(out, name, merged);
    return true;
}

static bool retain_keys(struct json *out, const struct json *patch, struct error *err)
{
    const struct json *retained = json_get(patch, "$retainKeys");
    if (!retained)
        return true;
    if (too_many(retained, patch, "$retainKeys", err) || too_many(retained, out, "$retainKeys", err))
        return false;
    json_object_each (member, patch) {
        AUTO_JSON *key = json_new_text(member.key);
        if (!is_directive(member.key) && !json_is_null(member.value) && !contains(retained, key))
            return error_set(err, ERROR_INVALID, "%s is in the patch but not in its $retainKeys", member.key);
    }
    AUTO_JSON *before = json_new_object();
    json_object_each (member, out)
        json_set(before, member.key, json_ref(member.value));
    json_object_each (member, before) {
        AUTO_JSON *key = json_new_text(member.key);
        if (!contains(retained, key))
            json_remove(out, member.key);
    }
    return true;
}

/* The start of the result: the original's members, or none of them. NULL with an error for an unknown directive. */
static struct json *start_object(const struct json *original, const struct json *patch, struct error *err)
{
    const struct json *directive = json_get(patch, "$patch");
    const char *text = directive ? json_text(directive) : "merge";
    if (!text || (strcmp(text, "merge") != 0 && strcmp(text, "replace") != 0 && strcmp(text, "delete") != 0)) {
        error_set(err, ERROR_INVALID, "$patch must be delete, merge or replace");
        return NULL;
    }
    struct json *out = json_new_object();
    json_object_each (member, strcmp(text, "merge") == 0 ? original : NULL)
        json_set(out, member.key, json_ref(member.value));
    return out;
}

/* Lists that have only directives in the patch: "$setElementOrder/f" without f. */
static bool merge_directives(const struct message *message, struct json *out, const struct json *patch,
                             struct error *err)
{
    json_object_each (member, patch) {
        const char *slash = member.key[0] == '$' ? strchr(member.key, '/') : NULL;
        if (!slash || !is_directive(member.key) || json_get(patch, slash + 1) || !json_get(out, slash + 1))
            continue;
        if (!merge_field(message, out, slash + 1, NULL, patch, err))
            return false;
    }
    return true;
}

static struct json *merge_object(const struct message *message, const struct json *original, const struct json *patch,
                                 struct error *err)
{
    AUTO_JSON *out = start_object(original, patch, err);
    if (!out || !retain_keys(out, patch, err))
        return NULL;
    if (strcmp(json_text_at(patch, "$patch", ""), "delete") == 0)
        return TAKE(out);
    json_object_each (member, patch) {
        if (is_directive(member.key))
            continue;
        if (json_is_null(member.value))
            json_remove(out, member.key);
        else if (!merge_field(message, out, member.key, member.value, patch, err))
            return NULL;
    }
    return merge_directives(message, out, patch, err) ? TAKE(out) : NULL;
}

bool strategic_merge(const struct kind *kind, const struct json *original, const struct json *patch, struct json **out,
                     struct error *err)
{
    if (kind->custom)
        return error_set(err, ERROR_UNSUPPORTED, "%s has no merge keys: use a JSON patch or a merge patch", kind->kind);
    if (!json_is_object(patch) || !json_is_object(original))
        return error_set(err, ERROR_INVALID, "the patch must be an object");
    struct json *merged = merge_object(kind->message, original, patch, err);
    if (!merged)
        return false;
    *out = merged;
    return true;
}
