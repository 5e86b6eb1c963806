/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads: from a Deployment to pods and back, over a real api. */
#include "control/fixture.h"

#include <stdio.h>

#include "base/memory.h"
#include "control/objects.h"

static void apply_deployment(struct fixture *f, int replicas, const char *image, const char *more)
{
    fixture_apply(f,
                  "apiVersion: apps/v1\n"
                  "kind: Deployment\n"
                  "metadata: {name: billing, annotations: {team: red}}\n"
                  "spec:\n"
                  "  replicas: %d\n"
                  "  selector: {matchLabels: {app: billing}}\n"
                  "  %s\n"
                  "  template:\n"
                  "    metadata: {labels: {app: billing}}\n"
                  "    spec: {containers: [{name: main, image: '%s', ports: [{name: web, containerPort: 8080}]}]}\n",
                  replicas, more, image);
}

static const struct json *status(struct fixture *f)
{
    return json_get(fixture_get(f, "Deployment", "billing")->json, "status");
}

static const char *reason(struct fixture *f, const char *type)
{
    return json_text_at(condition_find(fixture_get(f, "Deployment", "billing")->json, type), "reason", "");
}

TEST(a_deployment_makes_a_replica_set_and_its_pods)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 3, "a", "");
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "ReplicaSet", "billing-"), 1);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 3);
    CHECK_STR(reason(&f, "Progressing"), "ReplicaSetUpdated");
    CHECK_STR(reason(&f, "Available"), "MinimumReplicasUnavailable");
    fixture_run_pods(&f);
    CHECK_INT(json_int_at(status(&f), "readyReplicas", 0), 3);
    CHECK_INT(json_int_at(status(&f), "availableReplicas", 0), 3);
    CHECK_INT(json_int_at(status(&f), "updatedReplicas", 0), 3);
    CHECK_INT(json_int_at(status(&f), "observedGeneration", 0), 1);
    CHECK_STR(reason(&f, "Progressing"), "NewReplicaSetAvailable");
    CHECK_STR(reason(&f, "Available"), "MinimumReplicasAvailable");
    const struct object *set = fixture_first(&f, "ReplicaSet", "billing-");
    const struct json *annotations = json_at(set->json, "metadata.annotations");
    CHECK_STR(json_text(json_get(annotations, "deployment.kubernetes.io/revision")), "1");
    CHECK_STR(json_text(json_get(annotations, "deployment.kubernetes.io/desired-replicas")), "3");
    CHECK_STR(json_text(json_get(annotations, "deployment.kubernetes.io/max-replicas")), "4");
    CHECK_STR(json_text(json_get(annotations, "team")), "red");
    const struct object *pod = fixture_first(&f, "Pod", "billing-");
    CHECK(json_at(pod->json, "metadata.labels.pod-template-hash") != NULL);
    CHECK(object_controlled_by(pod, set));
    CHECK(fixture_has_event(&f, "billing", "ScalingReplicaSet"));
    CHECK(fixture_has_event(&f, (const char *)set->name.data, "SuccessfulCreate"));
    fixture_close(&f);
}

/* The revision of the only replica set that has pods. */
static struct object *active_set(struct fixture *f)
{
    struct api_iterator iterator;
    struct object *set, *active = NULL;
    api_iterate(f->api, kind_by_name("ReplicaSet"), BYTES_LITERAL("shop"), &iterator);
    while ((set = api_iterator_next(&iterator)))
        if (spec_replicas(set) > 0) {
            CHECK(active == NULL);
            active = set;
        }
    return active;
}

TEST(a_new_template_replaces_the_pods_within_the_bounds)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 4, "a", "");
    fixture_run_pods(&f);
    apply_deployment(&f, 4, "b", "");
    for (int rounds = 0; strcmp(reason(&f, "Progressing"), "NewReplicaSetAvailable") != 0 || rounds == 0; rounds++) {
        CHECK(rounds < 20);
        fixture_settle(&f);
        CHECK(fixture_count(&f, "Pod", "billing-") <= 5);            /* maxSurge 25 % of 4 */
        CHECK(json_int_at(status(&f), "availableReplicas", 0) >= 3); /* maxUnavailable 25 % of 4 */
        fixture_run_pods_once(&f);
    }
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "ReplicaSet", "billing-"), 2);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 4);
    const struct object *deployment = fixture_get(&f, "Deployment", "billing");
    CHECK_STR(
        json_text(json_get(json_at(deployment->json, "metadata.annotations"), "deployment.kubernetes.io/revision")),
        "2");
    CHECK_STR(json_text_at(active_set(&f)->json, "spec.template.spec.containers.0.image", ""), "b");
    fixture_close(&f);
}

TEST(going_back_uses_the_old_replica_set_and_gives_it_a_new_revision)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 1, "a", "");
    fixture_run_pods(&f);
    char *first = memory_string(active_set(&f)->name);
    apply_deployment(&f, 1, "b", "");
    fixture_run_pods(&f);
    apply_deployment(&f, 1, "a", "");
    fixture_run_pods(&f);
    const struct object *set = active_set(&f);
    const struct json *annotations = json_at(set->json, "metadata.annotations");
    CHECK_STR((const char *)set->name.data, first);
    CHECK_STR(json_text(json_get(annotations, "deployment.kubernetes.io/revision")), "3");
    CHECK_STR(json_text(json_get(annotations, "deployment.kubernetes.io/revision-history")), "1");
    CHECK_INT(fixture_count(&f, "ReplicaSet", "billing-"), 2);
    free(first);
    fixture_close(&f);
}

TEST(old_replica_sets_beyond_the_history_limit_go)
{
    struct fixture f;
    char image[10];
    fixture_open(&f);
    for (int i = 0; i < 5; i++) {
        snprintf(image, sizeof image, "v%d", i);
        apply_deployment(&f, 1, image, "revisionHistoryLimit: 2");
        fixture_run_pods(&f);
    }
    CHECK_INT(fixture_count(&f, "ReplicaSet", "billing-"), 3);
    fixture_close(&f);
}

TEST(recreate_ends_all_old_pods_before_it_starts_a_new_one)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 2, "a", "strategy: {type: Recreate}");
    fixture_run_pods(&f);
    apply_deployment(&f, 2, "b", "strategy: {type: Recreate}");
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 0); /* both are on their way out, none has come */
    CHECK_INT(api_count(f.api, kind_by_name("Pod")), 2);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 2);
    CHECK_STR(json_text_at(active_set(&f)->json, "spec.template.spec.containers.0.image", ""), "b");
    CHECK_STR(reason(&f, "Progressing"), "NewReplicaSetAvailable");
    fixture_close(&f);
}

TEST(a_paused_deployment_scales_but_does_not_roll)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 1, "a", "");
    fixture_run_pods(&f);
    apply_deployment(&f, 3, "b", "paused: true");
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 3);
    CHECK_INT(fixture_count(&f, "ReplicaSet", "billing-"), 1);
    CHECK_STR(reason(&f, "Progressing"), "DeploymentPaused");
    apply_deployment(&f, 3, "b", "");
    fixture_run_pods(&f);
    CHECK_STR(json_text_at(active_set(&f)->json, "spec.template.spec.containers.0.image", ""), "b");
    CHECK_STR(reason(&f, "Progressing"), "NewReplicaSetAvailable");
    fixture_close(&f);
}

TEST(a_rollout_that_makes_no_progress_exceeds_its_deadline)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 1, "a", "progressDeadlineSeconds: 1");
    fixture_settle(&f);
    for (int rounds = 0; strcmp(reason(&f, "Progressing"), "ProgressDeadlineExceeded") != 0; rounds++) {
        CHECK(rounds < 100);
        fixture_wait_ms(&f, 100);
    }
    CHECK(condition_is(fixture_get(&f, "Deployment", "billing")->json, "Progressing", "False"));
    fixture_run_pods(&f); /* late, but there */
    CHECK_STR(reason(&f, "Progressing"), "NewReplicaSetAvailable");
    fixture_close(&f);
}

TEST(scaling_amid_a_rollout_is_spread_over_the_replica_sets)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f, 10, "a", "");
    fixture_run_pods(&f);
    apply_deployment(&f, 10, "b", "");
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 8 + 5); /* 2 may be missing, 3 more may be there */
    fixture_set(&f, "Deployment", "billing", "spec.replicas", json_new_int(20));
    fixture_settle(&f);
    struct api_iterator iterator;
    struct object *set;
    int64_t total = 0, least = INT64_MAX;
    api_iterate(f.api, kind_by_name("ReplicaSet"), BYTES_LITERAL("shop"), &iterator);
    while ((set = api_iterator_next(&iterator))) {
        total += spec_replicas(set);
        least = spec_replicas(set) < least ? spec_replicas(set) : least;
    }
    CHECK_INT(total, 25);
    CHECK(least > 5); /* the smaller one has grown too */
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 20);
    CHECK_STR(json_text_at(active_set(&f)->json, "spec.template.spec.containers.0.image", ""), "b");
    fixture_close(&f);
}

/* --- Replica sets --- */

static void apply_set(struct fixture *f, int replicas)
{
    fixture_apply(f,
                  "apiVersion: apps/v1\n"
                  "kind: ReplicaSet\n"
                  "metadata: {name: web}\n"
                  "spec:\n"
                  "  replicas: %d\n"
                  "  selector: {matchLabels: {app: web}}\n"
                  "  template:\n"
                  "    metadata: {labels: {app: web}, annotations: {note: kept}}\n"
                  "    spec: {containers: [{name: main, image: a}]}\n",
                  replicas);
}

static void apply_pod(struct fixture *f, const char *name, const char *app)
{
    fixture_apply(f,
                  "{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {app: %s}},"
                  " spec: {containers: [{name: main, image: a}]}}",
                  name, app);
}

TEST(a_replica_set_adopts_pods_that_it_selects_and_releases_those_that_it_no_longer_does)
{
    struct fixture f;
    fixture_open(&f);
    apply_pod(&f, "stray", "web");
    apply_set(&f, 2);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", ""), 2);
    CHECK(object_controlled_by(fixture_get(&f, "Pod", "stray"), fixture_get(&f, "ReplicaSet", "web")));
    fixture_set(&f, "Pod", "stray", "metadata.labels.app", json_new_text("other"));
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", ""), 3); /* it is let go and another one made */
    CHECK(object_controller_of(fixture_get(&f, "Pod", "stray")) == NULL);
    CHECK_STR(json_text_at(fixture_first(&f, "Pod", "web-")->json, "metadata.annotations.note", ""), "kept");
    fixture_close(&f);
}

TEST(a_pod_that_ends_or_is_deleted_is_replaced)
{
    struct fixture f;
    fixture_open(&f);
    apply_set(&f, 1);
    fixture_run_pods(&f);
    struct object *pod = object_ref(fixture_first(&f, "Pod", "web-"));
    fixture_delete(&f, "Pod", (const char *)pod->name.data, NULL);
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "Pod", "web-"), 1); /* before the old one is gone */
    CHECK_INT(json_int_at(fixture_get(&f, "ReplicaSet", "web")->json, "status.terminatingReplicas", 0), 1);
    fixture_run_pods(&f);
    CHECK_INT(api_count(f.api, pod->kind), 1);
    object_unref(pod);
    fixture_close(&f);
}

TEST(pods_are_made_in_one_go)
{
    struct fixture f;
    fixture_open(&f);
    apply_set(&f, 40);
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "Pod", "web-"), 40);
    CHECK_INT(json_int_at(fixture_get(&f, "ReplicaSet", "web")->json, "status.fullyLabeledReplicas", 0), 40);
    fixture_close(&f);
}

/* --- Draining --- */

static void on_acquired(void *ctx, struct mesh_lease *lease, const struct error *err)
{
    CHECK(err == NULL);
    *(struct mesh_lease **)ctx = lease;
}

static void apply_service(struct fixture *f)
{
    fixture_apply(f, "{apiVersion: v1, kind: Service, metadata: {name: billing},"
                     " spec: {selector: {app: billing}, ports: [{port: 80, targetPort: web}]}}");
}

static struct mesh_lease *acquire(struct fixture *f)
{
    struct mesh_lease *lease = NULL;
    const struct mesh_acquire_options options = {.namespace = BYTES_LITERAL("shop"),
                                                 .service = BYTES_LITERAL("billing")};
    mesh_acquire(f->mesh, &options, on_acquired, &lease);
    fixture_settle(f);
    CHECK(lease != NULL);
    return lease;
}

TEST(a_pod_that_is_to_go_finishes_what_it_holds_first)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f);
    apply_deployment(&f, 2, "a", "");
    fixture_run_pods(&f);
    struct mesh_lease *lease = acquire(&f);
    char *busy = memory_string(bytes_of_string(lease->pod));
    apply_deployment(&f, 1, "a", "");
    fixture_run_pods(&f);
    CHECK(fixture_get(&f, "Pod", busy) != NULL); /* the idle one went */
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 1);
    apply_deployment(&f, 0, "a", "");
    fixture_run_pods(&f);
    CHECK(!fixture_get(&f, "Pod", busy)->deleting); /* it still holds a request */
    CHECK_INT(json_int_at(status(&f), "replicas", 0), 0);
    CHECK_INT(json_int_at(status(&f), "terminatingReplicas", 0), 1);
    mesh_release(lease);
    fixture_settle(&f);
    CHECK(fixture_get(&f, "Pod", busy)->deleting);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 0);
    struct control_metrics metrics;
    control_metrics(f.control, &metrics);
    CHECK_INT(metrics.draining, 0);
    CHECK_INT(metrics.drains_expired, 0);
    free(busy);
    fixture_close(&f);
}

TEST(a_draining_pod_is_taken_back_when_it_is_wanted_again)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f);
    apply_deployment(&f, 1, "a", "");
    fixture_run_pods(&f);
    struct mesh_lease *lease = acquire(&f);
    char *busy = memory_string(bytes_of_string(lease->pod));
    apply_deployment(&f, 0, "a", "");
    fixture_settle(&f);
    apply_deployment(&f, 1, "a", "");
    fixture_run_pods(&f);
    mesh_release(lease);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 1);
    CHECK_STR((const char *)fixture_first(&f, "Pod", "billing-")->name.data, busy);
    struct mesh_lease *again = acquire(&f); /* mesh feeds it again */
    CHECK_STR(again->pod, busy);
    mesh_release(again);
    free(busy);
    fixture_close(&f);
}

TEST(a_drain_ends_with_the_grace_period)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f);
    apply_deployment(&f, 1, "a", "");
    fixture_set(&f, "Deployment", "billing", "spec.template.spec.terminationGracePeriodSeconds", json_new_int(1));
    fixture_run_pods(&f);
    struct mesh_lease *lease = acquire(&f);
    apply_deployment(&f, 0, "a", "");
    fixture_set(&f, "Deployment", "billing", "spec.template.spec.terminationGracePeriodSeconds", json_new_int(1));
    for (int rounds = 0; fixture_count(&f, "Pod", "billing-") > 0; rounds++) {
        CHECK(rounds < 100);
        fixture_wait_ms(&f, 50);
    }
    struct control_metrics metrics;
    control_metrics(f.control, &metrics);
    CHECK_INT(metrics.drains_expired, 1);
    mesh_release(lease);
    fixture_close(&f);
}

/* --- After a restart --- */

TEST(a_restart_finds_everything_as_it_is_and_writes_nothing)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f);
    apply_deployment(&f, 3, "a", "");
    fixture_run_pods(&f);
    fixture_reopen(&f);
    uint64_t revision = api_revision(f.api);
    fixture_reopen(&f);
    CHECK_INT(api_revision(f.api), revision);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 3);
    CHECK_INT(fixture_count(&f, "ReplicaSet", "billing-"), 1);
    fixture_close(&f);
}
