/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery: what there is. Two dialects: the old one asks for the groups and then for each version, the aggregated one
 * (apidiscovery.k8s.io, two versions of the same shape) gets everything in one answer.
 */
#include <stdio.h>

#include "base/memory.h"
#include "door/kube_call.h"

/* --- What can be done --- */

static struct json *words(const char *const *list)
{
    struct json *array = json_new_array();
    for (; list && *list; list++)
        json_append(array, json_new_text(*list));
    return array;
}

static const char *const object_verbs[] = {"create", "delete", "deletecollection", "get", "list", "patch", "update",
                                           "watch",  NULL};
static const char *const part_verbs[] = {"get", "patch", "update", NULL};
static const char *const get_verbs[] = {"get", NULL};
static const char *const create_verbs[] = {"create", NULL};
static const char *const update_verbs[] = {"update", NULL};

struct subresource {
    const char *name, *group, *version, *kind; /* what is exchanged; NULL: the object itself */
    const char *const *verbs;
};

/* The i-th subresource of a kind. */
static bool subresource_at(const struct kind *kind, size_t i, struct subresource *out)
{
    static const struct subresource status = {"status", NULL, NULL, NULL, part_verbs};
    static const struct subresource scale = {"scale", "autoscaling", "v1", "Scale", part_verbs};
    static const struct subresource finalize = {"finalize", NULL, NULL, NULL, update_verbs};
    static const struct subresource of_pods[] = {{"binding", "", "v1", "Binding", create_verbs},
                                                 {"eviction", "policy", "v1", "Eviction", create_verbs},
                                                 {"log", NULL, NULL, NULL, get_verbs}};
    const struct subresource *found[ARRAY_SIZE(of_pods) + 3];
    size_t count = 0;
    bool core = kind->group[0] == '\0';
    for (size_t k = 0; core && strcmp(kind->plural, "pods") == 0 && k < ARRAY_SIZE(of_pods); k++)
        found[count++] = &of_pods[k];
    if (core && strcmp(kind->plural, "namespaces") == 0)
        found[count++] = &finalize;
    if (kind->has_scale)
        found[count++] = &scale;
    if (kind->has_status)
        found[count++] = &status;
    if (i < count)
        *out = *found[i];
    return i < count;
}

/* --- The old dialect --- */

static void set_names(struct json *json, const struct kind *kind)
{
    if (kind->short_names && kind->short_names[0])
        json_set(json, "shortNames", words(kind->short_names));
    if (kind->categories && kind->categories[0])
        json_set(json, "categories", words(kind->categories));
}

static struct json *resource_of(const struct kind *kind)
{
    struct json *json = json_new_object();
    json_set(json, "name", json_new_text(kind->plural));
    json_set(json, "singularName", json_new_text(kind->singular));
    json_set(json, "namespaced", json_new_bool(kind->namespaced));
    json_set(json, "kind", json_new_text(kind->kind));
    json_set(json, "verbs", words(object_verbs));
    set_names(json, kind);
    return json;
}

static struct json *subresource_of(const struct kind *kind, const struct subresource *sub)
{
    struct json *json = json_new_object();
    json_set(json, "name", json_new_format("%s/%s", kind->plural, sub->name));
    json_set(json, "singularName", json_new_text(""));
    json_set(json, "namespaced", json_new_bool(kind->namespaced));
    if (sub->kind) {
        json_set(json, "group", json_new_text(sub->group));
        json_set(json, "version", json_new_text(sub->version));
    }
    json_set(json, "kind", json_new_text(sub->kind ? sub->kind : kind->kind));
    json_set(json, "verbs", words(sub->verbs));
    return json;
}

static void respond_resources(struct kube_call *call)
{
    struct json *list = json_new_object(), *resources = json_new_array();
    const struct kind *kind;
    struct subresource sub;
    for (size_t i = 0; (kind = kind_at(i)); i++) {
        if (!bytes_equal_string(call->target.group, kind->group) ||
            !bytes_equal_string(call->target.version, kind->version))
            continue;
        json_set(list, "groupVersion", json_new_text(kind_api_version(kind)));
        json_append(resources, resource_of(kind));
        for (size_t k = 0; subresource_at(kind, k, &sub); k++)
            json_append(resources, subresource_of(kind, &sub));
    }
    if (json_size(resources) == 0) {
        json_unref(list);
        json_unref(resources);
        kube_respond_no_such_resource(call);
        return;
    }
    json_set(list, "kind", json_new_text("APIResourceList"));
    json_set(list, "apiVersion", json_new_text("v1"));
    json_set(list, "resources", resources);
    kube_respond_json(call, 200, list);
}

static struct json *version_of(const struct kind *kind)
{
    struct json *json = json_new_object();
    json_set(json, "groupVersion", json_new_text(kind_api_version(kind)));
    json_set(json, "version", json_new_text(kind->version));
    return json;
}

/* From the i-th kind on, all versions of its group; *next is the first kind of another group. */
static struct json *group_at(size_t i, size_t *next)
{
    const struct kind *first = kind_at(i), *kind, *last = NULL;
    struct json *group = json_new_object(), *versions = json_new_array();
    for (; (kind = kind_at(i)) && strcmp(kind->group, first->group) == 0; i++) {
        if (!last || strcmp(last->version, kind->version) != 0)
            json_append(versions, version_of(kind));
        last = kind;
    }
    json_set(group, "name", json_new_text(first->group));
    json_set(group, "versions", versions);
    json_set(group, "preferredVersion", version_of(first));
    *next = i;
    return group;
}

static void respond_groups(struct kube_call *call)
{
    struct json *list = json_new_object(), *groups = json_new_array();
    for (size_t i = 0, next; kind_at(i); i = next) {
        bool core = kind_at(i)->group[0] == '\0';
        struct json *group = group_at(i, &next);
        if (core)
            json_unref(group);
        else
            json_append(groups, group);
    }
    json_set(list, "kind", json_new_text("APIGroupList"));
    json_set(list, "apiVersion", json_new_text("v1"));
    json_set(list, "groups", groups);
    kube_respond_json(call, 200, list);
}

static void respond_group(struct kube_call *call)
{
    for (size_t i = 0, next; kind_at(i); i = next) {
        bool found = bytes_equal_string(call->target.group, kind_at(i)->group);
        struct json *group = group_at(i, &next);
        if (found) {
            json_set(group, "kind", json_new_text("APIGroup"));
            json_set(group, "apiVersion", json_new_text("v1"));
            kube_respond_json(call, 200, group);
            return;
        }
        json_unref(group);
    }
    kube_respond_no_such_resource(call);
}

static void respond_core_versions(struct kube_call *call)
{
    char address[IO_ADDRESS_TEXT_SIZE];
    struct io_address bound = kube_door_address(call->door);
    io_address_format(&bound, address);
    struct json *json = json_new_object(), *versions = json_new_array(), *servers = json_new_array();
    struct json *server = json_new_object();
    json_append(versions, json_new_text("v1"));
    json_set(server, "clientCIDR", json_new_text("0.0.0.0/0"));
    json_set(server, "serverAddress", json_new_text(address));
    json_append(servers, server);
    json_set(json, "kind", json_new_text("APIVersions"));
    json_set(json, "versions", versions);
    json_set(json, "serverAddressByClientCIDRs", servers);
    kube_respond_json(call, 200, json);
}

/* --- The aggregated dialect --- */

static struct json *response_kind(const char *group, const char *version, const char *kind)
{
    struct json *json = json_new_object();
    json_set(json, "group", json_new_text(group));
    json_set(json, "version", json_new_text(version));
    json_set(json, "kind", json_new_text(kind));
    return json;
}

static struct json *aggregated_resource(const struct kind *kind)
{
    struct json *json = json_new_object(), *subresources = json_new_array();
    struct subresource sub;
    json_set(json, "resource", json_new_text(kind->plural));
    json_set(json, "responseKind", response_kind(kind->group, kind->version, kind->kind));
    json_set(json, "scope", json_new_text(kind->namespaced ? "Namespaced" : "Cluster"));
    json_set(json, "singularResource", json_new_text(kind->singular));
    json_set(json, "verbs", words(object_verbs));
    set_names(json, kind);
    for (size_t i = 0; subresource_at(kind, i, &sub); i++) {
        struct json *part = json_new_object();
        json_set(part, "subresource", json_new_text(sub.name));
        json_set(part, "responseKind",
                 sub.kind ? response_kind(sub.group, sub.version, sub.kind)
                          : response_kind(kind->group, kind->version, kind->kind));
        json_set(part, "verbs", words(sub.verbs));
        json_append(subresources, part);
    }
    json_set(json, "subresources", subresources);
    return json;
}

static struct json *aggregated_group(size_t i, size_t *next)
{
    const struct kind *first = kind_at(i), *kind;
    const char *version = "";
    struct json *group = json_new_object(), *versions = json_new_array(), *resources = NULL;
    for (; (kind = kind_at(i)) && strcmp(kind->group, first->group) == 0; i++) {
        if (strcmp(version, kind->version) != 0) {
            struct json *entry = json_new_object();
            version = kind->version;
            resources = json_new_array();
            json_set(entry, "version", json_new_text(version));
            json_set(entry, "freshness", json_new_text("Current"));
            json_set(entry, "resources", resources);
            json_append(versions, entry);
        }
        json_append(resources, aggregated_resource(kind));
    }
    json_set(group, "metadata", json_new_object());
    if (first->group[0])
        json_set_at(group, "metadata.name", json_new_text(first->group));
    json_set(group, "versions", versions);
    *next = i;
    return group;
}

static void respond_aggregated(struct kube_call *call, struct bytes version, bool want_core)
{
    struct json *list = json_new_object(), *items = json_new_array();
    for (size_t i = 0, next; kind_at(i); i = next) {
        bool core = kind_at(i)->group[0] == '\0';
        struct json *group = aggregated_group(i, &next);
        if (core == want_core)
            json_append(items, group);
        else
            json_unref(group);
    }
    json_set(list, "kind", json_new_text("APIGroupDiscoveryList"));
    json_set(list, "apiVersion", json_new_format("apidiscovery.k8s.io/" BYTES_FORMAT, BYTES_ARGS(version)));
    json_set(list, "metadata", json_new_object());
    json_set(list, "items", items);
    AUTO_BUF text;
    buf_init(&text, SIZE_MAX);
    json_print(list, &text);
    json_unref(list);
    const char *type =
        arena_printf(call->arena, "application/json;g=apidiscovery.k8s.io;v=" BYTES_FORMAT ";as=APIGroupDiscoveryList",
                     BYTES_ARGS(version));
    kube_respond_bytes(call, 200, type, buf_bytes(&text));
}

static bool wants_aggregated(struct kube_call *call, struct bytes *version)
{
    return kube_accepts(call, "APIGroupDiscoveryList", version) &&
           (bytes_equal_string(*version, "v2") || bytes_equal_string(*version, "v2beta1"));
}

/*
 * Before kubectl tells that there is no such kind, it asks whether one was defined by a CustomResourceDefinition, and a
 * "not found" of that question hides its answer. Nobody can define kinds here, so the list is empty and the resource is
 * not announced.
 */
bool kube_custom_definitions(struct kube_call *call)
{
    const struct kube_target *target = &call->target;
    if (!bytes_equal_string(target->group, "apiextensions.k8s.io") || !bytes_equal_string(target->version, "v1") ||
        !bytes_equal_string(target->plural, "customresourcedefinitions") || target->name.size > 0)
        return false;
    struct json *list = json_new_object();
    json_set(list, "kind", json_new_text("CustomResourceDefinitionList"));
    json_set(list, "apiVersion", json_new_text("apiextensions.k8s.io/v1"));
    json_set_at(list, "metadata.resourceVersion", json_new_format("%llu", (unsigned long long)api_revision(call->api)));
    json_set(list, "items", json_new_array());
    kube_respond_json(call, 200, list);
    return true;
}

void kube_discovery(struct kube_call *call, struct bytes path)
{
    struct bytes version;
    if (bytes_ends_with(path, BYTES_LITERAL("/")))
        path.size--;
    bool core = bytes_equal_string(path, "/api"), groups = bytes_equal_string(path, "/apis");
    if (!bytes_equal_string(call->request->head->method, "GET"))
        kube_respond_method_not_allowed(call);
    else if ((core || groups) && wants_aggregated(call, &version))
        respond_aggregated(call, version, core);
    else if (core)
        respond_core_versions(call);
    else if (groups)
        respond_groups(call);
    else if (!bytes_starts_with(path, BYTES_LITERAL("/api")))
        kube_respond_no_such_resource(call);
    else if (call->target.version.size == 0)
        respond_group(call);
    else
        respond_resources(call);
}
