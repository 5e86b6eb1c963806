/* SPDX-License-Identifier: Apache-2.0 */
/* A body of protobuf, and the way of a create after it: what is decoded has a normal form that decodes to itself. */
#include <stdlib.h>

#include "api/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    const struct kind *kind;
    struct json *in = NULL, *once = NULL, *twice = NULL;
    AUTO_WARNINGS warnings = {0};
    AUTO_FIELD_ERRORS errors = {0};
    if (!schema_decode_protobuf(bytes_of(data, size), NULL, &kind, &in, &err))
        return 0;
    if (schema_decode_json(kind, in, SCHEMA_STRICT, &once, &warnings, &err)) {
        if (!schema_decode_json(kind, once, SCHEMA_STRICT, &twice, NULL, &err) || !json_same(once, twice))
            abort();
        schema_prepare_create(kind, once);
        schema_default(kind, once);
        schema_validate(kind, once, twice, &errors);
    }
    json_unref(in);
    json_unref(once);
    json_unref(twice);
    return 0;
}
