/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Merge Patch (RFC 7386): objects merge key by key, null removes, everything else replaces. */
#ifndef API_MERGE_PATCH_H
#define API_MERGE_PATCH_H

#include "wire/json.h"

/* The patched copy, the caller's. `document` may be NULL: nothing yet. Cannot fail. */
struct json *merge_patch_apply(const struct json *document, const struct json *patch);

#endif
