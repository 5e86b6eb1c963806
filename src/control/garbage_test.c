/* SPDX-License-Identifier: Apache-2.0 */
/* What goes when its owner or its namespace goes. */
#include <stdio.h>

#include "base/memory.h"
#include "control/fixture.h"
#include "control/objects.h"
#include "control/pod_limit.h"

/* A ConfigMap that belongs to others: "name:blocks" with the ConfigMaps' uids. */
static void apply_owned(struct fixture *f, const char *name, const char *first, bool blocks, const char *second)
{
    char references[600] = "";
    const char *const owners[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        size_t used = strlen(references);
        if (owners[i])
            snprintf(references + used, sizeof references - used,
                     "%s{apiVersion: v1, kind: ConfigMap, name: %s, uid: %s, blockOwnerDeletion: %s}", used ? "," : "",
                     owners[i], fixture_get(f, "ConfigMap", owners[i])->uid, blocks ? "true" : "false");
    }
    fixture_apply(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, ownerReferences: [%s]}}", name,
                  references);
}

static void apply_owner(struct fixture *f, const char *name)
{
    fixture_apply(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}", name);
}

static bool exists(struct fixture *f, const char *name)
{
    return fixture_get(f, "ConfigMap", name) != NULL;
}

TEST(what_an_owner_had_follows_it)
{
    struct fixture f;
    fixture_open(&f);
    apply_owner(&f, "root");
    apply_owned(&f, "child", "root", true, NULL);
    apply_owned(&f, "grandchild", "child", true, NULL);
    fixture_settle(&f);
    CHECK(exists(&f, "grandchild"));
    fixture_delete(&f, "ConfigMap", "root", NULL);
    fixture_settle(&f);
    CHECK(!exists(&f, "root") && !exists(&f, "child") && !exists(&f, "grandchild"));
    fixture_close(&f);
}

TEST(an_object_with_another_owner_stays_and_loses_the_reference)
{
    struct fixture f;
    fixture_open(&f);
    apply_owner(&f, "root");
    apply_owner(&f, "other");
    apply_owned(&f, "child", "root", true, "other");
    fixture_delete(&f, "ConfigMap", "root", NULL);
    fixture_settle(&f);
    const struct json *references = json_at(fixture_get(&f, "ConfigMap", "child")->json, "metadata.ownerReferences");
    CHECK_INT(json_size(references), 1);
    CHECK_STR(json_text_at(references, "0.name", ""), "other");
    fixture_close(&f);
}

TEST(an_owner_of_another_uid_is_no_owner)
{
    struct fixture f;
    fixture_open(&f);
    apply_owner(&f, "root");
    fixture_apply(&f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: child, ownerReferences:"
                      " [{apiVersion: v1, kind: ConfigMap, name: root, uid: 11111111-1111-4111-8111-111111111111}]}}");
    fixture_settle(&f);
    CHECK(exists(&f, "root") && !exists(&f, "child"));
    fixture_close(&f);
}

TEST(an_owner_of_an_unknown_kind_is_believed_to_be_there)
{
    struct fixture f;
    fixture_open(&f);
    fixture_apply(&f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: child, ownerReferences:"
                      " [{apiVersion: example.org/v1, kind: Thing, name: a, uid: 11111111-1111-4111-8111-111111111111}]"
                      "}}");
    fixture_settle(&f);
    CHECK(exists(&f, "child"));
    fixture_close(&f);
}

static void set_finalizer(struct fixture *f, const char *name, bool on)
{
    struct json *finalizers = json_new_array();
    if (on)
        json_append(finalizers, json_new_text("example.org/wait"));
    fixture_set(f, "ConfigMap", name, "metadata.finalizers", finalizers);
}

TEST(in_the_foreground_an_owner_waits_for_what_blocks_it)
{
    struct fixture f;
    fixture_open(&f);
    apply_owner(&f, "root");
    apply_owned(&f, "blocking", "root", true, NULL);
    apply_owned(&f, "free", "root", false, NULL);
    set_finalizer(&f, "blocking", true);
    set_finalizer(&f, "free", true);
    fixture_settle(&f);
    fixture_delete(&f, "ConfigMap", "root", "Foreground");
    fixture_settle(&f);
    CHECK(fixture_get(&f, "ConfigMap", "root")->deleting);
    CHECK(fixture_get(&f, "ConfigMap", "blocking")->deleting && fixture_get(&f, "ConfigMap", "free")->deleting);
    set_finalizer(&f, "blocking", false);
    fixture_settle(&f);
    CHECK(!exists(&f, "blocking") && !exists(&f, "root") && exists(&f, "free"));
    fixture_close(&f);
}

TEST(orphans_stay_without_their_owner)
{
    struct fixture f;
    fixture_open(&f);
    apply_owner(&f, "root");
    apply_owned(&f, "a", "root", true, NULL);
    apply_owned(&f, "b", "root", true, NULL);
    fixture_settle(&f);
    fixture_delete(&f, "ConfigMap", "root", "Orphan");
    fixture_settle(&f);
    CHECK(!exists(&f, "root") && exists(&f, "a") && exists(&f, "b"));
    CHECK(json_at(fixture_get(&f, "ConfigMap", "a")->json, "metadata.ownerReferences") == NULL);
    fixture_close(&f);
}

static void apply_deployment(struct fixture *f)
{
    fixture_apply(f, "apiVersion: apps/v1\n"
                     "kind: Deployment\n"
                     "metadata: {name: web}\n"
                     "spec:\n"
                     "  replicas: 2\n"
                     "  selector: {matchLabels: {app: web}}\n"
                     "  template:\n"
                     "    metadata: {labels: {app: web}}\n"
                     "    spec: {containers: [{name: main, image: a}]}\n");
}

TEST(a_deployment_takes_its_pods_with_it)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f);
    fixture_run_pods(&f);
    fixture_delete(&f, "Deployment", "web", NULL);
    fixture_run_pods(&f);
    CHECK_INT(api_count(f.api, kind_by_name("ReplicaSet")) + api_count(f.api, kind_by_name("Pod")), 0);
    fixture_close(&f);
}

TEST(in_the_foreground_a_deployment_goes_after_its_pods)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f);
    fixture_run_pods(&f);
    fixture_delete(&f, "Deployment", "web", "Foreground");
    fixture_settle(&f);
    CHECK(fixture_get(&f, "Deployment", "web") != NULL);
    CHECK_INT(fixture_count(&f, "Pod", "web-"), 0);
    fixture_run_pods(&f);
    CHECK(fixture_get(&f, "Deployment", "web") == NULL);
    CHECK_INT(api_count(f.api, kind_by_name("ReplicaSet")) + api_count(f.api, kind_by_name("Pod")), 0);
    fixture_close(&f);
}

TEST(pods_of_an_orphaned_replica_set_run_on_and_are_adopted_again)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f);
    fixture_run_pods(&f);
    int started = f.pods_started;
    fixture_delete(&f, "Deployment", "web", "Orphan");
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "Pod", "web-"), 2);
    apply_deployment(&f);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "ReplicaSet", "web-"), 1);
    CHECK_INT(f.pods_started, started);
    fixture_close(&f);
}

/* --- Namespaces --- */

TEST(a_namespace_is_furnished_and_stays_so)
{
    struct fixture f;
    fixture_open(&f);
    CHECK(fixture_get(&f, "ServiceAccount", "default") != NULL);
    const struct object *map = fixture_get(&f, "ConfigMap", "kube-root-ca.crt");
    CHECK_STR(json_text(json_get(json_get(map->json, "data"), "ca.crt")), "a certificate");
    fixture_delete(&f, "ServiceAccount", "default", NULL);
    fixture_settle(&f);
    CHECK(fixture_get(&f, "ServiceAccount", "default") != NULL);
    fixture_close(&f);
}

TEST(a_namespace_goes_when_all_in_it_is_gone)
{
    struct fixture f;
    fixture_open(&f);
    apply_deployment(&f);
    apply_owner(&f, "held");
    set_finalizer(&f, "held", true);
    fixture_run_pods(&f);
    fixture_delete(&f, "Namespace", "shop", NULL);
    fixture_run_pods(&f);
    const struct object *namespace = fixture_get(&f, "Namespace", "shop");
    CHECK_STR(json_text_at(namespace->json, "status.phase", ""), "Terminating");
    CHECK(condition_is(namespace->json, "NamespaceContentRemaining", "True"));
    CHECK(condition_is(namespace->json, "NamespaceFinalizersRemaining", "True"));
    CHECK_INT(api_count(f.api, kind_by_name("Pod")), 0);
    set_finalizer(&f, "held", false);
    fixture_settle(&f);
    CHECK(fixture_get(&f, "Namespace", "shop") == NULL);
    CHECK_INT(api_count(f.api, kind_by_name("ServiceAccount")), 4);                 /* those of the other namespaces */
    fixture_apply(&f, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"); /* and may come again */
    fixture_settle(&f);
    CHECK(fixture_get(&f, "ServiceAccount", "default") != NULL);
    fixture_close(&f);
}

/* --- Pods that have ended --- */

TEST(of_too_many_ended_pods_the_oldest_go)
{
    struct fixture f;
    struct error err;
    char name[40];
    fixture_open(&f);
    for (int i = 0; i < POD_LIMIT_TERMINATED + 3; i++) {
        snprintf(name, sizeof name, "job-%04d", i);
        fixture_apply(
            &f, "{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: a, image: a}]}}", name);
        const struct object *pod = fixture_get(&f, "Pod", name);
        AUTO_JSON *next = json_clone(pod->json);
        json_set_at(next, "status.phase", json_new_text("Succeeded"));
        CHECK_OK(api_update(f.api, pod->kind, pod->namespace, pod->name, next, API_STATUS, NULL, &err), &err);
    }
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "Pod", "job-"), POD_LIMIT_TERMINATED);
    fixture_close(&f);
}
