/* SPDX-License-Identifier: Apache-2.0 */
/* Cells that are computed, by the names that the .kind files use. */
#ifndef API_TABLE_CELLS_H
#define API_TABLE_CELLS_H

#include "wire/json.h"

struct table_cell {
    const char *name; /* "pod_ready" */
    struct json *(*run)(const struct json *object, int64_t now_s);
};

/* NULL: no such cell, which is a mistake in a .kind file. */
const struct table_cell *table_cell_by_name(const char *name);

/* The age of an RFC 3339 time as kubectl prints it, "<unknown>" when it is none. A new value. */
struct json *table_cell_age(const struct json *time, int64_t now_s);

#endif
