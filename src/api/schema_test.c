/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/quantity.h"
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
