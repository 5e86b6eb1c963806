/* SPDX-License-Identifier: Apache-2.0 */
/* A byte that chooses a kind, an original and a patch in JSON with a zero byte between them. */
#include "api/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    size_t count = 0;
    while (kind_at(count))
        count++;
    if (size < 1 || count == 0)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1), first = {0};
    bytes_split(&rest, 0, &first);
    AUTO_JSON *original = json_parse(first, 0, &err), *patch = json_parse(rest, 0, &err);
    struct json *merged = NULL;
    if (original && patch && strategic_merge(kind_at(data[0] % count), original, patch, &merged, &err))
        json_unref(merged);
    return 0;
}
