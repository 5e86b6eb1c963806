/* SPDX-License-Identifier: Apache-2.0 */
#include "control/namespaces.h"

#include <stdio.h>

#include "base/memory.h"
#include "control/objects.h"

struct namespaces {
    struct api *api;
    struct reconciler reconciler;
    const struct kind *kind;
    struct bytes ca_certificate;
};

/* --- What each namespace has --- */

static bool ensure(struct namespaces *all, const char *kind_name, struct bytes namespace, struct json *json,
                   struct error *err)
{
    AUTO_JSON *object = json;
    const struct kind *kind = kind_by_name(kind_name);
    struct object *current = api_get(all->api, kind, namespace, json_bytes(json_at(object, "metadata.name")));
    if (!current)
        return api_create(all->api, kind, namespace, object, 0, NULL, err);
    const struct json *data = json_get(object, "data");
    if (!data || json_same(data, json_get(current->json, "data")))
        return true;
    AUTO_JSON *next = json_clone(current->json);
    json_set(next, "data", json_clone(data));
    return api_update(all->api, kind, namespace, current->name, next, 0, NULL, err);
}

static struct json *named(const char *name)
{
    struct json *object = json_new_object();
    json_set_at(object, "metadata.name", json_new_text(name));
    return object;
}

static bool furnish(struct namespaces *all, struct bytes namespace, struct error *err)
{
    if (!ensure(all, "ServiceAccount", namespace, named("default"), err))
        return error_wrap(err, "service account");
    if (!all->ca_certificate.data)
        return true;
    struct json *map = named("kube-root-ca.crt");
    json_set_at(map, "metadata.annotations", json_new_object());
    json_set(json_at(map, "metadata.annotations"), "kubernetes.io/description",
             json_new_text("The certificate of the authority that signs the API server's certificate."));
    json_set(map, "data", json_new_object());
    json_set(json_get(map, "data"), "ca.crt", json_new_string(all->ca_certificate));
    return ensure(all, "ConfigMap", namespace, map, err) || error_wrap(err, "config map");
}

/* --- Emptying --- */

enum { WORDS_SIZE = 400 };

struct remains {
    size_t objects, with_finalizers;
    char kinds[WORDS_SIZE]; /* "pods (2), configmaps (1)" ... */
    struct error failure;   /* kind 0: none */
};

/* Deletes what is there, says what stays. */
static void empty_kind(struct namespaces *all, const struct kind *kind, struct bytes namespace, struct remains *remains)
{
    struct api_iterator iterator;
    struct object *object;
    struct error err;
    size_t left = 0;
    api_iterate(all->api, kind, namespace, &iterator);
    while ((object = api_iterator_next(&iterator))) {
        if (!object->deleting && !api_delete(all->api, kind, namespace, object->name, NULL, NULL, &err) &&
            err.kind != ERROR_NOT_FOUND)
            remains->failure = err;
        struct object *now = api_get(all->api, kind, namespace, object->name);
        left += now != NULL;
        remains->with_finalizers += now && json_size(json_at(now->json, "metadata.finalizers")) > 0;
    }
    remains->objects += left;
    size_t used = strlen(remains->kinds);
    if (left > 0)
        snprintf(remains->kinds + used, sizeof remains->kinds - used, "%s%s%s%s (%zu)", used ? ", " : "", kind->plural,
                 kind->group[0] ? "." : "", kind->group, left);
}

static void set_conditions(struct namespaces *all, struct json *next, const struct remains *remains)
{
    bool content = remains->objects > 0, finalizers = remains->with_finalizers > 0, failed = remains->failure.kind != 0;
    char left[WORDS_SIZE + 100];
    snprintf(left, sizeof left, "Still there: %s", remains->kinds);
    object_set_condition(all->api, next, "NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
                         "All kinds are known.");
    object_set_condition(all->api, next, "NamespaceDeletionContentFailure", failed ? "True" : "False",
                         failed ? "ContentDeletionFailed" : "ContentDeleted",
                         failed ? remains->failure.message : "Everything is deleted or about to be.");
    object_set_condition(all->api, next, "NamespaceContentRemaining", content ? "True" : "False",
                         content ? "SomeResourcesRemain" : "ContentRemoved",
                         content ? left : "The namespace is empty.");
    object_set_condition(all->api, next, "NamespaceFinalizersRemaining", finalizers ? "True" : "False",
                         finalizers ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
                         finalizers ? "Some objects wait for their finalizers." : "No object waits for a finalizer.");
}

static bool finalize(struct namespaces *all, const struct object *namespace, struct error *err)
{
    AUTO_JSON *next = json_clone(namespace->json);
    struct json *finalizers = json_at(next, "spec.finalizers");
    for (size_t i = json_size(finalizers); i-- > 0;)
        if (bytes_equal_string(json_bytes(json_index(finalizers, i)), "kubernetes"))
            json_remove_index(finalizers, i);
    return api_update(all->api, namespace->kind, BYTES_NULL, namespace->name, next, API_FINALIZE, NULL, err);
}

static bool empty(struct namespaces *all, const struct object *namespace, struct error *err)
{
    struct remains remains = {0};
    const struct kind *kind;
    for (size_t i = 0; (kind = kind_at(i)); i++)
        if (kind->plural && kind->namespaced && !kind->stored)
            empty_kind(all, kind, namespace->name, &remains);
    if (remains.objects == 0)
        return finalize(all, namespace, err);
    AUTO_JSON *next = json_clone(namespace->json);
    set_conditions(all, next, &remains);
    if (!json_same(next, namespace->json) &&
        !api_update(all->api, namespace->kind, BYTES_NULL, namespace->name, next, API_STATUS, NULL, err))
        return false;
    if (remains.failure.kind)
        *err = remains.failure;
    return !remains.failure.kind;
}

/* --- Reconciling --- */

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct namespaces *all = ctx;
    AUTO_OBJECT *namespace = object_ref(api_get(all->api, key->kind, key->namespace, key->name));
    if (!namespace)
        return true;
    return namespace->deleting ? empty(all, namespace, err) : furnish(all, namespace->name, err);
}

static void namespace_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct namespaces *all = ctx;
    (void)before;
    if (type != API_DELETED)
        reconciler_enqueue_object(&all->reconciler, object);
}

/* Something in a namespace is gone: one that is being emptied is nearer to its end, another may miss it. */
static void object_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct namespaces *all = ctx;
    (void)before;
    if (type != API_DELETED || object->namespace.size == 0)
        return;
    const struct object *namespace = api_get(all->api, all->kind, BYTES_NULL, object->namespace);
    bool furniture =
        bytes_equal_string(object->name, "default") || bytes_equal_string(object->name, "kube-root-ca.crt");
    if (namespace && (namespace->deleting || furniture))
        reconciler_enqueue_object(&all->reconciler, namespace);
}

static const struct reconciler_watch watches[] = {{"Namespace", namespace_changed}, {NULL, object_changed}};
static const struct reconciler_options options = {"namespace", reconcile, watches, ARRAY_SIZE(watches)};

struct namespaces *namespaces_new(struct work_queue *queue, struct api *api, struct bytes ca_certificate)
{
    struct namespaces *all = NEW(struct namespaces);
    all->api = api;
    all->kind = kind_by_name("Namespace");
    all->ca_certificate = memory_copy(ca_certificate);
    reconciler_init(&all->reconciler, queue, api, &options, all);
    return all;
}

void namespaces_free(struct namespaces *namespaces)
{
    if (!namespaces)
        return;
    reconciler_deinit(&namespaces->reconciler);
    free((void *)(uintptr_t)namespaces->ca_certificate.data);
    free(namespaces);
}
