/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Create, update, delete: what the server decides about an object's metadata, in the words that kubectl's users know.
 * The fields below metadata are the schema's (api/schema.h).
 */
#include <errno.h>
#include <stdio.h>

#include "api/schema.h"
#include "api/store_priv.h"
#include "api/view.h"
#include "base/memory.h"
#include "base/text.h"

enum { POD_GRACE_S = 30, GENERATED_NAMES_TRIED = 8 };

/* --- Words --- */

/* "deployments.apps", "pods" */
struct resource_name {
    char text[160];
};

static struct resource_name resource_name(const struct kind *kind)
{
    struct resource_name name;
    snprintf(name.text, sizeof name.text, "%s%s%s", kind->plural, kind->group[0] ? "." : "", kind->group);
    return name;
}

static bool not_found(const struct kind *kind, struct bytes name, struct error *err)
{
    return error_set(err, ERROR_NOT_FOUND, "%s \"" BYTES_FORMAT "\" not found", resource_name(kind).text,
                     BYTES_ARGS(name));
}

static bool bad_request(struct error *err, const char *what)
{
    error_set(err, ERROR_INVALID, "%s", what);
    err->sys = EBADMSG;
    return false;
}

static bool is_kind(const struct kind *kind, const char *name)
{
    return kind->group[0] == '\0' && strcmp(kind->kind, name) == 0;
}

static struct json *time_value(int64_t unix_s)
{
    char text[TEXT_TIME_SIZE];
    text_format_time_s(unix_s, text);
    return json_new_text(text);
}

/* --- Steps that create and update share --- */

const struct field_errors *api_field_errors(const struct api *api)
{
    return api->field_errors;
}

static struct json *normal_form(const struct kind *kind, const struct json *json, struct error *err)
{
    struct json *out = NULL;
    if (schema_decode_json(kind, json, SCHEMA_IGNORE, &out, NULL, err))
        return out;
    err->sys = EBADMSG;
    return NULL;
}

/* In the shape that is stored. */
static struct json *decode(const struct kind *kind, const struct json *json, int flags, struct error *err)
{
    if (!json_is_object(json)) {
        bad_request(err, "an object is expected");
        return NULL;
    }
    struct json *out = flags & API_DECODED ? json_clone(json) : normal_form(kind, json, err);
    if (out && kind->stored) {
        AUTO_JSON *shown = out;
        AUTO_JSON *stored = view_store(kind, shown);
        kind = kind->stored;
        out = normal_form(kind, stored, err);
    }
    if (!out)
        return NULL;
    if (!json_is_object(json_get(out, "metadata")))
        json_set(out, "metadata", json_new_object());
    json_set(out, "apiVersion", json_new_text(kind_api_version(kind)));
    json_set(out, "kind", json_new_text(kind->kind));
    json_remove(json_get(out, "metadata"), "managedFields"); /* no server-side apply yet: they would only grow */
    json_remove(json_get(out, "metadata"), "selfLink");
    return out;
}

void api_admit(struct api *api, struct api_admission *admission)
{
    list_append(&api->admissions, &admission->link);
}

void api_unadmit(struct api_admission *admission)
{
    list_remove(&admission->link);
}

static bool admit(struct api *api, const struct kind *kind, struct json *json, const struct json *old)
{
    list_each (struct api_admission, admission, &api->admissions, link) {
        if (admission->kind == kind)
            admission->run(admission->ctx, json, old, api->field_errors);
    }
    return api->field_errors->count == 0;
}

/* A view has rules of its own, in its own words. */
static bool valid_view(struct api *api, const struct kind *kind, const struct json *json, const struct json *old)
{
    if (!kind->stored)
        return true;
    AUTO_JSON *shown = view_show(kind, json);
    AUTO_JSON *shown_old = old ? view_show(kind, old) : NULL;
    return schema_validate(kind, shown, shown_old, api->field_errors);
}

static bool validate(struct api *api, const struct kind *kind, struct json *json, const struct json *old,
                     struct error *err)
{
    field_errors_deinit(api->field_errors);
    *api->field_errors = (struct field_errors){0};
    if (valid_view(api, kind, json, old) && schema_validate(kind_stored(kind), json, old, api->field_errors) &&
        admit(api, kind_stored(kind), json, old))
        return true;
    char message[500];
    field_errors_message(api->field_errors, kind, json_bytes(json_at(json, "metadata.name")), message);
    error_set(err, ERROR_INVALID, "%s", message);
    err->sys = EINVAL;
    return false;
}

static bool check_namespace(const struct kind *kind, struct json *json, struct bytes namespace, struct error *err)
{
    struct json *metadata = json_get(json, "metadata");
    struct bytes given = json_bytes(json_get(metadata, "namespace"));
    if (!kind->namespaced) {
        json_remove(metadata, "namespace");
        return true;
    }
    if (given.size > 0 && !bytes_equal(given, namespace))
        return bad_request(err,
                           "the namespace of the provided object does not match the namespace sent on the request");
    if (namespace.size == 0)
        return bad_request(err, "an empty namespace may not be set when a resource name is provided");
    json_set(metadata, "namespace", json_new_string(namespace));
    return true;
}

static bool is_spec(const char *key)
{
    return strcmp(key, "metadata") != 0 && strcmp(key, "status") != 0;
}

/* Whether anything beside metadata and status differs: then the generation goes up. */
static bool spec_differs(const struct json *a, const struct json *b)
{
    json_object_each (member, a) {
        if (is_spec(member.key) && !json_same(member.value, json_get(b, member.key)))
            return true;
    }
    json_object_each (member, b) {
        if (is_spec(member.key) && !json_get(a, member.key))
            return true;
    }
    return false;
}

/* Generations count changes of a spec; what has none (a ConfigMap) has no generation. */
static bool has_generation(const struct json *json)
{
    return json_get(json, "spec") != NULL;
}

/* Takes over json. */
static bool commit(struct api *api, enum api_event_type type, const struct kind *kind, struct object *before,
                   struct json *json, int flags, struct object **out, struct error *err)
{
    kind = kind_stored(kind);
    if (!(flags & API_DRY_RUN))
        return store_commit(api, type, kind, before, json, out, err);
    if (out) {
        struct buf text;
        buf_init(&text, SIZE_MAX);
        json_print(json, &text);
        *out = object_new(kind, json, buf_take(&text));
    } else {
        json_unref(json);
    }
    return true;
}

/* --- Create --- */

static bool namespace_takes(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name,
                            struct error *err)
{
    if (!kind->namespaced)
        return true;
    const struct kind *namespaces = kind_by_name("Namespace");
    struct object *object = api_get(api, namespaces, BYTES_NULL, namespace);
    if (!object)
        return not_found(namespaces, namespace, err);
    if (!object->deleting)
        return true;
    error_set(err, ERROR_DENIED,
              "%s \"" BYTES_FORMAT "\" is forbidden: unable to create new content in namespace " BYTES_FORMAT
              " because it is being terminated",
              resource_name(kind).text, BYTES_ARGS(name), BYTES_ARGS(namespace));
    err->sys = ESHUTDOWN;
    return false;
}

/* Five characters that make no words, as Kubernetes draws them, behind a base of at most 58. */
static void set_generated_name(struct api *api, struct json *metadata, struct bytes base)
{
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    char name[58 + 5 + 1];
    base = bytes_slice(base, 0, 58);
    memcpy(name, base.data, base.size);
    for (size_t i = 0; i < 5; i++)
        name[base.size + i] = alphabet[io_random_below(api->io, sizeof alphabet - 1)];
    json_set(metadata, "name", json_new_string(bytes_of(name, base.size + 5)));
}

static bool choose_name(struct api *api, const struct kind *kind, struct json *json, struct bytes namespace,
                        struct error *err)
{
    struct json *metadata = json_get(json, "metadata");
    struct bytes name = json_bytes(json_get(metadata, "name")), base = json_bytes(json_get(metadata, "generateName"));
    for (int i = 0; name.size == 0 && base.size > 0 && i < GENERATED_NAMES_TRIED; i++) {
        set_generated_name(api, metadata, base);
        if (!api_get(api, kind, namespace, json_bytes(json_get(metadata, "name"))))
            return true;
    }
    name = json_bytes(json_get(metadata, "name"));
    if (name.size > 0 && api_get(api, kind, namespace, name))
        return error_set(err, ERROR_EXISTS, "%s \"" BYTES_FORMAT "\" already exists", resource_name(kind).text,
                         BYTES_ARGS(name));
    return true;
}

static void set_system_metadata(struct api *api, struct json *json)
{
    struct json *metadata = json_get(json, "metadata");
    uint8_t random[16];
    char uid[37];
    io_random(api->io, random, sizeof random);
    text_uuid_from_random(random);
    text_format_uuid(random, uid);
    json_set(metadata, "uid", json_new_text(uid));
    json_set(metadata, "creationTimestamp", time_value(io_wall_ms(api->io) / 1000));
    json_remove(metadata, "deletionTimestamp");
    json_remove(metadata, "deletionGracePeriodSeconds");
    json_remove(metadata, "resourceVersion");
    json_remove(metadata, "generation");
    if (has_generation(json))
        json_set(metadata, "generation", json_new_int(1));
}

static bool prepare_create(struct api *api, const struct kind *kind, struct bytes namespace, struct json *json,
                           int flags, struct error *err)
{
    struct json *metadata = json_get(json, "metadata");
    struct bytes revision = json_bytes(json_get(metadata, "resourceVersion"));
    if (revision.size > 0 && !bytes_equal_string(revision, "0"))
        return bad_request(err, "resourceVersion should not be set on objects to be created");
    if (!check_namespace(kind, json, namespace, err))
        return false;
    AUTO_JSON *status = flags & API_STATUS ? json_ref(json_get(json, "status")) : NULL;
    schema_prepare_create(kind_stored(kind), json);
    if (status)
        json_set(json, "status", TAKE(status));
    schema_default(kind_stored(kind), json);
    set_system_metadata(api, json);
    return namespace_takes(api, kind, namespace, json_bytes(json_get(metadata, "name")), err) &&
           choose_name(api, kind, json, namespace, err) && validate(api, kind, json, NULL, err);
}

bool api_create(struct api *api, const struct kind *kind, struct bytes namespace, const struct json *json, int flags,
                struct object **out, struct error *err)
{
    AUTO_JSON *next = decode(kind, json, flags, err);
    return next && prepare_create(api, kind, namespace, next, flags, err) &&
           commit(api, API_ADDED, kind, NULL, TAKE(next), flags, out, err);
}

/* --- Update --- */

static bool check_preconditions(const struct kind *kind, const struct object *current, struct bytes uid,
                                struct bytes revision, struct error *err)
{
    char have[24];
    snprintf(have, sizeof have, "%llu", (unsigned long long)current->resource_version);
    if (uid.size > 0 && !bytes_equal_string(uid, current->uid))
        return error_set(err, ERROR_CONFLICT,
                         "Operation cannot be fulfilled on %s \"" BYTES_FORMAT "\": Precondition failed: UID in "
                         "precondition: " BYTES_FORMAT ", UID in object meta: %s",
                         resource_name(kind).text, BYTES_ARGS(current->name), BYTES_ARGS(uid), current->uid);
    if (revision.size > 0 && !bytes_equal_string(revision, "0") && !bytes_equal_string(revision, have))
        return error_set(err, ERROR_CONFLICT,
                         "Operation cannot be fulfilled on %s \"" BYTES_FORMAT "\": the object has been modified; "
                         "please apply your changes to the latest version and try again",
                         resource_name(kind).text, BYTES_ARGS(current->name));
    return true;
}

static void carry(struct json *to, const struct json *from, const char *key)
{
    struct json *value = json_ref(json_get(from, key));
    if (value)
        json_set(to, key, value);
    else
        json_remove(to, key);
}

/* What a client cannot change, it need not send right. */
static void carry_system_metadata(struct json *json, const struct object *current)
{
    static const char *const kept[] = {"uid",
                                       "name",
                                       "namespace",
                                       "generateName",
                                       "creationTimestamp",
                                       "generation",
                                       "deletionTimestamp",
                                       "deletionGracePeriodSeconds",
                                       "resourceVersion"};
    struct json *metadata = json_get(json, "metadata");
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        carry(metadata, json_get(current->json, "metadata"), kept[i]);
}

static bool contains(const struct json *array, struct bytes text)
{
    json_array_each (i, element, array) {
        if (bytes_equal(json_bytes(element), text))
            return true;
    }
    return false;
}

static bool finalizers_only_leave(const struct kind *kind, const struct json *next, const struct object *current,
                                  struct error *err)
{
    const struct json *had = json_at(current->json, "metadata.finalizers");
    json_array_each (i, finalizer, json_at(next, "metadata.finalizers")) {
        if (current->deleting && !contains(had, json_bytes(finalizer)))
            return error_set(err, ERROR_INVALID,
                             "%s \"" BYTES_FORMAT "\" is invalid: metadata.finalizers: Forbidden: no new finalizers "
                             "can be added if the object is being deleted, found new finalizers \"%s\"",
                             resource_name(kind).text, BYTES_ARGS(current->name), json_text(finalizer));
    }
    return true;
}

/* The next state of the parts that this request may change, out of what it says (`given`) and what is. */
static struct json *merge_parts(const struct kind *kind, struct json *given, const struct object *current, int flags)
{
    if (flags & (API_STATUS | API_FINALIZE)) {
        struct json *next = json_clone(current->json);
        if (flags & API_STATUS)
            carry(next, given, "status");
        else
            carry(json_get(next, "spec"), json_get(given, "spec"), "finalizers");
        json_unref(given);
        return next;
    }
    carry_system_metadata(given, current);
    if (kind->has_status)
        carry(given, current->json, "status");
    if (is_kind(kind, "Namespace"))
        carry(given, current->json, "spec"); /* its finalizers, and nothing else */
    schema_prepare_update(kind_stored(kind), given, current->json);
    return given;
}

/* Nothing holds it any more: what was marked as deleting is removed. */
static bool may_go(const struct kind *kind, const struct json *json)
{
    const struct json *metadata = json_get(json, "metadata");
    return json_get(metadata, "deletionTimestamp") && json_size(json_get(metadata, "finalizers")) == 0 &&
           json_int_at(metadata, "deletionGracePeriodSeconds", 0) == 0 &&
           !(is_kind(kind, "Namespace") && json_size(json_at(json, "spec.finalizers")) > 0);
}

static bool check_update(const struct kind *kind, const struct json *given, const struct object *current,
                         struct error *err)
{
    const struct json *metadata = json_get(given, "metadata");
    struct bytes name = json_bytes(json_get(metadata, "name"));
    if (name.size > 0 && !bytes_equal(name, current->name))
        return bad_request(err, "the name of the object does not match the name on the URL");
    return check_preconditions(kind, current, json_bytes(json_get(metadata, "uid")),
                               json_bytes(json_get(metadata, "resourceVersion")), err);
}

static bool commit_update(struct api *api, const struct kind *kind, struct object *current, struct json *next,
                          int flags, struct object **out, struct error *err)
{
    if (json_same(next, current->json)) {
        json_unref(next);
        if (out)
            *out = object_ref(current);
        return true;
    }
    if (has_generation(next) && spec_differs(next, current->json))
        json_set_at(next, "metadata.generation", json_new_int(current->generation + 1));
    if (!may_go(kind, next))
        return commit(api, API_MODIFIED, kind, current, next, flags, out, err);
    json_unref(next);
    if (!(flags & API_DRY_RUN))
        return store_commit(api, API_DELETED, current->kind, current, NULL, out, err);
    if (out)
        *out = object_ref(current);
    return true;
}

bool api_update(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name,
                const struct json *json, int flags, struct object **out, struct error *err)
{
    AUTO_OBJECT *current = object_ref(api_get(api, kind, namespace, name));
    if (!current)
        return not_found(kind, name, err);
    AUTO_JSON *next = decode(kind, json, flags, err);
    if (!next || !check_namespace(kind, next, namespace, err) || !check_update(kind, next, current, err))
        return false;
    next = merge_parts(kind, TAKE(next), current, flags);
    schema_default(kind_stored(kind), next);
    return finalizers_only_leave(kind, next, current, err) && validate(api, kind, next, current->json, err) &&
           commit_update(api, kind, current, TAKE(next), flags, out, err);
}

/* --- Delete --- */

/* A pod that a node may run gets time to end; what runs nowhere, or no longer, goes at once. */
static int64_t grace_period_s(const struct object *object, int64_t asked)
{
    const char *phase = json_text_at(object->json, "status.phase", "");
    if (!is_kind(object->kind, "Pod") || !*json_text_at(object->json, "spec.nodeName", "") ||
        strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
        return 0;
    return asked >= 0 ? asked : json_int_at(object->json, "spec.terminationGracePeriodSeconds", POD_GRACE_S);
}

static void add_finalizer(struct json *json, const char *finalizer)
{
    struct json *finalizers = json_at(json, "metadata.finalizers");
    if (!finalizers) {
        finalizers = json_new_array();
        json_set_at(json, "metadata.finalizers", finalizers);
    }
    if (!contains(finalizers, bytes_of_string(finalizer)))
        json_append(finalizers, json_new_text(finalizer));
}

static void set_deleting(struct api *api, const struct object *current, struct json *next, int64_t grace_s)
{
    int64_t now_s = io_wall_ms(api->io) / 1000;
    int64_t had_s = json_int_at(current->json, "metadata.deletionGracePeriodSeconds", -1);
    if (current->deleting && (had_s < 0 || grace_s >= had_s))
        return; /* a second delete may only shorten the time */
    json_set_at(next, "metadata.deletionTimestamp", time_value(now_s + grace_s));
    json_set_at(next, "metadata.deletionGracePeriodSeconds", json_new_int(grace_s));
    if (has_generation(next))
        json_set_at(next, "metadata.generation", json_new_int(current->generation + 1));
    if (is_kind(current->kind, "Namespace"))
        json_set_at(next, "status.phase", json_new_text("Terminating"));
}

static bool check_delete(const struct kind *kind, const struct object *current,
                         const struct api_delete_options *options, struct error *err)
{
    static const char *const kept[] = {"default", "kube-system", "kube-public"};
    for (size_t i = 0; is_kind(kind, "Namespace") && i < ARRAY_SIZE(kept); i++)
        if (bytes_equal_string(current->name, kept[i]))
            return error_set(err, ERROR_DENIED, "namespaces \"%s\" is forbidden: this namespace may not be deleted",
                             kept[i]);
    char revision[24] = "";
    if (options->resource_version)
        snprintf(revision, sizeof revision, "%llu", (unsigned long long)options->resource_version);
    return check_preconditions(kind, current, bytes_of_string(options->uid), bytes_of_string(revision), err);
}

bool api_delete(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name,
                const struct api_delete_options *options, struct object **out, struct error *err)
{
    static const struct api_delete_options defaults = {.grace_period_s = -1};
    options = options ? options : &defaults;
    AUTO_OBJECT *current = object_ref(api_get(api, kind, namespace, name));
    if (!current)
        return not_found(kind, name, err);
    if (!check_delete(kind, current, options, err))
        return false;
    int flags = options->dry_run ? API_DRY_RUN : 0;
    const char *policy = options->propagation_policy ? options->propagation_policy : "Background";
    struct json *next = json_clone(current->json);
    if (!current->deleting && strcmp(policy, "Foreground") == 0)
        add_finalizer(next, "foregroundDeletion");
    if (!current->deleting && strcmp(policy, "Orphan") == 0)
        add_finalizer(next, "orphan");
    set_deleting(api, current, next, grace_period_s(current, options->grace_period_s));
    return commit_update(api, kind, current, next, flags, out, err);
}
