/* SPDX-License-Identifier: Apache-2.0 */
/* A document and a patch, separated by a newline, through both kinds of patches. */
#include "api/json_patch.h"
#include "api/merge_patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct bytes rest = bytes_of(data, size), first;
    if (!bytes_split(&rest, '\n', &first) || !rest.data)
        return 0;
    AUTO_JSON *document = json_parse(first, 0, &err), *patch = json_parse(rest, 0, &err);
    if (!document || !patch)
        return 0;
    AUTO_JSON *patched = json_patch_apply(document, patch, &err);
    AUTO_JSON *merged = merge_patch_apply(document, patch);
    return 0;
}
