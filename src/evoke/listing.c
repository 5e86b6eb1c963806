/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/listing.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/limits.h"

enum { COLUMNS_MAX = 12, CELL_SIZE = 512, ESCAPE_SIZE = 5 };

/* Names and ids come from whoever talks to the server: what would command the terminal is shown as \x1b. */
static void print_plain(const char *text, char out[CELL_SIZE])
{
    size_t size = 0;
    for (; *text && size + ESCAPE_SIZE < CELL_SIZE; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < ' ' || byte == 0x7f)
            size += (size_t)snprintf(out + size, ESCAPE_SIZE, "\\x%02x", byte);
        else
            out[size++] = (char)byte;
    }
    out[size] = '\0';
}

static const char *cell(const struct json *row, const char *key, char out[CELL_SIZE])
{
    const struct json *value = json_get(row, key);
    if (json_is_int(value))
        snprintf(out, CELL_SIZE, "%lld", (long long)json_int(value, 0));
    else if (json_type(value) == JSON_TRUE || json_type(value) == JSON_FALSE)
        snprintf(out, CELL_SIZE, "%s", json_bool(value, false) ? "true" : "false");
    else
        print_plain(json_text(value) && json_text(value)[0] ? json_text(value) : "-", out);
    return out;
}

/* Under a UTF-8 locale; what is no UTF-8 counts as a column a byte. */
static size_t width_of_characters(const char *text, size_t size)
{
    size_t width = 0, n;
    mbstate_t state = {0};
    for (wchar_t c; size > 0; text += n, size -= n) {
        n = mbrtowc(&c, text, size, &state);
        if (n > 0 && n <= size) {
            int columns = wcwidth(c);
            width += columns > 0 ? (size_t)columns : 0;
        } else {
            n = 1;
            width++;
            state = (mbstate_t){0};
        }
    }
    return width;
}

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return !*text;
}

/* Columns of the terminal, whatever the user's locale. */
static size_t width_of_text(const char *text)
{
    if (is_ascii(text))
        return strlen(text);
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
    size_t width = width_of_characters(text, strlen(text));
    uselocale(before);
    if (utf8)
        freelocale(utf8);
    return width;
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
        size_t columns = width_of_text(cell(row, column->key, text));
        if (columns > width)
            width = columns;
    }
    return (int)width;
}

/* The last column is not filled up, so that no line ends in spaces. */
static void print_row(const struct json *row, const struct listing_column *columns, const int *widths, FILE *out)
{
    char text[CELL_SIZE];
    for (size_t i = 0; columns[i].title; i++) {
        const char *value = row ? cell(row, columns[i].key, text) : columns[i].title;
        bool last = !columns[i + 1].title, right = widths[i] > 0;
        int filling = abs(widths[i]) - (int)width_of_text(value);
        fprintf(out, "%*s%s%*s%s", right ? filling : 0, "", value, right || last ? 0 : filling, "", last ? "\n" : "  ");
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
