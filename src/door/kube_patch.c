/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patch: JSON (RFC 6902), merge (RFC 7386) and strategic merge, then the same way as an update. Nothing can come
 * between reading the object and writing it back, so a patch without a resourceVersion never conflicts.
 */
#include <errno.h>

#include "api/json_patch.h"
#include "api/merge_patch.h"
#include "door/kube_call.h"

enum patch_type { JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH, UNKNOWN_PATCH };

static enum patch_type type_of(struct kube_call *call)
{
    static const char *const types[] = {"application/json-patch+json", "application/merge-patch+json",
                                        "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
    struct bytes value = http_head_get(call->request->head, "Content-Type");
    value = bytes_trim(bytes_slice(value, 0, bytes_find(value, 0, ';')));
    for (int i = 0; i < UNKNOWN_PATCH; i++)
        if (bytes_equal_ignore_case(value, bytes_of_string(types[i])))
            return (enum patch_type)i;
    return UNKNOWN_PATCH;
}

static bool unsupported(enum patch_type type, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "%s",
                     type == APPLY_PATCH
                         ? "server-side apply (application/apply-patch+yaml) is not available yet; use client-side "
                           "apply: kubectl apply --server-side=false"
                         : "the body of the request was in an unknown format - accepted media types include: "
                           "application/json-patch+json, application/merge-patch+json, "
                           "application/strategic-merge-patch+json");
}

/* A patch that cannot be read is a bad request; one that does not fit the object is invalid. */
static struct json *parse(struct kube_call *call, const struct kind *kind, enum patch_type type, struct error *err)
{
    struct bytes body = call->request->body;
    if (type != JSON_PATCH && !schema_check_duplicates(kind, body, call->validation, call->warnings, err)) {
        err->sys = EBADMSG;
        return NULL;
    }
    struct json *patch = json_parse(body, JSON_PARSE_LAST_KEY_WINS, err);
    if (patch && type != JSON_PATCH && !json_is_object(patch)) {
        json_unref(patch);
        patch = NULL;
        error_set(err, ERROR_INVALID, "a merge patch is a JSON object");
    }
    if (!patch) {
        err->kind = ERROR_INVALID;
        err->sys = EBADMSG;
    }
    return patch;
}

struct json *kube_patch_apply(struct kube_call *call, const struct kind *kind, const struct json *current,
                              struct error *err)
{
    enum patch_type type = type_of(call);
    struct json *out = NULL;
    if (type == APPLY_PATCH || type == UNKNOWN_PATCH) {
        unsupported(type, err);
        return NULL;
    }
    AUTO_JSON *patch = parse(call, kind, type, err);
    if (!patch)
        return NULL;
    if (type == JSON_PATCH)
        return json_patch_apply(current, patch, err);
    if (type == MERGE_PATCH)
        return merge_patch_apply(current, patch);
    return strategic_merge(kind, current, patch, &out, err) ? out : NULL;
}

/* The patched object in normal form. */
static struct json *patched(struct kube_call *call, const struct object *current, struct error *err)
{
    struct json *out = NULL;
    const struct kind *kind = call->target.kind;
    AUTO_JSON *shown = view_show(kind, current->json);
    AUTO_JSON *json = kube_patch_apply(call, kind, shown, err);
    if (!json)
        return NULL;
    if (schema_decode_json(kind, json, call->validation, &out, call->warnings, err))
        return out;
    err->sys = err->kind == ERROR_INVALID ? EBADMSG : err->sys;
    return NULL;
}

void kube_patch(struct kube_call *call)
{
    struct error err;
    AUTO_OBJECT *object = NULL;
    const struct kube_target *target = &call->target;
    AUTO_OBJECT *current = object_ref(api_get(call->api, target->kind, target->namespace, target->name));
    enum patch_type type = type_of(call);
    if (type == APPLY_PATCH || type == UNKNOWN_PATCH) { /* also for what is not there: apply would make it */
        unsupported(type, &err);
        kube_respond_error(call, &err);
        return;
    }
    if (!current) { /* the same 404 */
        kube_get(call);
        return;
    }
    AUTO_JSON *json = patched(call, current, &err);
    int flags = API_DECODED | call->write_flags | (call->dry_run ? API_DRY_RUN : 0);
    if (!json || !api_update(call->api, target->kind, target->namespace, target->name, json, flags, &object, &err)) {
        kube_respond_error(call, &err);
        return;
    }
    kube_respond_durable(call, 200, TAKE(object));
}
