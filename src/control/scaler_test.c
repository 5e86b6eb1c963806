/* SPDX-License-Identifier: Apache-2.0 */
/* ScaledObjects over a real log: from an append to pods, and back to none. */
#include "base/memory.h"
#include "control/fixture.h"
#include "control/objects.h"
#include "coordinator/consumer_group.h"
#include "coordinator/coordinator.h"

static void apply_target(struct fixture *f, int replicas)
{
    fixture_apply(f,
                  "apiVersion: apps/v1\n"
                  "kind: Deployment\n"
                  "metadata: {name: billing}\n"
                  "spec:\n"
                  "  replicas: %d\n"
                  "  selector: {matchLabels: {app: billing}}\n"
                  "  template:\n"
                  "    metadata: {labels: {app: billing}}\n"
                  "    spec: {containers: [{name: main, image: a, ports: [{name: web, containerPort: 8080}]}]}\n",
                  replicas);
}

/* `more` are fields of spec. */
static void apply_scaled(struct fixture *f, const char *more)
{
    fixture_apply(
        f,
        "apiVersion: keda.sh/v1alpha1\n"
        "kind: ScaledObject\n"
        "metadata: {name: billing}\n"
        "spec:\n"
        "  scaleTargetRef: {name: billing}\n"
        "  %s\n"
        "  triggers:\n"
        "    - type: kafka\n"
        "      metadata: {bootstrapServers: 'a:9092', consumerGroup: trigger.shop.billing, topic: shop.default,"
        " lagThreshold: '10'}\n",
        more);
}

static int64_t replicas(struct fixture *f)
{
    return spec_replicas(fixture_get(f, "Deployment", "billing"));
}

static const struct json *scaled(struct fixture *f)
{
    return fixture_get(f, "ScaledObject", "billing")->json;
}

static void open_at_zero(struct fixture *f, const char *more)
{
    fixture_open(f);
    apply_target(f, 0);
    apply_scaled(f, more);
    fixture_commit(f, "trigger.shop.billing", "shop.default", 0);
    fixture_settle(f);
    CHECK_INT(replicas(f), 0);
}

TEST(an_append_wakes_the_target_with_as_many_as_the_backlog_asks_for)
{
    struct fixture f;
    open_at_zero(&f, "maxReplicaCount: 4");
    CHECK(condition_is(scaled(&f), "Ready", "True") && condition_is(scaled(&f), "Active", "False"));
    CHECK_STR(json_text_at(scaled(&f), "status.externalMetricNames.0", ""), "s0-kafka-shop-default");
    CHECK_STR(json_text_at(scaled(&f), "status.scaleTargetKind", ""), "apps/v1.Deployment");
    CHECK_STR(json_text_at(scaled(&f), "status.triggersTypes", ""), "kafka");
    fixture_publish(&f, "shop.default", 25);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 3);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 3);
    CHECK(condition_is(scaled(&f), "Active", "True"));
    CHECK(json_at(scaled(&f), "status.lastActiveTime") != NULL);
    CHECK(fixture_has_event(&f, "billing", "KEDAScaleTargetActivated"));
    fixture_publish(&f, "shop.default", 100);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 4);
    fixture_close(&f);
}

static void on_synced(void *ctx, const struct error *err)
{
    CHECK(err == NULL);
    io_stop(ctx);
}

TEST(a_pod_is_made_in_the_turn_of_the_loop_that_hears_of_the_append)
{
    struct fixture f;
    open_at_zero(&f, "");
    fixture_publish(&f, "shop.default", 1);
    struct log_waiter waiter = {.run = on_synced, .ctx = f.io};
    log_wait(f.log, &waiter, log_lsn(f.log), LOG_SYNCED);
    io_run(f.io); /* to the end of the turn in which the append is on disk */
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 1);
    fixture_close(&f);
}

TEST(a_committed_backlog_lets_the_target_sleep_after_the_cooldown)
{
    struct fixture f;
    open_at_zero(&f, "cooldownPeriod: 1");
    fixture_publish(&f, "shop.default", 1);
    fixture_run_pods(&f);
    CHECK_INT(replicas(&f), 1);
    fixture_commit(&f, "trigger.shop.billing", "shop.default", 1);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 1);
    for (int rounds = 0; replicas(&f) > 0 || !condition_is(scaled(&f), "Active", "False"); rounds++) {
        CHECK(rounds < 100);
        fixture_wait_ms(&f, 50);
    }
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "billing-"), 0);
    CHECK(fixture_has_event(&f, "billing", "KEDAScaleTargetDeactivated"));
    struct control_metrics metrics;
    control_metrics(f.control, &metrics);
    CHECK_INT(metrics.scale_ups, 1);
    CHECK_INT(metrics.scale_downs, 1);
    CHECK_INT(metrics.queued, 0); /* nothing waits for a time any more */
    fixture_close(&f);
}

TEST(a_backlog_below_the_activation_threshold_wakes_nobody)
{
    struct fixture f;
    open_at_zero(&f, "");
    AUTO_JSON *triggers = json_clone(json_at(scaled(&f), "spec.triggers"));
    json_set(json_get(json_index(triggers, 0), "metadata"), "activationLagThreshold", json_new_text("5"));
    fixture_set(&f, "ScaledObject", "billing", "spec.triggers", TAKE(triggers));
    fixture_publish(&f, "shop.default", 5);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 0);
    fixture_publish(&f, "shop.default", 1);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 1);
    fixture_close(&f);
}

static void on_acquired(void *ctx, struct mesh_lease *lease, const struct error *err)
{
    CHECK(err == NULL);
    *(struct mesh_lease **)ctx = lease;
}

TEST(who_waits_at_a_service_wakes_its_target_and_who_is_served_keeps_it_awake)
{
    struct fixture f;
    struct mesh_lease *lease = NULL;
    open_at_zero(&f, "cooldownPeriod: 0");
    fixture_apply(&f, "{apiVersion: v1, kind: Service, metadata: {name: door},"
                      " spec: {selector: {app: billing}, ports: [{port: 80, targetPort: web}]}}");
    fixture_settle(&f);
    const struct mesh_acquire_options options = {.namespace = BYTES_LITERAL("shop"), .service = BYTES_LITERAL("door")};
    mesh_acquire(f.mesh, &options, on_acquired, &lease);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 1);
    fixture_run_pods(&f);
    CHECK(lease != NULL);
    CHECK_INT(replicas(&f), 1);
    mesh_release(lease);
    fixture_run_pods(&f);
    CHECK_INT(replicas(&f), 0);
    fixture_close(&f);
}

TEST(a_triggers_backlog_wakes_its_service_only_when_dispatch_asks_for_it)
{
    struct fixture f;
    struct mesh_lease *lease = NULL;
    open_at_zero(&f, "");
    fixture_apply(&f, "{apiVersion: v1, kind: Service, metadata: {name: door},"
                      " spec: {selector: {app: billing}, ports: [{port: 80, targetPort: web}]}}");
    fixture_apply(&f, "{apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: billing},"
                      " spec: {broker: default, subscriber: {ref: {apiVersion: v1, kind: Service, name: door}}}}");
    fixture_settle(&f);
    fixture_publish(&f, "shop.default", 25);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 0); /* these may all be for others */
    const struct mesh_acquire_options options = {.namespace = BYTES_LITERAL("shop"), .service = BYTES_LITERAL("door")};
    mesh_acquire(f.mesh, &options, on_acquired, &lease);
    fixture_settle(&f);
    CHECK(replicas(&f) >= 1); /* at once */
    for (int rounds = 0; replicas(&f) < 3; rounds++) {
        CHECK(rounds < 100); /* it stays: so it is this one's */
        fixture_wait_ms(&f, 10);
    }
    fixture_run_pods(&f);
    CHECK(lease != NULL);
    mesh_release(lease);
    fixture_close(&f);
}

static void open_with_uri(struct fixture *f, const char *uri)
{
    open_at_zero(f, "");
    fixture_apply(f, "{apiVersion: v1, kind: Service, metadata: {name: door},"
                     " spec: {selector: {app: billing}, ports: [{port: 80, targetPort: web}]}}");
    fixture_apply(f,
                  "{apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: billing},"
                  " spec: {broker: default, subscriber: {uri: '%s'}}}",
                  uri);
    fixture_settle(f);
    fixture_publish(f, "shop.default", 25);
    fixture_settle(f);
}

TEST(a_uri_that_names_a_service_counts_as_that_service)
{
    struct fixture f;
    open_with_uri(&f, "http://door.shop.svc.cluster.local:80/orders");
    CHECK_INT(replicas(&f), 0);
    fixture_close(&f);
}

TEST(any_other_uri_is_scaled_by_its_lag)
{
    struct fixture f;
    open_with_uri(&f, "http://door.shop.example.org");
    CHECK(replicas(&f) > 0);
    fixture_close(&f);
}

TEST(events_that_are_done_behind_the_offset_are_no_backlog)
{
    struct fixture f;
    open_at_zero(&f, "");
    fixture_publish(&f, "shop.default", 25);
    /* 20 of them are done, the first is not: bits 1 to 20 */
    fixture_commit_with(&f, "trigger.shop.billing", "shop.default", 0, "done:_v8f");
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 1);
    fixture_close(&f);
}

TEST(without_triggers_only_those_who_wait_count)
{
    struct fixture f;
    struct mesh_lease *lease = NULL;
    fixture_open(&f);
    apply_target(&f, 0);
    fixture_apply(&f, "{apiVersion: v1, kind: Service, metadata: {name: door},"
                      " spec: {selector: {app: billing}, ports: [{port: 80, targetPort: web}]}}");
    fixture_apply(&f, "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: billing},"
                      " spec: {scaleTargetRef: {name: billing}, triggers: []}}");
    fixture_settle(&f);
    const struct mesh_acquire_options options = {.namespace = BYTES_LITERAL("shop"), .service = BYTES_LITERAL("door")};
    mesh_acquire(f.mesh, &options, on_acquired, &lease);
    fixture_run_pods(&f);
    CHECK_INT(replicas(&f), 1);
    mesh_release(lease);
    fixture_close(&f);
}

TEST(a_target_that_was_never_needed_sleeps_at_once)
{
    struct fixture f;
    fixture_open(&f);
    apply_target(&f, 2);
    apply_scaled(&f, "cooldownPeriod: 100");
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 0);
    CHECK_INT(json_int_at(scaled(&f), "status.originalReplicaCount", -1), 2);
    fixture_close(&f);
}

TEST(a_pause_holds_the_number_and_ends_with_its_annotation)
{
    struct fixture f;
    open_at_zero(&f, "");
    struct json *annotations = json_new_object();
    json_set(annotations, "autoscaling.keda.sh/paused-replicas", json_new_text("2"));
    fixture_set(&f, "ScaledObject", "billing", "metadata.annotations", annotations);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 2);
    CHECK(condition_is(scaled(&f), "Paused", "True"));
    fixture_publish(&f, "shop.default", 95);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 2);
    fixture_set(&f, "ScaledObject", "billing", "metadata.annotations", json_new_object());
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 10);
    CHECK(condition_is(scaled(&f), "Paused", "False"));
    fixture_close(&f);
}

TEST(what_cannot_be_scaled_is_said_in_a_condition_and_an_event)
{
    struct fixture f;
    fixture_open(&f);
    apply_scaled(&f, "");
    fixture_settle(&f);
    CHECK(condition_is(scaled(&f), "Ready", "False"));
    CHECK(fixture_has_event(&f, "billing", "ScaledObjectCheckFailed"));
    apply_target(&f, 0); /* it comes later */
    fixture_settle(&f);
    CHECK(condition_is(scaled(&f), "Ready", "True"));
    AUTO_JSON *triggers = json_clone(json_at(scaled(&f), "spec.triggers"));
    json_set(json_index(triggers, 0), "type", json_new_text("cron"));
    fixture_set(&f, "ScaledObject", "billing", "spec.triggers", TAKE(triggers));
    fixture_settle(&f);
    CHECK(condition_is(scaled(&f), "Ready", "False"));
    CHECK_STR(json_text_at(condition_find(scaled(&f), "Ready"), "message", ""),
              "spec.triggers[0]: type cron is not supported, kafka is");
    CHECK_STR(json_text_at(scaled(&f), "status.triggersTypes", ""), "cron");
    fixture_close(&f);
}

TEST(a_consumer_group_of_its_own_gets_no_more_replicas_than_partitions)
{
    struct fixture f;
    open_at_zero(&f, "");
    AUTO_JSON *triggers = json_clone(json_at(scaled(&f), "spec.triggers"));
    json_set(json_get(json_index(triggers, 0), "metadata"), "consumerGroup", json_new_text("billing"));
    fixture_set(&f, "ScaledObject", "billing", "spec.triggers", TAKE(triggers));
    fixture_commit(&f, "billing", "shop.default", 0);
    fixture_publish(&f, "shop.default", 95);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 1);
    fixture_close(&f);
}

/* A member of the group "billing" of the new protocol, alone; its epoch. */
static int32_t join_as_consumer(struct fixture *f)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct bytes topic = BYTES_LITERAL("shop.default");
    const struct partition_set nothing = {0};
    const struct consumer_heartbeat request = {
        .group_id = BYTES_LITERAL("billing"),
        .member_id = BYTES_LITERAL("m"),
        .member_epoch = CONSUMER_EPOCH_JOIN,
        .rebalance_timeout_ms = 60000,
        .topic_names = &topic,
        .topic_name_count = 1,
        .owned = &nothing,
    };
    struct consumer_heartbeat_result result;
    consumer_group_heartbeat(f->log, &request, &arena, &result);
    CHECK_INT(result.error, KAFKA_NONE);
    CHECK_INT(result.assignment.count, 1);
    return result.member_epoch;
}

static enum kafka_error commit_as_consumer(struct fixture *f, int32_t epoch, int64_t offset)
{
    struct coordinator_offset commit = {
        .topic = BYTES_LITERAL("shop.default"), .offset = offset, .leader_epoch = -1, .metadata = BYTES_LITERAL("")};
    uint64_t lsn;
    return coordinator_commit(f->log, BYTES_LITERAL("billing"), BYTES_LITERAL("m"), BYTES_NULL, epoch, &commit, 1,
                              &lsn);
}

TEST(a_group_of_the_new_protocol_scales_its_target_by_what_its_members_commit)
{
    struct fixture f;
    open_at_zero(&f, "cooldownPeriod: 1");
    AUTO_JSON *triggers = json_clone(json_at(scaled(&f), "spec.triggers"));
    struct json *settings = json_get(json_index(triggers, 0), "metadata");
    json_set(settings, "consumerGroup", json_new_text("billing"));
    json_set(settings, "activationLagThreshold", json_new_text("5"));
    fixture_set(&f, "ScaledObject", "billing", "spec.triggers", TAKE(triggers));
    int32_t epoch = join_as_consumer(&f);
    CHECK_INT(commit_as_consumer(&f, epoch, 0), KAFKA_NONE);
    fixture_publish(&f, "shop.default", 5);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 0);
    fixture_publish(&f, "shop.default", 1);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 1);
    CHECK_INT(commit_as_consumer(&f, epoch - 1, 6), KAFKA_STALE_MEMBER_EPOCH);
    CHECK_INT(group_lag(f.log, BYTES_LITERAL("billing"), BYTES_LITERAL("shop.default"), false), 6);
    CHECK_INT(commit_as_consumer(&f, epoch, 6), KAFKA_NONE);
    for (int rounds = 0; replicas(&f) > 0; rounds++) {
        CHECK(rounds < 100);
        fixture_wait_ms(&f, 50);
    }
    fixture_close(&f);
}

TEST(the_original_number_comes_back_with_the_end_of_the_scaled_object)
{
    struct fixture f;
    fixture_open(&f);
    apply_target(&f, 2);
    apply_scaled(&f, "advanced: {restoreToOriginalReplicaCount: true}");
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 0);
    fixture_delete(&f, "ScaledObject", "billing", NULL);
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 2);
    fixture_publish(&f, "shop.default", 95); /* nobody listens any more */
    fixture_settle(&f);
    CHECK_INT(replicas(&f), 2);
    fixture_close(&f);
}

TEST(a_restart_goes_on_with_the_backlog_that_is_there)
{
    struct fixture f;
    open_at_zero(&f, "");
    fixture_publish(&f, "shop.default", 15);
    fixture_settle(&f);
    fixture_reopen(&f);
    CHECK_INT(replicas(&f), 2);
    fixture_commit(&f, "trigger.shop.billing", "shop.default", 15);
    fixture_reopen(&f);
    CHECK_INT(replicas(&f), 1); /* the cool-down goes on, one stays */
    fixture_close(&f);
}
