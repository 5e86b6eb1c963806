/* SPDX-License-Identifier: Apache-2.0 */
/* Create, update, delete, deletecollection. The rules are the store's; here are the request's words for them. */
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "door/kube_call.h"

static int write_flags(const struct kube_call *call)
{
    return API_DECODED | (call->dry_run ? API_DRY_RUN : 0);
}

void kube_create(struct kube_call *call)
{
    struct error err;
    AUTO_OBJECT *object = NULL;
    AUTO_JSON *json = kube_body(call, call->target.kind, &err);
    if (!json) {
        kube_respond_error(call, &err);
        return;
    }
    struct bytes namespace = call->target.namespace;
    if (namespace.size == 0 && call->target.kind->namespaced) {
        kube_respond_status(call, 405, "MethodNotAllowed", "%s are created in a namespace", call->target.kind->plural);
        return;
    }
    call->target.name = json_bytes(json_at(json, "metadata.name"));
    call->target.name = arena_copy(call->arena, call->target.name);
    if (!api_create(call->api, call->target.kind, namespace, json, write_flags(call), &object, &err)) {
        kube_respond_error(call, &err);
        return;
    }
    kube_respond_durable(call, 201, TAKE(object));
}

void kube_update(struct kube_call *call)
{
    struct error err;
    AUTO_OBJECT *object = NULL;
    const struct kube_target *target = &call->target;
    AUTO_JSON *json = kube_body(call, target->kind, &err);
    if (!json || !api_update(call->api, target->kind, target->namespace, target->name, json,
                             write_flags(call) | call->write_flags, &object, &err)) {
        kube_respond_error(call, &err);
        return;
    }
    kube_respond_durable(call, 200, TAKE(object));
}

/* --- Delete --- */

static bool read_policy(struct kube_call *call, const struct json *body, struct api_delete_options *options,
                        struct error *err)
{
    static const char *const policies[] = {"Background", "Foreground", "Orphan"};
    struct bytes policy = json_bytes(json_get(body, "propagationPolicy"));
    if (policy.size == 0)
        policy = kube_query(call, "propagationPolicy");
    if (json_bool(json_get(body, "orphanDependents"), false) || kube_query_bool(call, "orphanDependents"))
        policy = BYTES_LITERAL("Orphan");
    if (policy.size == 0)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
        if (bytes_equal_string(policy, policies[i]))
            options->propagation_policy = policies[i];
    return options->propagation_policy ||
           error_set(err, ERROR_INVALID,
                     "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
                     "\"" BYTES_FORMAT "\": supported values: \"Foreground\", \"Background\", \"Orphan\"",
                     BYTES_ARGS(policy));
}

/* From the body, in JSON or protobuf, and where it says nothing from the query. */
static bool read_delete_options(struct kube_call *call, struct api_delete_options *options, struct error *err)
{
    static const struct bytes v1 = {(const uint8_t *)"v1", 2}, name = {(const uint8_t *)"DeleteOptions", 13};
    *options = (struct api_delete_options){.grace_period_s = -1, .dry_run = call->dry_run};
    AUTO_JSON *body = NULL;
    if (call->request->body.size > 0 && !(body = kube_body_raw(call, schema_request_kind(v1, name), err)))
        return false;
    if (!kube_query_int(call, "gracePeriodSeconds", &options->grace_period_s, err))
        return false;
    options->grace_period_s = json_int_at(body, "gracePeriodSeconds", options->grace_period_s);
    struct bytes uid = json_bytes(json_at(body, "preconditions.uid"));
    struct bytes revision = json_bytes(json_at(body, "preconditions.resourceVersion"));
    if (uid.size > 0)
        options->uid = arena_string(call->arena, uid);
    if (revision.size > 0 && !bytes_to_u64(revision, &options->resource_version))
        options->resource_version = UINT64_MAX; /* no object has it */
    if (json_size(json_get(body, "dryRun")) > 0)
        options->dry_run = call->dry_run = true;
    return read_policy(call, body, options, err);
}

static struct json *success_of(struct kube_call *call, const struct object *object)
{
    struct json *status = kube_status_new(200, NULL, NULL);
    json_remove(status, "code");
    struct json *details = json_new_object();
    json_set(details, "name", json_new_string(object->name));
    if (call->target.group.size > 0)
        json_set(details, "group", json_new_string(call->target.group));
    json_set(details, "kind", json_new_string(call->target.plural));
    json_set(details, "uid", json_new_text(object->uid));
    json_set(status, "details", details);
    return status;
}

/* Kinds whose DELETE answers with the object as it was last; the others answer with a Status. Typed clients insist. */
static bool answers_with_object(const struct kind *kind)
{
    static const char *const kinds[] = {"Pod", "Service", "ServiceAccount"};
    for (size_t i = 0; kind->group[0] == '\0' && i < ARRAY_SIZE(kinds); i++)
        if (strcmp(kind->kind, kinds[i]) == 0)
            return true;
    return false;
}

void kube_delete(struct kube_call *call)
{
    struct error err;
    AUTO_OBJECT *object = NULL;
    struct api_delete_options options;
    const struct kube_target *target = &call->target;
    if (!read_delete_options(call, &options, &err) ||
        !api_delete(call->api, target->kind, target->namespace, target->name, &options, &object, &err)) {
        kube_respond_error(call, &err);
        return;
    }
    const struct object *left = api_get(call->api, target->kind, target->namespace, target->name);
    bool stays = left && strcmp(left->uid, object->uid) == 0 && (object->deleting || !options.dry_run);
    if (stays || answers_with_object(target->kind)) {
        kube_respond_durable(call, 200, TAKE(object));
        return;
    }
    kube_respond_json_durable(call, 200, success_of(call, object));
}

static struct json *list_of(struct kube_call *call, struct json *items)
{
    struct json *list = json_new_object();
    json_set(list, "kind", json_new_format("%sList", call->target.kind->kind));
    json_set(list, "apiVersion", json_new_text(kind_api_version(call->target.kind)));
    json_set_at(list, "metadata.resourceVersion", json_new_format("%llu", (unsigned long long)api_revision(call->api)));
    json_set(list, "items", items);
    return list;
}

/* One by one; what another one has deleted meanwhile is as good. */
static bool delete_selected(struct kube_call *call, const struct kube_selection *selection,
                            const struct api_delete_options *options, struct json *items, struct error *err)
{
    struct api_iterator iterator;
    struct object *object;
    struct bytes namespace = call->target.namespace;
    api_iterate(call->api, call->target.kind, namespace.size ? namespace : BYTES_NULL, &iterator);
    while ((object = api_iterator_next(&iterator))) {
        if (!watcher_selects(&selection->options, object))
            continue;
        json_append(items, view_show(call->target.kind, object->json));
        if (!api_delete(call->api, object->kind, object->namespace, object->name, options, NULL, err) &&
            err->kind != ERROR_NOT_FOUND) {
            api_iterator_end(&iterator);
            return false;
        }
    }
    return true;
}

void kube_delete_collection(struct kube_call *call)
{
    struct error err;
    struct kube_selection selection = {0};
    struct api_delete_options options;
    AUTO_JSON *items = json_new_array();
    bool good = read_delete_options(call, &options, &err) && kube_selection_init(call, &selection, &err) &&
                delete_selected(call, &selection, &options, items, &err);
    kube_selection_deinit(&selection);
    if (!good) {
        kube_respond_error(call, &err);
        return;
    }
    kube_respond_json_durable(call, 200, list_of(call, TAKE(items)));
}
