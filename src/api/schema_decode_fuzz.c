/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses a kind, the rest is JSON: the way of a create. Normal form decodes to itself, and defaults are
 * idempotent.
 */
#include <stdlib.h>

#include "api/schema.h"
#include "api/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void create(const struct kind *kind, const struct json *in)
{
    struct error err = {0};
    struct json *once = NULL, *twice = NULL;
    AUTO_WARNINGS warnings = {0};
    AUTO_FIELD_ERRORS errors = {0};
    if (!schema_decode_json(kind, in, SCHEMA_WARN, &once, &warnings, &err))
        return;
    if (!schema_decode_json(kind, once, SCHEMA_STRICT, &twice, NULL, &err) || !json_same(once, twice))
        abort();
    schema_default(kind, once);
    AUTO_JSON *defaulted = json_clone(once);
    schema_default(kind, once);
    if (!json_same(once, defaulted))
        abort();
    schema_prepare_create(kind, once);
    schema_validate(kind, once, NULL, &errors);
    const struct json *objects[] = {once};
    json_unref(table_print(kind, objects, 1, NULL, TABLE_METADATA, 0, true));
    json_unref(once);
    json_unref(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    size_t count = 0;
    while (kind_at(count))
        count++;
    if (size < 1 || count == 0)
        return 0;
    const struct kind *kind = kind_at(data[0] % count);
    struct bytes text = bytes_of(data + 1, size - 1);
    AUTO_WARNINGS warnings = {0};
    if (!schema_check_duplicates(kind, text, SCHEMA_WARN, &warnings, &err))
        return 0;
    AUTO_JSON *in = json_parse(text, JSON_PARSE_LAST_KEY_WINS, &err);
    if (in)
        create(kind, in);
    return 0;
}
