/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subresources: a side of an object that is read and written on its own. status and finalize are ordinary updates of a
 * part; scale is a view of spec.replicas in a shape of its own; eviction and binding are acts.
 */
#include <errno.h>

#include "base/memory.h"
#include "door/kube_call.h"

static bool is(struct bytes text, const char *word)
{
    return bytes_equal_string(text, word);
}

static struct object *target_object(struct kube_call *call)
{
    return api_get(call->api, call->target.kind, call->target.namespace, call->target.name);
}

/* --- scale --- */

static void append_expression(struct buf *out, const struct json *expression)
{
    const char *op = json_text_at(expression, "operator", "");
    const char *key = json_text_at(expression, "key", "");
    if (strcmp(op, "Exists") == 0) {
        buf_printf(out, ",%s", key);
        return;
    }
    if (strcmp(op, "DoesNotExist") == 0) {
        buf_printf(out, ",!%s", key);
        return;
    }
    buf_printf(out, ",%s %s (", key, strcmp(op, "In") == 0 ? "in" : "notin");
    json_array_each (i, value, json_get(expression, "values")) {
        buf_printf(out, "%s%s", i ? "," : "", json_text(value));
    }
    buf_append_byte(out, ')');
}

/* A LabelSelector as text: what an autoscaler lists the pods with. */
static struct json *selector_text(const struct json *selector)
{
    AUTO_BUF out;
    buf_init(&out, 64 << 10);
    json_object_each (member, json_get(selector, "matchLabels")) {
        buf_printf(&out, ",%s=%s", member.key, json_text(member.value));
    }
    json_array_each (i, expression, json_get(selector, "matchExpressions")) {
        append_expression(&out, expression);
    }
    struct bytes text = buf_bytes(&out);
    return json_new_string(bytes_slice(text, text.size ? 1 : 0, text.size));
}

static struct json *scale_of(const struct object *object)
{
    static const char *const kept[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
    struct json *scale = json_new_object(), *metadata = json_new_object();
    json_set(scale, "kind", json_new_text("Scale"));
    json_set(scale, "apiVersion", json_new_text("autoscaling/v1"));
    json_set(scale, "metadata", metadata);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        json_set(metadata, kept[i], json_ref(json_get(json_get(object->json, "metadata"), kept[i])));
    json_set_at(scale, "spec.replicas", json_new_int(json_int_at(object->json, "spec.replicas", 0)));
    json_set_at(scale, "status.replicas", json_new_int(json_int_at(object->json, "status.replicas", 0)));
    json_set_at(scale, "status.selector", selector_text(json_at(object->json, "spec.selector")));
    return scale;
}

static const struct kind *scale_kind(void)
{
    return schema_request_kind(BYTES_LITERAL("autoscaling/v1"), BYTES_LITERAL("Scale"));
}

/* The Scale that is asked for: the body of a PUT, or what a patch makes of the present one. */
static struct json *wanted_scale(struct kube_call *call, const struct object *object, struct error *err)
{
    if (is(call->request->head->method, "PUT"))
        return kube_body(call, scale_kind(), err);
    AUTO_JSON *scale = scale_of(object);
    return kube_patch_apply(call, scale_kind(), scale, err);
}

static bool write_scale(struct kube_call *call, struct object *object, const struct json *scale, struct object **out,
                        struct error *err)
{
    const struct json *replicas = json_at(scale, "spec.replicas");
    if (!json_is_int(replicas) || json_int(replicas, 0) < 0 || json_int(replicas, 0) > INT32_MAX)
        return error_set(err, ERROR_INVALID,
                         "Scale.autoscaling \"" BYTES_FORMAT
                         "\" is invalid: spec.replicas: must be a number from 0 to %d",
                         BYTES_ARGS(object->name), INT32_MAX);
    AUTO_JSON *json = json_clone(object->json);
    struct json *revision = json_at(scale, "metadata.resourceVersion");
    json_set_at(json, "spec.replicas", json_ref(replicas));
    if (revision)
        json_set_at(json, "metadata.resourceVersion", json_ref(revision));
    return api_update(call->api, object->kind, object->namespace, object->name, json,
                      API_DECODED | (call->dry_run ? API_DRY_RUN : 0), out, err);
}

static void scale(struct kube_call *call)
{
    struct error err;
    AUTO_OBJECT *object = object_ref(target_object(call)), *updated = NULL;
    if (!object) {
        kube_get(call); /* the same 404 */
        return;
    }
    if (is(call->request->head->method, "GET")) {
        kube_respond_json_durable(call, 200, scale_of(object));
        return;
    }
    AUTO_JSON *wanted = wanted_scale(call, object, &err);
    if (!wanted || !write_scale(call, object, wanted, &updated, &err))
        kube_respond_error(call, &err);
    else
        kube_respond_json_durable(call, 200, scale_of(updated));
}

/* --- eviction: what `kubectl drain` asks for; there are no disruption budgets that could refuse it --- */

static void evict(struct kube_call *call)
{
    struct error err;
    const struct kube_target *target = &call->target;
    AUTO_JSON *body =
        kube_body_raw(call, schema_request_kind(BYTES_LITERAL("policy/v1"), BYTES_LITERAL("Eviction")), &err);
    struct api_delete_options options = {.grace_period_s = json_int_at(body, "deleteOptions.gracePeriodSeconds", -1),
                                         .dry_run = call->dry_run};
    if (!body || !api_delete(call->api, target->kind, target->namespace, target->name, &options, NULL, &err)) {
        kube_respond_error(call, &err);
        return;
    }
    kube_respond_json_durable(call, 201, kube_status_new(201, NULL, NULL));
}

/* --- binding: what a scheduler says --- */

static bool bind_pod(struct kube_call *call, const struct json *body, struct error *err)
{
    struct object *pod = target_object(call);
    const char *node = json_text_at(body, "target.name", "");
    if (!pod)
        return error_set(err, ERROR_NOT_FOUND, "pods \"" BYTES_FORMAT "\" not found", BYTES_ARGS(call->target.name));
    const char *bound = json_text_at(pod->json, "spec.nodeName", "");
    if (*bound)
        return error_set(err, ERROR_CONFLICT,
                         "Operation cannot be fulfilled on pods/binding \"" BYTES_FORMAT "\": pod " BYTES_FORMAT
                         " is already assigned to node \"%s\"",
                         BYTES_ARGS(pod->name), BYTES_ARGS(pod->name), bound);
    AUTO_JSON *json = json_clone(pod->json);
    json_set_at(json, "spec.nodeName", json_new_text(node));
    return api_update(call->api, pod->kind, pod->namespace, pod->name, json,
                      API_DECODED | (call->dry_run ? API_DRY_RUN : 0), NULL, err);
}

static void bind_to_node(struct kube_call *call)
{
    struct error err;
    AUTO_JSON *body = kube_body_raw(call, schema_request_kind(BYTES_LITERAL("v1"), BYTES_LITERAL("Binding")), &err);
    if (!body || !bind_pod(call, body, &err))
        kube_respond_error(call, &err);
    else
        kube_respond_json_durable(call, 201, kube_status_new(201, NULL, NULL));
}

/* --- Which --- */

static bool part_of_object(struct kube_call *call, struct bytes method, int flag)
{
    call->write_flags = flag;
    if (is(method, "GET"))
        kube_get(call);
    else if (is(method, "PUT"))
        kube_update(call);
    else if (is(method, "PATCH"))
        kube_patch(call);
    else
        return false;
    return true;
}

static bool of_pods(struct kube_call *call, struct bytes name, struct bytes method)
{
    static const char *const later[] = {"exec", "attach", "portforward", "proxy", "ephemeralcontainers", "resize"};
    if (is(name, "log") && is(method, "GET"))
        kube_logs(call);
    else if (is(name, "eviction") && is(method, "POST"))
        evict(call);
    else if (is(name, "binding") && is(method, "POST"))
        bind_to_node(call);
    else {
        for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
            if (is(name, later[i])) {
                kube_respond_status(call, 501, "NotImplemented", "pods/%s is not available in evoke yet", later[i]);
                return true;
            }
        }
        return false;
    }
    return true;
}

bool kube_subresource(struct kube_call *call, struct bytes method)
{
    const struct kind *kind = call->target.kind;
    struct bytes name = call->target.subresource;
    if (is(name, "status") && kind->has_status)
        return part_of_object(call, method, API_STATUS);
    if (is(name, "finalize") && strcmp(kind->plural, "namespaces") == 0 && is(method, "PUT"))
        return part_of_object(call, method, API_FINALIZE);
    if (is(name, "scale") && kind->has_scale && (is(method, "GET") || is(method, "PUT") || is(method, "PATCH"))) {
        scale(call);
        return true;
    }
    return strcmp(kind->plural, "pods") == 0 && of_pods(call, name, method);
}
