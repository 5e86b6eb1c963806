/* SPDX-License-Identifier: Apache-2.0 */
/* The replica sets of a Deployment: whose they are, which one has the current template, revisions, clean-up. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "control/deployment_priv.h"
#include "control/objects.h"

/* --- Finding --- */

static int compare_age(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
    int order = bytes_compare(json_bytes(json_at(x->json, "metadata.creationTimestamp")),
                              json_bytes(json_at(y->json, "metadata.creationTimestamp")));
    return order ? order : bytes_compare(x->name, y->name);
}

/* The hash label is ours, so it does not count: the same manifest moves to another cluster, whose hash is different,
 * and back without restarting a pod. */
static bool same_template(const struct object *set, const struct object *deployment)
{
    AUTO_JSON *template = json_clone(json_at(set->json, "spec.template"));
    struct json *labels = json_at(template, "metadata.labels");
    json_remove(labels, LABEL_TEMPLATE_HASH);
    return json_same(template, json_at(deployment->json, "spec.template"));
}

static void find_newest(struct rollout *rollout)
{
    rollout->newest = rollout->count;
    for (size_t i = rollout->count; i-- > 0;) /* of several, the oldest */
        if (same_template(rollout->sets[i], rollout->deployment))
            rollout->newest = i;
}

static bool claim_sets(struct rollout *rollout, struct error *err)
{
    struct api *api = rollout->api;
    const struct kind *kind = kind_by_name("ReplicaSet");
    const struct json *selector = json_at(rollout->deployment->json, "spec.selector");
    struct api_iterator iterator;
    struct object *set;
    bool mine;
    api_iterate(api, kind, rollout->deployment->namespace, &iterator);
    while (rollout->count < DEPLOYMENT_SETS_MAX && (set = api_iterator_next(&iterator))) {
        if (!object_claim(api, rollout->deployment, selector, set, &mine, err)) {
            api_iterator_end(&iterator);
            return error_wrap(err, "replica set " BYTES_FORMAT, BYTES_ARGS(set->name));
        }
        if (mine && (set = api_get(api, kind, set->namespace, set->name))) /* as it is after the adoption */
            rollout->sets[rollout->count++] = object_ref(set);
    }
    api_iterator_end(&iterator);
    return true;
}

bool rollout_open(struct rollout *rollout, struct error *err)
{
    const struct json *spec = json_get(rollout->deployment->json, "spec");
    rollout->replicas = spec_replicas(rollout->deployment);
    rollout->bounds = rollout_bounds(json_get(spec, "strategy"), rollout->replicas);
    if (!claim_sets(rollout, err))
        return false;
    qsort(rollout->sets, rollout->count, sizeof(struct object *), compare_age);
    find_newest(rollout);
    return true;
}

void rollout_close(struct rollout *rollout)
{
    for (size_t i = 0; i < rollout->count; i++)
        object_unref(rollout->sets[i]);
    object_unref(rollout->deployment);
}

/* --- Writing --- */

static bool update_set(struct rollout *rollout, size_t at, const struct json *next, struct error *err)
{
    struct object *set = rollout->sets[at], *out;
    if (json_same(next, set->json))
        return true;
    if (!api_update(rollout->api, set->kind, set->namespace, set->name, next, 0, &out, err))
        return error_wrap(err, "replica set " BYTES_FORMAT, BYTES_ARGS(set->name));
    object_unref(set);
    rollout->sets[at] = out;
    return true;
}

static struct json *annotations_of(struct json *object)
{
    struct json *annotations = json_at(object, "metadata.annotations");
    if (annotations)
        return annotations;
    annotations = json_new_object();
    json_set_at(object, "metadata.annotations", annotations);
    return annotations;
}

int64_t annotation_int(const struct object *object, const char *annotation, int64_t otherwise)
{
    int64_t value;
    struct bytes text = json_bytes(json_get(json_at(object->json, "metadata.annotations"), annotation));
    return bytes_to_i64(text, &value) ? value : otherwise;
}

static bool set_annotation_int(struct json *object, const char *annotation, int64_t value)
{
    struct json *annotations = annotations_of(object);
    AUTO_JSON *text = json_new_format("%lld", (long long)value);
    if (json_same(json_get(annotations, annotation), text))
        return false;
    return json_set(annotations, annotation, TAKE(text));
}

static void set_size_annotations(struct rollout *rollout, struct json *set)
{
    set_annotation_int(set, ANNOTATION_DESIRED_REPLICAS, rollout->replicas);
    set_annotation_int(set, ANNOTATION_MAX_REPLICAS, rollout->replicas + rollout->bounds.max_surge);
}

static void record_scaled(struct rollout *rollout, struct bytes set, int64_t from, int64_t to)
{
    api_record_event(rollout->api, rollout->deployment, "Normal", "ScalingReplicaSet", "deployment-controller",
                     "Scaled %s replica set " BYTES_FORMAT " from %lld to %lld", to > from ? "up" : "down",
                     BYTES_ARGS(set), (long long)from, (long long)to);
}

bool rollout_scale_set(struct rollout *rollout, size_t at, int64_t replicas, struct error *err)
{
    int64_t before = spec_replicas(rollout->sets[at]);
    AUTO_JSON *next = json_clone(rollout->sets[at]->json);
    json_set_at(next, "spec.replicas", json_new_int(replicas));
    set_size_annotations(rollout, next);
    if (!update_set(rollout, at, next, err))
        return false;
    if (before != replicas)
        record_scaled(rollout, rollout->sets[at]->name, before, replicas);
    return true;
}

/* --- Revisions --- */

/* These belong to the one object that they are on. */
static bool annotation_is_inherited(const char *name)
{
    static const char *const own[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                      ANNOTATION_REVISION,
                                      ANNOTATION_REVISION_HISTORY,
                                      ANNOTATION_DESIRED_REPLICAS,
                                      ANNOTATION_MAX_REPLICAS,
                                      "deprecated.deployment.rollback.to"};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (strcmp(name, own[i]) == 0)
            return false;
    return true;
}

static int64_t next_revision(const struct rollout *rollout)
{
    int64_t revision = 0;
    for (size_t i = 0; i < rollout->count; i++) {
        int64_t of_set = annotation_int(rollout->sets[i], ANNOTATION_REVISION, 0);
        if (i != rollout->newest && of_set > revision)
            revision = of_set;
    }
    return revision + 1;
}

enum { REVISION_HISTORY_MAX = 2000 };

/* An older template is current again: it gets a new number and remembers the old one. */
static void set_revision(struct json *set, int64_t revision)
{
    struct json *annotations = annotations_of(set);
    struct bytes old = json_bytes(json_get(annotations, ANNOTATION_REVISION));
    int64_t number = 0;
    bytes_to_i64(old, &number);
    if (number >= revision)
        return;
    if (old.size > 0) {
        struct bytes history = json_bytes(json_get(annotations, ANNOTATION_REVISION_HISTORY));
        if (history.size + 1 + old.size <= REVISION_HISTORY_MAX)
            json_set(annotations, ANNOTATION_REVISION_HISTORY,
                     json_new_format(BYTES_FORMAT "%s" BYTES_FORMAT, BYTES_ARGS(history), history.size ? "," : "",
                                     BYTES_ARGS(old)));
    }
    json_set(annotations, ANNOTATION_REVISION, json_new_format("%lld", (long long)revision));
}

static void set_annotations(const struct rollout *rollout, struct json *set, int64_t revision)
{
    json_object_each (member, json_at(rollout->deployment->json, "metadata.annotations"))
        if (annotation_is_inherited(member.key))
            json_set(annotations_of(set), member.key, json_ref(member.value));
    set_revision(set, revision);
}

/* The deployment carries the newest one's number, and learns how its progress begins. */
static bool note_newest(struct rollout *rollout, const char *reason, const char *what, struct error *err)
{
    struct object *set = rollout_newest(rollout), *out;
    AUTO_JSON *next = json_clone(rollout->deployment->json);
    if (set_annotation_int(next, ANNOTATION_REVISION, annotation_int(set, ANNOTATION_REVISION, 1))) {
        if (!api_update(rollout->api, rollout->deployment->kind, rollout->deployment->namespace,
                        rollout->deployment->name, next, 0, &out, err))
            return false;
        object_unref(rollout->deployment);
        rollout->deployment = out;
    }
    if (!reason || !deployment_has_deadline(rollout->deployment))
        return true;
    AUTO_JSON *with_condition = json_clone(rollout->deployment->json);
    char message[400];
    snprintf(message, sizeof message, "%s new replica set \"" BYTES_FORMAT "\"", what, BYTES_ARGS(set->name));
    deployment_set_condition(rollout->api, with_condition, "Progressing", "True", reason, message);
    return rollout_store_status(rollout, with_condition, err);
}

/* --- Making the newest --- */

/* FNV-1a of the template as it is printed, in letters that make no words. Only a name: equality decides. */
static void template_hash(const struct json *template, int64_t collisions, char out[16])
{
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    AUTO_BUF text;
    buf_init(&text, SIZE_MAX);
    json_print(template, &text);
    if (collisions > 0)
        buf_printf(&text, "%lld", (long long)collisions);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ text.data[i]) * 16777619u;
    int size = snprintf(out, 16, "%u", hash);
    for (int i = 0; i < size; i++)
        out[i] = alphabet[(unsigned char)out[i] % (sizeof alphabet - 1)];
}

static void set_min_ready(const struct rollout *rollout, struct json *set)
{
    object_set_count(json_get(set, "spec"), "minReadySeconds",
                     json_int_at(rollout->deployment->json, "spec.minReadySeconds", 0));
}

static struct json *describe_newest(struct rollout *rollout, const char *hash)
{
    const struct json *spec = json_get(rollout->deployment->json, "spec");
    struct json *set = json_new_object(), *template = json_clone(json_get(spec, "template"));
    int64_t total = 0;
    for (size_t i = 0; i < rollout->count; i++)
        total += spec_replicas(rollout->sets[i]);
    json_set_at(template, "metadata.labels." LABEL_TEMPLATE_HASH, json_new_text(hash));
    json_set_at(set, "metadata.name", json_new_format(BYTES_FORMAT "-%s", BYTES_ARGS(rollout->deployment->name), hash));
    json_set_at(set, "metadata.labels", json_clone(json_at(template, "metadata.labels")));
    json_set_at(set, "metadata.ownerReferences", json_new_array());
    json_append(json_at(set, "metadata.ownerReferences"), owner_reference_new(rollout->deployment));
    set_annotations(rollout, set, next_revision(rollout));
    set_size_annotations(rollout, set);
    int64_t replicas = rollout->replicas;
    if (bytes_equal_string(json_bytes(json_at(spec, "strategy.type")), "RollingUpdate"))
        replicas = rollout_scale_up(rollout->replicas, rollout->bounds.max_surge, total, 0);
    json_set_at(set, "spec.replicas", json_new_int(replicas));
    set_min_ready(rollout, set);
    json_set_at(set, "spec.selector", json_clone(json_get(spec, "selector")));
    json_set_at(set, "spec.selector.matchLabels." LABEL_TEMPLATE_HASH, json_new_text(hash));
    json_set_at(set, "spec.template", template);
    return set;
}

/* Another object has the name already: the next hash is made with a higher count. */
static bool note_collision(struct rollout *rollout, int64_t collisions, struct error *err)
{
    AUTO_JSON *next = json_clone(rollout->deployment->json);
    json_set_at(next, "status.collisionCount", json_new_int(collisions + 1));
    return rollout_store_status(rollout, next, err);
}

static bool fail_create(struct rollout *rollout, struct error *err)
{
    struct error ignored;
    AUTO_JSON *next = json_clone(rollout->deployment->json);
    api_record_event(rollout->api, rollout->deployment, "Warning", "ReplicaSetCreateError", "deployment-controller",
                     "New replica set: %s", err->message);
    if (deployment_has_deadline(rollout->deployment))
        deployment_set_condition(rollout->api, next, "Progressing", "False", "ReplicaSetCreateError", err->message);
    bool stored = rollout_store_status(rollout, next, &ignored);
    (void)stored; /* the failure that is told is the first one */
    return error_wrap(err, "new replica set");
}

static bool create_newest(struct rollout *rollout, struct error *err)
{
    char hash[16];
    struct object *out;
    const struct object *deployment = rollout->deployment;
    int64_t collisions = json_int_at(deployment->json, "status.collisionCount", 0);
    template_hash(json_at(deployment->json, "spec.template"), collisions, hash);
    AUTO_JSON *set = describe_newest(rollout, hash);
    if (rollout->count == DEPLOYMENT_SETS_MAX)
        return error_set(err, ERROR_LIMIT, "a deployment can have %d replica sets", DEPLOYMENT_SETS_MAX);
    if (!api_create(rollout->api, kind_by_name("ReplicaSet"), deployment->namespace, set, 0, &out, err)) {
        if (err->kind != ERROR_EXISTS)
            return fail_create(rollout, err);
        struct error ignored;
        bool noted = note_collision(rollout, collisions, &ignored);
        (void)noted; /* tried again with the next look */
        return error_wrap(err, "hash collision");
    }
    rollout->newest = rollout->count;
    rollout->sets[rollout->count++] = out;
    if (spec_replicas(out) > 0)
        record_scaled(rollout, out->name, 0, spec_replicas(out));
    return note_newest(rollout, "NewReplicaSetCreated", "Created", err);
}

static bool update_newest(struct rollout *rollout, struct error *err)
{
    struct object *set = rollout_newest(rollout);
    AUTO_JSON *next = json_clone(set->json);
    set_annotations(rollout, next, next_revision(rollout));
    set_min_ready(rollout, next);
    if (!update_set(rollout, rollout->newest, next, err))
        return false;
    bool known = condition_find(rollout->deployment->json, "Progressing") != NULL;
    return note_newest(rollout, known ? NULL : "FoundNewReplicaSet", "Found", err);
}

bool rollout_sync_newest(struct rollout *rollout, bool create, struct error *err)
{
    if (rollout_newest(rollout))
        return update_newest(rollout, err);
    return !create || create_newest(rollout, err);
}

/* --- Clean-up --- */

static bool may_clean(const struct rollout *rollout, size_t at)
{
    const struct object *set = rollout->sets[at];
    return at != rollout->newest && !set->deleting && spec_replicas(set) == 0 &&
           json_int_at(set->json, "status.replicas", 0) == 0 &&
           json_int_at(set->json, "status.observedGeneration", 0) >= set->generation;
}

static int compare_revision(const void *a, const void *b)
{
    int64_t x = annotation_int(*(struct object *const *)a, ANNOTATION_REVISION, 0),
            y = annotation_int(*(struct object *const *)b, ANNOTATION_REVISION, 0);
    return x != y ? (x > y) - (x < y) : compare_age(a, b);
}

bool rollout_clean_up(struct rollout *rollout, struct error *err)
{
    struct object *old[DEPLOYMENT_SETS_MAX];
    bool may[DEPLOYMENT_SETS_MAX];
    size_t count = 0, over;
    for (size_t i = 0; i < rollout->count; i++)
        if (i != rollout->newest && !rollout->sets[i]->deleting)
            old[count++] = rollout->sets[i];
    int64_t limit = json_int_at(rollout->deployment->json, "spec.revisionHistoryLimit", 10);
    if ((int64_t)count <= limit)
        return true;
    over = count - (size_t)limit;
    qsort(old, count, sizeof(struct object *), compare_revision);
    for (size_t i = 0; i < over; i++) {
        may[i] = false;
        for (size_t at = 0; at < rollout->count; at++)
            may[i] |= rollout->sets[at] == old[i] && may_clean(rollout, at);
    }
    for (size_t i = 0; i < over; i++)
        if (may[i] && !api_delete(rollout->api, old[i]->kind, old[i]->namespace, old[i]->name, NULL, NULL, err) &&
            err->kind != ERROR_NOT_FOUND)
            return error_wrap(err, "replica set " BYTES_FORMAT, BYTES_ARGS(old[i]->name));
    return true;
}
