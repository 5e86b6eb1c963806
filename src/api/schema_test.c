/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/quantity.h"
#include "api/schema_table.h"
#include "api/test_json.h"
#include "base/memory.h"
#include "test.h"

static struct json *decoded(const char *kind, const char *text)
{
    struct error err = {0};
    struct json *out = NULL;
    AUTO_JSON *in = test_json(text);
    CHECK_OK(schema_decode_json(kind_by_name(kind), in, SCHEMA_STRICT, &out, NULL, &err), &err);
    return out;
}

static void check_refused(const char *kind, const char *text, const char *message)
{
    struct error err = {0};
    struct json *out = NULL;
    AUTO_JSON *in = test_json(text);
    AUTO_WARNINGS warnings = {0};
    CHECK(!schema_decode_json(kind_by_name(kind), in, SCHEMA_STRICT, &out, &warnings, &err));
    CHECK_STR(err.message, message);
}

TEST(a_deployment_gets_the_defaults_of_kubernetes)
{
    AUTO_JSON *object = decoded("Deployment", "{'metadata': {'name': 'web'}, 'spec': {"
                                              "'selector': {'matchLabels': {'app': 'web'}},"
                                              "'template': {'metadata': {'labels': {'app': 'web'}}, 'spec': {"
                                              "'containers': [{'name': 'a', 'image': 'nginx',"
                                              " 'ports': [{'containerPort': 80}]}]}}}}");
    schema_default(kind_by_name("Deployment"), object);
    test_json_same(object,
                   "{'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'web'}, 'spec': {"
                   "'progressDeadlineSeconds': 600, 'replicas': 1, 'revisionHistoryLimit': 10,"
                   "'selector': {'matchLabels': {'app': 'web'}},"
                   "'strategy': {'rollingUpdate': {'maxSurge': '25%', 'maxUnavailable': '25%'},"
                   " 'type': 'RollingUpdate'},"
                   "'template': {'metadata': {'labels': {'app': 'web'}}, 'spec': {"
                   "'containers': [{'image': 'nginx', 'imagePullPolicy': 'Always', 'name': 'a',"
                   " 'ports': [{'containerPort': 80, 'protocol': 'TCP'}], 'resources': {},"
                   " 'terminationMessagePath': '/dev/termination-log', 'terminationMessagePolicy': 'File'}],"
                   "'dnsPolicy': 'ClusterFirst', 'restartPolicy': 'Always', 'schedulerName': 'default-scheduler',"
                   "'securityContext': {}, 'terminationGracePeriodSeconds': 30}}}, 'status': {}}");
}

TEST(unknown_fields_are_refused_by_their_paths)
{
    check_refused(
        "Deployment", "{'spec': {'bogus': 1, 'template': {'spec': {'containers': [{'name': 'a', 'x': 1}]}}}}",
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field "
        "\"spec.bogus\", unknown field \"spec.template.spec.containers[0].x\"");
}

TEST(a_wrong_type_names_the_path_and_what_would_be_right)
{
    check_refused("Deployment", "{'spec': {'replicas': '3'}}",
                  "Deployment in version \"v1\" cannot be handled as a Deployment: spec.replicas: must be an integer, "
                  "not a string");
    check_refused(
        "Pod", "{'spec': {'containers': [{'env': [{'name': 'A', 'value': 1}]}]}}",
        "Pod in version \"v1\" cannot be handled as a Pod: spec.containers[0].env[0].value: must be a string, "
        "not a number");
}

TEST(every_default_in_the_tables_is_json)
{
    for (size_t i = 0; i < schema_message_count; i++) {
        message_each_field(field, &schema_messages[i])
        {
            struct error err = {0};
            if (field->flags & FIELD_HAS_DEFAULT)
                json_unref(json_parse(bytes_of_string(schema_names + field->otherwise), 0, &err));
            if (err.kind)
                test_fail(__FILE__, __LINE__, "%s.%s: %s", message_name(&schema_messages[i]), field_name(field),
                          err.message);
        }
    }
}

TEST(defaults_fill_what_is_given_in_part)
{
    AUTO_JSON *object = decoded("Deployment", "{'spec': {'strategy': {'rollingUpdate': {'maxSurge': 2}}}}");
    schema_default(kind_by_name("Deployment"), object);
    test_json_same(json_at(object, "spec.strategy"),
                   "{'type': 'RollingUpdate', 'rollingUpdate': {'maxSurge': 2, 'maxUnavailable': '25%'}}");
}

TEST(a_pods_defaults_depend_on_its_fields)
{
    AUTO_JSON *pod =
        decoded("Pod", "{'metadata': {'name': 'p'}, 'spec': {'volumes': [{'name': 'v'}], 'hostNetwork': true,"
                       "'serviceAccount': 'me', 'containers': [{'name': 'a', 'image': 'r:5000/x@sha256:0',"
                       "'ports': [{'containerPort': 80}], 'resources': {'limits': {'cpu': '0.0001'}}},"
                       "{'name': 'b', 'image': 'r:5000/x'}]}}");
    schema_default(kind_by_name("Pod"), pod);
    CHECK_STR(json_text_at(pod, "spec.containers.0.imagePullPolicy", ""), "IfNotPresent");
    CHECK_STR(json_text_at(pod, "spec.containers.1.imagePullPolicy", ""), "Always");
    CHECK_INT(json_int_at(pod, "spec.containers.0.ports.0.hostPort", 0), 80);
    CHECK_STR(json_text_at(pod, "spec.containers.0.resources.requests.cpu", ""), "1m");
    CHECK_STR(json_text_at(pod, "spec.serviceAccountName", ""), "me");
    test_json_same(json_at(pod, "spec.volumes"), "[{'name': 'v', 'emptyDir': {}}]");
    CHECK(json_bool_at(pod, "spec.enableServiceLinks", false));
}

TEST(a_new_pod_is_pending_and_has_a_class)
{
    AUTO_JSON *pod = decoded("Pod", "{'spec': {'containers': [{'name': 'a', 'resources': {'limits': {'cpu': 1,"
                                    "'memory': '1Gi'}}}]}, 'status': {'phase': 'Running'}}");
    schema_prepare_create(kind_by_name("Pod"), pod);
    test_json_same(json_get(pod, "status"), "{'phase': 'Pending', 'qosClass': 'Guaranteed'}");
    CHECK_STR(json_text_at(pod, "spec.serviceAccountName", ""), "default");
}

TEST(services_secrets_and_namespaces_are_filled_in)
{
    AUTO_JSON *service = decoded("Service", "{'spec': {'clusterIP': '10.0.0.1', 'ports': [{'port': 80}]}}");
    schema_default(kind_by_name("Service"), service);
    test_json_same(json_get(service, "spec"),
                   "{'type': 'ClusterIP', 'sessionAffinity': 'None', 'internalTrafficPolicy': 'Cluster',"
                   "'clusterIP': '10.0.0.1', 'clusterIPs': ['10.0.0.1'],"
                   "'ports': [{'port': 80, 'protocol': 'TCP', 'targetPort': 80}]}");
    AUTO_JSON *secret = decoded("Secret", "{'data': {'a': 'eA=='}, 'stringData': {'b': 'y'}}");
    schema_default(kind_by_name("Secret"), secret);
    test_json_same(json_get(secret, "data"), "{'a': 'eA==', 'b': 'eQ=='}");
    CHECK(!json_get(secret, "stringData"));
    CHECK_STR(json_text_at(secret, "type", ""), "Opaque");
    AUTO_JSON *namespace = decoded("Namespace", "{'metadata': {'name': 'n'}}");
    schema_prepare_create(kind_by_name("Namespace"), namespace);
    schema_default(kind_by_name("Namespace"), namespace);
    test_json_same(namespace, "{'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'n', 'labels':"
                              "{'kubernetes.io/metadata.name': 'n'}}, 'spec': {'finalizers': ['kubernetes']},"
                              "'status': {'phase': 'Active'}}");
}

TEST(what_says_nothing_is_dropped)
{
    AUTO_JSON *pod =
        decoded("Pod", "{'metadata': {'labels': {}, 'creationTimestamp': null}, 'spec': {'hostNetwork':"
                       "false, 'nodeName': '', 'hostUsers': false, 'containers': [{'name': 'a', 'args': [],"
                       "'env': null}], 'volumes': [{'name': 'v', 'emptyDir': {}}]}}");
    test_json_same(pod, "{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {}, 'spec': {'hostUsers': false,"
                        "'containers': [{'name': 'a'}], 'volumes': [{'name': 'v', 'emptyDir': {}}]}}");
}

TEST(custom_resources_stay_as_they_came)
{
    static const char text[] = "{'apiVersion': 'keda.sh/v1alpha1', 'kind': 'ScaledObject', 'metadata': {'name': 's'},"
                               "'spec': {'scaleTargetRef': {'name': ''}, 'minReplicaCount': 0,"
                               "'triggers': [{'type': 'cron', 'metadata': {}, 'useCachedMetrics': false}]}}";
    AUTO_JSON *object = decoded("ScaledObject", text);
    schema_default(kind_by_name("ScaledObject"), object);
    test_json_same(object, text);
}

TEST(texts_take_their_canonical_form)
{
    AUTO_JSON *event = decoded("Event", "{'firstTimestamp': '2026-01-01T01:00:00.5+01:00',"
                                        "'eventTime': '2026-01-01T00:00:00.1Z'}");
    CHECK_STR(json_text_at(event, "firstTimestamp", ""), "2026-01-01T00:00:00Z");
    CHECK_STR(json_text_at(event, "eventTime", ""), "2026-01-01T00:00:00.100000Z");
    AUTO_JSON *pod =
        decoded("Pod", "{'spec': {'containers': [{'resources': {'limits': {'cpu': 0.5, 'memory': '1024Mi'}}"
                       "}]}}");
    test_json_same(json_at(pod, "spec.containers.0.resources.limits"), "{'cpu': '500m', 'memory': '1Gi'}");
    AUTO_JSON *secret = decoded("Secret", "{'data': {'a': 'eA'}}");
    CHECK_STR(json_text_at(secret, "data.a", ""), "eA==");
}

static void check_quantity(const char *text, const char *want)
{
    struct quantity quantity;
    char got[QUANTITY_TEXT_SIZE] = "none";
    if (quantity_parse(bytes_of_string(text), &quantity))
        quantity_format(quantity, got);
    if (strcmp(got, want) != 0)
        test_fail(__FILE__, __LINE__, "%s: got %s, want %s", text, got, want);
}

TEST(quantities_are_written_as_kubernetes_writes_them)
{
    static const char *const pairs[][2] = {
        {"0", "0"},
        {"0Gi", "0"},
        {"1000m", "1"},
        {"0.5", "500m"},
        {"1.5Gi", "1536Mi"},
        {"1024Mi", "1Gi"},
        {"1000Mi", "1000Mi"},
        {"0.5Gi", "512Mi"},
        {"0.5Ki", "512"},
        {"1e3", "1e3"},
        {"1E3", "1e3"},
        {"12e6", "12e6"},
        {"1200", "1200"},
        {"12000", "12k"},
        {"-1", "-1"},
        {"+1", "1"},
        {".5", "500m"},
        {"1.", "1"},
        {"0.001n", "1n"},
        {"1E", "1E"},
        {"100000m", "100"},
        {"1.1Ki", "1127"},
        {"9223372036854775807", "9223372036854775807"},
        {"1Ei", "1Ei"},
        {"", "none"},
        {"Gi", "none"},
        {"1 ", "none"},
        {"1gi", "none"},
        {"1e", "none"},
        {"1e999", "none"},
        {"--1", "none"},
        {"1.2.3", "none"},
        {"1.0000000000000000000000000000000000000000Ei", "1Ei"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        check_quantity(pairs[i][0], pairs[i][1]);
    struct quantity quantity;
    CHECK(quantity_parse(BYTES_LITERAL("1500m"), &quantity));
    CHECK_INT(quantity_units(quantity), 2);
    CHECK_INT(quantity_millis(quantity), 1500);
}

TEST(what_is_set_but_not_acted_on_gives_a_warning)
{
    struct error err = {0};
    struct json *out = NULL;
    AUTO_WARNINGS warnings = {0};
    AUTO_JSON *in =
        test_json("{'bogus': 1, 'spec': {'subdomain': 'h', 'schedulerName': 'default-scheduler', 'priority': 0,"
                  "'overhead': {'cpu': '1'}, 'workloadRef': {'name': 'w', 'x': 1}, 'securityContext': {},"
                  "'containers': [{'name': 'a', 'stdin': true, 'tty': false}]}, 'status': {'resize': 'x'}}");
    CHECK_OK(schema_decode_json(kind_by_name("Pod"), in, SCHEMA_WARN, &out, &warnings, &err), &err);
    json_unref(out);
    static const char *const want[] = {
        "unknown field \"bogus\"",
        "spec.containers[0].stdin: stored, but evoke does not act on it yet",
        "spec.subdomain: stored, but evoke does not act on it yet",
        "spec.overhead: stored, but evoke does not act on it yet",
        "unknown field \"spec.workloadRef.x\"",
        "spec.workloadRef: stored, but evoke does not act on it yet",
    };
    for (size_t i = 0; i < ARRAY_SIZE(want); i++)
        CHECK_STR(i < warnings.count ? warnings.texts[i] : "", want[i]);
    CHECK_INT(warnings.count, ARRAY_SIZE(want));
}

TEST(another_version_or_kind_is_refused)
{
    check_refused("Pod", "{'apiVersion': 'v2'}",
                  "the API version in the data (v2) does not match the expected API version (v1)");
    check_refused("Pod", "{'kind': 'Service'}",
                  "the kind in the data (Service) does not match the expected kind (Pod)");
    check_refused("Pod", "[]", "the body must be an object of kind Pod, not a list");
}

TEST(keys_that_stand_twice_are_found_by_their_paths)
{
    struct error err = {0};
    AUTO_WARNINGS warnings = {0};
    const struct kind *kind = kind_by_name("Pod");
    struct bytes text =
        BYTES_LITERAL("{\"spec\": {\"a\": 1, \"containers\": [{\"name\": \"name\", \"x\": [1, {\"y\": \"}\"}]}, "
                      "{\"name\" : \"b\", \"n\\u0061me\": \"c\"}], \"a\": {\"a\": 2}}}");
    CHECK(!schema_check_duplicates(kind, text, SCHEMA_STRICT, &warnings, &err));
    CHECK_STR(err.message, "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: duplicate field "
                           "\"spec.containers[1].name\", duplicate field \"spec.a\"");
    CHECK(schema_check_duplicates(kind, text, SCHEMA_WARN, &warnings, &err));
    CHECK_INT(warnings.count, 2);
    CHECK_STR(warnings.texts[1], "duplicate field \"spec.a\"");
    CHECK(schema_check_duplicates(kind, text, SCHEMA_IGNORE, &warnings, &err));
    CHECK_INT(warnings.count, 2);
    static const char *const clean[] = {
        "", "{", "]", "\"", "{\"a\": [\"a\", \"a\"], \"b\": {\"a\": {\"a\": 1}}}", "[[[[", "{\"a\":", "{\"a\\"};
    for (size_t i = 0; i < ARRAY_SIZE(clean); i++)
        CHECK(schema_check_duplicates(kind, bytes_of_string(clean[i]), SCHEMA_STRICT, &warnings, &err));
}
