/* SPDX-License-Identifier: Apache-2.0 */
/* The store over a real log in a directory of its own. */
#include <errno.h>
#include <stdio.h>

#include "api/history.h"
#include "api/store_fixture.h"
#include "api/watcher.h"

TEST(a_new_store_has_four_namespaces)
{
    struct fixture f;
    fixture_open(&f);
    CHECK_INT(api_count(f.api, kind_by_name("Namespace")), 4);
    struct object *object = api_find(f.api, "Namespace", "", "kube-system");
    CHECK_STR(json_text_at(object->json, "status.phase", ""), "Active");
    CHECK_STR(json_text_at(object->json, "spec.finalizers.0", ""), "kubernetes");
    CHECK_STR(json_text(json_get(json_at(object->json, "metadata.labels"), "kubernetes.io/metadata.name")),
              "kube-system");
    fixture_close(&f);
}

TEST(create_gives_identity_and_the_lsn_as_resource_version)
{
    struct fixture f;
    fixture_open(&f);
    struct object *object = fixture_create(&f, "ConfigMap", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}");
    CHECK_INT(strlen(object->uid), 36);
    CHECK_INT(object->resource_version, log_lsn(f.log));
    CHECK(json_text_at(object->json, "metadata.creationTimestamp", NULL));
    CHECK_STR(json_text_at(object->json, "apiVersion", ""), "v1");
    AUTO_JSON *text = fixture_json((const char *)object_text(object).data, object_text(object).size);
    CHECK(json_same(text, object->json));
    CHECK(api_find(f.api, "ConfigMap", "default", "a") == object);
    object_unref(object);
    fixture_close(&f);
}

TEST(a_name_is_taken_once)
{
    struct fixture f;
    fixture_open(&f);
    object_unref(fixture_create(&f, "ConfigMap", "{\"metadata\":{\"name\":\"a\"}}"));
    fixture_create_fails(&f, "ConfigMap", "default", "{\"metadata\":{\"name\":\"a\"}}", ERROR_EXISTS, 0);
    fixture_close(&f);
}

TEST(generate_name_draws_names)
{
    struct fixture f;
    fixture_open(&f);
    struct object *a = fixture_create(&f, "ConfigMap", "{\"metadata\":{\"generateName\":\"job-\"}}");
    struct object *b = fixture_create(&f, "ConfigMap", "{\"metadata\":{\"generateName\":\"job-\"}}");
    CHECK_INT(a->name.size, 9);
    CHECK(bytes_starts_with(b->name, BYTES_LITERAL("job-")));
    CHECK(!bytes_equal(a->name, b->name));
    object_unref(a);
    object_unref(b);
    fixture_close(&f);
}

TEST(create_needs_a_namespace_that_is_there)
{
    struct fixture f;
    fixture_open(&f);
    fixture_create_fails(&f, "ConfigMap", "nowhere", "{\"metadata\":{\"name\":\"a\"}}", ERROR_NOT_FOUND, 0);
    fixture_create_fails(&f, "ConfigMap", "default", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"other\"}}",
                         ERROR_INVALID, EBADMSG);
    object_unref(fixture_create(&f, "Namespace", "{\"metadata\":{\"name\":\"shop\"}}"));
    fixture_delete(&f, "Namespace", "", "shop");
    CHECK_STR(json_text_at(api_find(f.api, "Namespace", "", "shop")->json, "status.phase", ""), "Terminating");
    fixture_create_fails(&f, "ConfigMap", "shop", "{\"metadata\":{\"name\":\"a\"}}", ERROR_DENIED, ESHUTDOWN);
    fixture_close(&f);
}

TEST(what_is_not_valid_is_refused_with_its_fields)
{
    struct fixture f;
    fixture_open(&f);
    fixture_create_fails(&f, "Pod", "default", "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[]}}",
                         ERROR_INVALID, EINVAL);
    CHECK(api_field_errors(f.api)->count > 0);
    CHECK_STR(api_field_errors(f.api)->errors[0].field, "spec.containers");
    fixture_create_fails(&f, "Pod", "default", "{\"metadata\":{\"name\":\"p\"},\"spec\":7}", ERROR_INVALID, EBADMSG);
    fixture_create_fails(&f, "Pod", "default", "[]", ERROR_INVALID, EBADMSG);
    fixture_create_fails(&f, "ConfigMap", "default", "{\"metadata\":{\"name\":\"p\",\"resourceVersion\":\"7\"}}",
                         ERROR_INVALID, EBADMSG);
    fixture_close(&f);
}

static const char deployment[] =
    "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":1,\"selector\":{\"matchLabels\":"
    "{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
    "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}";

TEST(spec_and_status_are_written_apart)
{
    struct fixture f;
    fixture_open(&f);
    object_unref(fixture_create(&f, "Deployment", deployment));
    fixture_set(&f, "Deployment", "web", "spec.replicas", json_new_int(3), 0);
    struct object *object = api_find(f.api, "Deployment", "default", "web");
    CHECK_INT(object->generation, 2);
    fixture_set(&f, "Deployment", "web", "status.replicas", json_new_int(3), 0);
    CHECK_INT(json_int_at(api_find(f.api, "Deployment", "default", "web")->json, "status.replicas", -1), -1);
    fixture_set(&f, "Deployment", "web", "status.replicas", json_new_int(3), API_STATUS);
    object = api_find(f.api, "Deployment", "default", "web");
    CHECK_INT(json_int_at(object->json, "status.replicas", -1), 3);
    CHECK_INT(object->generation, 2);
    fixture_set(&f, "Deployment", "web", "spec.replicas", json_new_int(9), API_STATUS);
    CHECK_INT(json_int_at(api_find(f.api, "Deployment", "default", "web")->json, "spec.replicas", -1), 3);
    fixture_close(&f);
}

TEST(an_update_that_changes_nothing_writes_nothing)
{
    struct fixture f;
    fixture_open(&f);
    object_unref(fixture_create(&f, "Deployment", deployment));
    uint64_t lsn = log_lsn(f.log);
    fixture_set(&f, "Deployment", "web", "spec.replicas", json_new_int(1), 0);
    CHECK_INT(log_lsn(f.log), lsn);
    fixture_close(&f);
}

TEST(an_update_of_an_older_state_is_a_conflict)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    AUTO_OBJECT *old = fixture_create(&f, "Deployment", deployment);
    fixture_set(&f, "Deployment", "web", "spec.replicas", json_new_int(2), 0);
    AUTO_JSON *json = json_clone(old->json);
    json_set_at(json, "spec.replicas", json_new_int(5));
    CHECK(!api_update(f.api, old->kind, old->namespace, old->name, json, 0, NULL, &err));
    CHECK(err.kind == ERROR_CONFLICT);
    json_remove(json_get(json, "metadata"), "resourceVersion");
    json_set_at(json, "metadata.uid", json_new_text("another"));
    CHECK(!api_update(f.api, old->kind, old->namespace, old->name, json, 0, NULL, &err));
    CHECK(err.kind == ERROR_CONFLICT);
    json_remove(json_get(json, "metadata"), "uid");
    CHECK_OK(api_update(f.api, old->kind, old->namespace, old->name, json, 0, NULL, &err), &err);
    CHECK(!api_update(f.api, old->kind, old->namespace, BYTES_LITERAL("none"), json, 0, NULL, &err));
    CHECK(err.kind == ERROR_NOT_FOUND);
    fixture_close(&f);
}

TEST(a_dry_run_changes_nothing)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    uint64_t lsn = log_lsn(f.log);
    AUTO_JSON *json = fixture_json(deployment, sizeof deployment - 1);
    AUTO_OBJECT *object = NULL;
    CHECK_OK(api_create(f.api, kind_by_name("Deployment"), BYTES_LITERAL("default"), json, API_DRY_RUN, &object, &err),
             &err);
    CHECK(!json_at(object->json, "metadata.resourceVersion"));
    CHECK(!api_find(f.api, "Deployment", "default", "web"));
    CHECK_INT(log_lsn(f.log), lsn);
    fixture_close(&f);
}

TEST(finalizers_hold_an_object_until_the_last_is_gone)
{
    struct fixture f;
    fixture_open(&f);
    object_unref(fixture_create(
        &f, "ConfigMap", "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"example.com/x\",\"example.com/y\"]}}"));
    fixture_delete(&f, "ConfigMap", "default", "a");
    struct object *object = api_find(f.api, "ConfigMap", "default", "a");
    CHECK(object && object->deleting);
    fixture_set(&f, "ConfigMap", "a", "metadata.finalizers", fixture_json("[\"example.com/y\"]", 17), 0);
    CHECK(api_find(f.api, "ConfigMap", "default", "a"));
    struct error err;
    AUTO_JSON *more = json_clone(api_find(f.api, "ConfigMap", "default", "a")->json);
    json_append(json_at(more, "metadata.finalizers"), json_new_text("example.com/z"));
    CHECK(!api_update(f.api, kind_by_name("ConfigMap"), BYTES_LITERAL("default"), BYTES_LITERAL("a"), more, 0, NULL,
                      &err));
    CHECK(err.kind == ERROR_INVALID);
    fixture_set(&f, "ConfigMap", "a", "metadata.finalizers", json_new_array(), 0);
    CHECK(!api_find(f.api, "ConfigMap", "default", "a"));
    fixture_close(&f);
}

static const char pod[] =
    "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}";

TEST(a_pod_that_no_node_has_goes_at_once)
{
    struct fixture f;
    fixture_open(&f);
    object_unref(fixture_create(&f, "Pod", pod));
    fixture_delete(&f, "Pod", "default", "p");
    CHECK(!api_find(f.api, "Pod", "default", "p"));
    fixture_close(&f);
}

TEST(a_pod_on_a_node_gets_its_grace_period_which_may_be_shortened)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    object_unref(fixture_create(&f, "Pod", pod));
    fixture_set(&f, "Pod", "p", "spec.nodeName", json_new_text("n"), 0);
    fixture_delete(&f, "Pod", "default", "p");
    CHECK_INT(json_int_at(api_find(f.api, "Pod", "default", "p")->json, "metadata.deletionGracePeriodSeconds", -1), 30);
    struct api_delete_options options = {.grace_period_s = 60};
    CHECK_OK(api_delete(f.api, kind_by_name("Pod"), BYTES_LITERAL("default"), BYTES_LITERAL("p"), &options, NULL, &err),
             &err);
    CHECK_INT(json_int_at(api_find(f.api, "Pod", "default", "p")->json, "metadata.deletionGracePeriodSeconds", -1), 30);
    options.grace_period_s = 5;
    CHECK_OK(api_delete(f.api, kind_by_name("Pod"), BYTES_LITERAL("default"), BYTES_LITERAL("p"), &options, NULL, &err),
             &err);
    CHECK_INT(json_int_at(api_find(f.api, "Pod", "default", "p")->json, "metadata.deletionGracePeriodSeconds", -1), 5);
    options.grace_period_s = 0;
    CHECK_OK(api_delete(f.api, kind_by_name("Pod"), BYTES_LITERAL("default"), BYTES_LITERAL("p"), &options, NULL, &err),
             &err);
    CHECK(!api_find(f.api, "Pod", "default", "p"));
    fixture_close(&f);
}

TEST(a_namespace_goes_when_its_finalizer_is_taken_by_finalize_alone)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    const struct kind *kind = kind_by_name("Namespace");
    object_unref(fixture_create(&f, "Namespace", "{\"metadata\":{\"name\":\"shop\"}}"));
    fixture_delete(&f, "Namespace", "", "shop");
    AUTO_JSON *json = json_clone(api_find(f.api, "Namespace", "", "shop")->json);
    json_remove(json, "spec");
    CHECK_OK(api_update(f.api, kind, BYTES_NULL, BYTES_LITERAL("shop"), json, 0, NULL, &err), &err);
    CHECK(api_find(f.api, "Namespace", "", "shop"));
    CHECK_OK(api_update(f.api, kind, BYTES_NULL, BYTES_LITERAL("shop"), json, API_FINALIZE, NULL, &err), &err);
    CHECK(!api_find(f.api, "Namespace", "", "shop"));
    CHECK(!api_delete(f.api, kind, BYTES_NULL, BYTES_LITERAL("default"), NULL, NULL, &err));
    CHECK(err.kind == ERROR_DENIED);
    fixture_close(&f);
}

TEST(preconditions_of_a_delete_are_kept)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    AUTO_OBJECT *object = fixture_create(&f, "ConfigMap", "{\"metadata\":{\"name\":\"a\"}}");
    struct api_delete_options options = {.grace_period_s = -1, .uid = "another"};
    CHECK(!api_delete(f.api, object->kind, object->namespace, object->name, &options, NULL, &err));
    CHECK(err.kind == ERROR_CONFLICT);
    options = (struct api_delete_options){.grace_period_s = -1, .resource_version = 1};
    CHECK(!api_delete(f.api, object->kind, object->namespace, object->name, &options, NULL, &err));
    CHECK(err.kind == ERROR_CONFLICT);
    options = (struct api_delete_options){
        .grace_period_s = -1, .uid = object->uid, .resource_version = object->resource_version};
    CHECK_OK(api_delete(f.api, object->kind, object->namespace, object->name, &options, NULL, &err), &err);
    fixture_close(&f);
}

TEST(objects_are_there_again_after_a_restart)
{
    struct fixture f;
    fixture_open(&f);
    object_unref(fixture_create(&f, "Deployment", deployment));
    object_unref(fixture_create(&f, "ConfigMap", "{\"metadata\":{\"name\":\"gone\"}}"));
    fixture_set(&f, "Deployment", "web", "spec.replicas", json_new_int(4), 0);
    AUTO_OBJECT *before = object_ref(api_find(f.api, "Deployment", "default", "web"));
    fixture_delete(&f, "ConfigMap", "default", "gone");
    uint64_t revision = api_revision(f.api);
    fixture_reopen(&f);
    struct object *after = api_find(f.api, "Deployment", "default", "web");
    CHECK(after && json_same(after->json, before->json));
    CHECK_INT(after->resource_version, before->resource_version);
    CHECK(!api_find(f.api, "ConfigMap", "default", "gone"));
    CHECK_INT(api_revision(f.api), revision);
    CHECK_INT(api_count(f.api, kind_by_name("Namespace")), 4);
    fixture_close(&f);
}

TEST(the_loop_over_objects_may_write)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    for (int i = 0; i < 5; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"c%d\"}}", i);
        object_unref(fixture_create(&f, "ConfigMap", text));
    }
    struct api_iterator iterator;
    struct object *object;
    int count = 0;
    api_iterate(f.api, kind_by_name("ConfigMap"), BYTES_NULL, &iterator);
    while ((object = api_iterator_next(&iterator))) {
        CHECK_INT(object->name.data[1], '0' + count);
        CHECK_OK(api_delete(f.api, object->kind, object->namespace, object->name, NULL, NULL, &err), &err);
        count++;
    }
    CHECK_INT(count, 5);
    CHECK_INT(api_count(f.api, kind_by_name("ConfigMap")), 0);
    api_iterate(f.api, kind_by_name("Namespace"), BYTES_LITERAL(""), &iterator);
    CHECK(api_iterator_next(&iterator));
    api_iterator_end(&iterator);
    fixture_close(&f);
}
