/* SPDX-License-Identifier: Apache-2.0 */
#include "api/table.h"

#include "api/test_json.h"
#include "base/memory.h"
#include "test.h"

enum { NOW_S = 1767225600 }; /* 2026-01-01T00:00:00Z */

static void check_cells(const char *kind, const char *object_text, const char *want)
{
    AUTO_JSON *object = test_json(object_text);
    const struct json *objects[] = {object};
    AUTO_JSON *table = table_print(kind_by_name(kind), objects, 1, NULL, TABLE_NONE, NOW_S, true);
    CHECK_INT(json_size(json_get(table, "columnDefinitions")), json_size(json_at(table, "rows.0.cells")));
    test_json_same(json_at(table, "rows.0.cells"), want);
}

TEST(a_running_pod_is_printed_as_kubectl_knows_it)
{
    check_cells(
        "Pod",
        "{'metadata': {'name': 'web', 'creationTimestamp': '2025-12-31T23:55:00Z'}, 'spec': {'nodeName': 'here',"
        "'containers': [{'name': 'a'}, {'name': 'b'}]}, 'status': {'phase': 'Running', 'podIP': '127.1.0.2',"
        "'containerStatuses': [{'name': 'a', 'ready': true, 'restartCount': 2, 'state': {'running': {}},"
        "'lastState': {'terminated': {'exitCode': 1, 'finishedAt': '2025-12-31T23:59:00Z'}}},"
        "{'name': 'b', 'ready': false, 'restartCount': 1, 'state': {'running': {}}}]}}",
        "['web', '1/2', 'Running', '3 (60s ago)', '5m', '127.1.0.2', 'here', '<none>', '<none>']");
}

static void check_status(const char *pod_text, const char *want)
{
    AUTO_JSON *pod = test_json(pod_text);
    const struct json *objects[] = {pod};
    AUTO_JSON *table = table_print(kind_by_name("Pod"), objects, 1, NULL, TABLE_NONE, NOW_S, false);
    CHECK_STR(json_text_at(table, "rows.0.cells.2", ""), want);
}

TEST(a_pods_status_is_what_its_containers_say)
{
    check_status("{'status': {'phase': 'Pending'}}", "Pending");
    check_status("{'status': {'phase': 'Pending', 'containerStatuses': [{'state': {'waiting':"
                 "{'reason': 'ContainerCreating'}}}]}}",
                 "ContainerCreating");
    check_status("{'status': {'phase': 'Running', 'containerStatuses': [{'state': {'waiting':"
                 "{'reason': 'CrashLoopBackOff'}}}, {'ready': true, 'state': {'running': {}}}]}}",
                 "CrashLoopBackOff");
    check_status("{'status': {'phase': 'Succeeded', 'containerStatuses': [{'state': {'terminated':"
                 "{'exitCode': 0, 'reason': 'Completed'}}}]}}",
                 "Completed");
    check_status("{'status': {'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': 'True'}],"
                 "'containerStatuses': [{'state': {'terminated': {'exitCode': 0, 'reason': 'Completed'}}},"
                 "{'ready': true, 'state': {'running': {}}}]}}",
                 "Running");
    check_status("{'status': {'phase': 'Running', 'containerStatuses': [{'state': {'terminated':"
                 "{'exitCode': 0, 'reason': 'Completed'}}}, {'ready': true, 'state': {'running': {}}}]}}",
                 "NotReady");
    check_status("{'status': {'phase': 'Failed', 'containerStatuses': [{'state': {'terminated':"
                 "{'exitCode': 3}}}]}}",
                 "ExitCode:3");
    check_status("{'status': {'phase': 'Failed', 'reason': 'Evicted'}}", "Evicted");
    check_status("{'metadata': {'deletionTimestamp': '2026-01-01T00:00:00Z'}, 'status': {'phase': 'Running'}}",
                 "Terminating");
    check_status("{'metadata': {'deletionTimestamp': '2026-01-01T00:00:00Z'}, 'status': {'phase': 'Succeeded'}}",
                 "Succeeded");
}

TEST(a_pod_that_waits_for_its_init_containers_says_which)
{
    check_status("{'spec': {'initContainers': [{'name': 'a'}, {'name': 'b'}]}, 'status': {'phase': 'Pending',"
                 "'initContainerStatuses': [{'name': 'a', 'state': {'terminated': {'exitCode': 0}}},"
                 "{'name': 'b', 'state': {'running': {}}}]}}",
                 "Init:1/2");
    check_status("{'spec': {'initContainers': [{'name': 'a'}]}, 'status': {'phase': 'Pending',"
                 "'initContainerStatuses': [{'name': 'a', 'state': {'terminated': {'exitCode': 1,"
                 "'reason': 'Error'}}}]}}",
                 "Init:Error");
    check_status("{'spec': {'initContainers': [{'name': 'a'}]}, 'status': {'phase': 'Pending',"
                 "'initContainerStatuses': [{'name': 'a', 'state': {'waiting': {'reason': 'CrashLoopBackOff'}}}]}}",
                 "Init:CrashLoopBackOff");
}

TEST(every_kind_prints_its_columns)
{
    check_cells("Deployment",
                "{'metadata': {'name': 'web', 'creationTimestamp': '2025-12-31T00:00:00Z'}, 'spec': {'replicas': 3,"
                "'selector': {'matchLabels': {'app': 'web'}, 'matchExpressions': [{'key': 'tier', 'operator': 'In',"
                "'values': ['a', 'b']}, {'key': 'old', 'operator': 'DoesNotExist'}]}, 'template': {'spec':"
                "{'containers': [{'name': 'a', 'image': 'x'}, {'name': 'b', 'image': 'y'}]}}},"
                "'status': {'readyReplicas': 2, 'updatedReplicas': 3, 'availableReplicas': 1}}",
                "['web', '2/3', 3, 1, '24h', 'a,b', 'x,y', 'app=web,tier in (a,b),!old']");
    check_cells("Service",
                "{'metadata': {'name': 'web'}, 'spec': {'type': 'ClusterIP', 'clusterIP': '127.2.0.1',"
                "'ports': [{'port': 80, 'protocol': 'TCP'}, {'port': 53, 'protocol': 'UDP', 'nodePort': 30053}]}}",
                "['web', 'ClusterIP', '127.2.0.1', '<none>', '80/TCP,53:30053/UDP', '<unknown>', '<none>']");
    check_cells("Node",
                "{'metadata': {'name': 'here', 'labels': {'node-role.kubernetes.io/worker': ''}},"
                "'spec': {'unschedulable': true}, 'status': {'conditions': [{'type': 'Ready', 'status': 'True'}]}}",
                "['here', 'Ready,SchedulingDisabled', 'worker', '<unknown>', '', '<none>', '<none>', '<unknown>',"
                "'<unknown>', '<unknown>']");
    check_cells("Event",
                "{'metadata': {'name': 'e'}, 'involvedObject': {'kind': 'Pod', 'name': 'web'}, 'reason': 'Started',"
                "'message': 'Started\\n', 'type': 'Normal', 'firstTimestamp': '2025-12-31T23:59:50Z',"
                "'source': {'component': 'node', 'host': 'here'}}",
                "['10s', 'Normal', 'Started', 'pod/web', '', 'node, here', 'Started', '10s', 1, 'e']");
    check_cells("EndpointSlice",
                "{'metadata': {'name': 's'}, 'addressType': 'IPv4', 'ports': [{'port': 80}],"
                "'endpoints': [{'addresses': ['1', '2', '3', '4']}]}",
                "['s', 'IPv4', '80', '1,2,3 + 1 more...', '<unknown>']");
    check_cells("Endpoints",
                "{'metadata': {'name': 's'}, 'subsets': [{'addresses': [{'ip': '1'}, {'ip': '2'}],"
                "'notReadyAddresses': [{'ip': '3'}], 'ports': [{'port': 80}, {'port': 443}]},"
                "{'addresses': [{'ip': '4'}]}]}",
                "['s', '1:80,1:443,2:80 + 2 more...', '<unknown>']");
    check_cells("Endpoints", "{'metadata': {'name': 's'}}", "['s', '<none>', '<unknown>']");
    check_cells("ConfigMap", "{'metadata': {'name': 'c'}, 'data': {'a': '1'}, 'binaryData': {'b': ''}}",
                "['c', 2, '<unknown>']");
}

TEST(custom_kinds_print_the_columns_of_their_definitions)
{
    check_cells("Trigger",
                "{'metadata': {'name': 't', 'creationTimestamp': '2025-12-31T23:59:50Z'}, 'spec': {'broker': 'shop'},"
                "'status': {'conditions': [{'type': 'Deployed', 'status': 'False'}, {'type': 'Ready',"
                "'status': 'True'}]}}",
                "['t', 'shop', null, '10s', 'True', null]");
    check_cells("ScaledObject",
                "{'metadata': {'name': 's'}, 'spec': {'scaleTargetRef': {'name': 'web'}, 'minReplicaCount': 0}}",
                "['s', null, 'web', 0, null, null, null, null, null, null, null, null]");
}

TEST(a_row_carries_the_objects_metadata_unless_told_otherwise)
{
    AUTO_JSON *object = test_json("{'kind': 'Namespace', 'metadata': {'name': 'n'}, 'status': {}}");
    const struct json *objects[] = {object};
    const struct kind *kind = kind_by_name("Namespace");
    AUTO_JSON *table = table_print(kind, objects, 1, NULL, TABLE_METADATA, NOW_S, true);
    test_json_same(json_at(table, "rows.0.object"), "{'kind': 'PartialObjectMetadata', 'apiVersion': 'meta.k8s.io/v1',"
                                                    "'metadata': {'name': 'n'}}");
    AUTO_JSON *whole = table_print(kind, objects, 1, NULL, TABLE_OBJECT, NOW_S, false);
    CHECK(json_same(json_at(whole, "rows.0.object"), object));
    CHECK_INT(json_size(json_get(whole, "columnDefinitions")), 0);
}
