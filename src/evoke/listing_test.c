/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>

#include "evoke/listing.h"

static const struct listing_column columns[] = {{"name", "NAME"}, {"state", "STATE"}, {"count", "COUNT"}, {0}};

static void add(struct json *rows, const char *name, int64_t count)
{
    struct json *row = json_new_object();
    json_set(row, "name", json_new_text(name));
    json_set(row, "state", json_new_text("Up"));
    json_set(row, "count", json_new_int(count));
    json_append(rows, row);
}

TEST(a_table_is_aligned_by_what_a_terminal_shows)
{
    AUTO_JSON *rows = json_new_array();
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    add(rows, "plain", 7);
    add(rows, "\u0433\u0440\u0443\u043f\u043f\u0430", 12345678); /* two bytes and one column each */
    add(rows, "\u65e5\u672c", 1);                                /* three bytes and two columns each */
    add(rows, "e\u0301", 1);                                     /* an accent has no column of its own */
    listing_print_table(rows, columns, out);
    fclose(out);
    CHECK_STR(text, "NAME    STATE     COUNT\n"
                    "plain   Up            7\n"
                    "\u0433\u0440\u0443\u043f\u043f\u0430  Up     12345678\n"
                    "\u65e5\u672c    Up            1\n"
                    "e\u0301       Up            1\n");
    free(text);
}

TEST(a_table_does_not_command_the_terminal)
{
    AUTO_JSON *rows = json_new_array();
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    add(rows, "a\x1b[31mb\nc\x7f", 1);
    listing_print_table(rows, columns, out);
    fclose(out);
    CHECK_STR(text, "NAME                 STATE  COUNT\n"
                    "a\\x1b[31mb\\x0ac\\x7f  Up         1\n");
    free(text);
}
