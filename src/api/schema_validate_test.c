/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "api/schema.h"
#include "api/test_json.h"

/* Decodes, fills in and validates, as a create does (old_text NULL) or an update. */
static void validate(const char *kind_name, const char *text, const char *old_text, struct field_errors *errors)
{
    const struct kind *kind = kind_by_name(kind_name);
    struct error err = {0};
    AUTO_JSON *in = test_json(text);
    struct json *object = NULL, *old = NULL;
    CHECK_OK(schema_decode_json(kind, in, SCHEMA_STRICT, &object, NULL, &err), &err);
    schema_default(kind, object);
    if (old_text) {
        AUTO_JSON *old_in = test_json(old_text);
        CHECK_OK(schema_decode_json(kind, old_in, SCHEMA_STRICT, &old, NULL, &err), &err);
        schema_default(kind, old);
    }
    schema_validate(kind, object, old, errors);
    json_unref(object);
    json_unref(old);
}

/* `want`: "field: message", or "" for none. Only the first counts. */
static void check_against(const char *kind, const char *text, const char *old_text, const char *want)
{
    AUTO_FIELD_ERRORS errors = {0};
    char got[700] = "";
    validate(kind, text, old_text, &errors);
    if (errors.count > 0)
        snprintf(got, sizeof got, "%s: %s", errors.errors[0].field, errors.errors[0].message);
    CHECK_STR(got, want);
}

static void check(const char *kind, const char *text, const char *want)
{
    check_against(kind, text, NULL, want);
}

#define POD(spec) "{'metadata': {'name': 'p'}, 'spec': {" spec "}}"
#define CONTAINER(more) POD("'containers': [{'name': 'a', 'image': 'x'" more "}]")
#define DEPLOYMENT(more)                                                                                               \
    "{'metadata': {'name': 'd'}, 'spec': {'selector': {'matchLabels': {'app': 'd'}}, 'template': {'metadata':"         \
    "{'labels': {'app': 'd'}}, 'spec': {'containers': [{'name': 'a', 'image': 'x'}]}}" more "}}"

TEST(good_objects_have_no_errors)
{
    check("Pod", CONTAINER(""), "");
    check("Deployment", DEPLOYMENT(""), "");
    check("Service", "{'metadata': {'name': 's'}, 'spec': {'ports': [{'port': 80}], 'selector': {'app': 's'}}}", "");
    check("ConfigMap", "{'metadata': {'name': 'c'}, 'data': {'a.b-c_D': ''}}", "");
    check("Namespace", "{'metadata': {'name': 'n'}}", "");
    check("Trigger", "{'metadata': {'name': 't'}, 'spec': {'subscriber': {'ref': {'kind': 'Service', 'name': 's'}}}}",
          "");
    check("Broker", "{'metadata': {'name': 'b'}}", "");
    check("ScaledObject",
          "{'metadata': {'name': 's'}, 'spec': {'scaleTargetRef': {'name': 'd'}, 'triggers': [{'type': 'kafka',"
          "'metadata': {'topic': 't'}}]}}",
          "");
}

TEST(numbers_out_of_range_say_the_range)
{
    check("Deployment", DEPLOYMENT(",'replicas': -3"),
          "spec.replicas: Invalid value: -3: must be greater than or equal to 0");
    check("Pod", CONTAINER(",'ports': [{'containerPort': 70000}]"),
          "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive");
}

TEST(names_follow_the_rules_of_their_kind)
{
    check("Namespace", "{'metadata': {'name': 'a.b'}}",
          "metadata.name: Invalid value: \"a.b\": must be a DNS label (RFC 1123): lower case letters, digits and '-', "
          "beginning and ending with a letter or digit, at most 63");
    check("ConfigMap", "{'metadata': {'name': 'a.b'}}", "");
    check("ConfigMap", "{'metadata': {}}", "metadata.name: Required value: name or generateName is required");
    AUTO_FIELD_ERRORS errors = {0};
    validate("Service", "{'metadata': {'name': '1a'}, 'spec': {'ports': [{'port': 1}]}}", NULL, &errors);
    CHECK_INT(errors.count, 1);
    validate("ConfigMap", "{'metadata': {'name': 'c', 'labels': {'a b': 'c d'}}}", NULL, &errors);
    CHECK_INT(errors.count, 3);
}

TEST(values_outside_an_enumeration_name_what_is_supported)
{
    check("Pod", POD("'restartPolicy': 'Sometimes', 'containers': [{'name': 'a', 'image': 'x'}]"),
          "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", "
          "\"Never\"");
}

TEST(what_is_required_is_missed)
{
    check("Pod", POD("'containers': []"), "spec.containers: Required value");
    check("Pod", POD("'containers': [{'image': 'x'}]"), "spec.containers[0].name: Required value");
    check("Pod", POD("'containers': [{'name': 'x'}]"), "spec.containers[0].image: Required value");
    check("Deployment",
          "{'metadata': {'name': 'd'}, 'spec': {'template': {'spec': {'containers': [{'name': 'a',"
          "'image': 'x'}]}}}}",
          "spec.selector: Required value");
    check("Trigger", "{'metadata': {'name': 't'}, 'spec': {}}", "spec.subscriber: Required value");
}

TEST(names_within_a_pod_are_unique_and_refer_to_what_is_there)
{
    check("Pod", POD("'containers': [{'name': 'a', 'image': 'x'}, {'name': 'a', 'image': 'y'}]"),
          "spec.containers[1].name: Duplicate value: \"a\"");
    check("Pod", POD("'containers': [{'name': 'a', 'image': 'x'}], 'initContainers': [{'name': 'a', 'image': 'y'}]"),
          "spec.initContainers[0].name: Duplicate value: \"a\"");
    check("Pod", CONTAINER(",'volumeMounts': [{'name': 'v', 'mountPath': '/v'}]"),
          "spec.containers[0].volumeMounts[0].name: Not found: \"v\"");
    check("Pod",
          POD("'volumes': [{'name': 'v'}], 'containers': [{'name': 'a', 'image': 'x',"
              "'volumeMounts': [{'name': 'v', 'mountPath': '/v'}]}]"),
          "");
    check("Pod",
          POD("'volumes': [{'name': 'v', 'emptyDir': {}, 'secret': {'secretName': 's'}}],"
              "'containers': [{'name': 'a', 'image': 'x'}]"),
          "spec.volumes[0]: Forbidden: may not have more than one source");
}

TEST(probes_and_resources_are_checked)
{
    check("Pod", CONTAINER(",'readinessProbe': {}"),
          "spec.containers[0].readinessProbe: Required value: must have one of exec, httpGet, tcpSocket and grpc");
    check("Pod", CONTAINER(",'livenessProbe': {'tcpSocket': {'port': 1}, 'successThreshold': 2}"),
          "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1");
    check("Pod", CONTAINER(",'readinessProbe': {'httpGet': {'port': 0}}"),
          "spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive");
    check("Pod", CONTAINER(",'resources': {'requests': {'cpu': '2'}, 'limits': {'cpu': '1'}}"),
          "spec.containers[0].resources.requests[cpu]: Invalid value: \"2\": must be less than or equal to the limit");
}

TEST(a_deployments_selector_matches_its_template_and_stays)
{
    check("Deployment",
          "{'metadata': {'name': 'd'}, 'spec': {'selector': {'matchLabels': {'app': 'x'}}, 'template': {'metadata':"
          "{'labels': {'app': 'd'}}, 'spec': {'containers': [{'name': 'a', 'image': 'x'}]}}}}",
          "spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`");
    check_against("Deployment",
                  "{'metadata': {'name': 'd'}, 'spec': {'selector': {'matchLabels': {'app': 'x'}}, 'template':"
                  "{'metadata': {'labels': {'app': 'x'}}, 'spec': {'containers': [{'name': 'a', 'image': 'x'}]}}}}",
                  DEPLOYMENT(""),
                  "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable");
}

TEST(a_strategy_makes_sense)
{
    check("Deployment", DEPLOYMENT(",'strategy': {'type': 'Recreate', 'rollingUpdate': {'maxSurge': 1}}"),
          "spec.strategy.rollingUpdate: Forbidden: may not be there when strategy type is Recreate");
    check("Deployment", DEPLOYMENT(",'strategy': {'rollingUpdate': {'maxSurge': 0, 'maxUnavailable': '0%'}}"),
          "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when maxSurge is 0");
    check("Deployment", DEPLOYMENT(",'strategy': {'rollingUpdate': {'maxSurge': 'few'}}"),
          "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"few\": must be an integer or a percentage such as "
          "\"25%\"");
}

TEST(only_some_of_a_pod_may_change)
{
    check_against("Pod", POD("'containers': [{'name': 'a', 'image': 'y'}]"), CONTAINER(""), "");
    check_against("Pod", POD("'nodeName': 'here', 'containers': [{'name': 'a', 'image': 'x'}]"), CONTAINER(""), "");
    check_against("Pod", CONTAINER(",'stdin': true"), CONTAINER(""),
                  "spec: Forbidden: an existing pod can only change the image of its containers, "
                  "activeDeadlineSeconds, terminationGracePeriodSeconds and tolerations");
    check_against("Pod", POD("'containers': [{'name': 'a', 'image': 'x'}, {'name': 'b', 'image': 'x'}]"), CONTAINER(""),
                  "spec: Forbidden: an existing pod can only change the image of its containers, "
                  "activeDeadlineSeconds, terminationGracePeriodSeconds and tolerations");
}

TEST(an_immutable_config_map_stays)
{
    check_against("ConfigMap", "{'metadata': {'name': 'c'}, 'data': {'a': '2'}, 'immutable': true}",
                  "{'metadata': {'name': 'c'}, 'data': {'a': '1'}, 'immutable': true}",
                  "data: Forbidden: field is immutable when `immutable` is set");
    check(
        "ConfigMap", "{'metadata': {'name': 'c'}, 'data': {'a/b': ''}}",
        "data[a/b]: Invalid value: \"a/b\": must be usable as a file name: letters, digits, '-', '_' and '.', at most "
        "253, not beginning with '..'");
    check("Secret", "{'metadata': {'name': 's'}, 'type': 'kubernetes.io/tls', 'stringData': {'tls.crt': ''}}",
          "data[tls.key]: Required value");
}

TEST(a_service_has_ports_with_names_and_keeps_its_address)
{
    check("Service", "{'metadata': {'name': 's'}, 'spec': {}}", "spec.ports: Required value");
    check("Service", "{'metadata': {'name': 's'}, 'spec': {'clusterIP': 'None'}}", "");
    check("Service", "{'metadata': {'name': 's'}, 'spec': {'ports': [{'port': 1}, {'port': 2, 'name': 'b'}]}}",
          "spec.ports[0].name: Required value: a service of several ports needs a name for each");
    check_against("Service", "{'metadata': {'name': 's'}, 'spec': {'clusterIP': '10.0.0.2', 'ports': [{'port': 1}]}}",
                  "{'metadata': {'name': 's'}, 'spec': {'clusterIP': '10.0.0.1', 'ports': [{'port': 1}]}}",
                  "spec.clusterIP: Invalid value: \"10.0.0.2\": field is immutable");
}

TEST(triggers_name_where_events_go)
{
    check("Trigger", "{'metadata': {'name': 't'}, 'spec': {'subscriber': {}}}",
          "spec.subscriber: Required value: must have one of ref and uri");
    check("Trigger", "{'metadata': {'name': 't'}, 'spec': {'subscriber': {'uri': 'here'}}}",
          "spec.subscriber.uri: Invalid value: \"here\": must be an absolute URL such as http://host/path");
    check("Trigger",
          "{'metadata': {'name': 't'}, 'spec': {'subscriber': {'uri': 'http://here'}, 'delivery': {'retry': -1}}}",
          "spec.delivery.retry: Invalid value: -1: must be greater than or equal to 0");
    check("Trigger",
          "{'metadata': {'name': 't'}, 'spec': {'subscriber': {'uri': 'http://here'}, 'delivery':"
          "{'backoffDelay': '1s'}}}",
          "spec.delivery.backoffDelay: Invalid value: \"1s\": must be an ISO 8601 duration, such as PT30S");
}

TEST(several_errors_make_one_message)
{
    AUTO_FIELD_ERRORS errors = {0};
    char message[500];
    validate("Deployment", DEPLOYMENT(",'replicas': -3"), NULL, &errors);
    field_errors_message(&errors, kind_by_name("Deployment"), bytes_of_string("d"), message);
    CHECK_STR(message, "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -3: must be greater than or "
                       "equal to 0");
    field_errors_add(&errors, FIELD_REQUIRED, "spec.x", "%s", "");
    field_errors_message(&errors, kind_by_name("Deployment"), bytes_of_string("d"), message);
    CHECK_STR(message, "Deployment.apps \"d\" is invalid: [spec.replicas: Invalid value: -3: must be greater than or "
                       "equal to 0, spec.x: Required value]");
    CHECK_STR(field_error_reason(FIELD_REQUIRED), "FieldValueRequired");
}

TEST(paths_within_volumes_do_not_lead_out_of_them)
{
    check("Pod",
          POD("'volumes': [{'name': 'v', 'configMap': {'name': 'c', 'items': [{'key': 'a', 'path': '../a'}]}}],"
              "'containers': [{'name': 'a', 'image': 'x'}]"),
          "spec.volumes[0].configMap.items[0].path: Invalid value: \"../a\": must be a relative path without '..'");
    check(
        "Pod",
        POD("'volumes': [{'name': 'v'}], 'containers': [{'name': 'a', 'image': 'x', 'volumeMounts':"
            "[{'name': 'v', 'mountPath': '/v', 'subPath': 'a/../b'}]}]"),
        "spec.containers[0].volumeMounts[0].subPath: Invalid value: \"a/../b\": must be a relative path without '..'");
    check("Pod",
          POD("'volumes': [{'name': 'v', 'hostPath': {'path': '/a/..'}}],"
              "'containers': [{'name': 'a', 'image': 'x'}]"),
          "spec.volumes[0].hostPath.path: Invalid value: \"/a/..\": must not contain '..'");
    check("Pod", POD("'volumes': [{'name': 'v', 'secret': {}}], 'containers': [{'name': 'a', 'image': 'x'}]"),
          "spec.volumes[0].secret.secretName: Required value");
}

TEST(a_selectors_requirements_make_sense)
{
    check("Deployment",
          "{'metadata': {'name': 'd'}, 'spec': {'selector': {'matchExpressions': [{'key': 'app', 'operator': 'In'}]},"
          "'template': {'metadata': {'labels': {'app': 'd'}}, 'spec': {'containers': [{'name': 'a', 'image': 'x'}]}}}}",
          "spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`");
    check("Service", "{'metadata': {'name': 's'}, 'spec': {'selector': {'a': 'b c'}, 'ports': [{'port': 1}]}}",
          "spec.selector: Invalid value: \"b c\": must be empty or of letters, digits, '-', '_' and '.', beginning and "
          "ending with a letter or digit, at most 63");
}
