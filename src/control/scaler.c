/* SPDX-License-Identifier: Apache-2.0 */
#include "control/scaler.h"

#include "base/memory.h"
#include "control/objects.h"
#include "control/scaler_priv.h"

/* --- How much there is to do --- */

/* Of "http://billing.shop.svc:8080/path", with or without cluster.local: what dispatch takes for a Service too. */
static bool service_of_uri(struct bytes uri, struct bytes *namespace, struct bytes *name)
{
    struct bytes scheme = BYTES_LITERAL("http://"), word;
    if (!bytes_starts_with(uri, scheme))
        return false;
    struct bytes host = bytes_slice(uri, scheme.size, uri.size);
    host = bytes_slice(host, 0, bytes_find(host, 0, '/'));
    host = bytes_slice(host, 0, bytes_find(host, 0, ':'));
    return bytes_split(&host, '.', name) && bytes_split(&host, '.', namespace) && bytes_split(&host, '.', &word) &&
           bytes_equal_string(word, "svc") && (host.size == 0 || bytes_equal_string(host, "cluster.local"));
}

static bool subscriber_service(const struct object *trigger, struct bytes *namespace, struct bytes *name)
{
    const struct json *ref = json_at(trigger->json, "spec.subscriber.ref");
    if (!ref)
        return service_of_uri(json_bytes(json_at(trigger->json, "spec.subscriber.uri")), namespace, name);
    *namespace = json_bytes(json_get(ref, "namespace"));
    *name = json_bytes(json_get(ref, "name"));
    if (namespace->size == 0)
        *namespace = trigger->namespace;
    return bytes_equal_string(json_bytes(json_get(ref, "kind")), "Service");
}

/* Whether the group is that of a Trigger which delivers to a Service of the target. */
static bool is_served(const struct scaled *scaled, const struct kafka_trigger *kafka)
{
    struct scaler *scaler = scaled->scaler;
    if (!kafka->is_trigger || !scaler->mesh || !bytes_equal(kafka->trigger_namespace, scaled->namespace))
        return false;
    const struct object *trigger =
        api_get(scaler->api, scaler->trigger_kind, kafka->trigger_namespace, kafka->trigger_name);
    struct bytes namespace, name;
    if (!trigger || !subscriber_service(trigger, &namespace, &name) || !bytes_equal(namespace, scaled->namespace))
        return false;
    for (size_t i = 0; i < scaled->service_count; i++)
        if (bytes_equal_string(name, scaled->services[i]))
            return true;
    return false;
}

/* What backlogs ask for. */
struct asked {
    int64_t at_once;  /* surely this target's */
    int64_t if_stays; /* perhaps other Triggers': dispatch reads on, and then we know */
};

static struct asked look_at_triggers(struct scaled *scaled, bool *active)
{
    struct log *log = api_log(scaled->scaler->api);
    struct asked asked = {0};
    bool demanded = scaled->held > 0 || scaled->in_flight > 0;
    for (size_t i = 0; i < scaled->trigger_count; i++) {
        const struct kafka_trigger *kafka = &scaled->triggers[i].kafka;
        const struct topic *topic = topic_find(log, bytes_of_string(kafka->topic));
        bool served = is_served(scaled, kafka);
        int64_t lag = kafka_trigger_lag(kafka, log);
        if (served && !demanded)
            continue;
        int64_t replicas = kafka_trigger_replicas(kafka, lag, topic ? topic_partition_count(topic) : 0);
        int64_t *most = served ? &asked.if_stays : &asked.at_once;
        *most = replicas > *most ? replicas : *most;
        if (lag > kafka->activation_lag_threshold) {
            *active = true;
            scaled->cause = scaled->cause ? scaled->cause : kafka->metric;
        }
    }
    return asked;
}

/* The first replica comes at once, more of them when the backlog has stayed for a moment. */
static int64_t asked_now(struct scaled *scaled, const struct asked *asked, int64_t current, uint64_t now_ms,
                         uint64_t *next_ms)
{
    int64_t most = asked->at_once > current ? asked->at_once : current;
    most = most > 1 ? most : 1;
    if (asked->if_stays <= most) {
        scaled->grow_at_ms = 0;
        return asked->if_stays > asked->at_once ? asked->if_stays : asked->at_once;
    }
    if (!scaled->grow_at_ms)
        scaled->grow_at_ms = now_ms + SCALER_GROW_SETTLE_MS;
    if (now_ms >= scaled->grow_at_ms)
        return asked->if_stays;
    *next_ms = scaled->grow_at_ms;
    return most;
}

static void look_at_services(struct scaled *scaled, bool *active)
{
    scaled->held = scaled->in_flight = 0;
    scaled->waited_at = NULL;
    for (size_t i = 0; scaled->scaler->mesh && i < scaled->service_count; i++) {
        struct bytes service = bytes_of_string(scaled->services[i]);
        scaled->held += mesh_held(scaled->scaler->mesh, scaled->namespace, service);
        scaled->in_flight += mesh_in_flight(scaled->scaler->mesh, scaled->namespace, service);
        if (scaled->held > 0)
            scaled->waited_at = scaled->services[i];
    }
    *active |= scaled->held > 0 || scaled->in_flight > 0;
}

/* Without any activity since it was made, only initialCooldownPeriod keeps it up. */
static uint64_t inactive_at_ms(const struct scaled *scaled, const struct object *object)
{
    struct io *io = api_io(scaled->scaler->api);
    if (scaled->ever_active)
        return scaled->active_ms + scaled->rule.cooldown_ms;
    int64_t created_s = time_at_s(object->json, "metadata.creationTimestamp", 0);
    int64_t end_ms = (created_s + json_int_at(object->json, "spec.initialCooldownPeriod", 0)) * 1000;
    int64_t left_ms = end_ms - io_wall_ms(io);
    return left_ms > 0 ? io_now_ms(io) + (uint64_t)left_ms : 0;
}

static int64_t decide(struct scaled *scaled, const struct object *object, const struct object *target, bool *active,
                      uint64_t *next_ms)
{
    scaled_find_services(scaled, target);
    scaled->cause = NULL;
    struct scale_input input = {.now_ms = io_now_ms(api_io(scaled->scaler->api)), .current = spec_replicas(target)};
    uint64_t grow_at_ms = UINT64_MAX;
    look_at_services(scaled, active);
    struct asked asked = look_at_triggers(scaled, active);
    input.asked = asked_now(scaled, &asked, input.current, input.now_ms, &grow_at_ms);
    scaled->cause = scaled->cause ? scaled->cause : scaled->waited_at;
    if (*active) {
        scaled->ever_active = true;
        scaled->active_ms = input.now_ms;
    }
    input.active = *active;
    input.inactive_at_ms = inactive_at_ms(scaled, object);
    int64_t replicas = scale_decide(&scaled->rule, &scaled->window, &input, next_ms);
    *next_ms = grow_at_ms < *next_ms ? grow_at_ms : *next_ms;
    return replicas;
}

/* --- Acting --- */

static bool set_replicas(struct scaled *scaled, const struct object *object, const struct object *target,
                         int64_t replicas, struct error *err)
{
    struct scaler *scaler = scaled->scaler;
    int64_t before = spec_replicas(target);
    if (before == replicas)
        return true;
    AUTO_JSON *next = json_clone(target->json);
    json_set_at(next, "spec.replicas", json_new_int(replicas));
    if (!api_update(scaler->api, target->kind, target->namespace, target->name, next, 0, NULL, err)) {
        api_record_event(scaler->api, object, "Warning", "KEDAScaleTargetActivationFailed", "keda-operator", "%s",
                         err->message);
        return error_wrap(err, "deployment %s", scaled->target);
    }
    *(replicas > before ? &scaler->counts.ups : &scaler->counts.downs) += 1;
    scaled_tell(scaled, object, before, replicas);
    return true;
}

/* The annotation autoscaling.keda.sh/paused-replicas holds a number, autoscaling.keda.sh/paused a flag. */
static bool is_paused(const struct object *object, int64_t *at)
{
    const struct json *annotations = json_at(object->json, "metadata.annotations");
    const struct json *replicas = json_get(annotations, "autoscaling.keda.sh/paused-replicas");
    *at = -1;
    if (replicas && (!bytes_to_i64(json_bytes(replicas), at) || *at < 0))
        *at = -1;
    return replicas || bytes_equal_string(json_bytes(json_get(annotations, "autoscaling.keda.sh/paused")), "true");
}

static bool sync(struct scaled *scaled, struct object *object, struct error *err)
{
    struct scaler *scaler = scaled->scaler;
    uint64_t next_ms = UINT64_MAX, now_ms = io_now_ms(api_io(scaler->api));
    int64_t paused_at;
    bool active = false, paused = is_paused(object, &paused_at);
    AUTO_OBJECT *target =
        scaled->refusal.kind
            ? NULL
            : object_ref(api_get(scaler->api, scaler->target_kind, object->namespace, bytes_of_string(scaled->target)));
    if (target && !target->deleting) {
        int64_t replicas = decide(scaled, object, target, &active, &next_ms);
        if (paused)
            replicas = paused_at >= 0 ? paused_at : spec_replicas(target);
        if (!set_replicas(scaled, object, target, replicas, err))
            return false;
    }
    if (!scaled_write_status(scaled, object, target, active, paused, paused_at, &next_ms, err))
        return false;
    const struct key key = {object->kind, object->namespace, object->name};
    if (next_ms != UINT64_MAX)
        reconciler_enqueue_after(&scaler->reconciler, &key, next_ms > now_ms ? next_ms - now_ms : 0);
    return true;
}

/* --- Its end --- */

static bool wants_restore(const struct object *object)
{
    return json_bool_at(object->json, "spec.advanced.restoreToOriginalReplicaCount", false) &&
           json_at(object->json, "status.originalReplicaCount");
}

/* advanced.restoreToOriginalReplicaCount: the target gets back what it had before it was scaled. */
static bool restore(struct scaler *scaler, const struct object *object, struct error *err)
{
    const struct json *original = json_at(object->json, "status.originalReplicaCount");
    struct object *target = api_get(scaler->api, scaler->target_kind, object->namespace,
                                    json_bytes(json_at(object->json, "spec.scaleTargetRef.name")));
    if (!target)
        return true;
    AUTO_JSON *next = json_clone(target->json);
    json_set_at(next, "spec.replicas", json_ref(original));
    if (api_update(scaler->api, target->kind, target->namespace, target->name, next, 0, NULL, err) ||
        err->kind == ERROR_NOT_FOUND)
        return true;
    api_record_event(scaler->api, target, "Warning", "KEDAScaleTargetActivationFailed", "keda-operator", "%s",
                     err->message);
    return error_wrap(err, "restore deployment " BYTES_FORMAT, BYTES_ARGS(target->name));
}

static bool end(struct scaler *scaler, const struct key *key, struct error *err)
{
    const struct scaled *scaled = scaled_find(scaler, key->namespace, key->name);
    if (scaled && scaled->ended && !restore(scaler, scaled->ended, err))
        return false;
    scaled_remove(scaler, key->namespace, key->name);
    return true;
}

/* --- Reconciling --- */

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct scaler *scaler = ctx;
    AUTO_OBJECT *object = object_ref(api_get(scaler->api, key->kind, key->namespace, key->name));
    if (!object || object->deleting)
        return end(scaler, key, err);
    struct scaled *scaled = scaled_find_or_add(scaler, object);
    scaled_read(scaled, object);
    return sync(scaled, object, err);
}

/* --- Watching --- */

static void scaled_object_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct scaler *scaler = ctx;
    (void)before;
    if (type != API_MODIFIED) /* another one of the same name has nothing to do with it */
        scaled_remove(scaler, object->namespace, object->name);
    if (type == API_DELETED && wants_restore(object))
        scaled_find_or_add(scaler, object)->ended = object_ref(object);
    reconciler_enqueue_object(&scaler->reconciler, object);
}

static bool same_at(const struct object *a, const struct object *b, const char *path)
{
    return json_same(json_at(a->json, path), json_at(b->json, path));
}

static void target_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct scaler *scaler = ctx;
    bool same_labels = before && same_at(object, before, "spec.template.metadata.labels");
    if (type == API_MODIFIED && same_labels && same_at(object, before, "spec.replicas"))
        return;
    for (struct scaled *scaled = NULL; (scaled = scaled_next(scaler, object->namespace, scaled));) {
        if (!scaled->target || !bytes_equal_string(object->name, scaled->target))
            continue;
        scaled->services_known &= same_labels;
        reconciler_enqueue(&scaler->reconciler, scaler->kind, scaled->namespace, scaled->name);
    }
}

static void service_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct scaler *scaler = ctx;
    if (type == API_MODIFIED && before && same_at(object, before, "spec.selector"))
        return;
    for (struct scaled *scaled = NULL; (scaled = scaled_next(scaler, object->namespace, scaled));) {
        scaled->services_known = false;
        reconciler_enqueue(&scaler->reconciler, scaler->kind, scaled->namespace, scaled->name);
    }
}

static void demand_changed(void *ctx, struct bytes namespace, struct bytes service)
{
    struct scaler *scaler = ctx;
    for (struct scaled *scaled = NULL; (scaled = scaled_next(scaler, namespace, scaled));)
        for (size_t i = 0; i < scaled->service_count; i++)
            if (bytes_equal_string(service, scaled->services[i]))
                reconciler_enqueue(&scaler->reconciler, scaler->kind, scaled->namespace, scaled->name);
}

static const struct reconciler_watch watches[] = {
    {"ScaledObject", scaled_object_changed},
    {"Deployment", target_changed},
    {"Service", service_changed},
};

static const struct reconciler_options options = {"scaled object", reconcile, watches, ARRAY_SIZE(watches)};

struct scaler *scaler_new(const struct scaler_options *given)
{
    struct scaler *scaler = NEW(struct scaler);
    scaler->api = given->api;
    scaler->mesh = given->mesh;
    scaler->kind = kind_by_name("ScaledObject");
    scaler->target_kind = kind_by_name("Deployment");
    scaler->service_kind = kind_by_name("Service");
    scaler->trigger_kind = kind_by_name("Trigger");
    reconciler_init(&scaler->reconciler, given->queue, given->api, &options, scaler);
    scaler->demand = (struct mesh_demand_listener){.run = demand_changed, .ctx = scaler};
    if (scaler->mesh)
        mesh_listen_demand(scaler->mesh, &scaler->demand);
    return scaler;
}

void scaler_free(struct scaler *scaler)
{
    if (!scaler)
        return;
    if (scaler->mesh)
        mesh_unlisten_demand(&scaler->demand);
    reconciler_deinit(&scaler->reconciler);
    map_deinit(&scaler->scaled, scaled_free);
    free(scaler);
}

struct scaler_counts scaler_counts(const struct scaler *scaler)
{
    return scaler->counts;
}
