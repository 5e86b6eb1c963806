/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/listing.h"

#include <string.h>

#include "base/limits.h"

enum { COLUMNS_MAX = 12, CELL_SIZE = 512 };

static const char *cell(const struct json *row, const char *key, char out[CELL_SIZE])
{
    const struct json *value = json_get(row, key);
    if (json_is_int(value))
        snprintf(out, CELL_SIZE, "%lld", (long long)json_int(value, 0));
    else if (json_type(value) == JSON_TRUE || json_type(value) == JSON_FALSE)
        snprintf(out, CELL_SIZE, "%s", json_bool(value, false) ? "true" : "false");
    else
        snprintf(out, CELL_SIZE, "%s", json_text(value) && json_text(value)[0] ? json_text(value) : "-");
    return out;
}

static bool is_numeric(const struct json *rows, const char *key)
{
    json_array_each (i, row, rows) {
        if (json_is_int(json_get(row, key)))
            return true;
    }
    return false;
}

static int width_of(const struct json *rows, const struct listing_column *column)
{
    char text[CELL_SIZE];
    size_t width = strlen(column->title);
    json_array_each (i, row, rows) {
        size_t size = strlen(cell(row, column->key, text));
        if (size > width)
            width = size;
    }
    return (int)width;
}

/* The last column is not filled up, so that no line ends in spaces. */
static void print_row(const struct json *row, const struct listing_column *columns, const int *widths, FILE *out)
{
    char text[CELL_SIZE];
    for (size_t i = 0; columns[i].title; i++) {
        const char *value = row ? cell(row, columns[i].key, text) : columns[i].title;
        bool last = !columns[i + 1].title;
        if (widths[i] > 0)
            fprintf(out, "%*s%s", widths[i], value, last ? "\n" : "  ");
        else if (last)
            fprintf(out, "%s\n", value);
        else
            fprintf(out, "%-*s  ", -widths[i], value);
    }
}

void listing_print_table(const struct json *rows, const struct listing_column *columns, FILE *out)
{
    int widths[COLUMNS_MAX]; /* below zero: left-aligned */
    for (size_t i = 0; columns[i].title; i++)
        widths[i] = is_numeric(rows, columns[i].key) ? width_of(rows, &columns[i]) : -width_of(rows, &columns[i]);
    print_row(NULL, columns, widths, out);
    json_array_each (i, row, rows) {
        print_row(row, columns, widths, out);
    }
}

void listing_print_json(const struct json *value, FILE *out)
{
    AUTO_BUF text;
    buf_init(&text, 4 * LIMIT_KAFKA_FRAME_SIZE);
    json_print_pretty(value, &text);
    buf_append_byte(&text, '\n');
    fwrite(text.data, 1, text.size, out);
}

void listing_print_names(const struct json *rows, const char *key, FILE *out)
{
    char text[CELL_SIZE];
    json_array_each (i, row, rows) {
        fprintf(out, "%s\n", cell(row, key, text));
    }
}

bool listing_is_json(const char *output)
{
    return output && strcmp(output, "json") == 0;
}

void listing_print(const struct json *rows, const struct listing_column *columns, const char *output)
{
    if (listing_is_json(output))
        listing_print_json(rows, stdout);
    else if (output && strcmp(output, "name") == 0)
        listing_print_names(rows, columns[0].key, stdout);
    else
        listing_print_table(rows, columns, stdout);
}
