/* SPDX-License-Identifier: Apache-2.0 */
/* See merge_patch.h. The recursion is as deep as the patch, which JSON parsing has bounded. */
#include "api/merge_patch.h"

struct json *merge_patch_apply(const struct json *document, const struct json *patch)
{
    if (!json_is_object(patch))
        return json_clone(patch);
    struct json *out = json_new_object();
    if (!json_is_object(document))
        document = NULL;
    json_object_each (member, document) {
        const struct json *change = json_get(patch, member.key);
        if (!change)
            json_set(out, member.key, json_clone(member.value));
        else if (!json_is_null(change))
            json_set(out, member.key, merge_patch_apply(member.value, change));
    }
    json_object_each (member, patch) {
        if (!json_get(document, member.key) && !json_is_null(member.value))
            json_set(out, member.key, merge_patch_apply(NULL, member.value));
    }
    return out;
}
