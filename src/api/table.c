/* SPDX-License-Identifier: Apache-2.0 */
#include "api/table.h"

#include <assert.h>
#include <stdio.h>

#include "api/schema_table.h"
#include "api/table_cells.h"
#include "api/view.h"

static bool is_age(const struct column *column)
{
    return strcmp(schema_names + column->type, "date") == 0;
}

static struct json *column_definition(const struct kind *kind, const struct column *column)
{
    struct json *definition = json_new_object();
    const char *name = schema_names + column->name, *type = schema_names + column->type;
    json_set(definition, "name", json_new_text(name));
    /* The server prints ages as text; only for custom resources does it call them what they are. */
    json_set(definition, "type", json_new_text(is_age(column) && !kind->custom ? "string" : type));
    json_set(definition, "format", json_new_text(strcmp(name, "Name") == 0 && !column->wide ? "name" : ""));
    json_set(definition, "description", json_new_text(schema_words + column->words));
    json_set(definition, "priority", json_new_int(column->wide));
    return definition;
}

/* Keys with dots between them; [Ready] is the element of a list whose type is that. */
static const struct json *at_path(const struct json *value, const char *path)
{
    struct bytes rest = bytes_of_string(path + 1), part;
    while (value && bytes_split(&rest, '.', &part)) {
        size_t bracket = bytes_find(part, 0, '[');
        value = json_get_bytes(value, bytes_slice(part, 0, bracket));
        if (bracket == part.size)
            continue;
        struct bytes type = bytes_slice(part, bracket + 1, part.size - bracket - 2);
        const struct json *found = NULL;
        json_array_each (i, element, value)
            if (bytes_equal(json_bytes(json_get(element, "type")), type))
                found = element;
        value = found;
    }
    return value;
}

static struct json *cell_of(const struct kind *kind, const struct column *column, const struct json *object,
                            int64_t now_s)
{
    const char *source = schema_names + column->source;
    if (*source != '.') {
        const struct table_cell *cell = table_cell_by_name(source);
        assert(cell);
        return cell->run(object, now_s);
    }
    const struct json *value = at_path(object, source);
    if (is_age(column))
        return value || !kind->custom ? table_cell_age(value, now_s) : json_new_null();
    if (value)
        return json_ref(value);
    if (kind->custom)
        return json_new_null();
    return strcmp(schema_names + column->type, "integer") == 0 ? json_new_int(0) : json_new_text("");
}

struct json *table_partial_metadata(const struct json *object)
{
    struct json *partial = json_new_object();
    json_set(partial, "kind", json_new_text("PartialObjectMetadata"));
    json_set(partial, "apiVersion", json_new_text("meta.k8s.io/v1"));
    json_set(partial, "metadata", json_ref(json_get(object, "metadata")));
    return partial;
}

static struct json *row_of(const struct kind *kind, const struct kind *shown, const struct json *object,
                           enum table_include include, int64_t now_s)
{
    struct json *row = json_new_object(), *cells = json_new_array();
    for (size_t i = 0; i < kind->column_count; i++)
        json_append(cells, cell_of(kind, &kind->columns[i], object, now_s));
    json_set(row, "cells", cells);
    if (include == TABLE_METADATA)
        json_set(row, "object", table_partial_metadata(object));
    else if (include == TABLE_OBJECT)
        json_set(row, "object", view_show(shown, object));
    return row;
}

struct json *table_print(const struct kind *shown, const struct json *const *objects, size_t count,
                         const struct json *metadata, enum table_include include, int64_t now_s, bool with_columns)
{
    const struct kind *kind = kind_stored(shown);
    struct json *table = json_new_object(), *columns = json_new_array(), *rows = json_new_array();
    for (size_t i = 0; with_columns && i < kind->column_count; i++)
        json_append(columns, column_definition(kind, &kind->columns[i]));
    for (size_t i = 0; i < count; i++)
        json_append(rows, row_of(kind, shown, objects[i], include, now_s));
    json_set(table, "kind", json_new_text("Table"));
    json_set(table, "apiVersion", json_new_text("meta.k8s.io/v1"));
    json_set(table, "metadata", metadata ? json_ref(metadata) : json_new_object());
    json_set(table, "columnDefinitions", columns);
    json_set(table, "rows", rows);
    return table;
}
