/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"
#include "api/test_json.h"

static void check(const char *kind, const char *original_text, const char *patch_text, const char *want)
{
    struct error err = {0};
    AUTO_JSON *original = test_json(original_text), *patch = test_json(patch_text), *before = json_clone(original);
    struct json *merged = NULL;
    CHECK_OK(strategic_merge(kind_by_name(kind), original, patch, &merged, &err), &err);
    test_json_same(merged, want);
    CHECK(json_same(original, before));
    /* Order matters in what is stored, and json_same() looks at the order of lists. */
    json_unref(merged);
}

static void check_fails(const char *kind, const char *original_text, const char *patch_text, enum error_kind error)
{
    struct error err = {0};
    AUTO_JSON *original = test_json(original_text), *patch = test_json(patch_text);
    struct json *merged = NULL;
    CHECK(!strategic_merge(kind_by_name(kind), original, patch, &merged, &err));
    CHECK_INT(err.kind, error);
}

#define CONTAINERS(list) "{'spec': {'containers': " list "}}"

TEST(objects_merge_and_a_null_removes)
{
    check("Deployment", "{'metadata': {'labels': {'a': '1', 'b': '2'}}, 'spec': {'replicas': 1, 'paused': true}}",
          "{'metadata': {'labels': {'b': null, 'c': '3'}}, 'spec': {'paused': null, 'replicas': 2}}",
          "{'metadata': {'labels': {'a': '1', 'c': '3'}}, 'spec': {'replicas': 2}}");
    check("Deployment", "{}", "{'spec': {'strategy': {'type': 'Recreate', 'rollingUpdate': null}}}",
          "{'spec': {'strategy': {'type': 'Recreate'}}}");
}

TEST(a_list_with_a_merge_key_merges_by_it_and_keeps_its_order)
{
    check("Pod", CONTAINERS("[{'name': 'a', 'image': 'x'}, {'name': 'b', 'image': 'y'}]"),
          CONTAINERS("[{'name': 'b', 'image': 'z'}, {'name': 'c', 'image': 'w'}]"),
          CONTAINERS("[{'name': 'a', 'image': 'x'}, {'name': 'b', 'image': 'z'}, {'name': 'c', 'image': 'w'}]"));
    check("Pod", CONTAINERS("[{'name': 'a', 'env': [{'name': 'X', 'value': '1'}, {'name': 'Y', 'value': '2'}]}]"),
          CONTAINERS("[{'name': 'a', 'env': [{'name': 'Y', 'value': '3'}]}]"),
          CONTAINERS("[{'name': 'a', 'env': [{'name': 'X', 'value': '1'}, {'name': 'Y', 'value': '3'}]}]"));
}

TEST(a_list_without_a_merge_key_is_replaced)
{
    check("Pod", CONTAINERS("[{'name': 'a', 'args': ['1', '2']}]"), CONTAINERS("[{'name': 'a', 'args': ['3']}]"),
          CONTAINERS("[{'name': 'a', 'args': ['3']}]"));
    check("Pod", "{'spec': {'tolerations': [{'key': 'a'}]}}", "{'spec': {'tolerations': [{'key': 'b'}]}}",
          "{'spec': {'tolerations': [{'key': 'b'}]}}");
}

TEST(elements_are_deleted_by_their_key)
{
    check("Pod", CONTAINERS("[{'name': 'a'}, {'name': 'b'}]"), CONTAINERS("[{'$patch': 'delete', 'name': 'a'}]"),
          CONTAINERS("[{'name': 'b'}]"));
    check("Pod", CONTAINERS("[{'name': 'a'}]"), CONTAINERS("[{'$patch': 'delete', 'name': 'z'}]"),
          CONTAINERS("[{'name': 'a'}]"));
}

TEST(a_list_or_an_object_can_be_replaced_as_a_whole)
{
    check("Pod", CONTAINERS("[{'name': 'a'}, {'name': 'b'}]"), CONTAINERS("[{'name': 'c'}, {'$patch': 'replace'}]"),
          CONTAINERS("[{'name': 'c'}]"));
    check("Pod", CONTAINERS("[{'name': 'a'}]"), CONTAINERS("[{'$patch': 'replace'}]"), CONTAINERS("[]"));
    check("Pod", "{'metadata': {'labels': {'a': '1'}}}", "{'metadata': {'labels': {'$patch': 'replace', 'b': '2'}}}",
          "{'metadata': {'labels': {'b': '2'}}}");
    check("Pod", "{'metadata': {'labels': {'a': '1'}}}", "{'metadata': {'labels': {'$patch': 'delete'}}}",
          "{'metadata': {'labels': {}}}");
    check("Pod", CONTAINERS("[{'name': 'a', 'image': 'x', 'stdin': true}]"),
          CONTAINERS("[{'name': 'a', '$patch': 'replace', 'image': 'y'}]"),
          CONTAINERS("[{'name': 'a', 'image': 'y'}]"));
}

TEST(values_are_taken_out_of_a_plain_list)
{
    check("Pod", "{'metadata': {'finalizers': ['a', 'b', 'c']}}",
          "{'metadata': {'$deleteFromPrimitiveList/finalizers': ['b'], 'finalizers': ['d', 'a']}}",
          "{'metadata': {'finalizers': ['a', 'c', 'd']}}");
    check("Pod", "{'metadata': {'finalizers': ['a', 'b']}}",
          "{'metadata': {'$deleteFromPrimitiveList/finalizers': ['a', 'z']}}", "{'metadata': {'finalizers': ['b']}}");
}

TEST(the_order_of_elements_is_set)
{
    check("Pod", CONTAINERS("[{'name': 'a'}, {'name': 'b'}, {'name': 'c'}]"),
          "{'spec': {'$setElementOrder/containers': [{'name': 'c'}, {'name': 'b'}, {'name': 'a'}]}}",
          CONTAINERS("[{'name': 'c'}, {'name': 'b'}, {'name': 'a'}]"));
    check("Pod", CONTAINERS("[{'name': 'a'}, {'name': 'b'}]"),
          "{'spec': {'$setElementOrder/containers': [{'name': 'c'}, {'name': 'a'}, {'name': 'b'}],"
          "'containers': [{'name': 'c', 'image': 'x'}]}}",
          CONTAINERS("[{'name': 'c', 'image': 'x'}, {'name': 'a'}, {'name': 'b'}]"));
}

TEST(elements_that_the_order_does_not_name_stay_where_they_were)
{
    /* b was added by someone else between a and c. */
    check("Pod", CONTAINERS("[{'name': 'a'}, {'name': 'b'}, {'name': 'c'}]"),
          "{'spec': {'$setElementOrder/containers': [{'name': 'a'}, {'name': 'd'}, {'name': 'c'}],"
          "'containers': [{'name': 'd'}]}}",
          CONTAINERS("[{'name': 'a'}, {'name': 'd'}, {'name': 'b'}, {'name': 'c'}]"));
    check("Pod", "{'metadata': {'finalizers': ['x', 'a', 'b']}}",
          "{'metadata': {'$setElementOrder/finalizers': ['b', 'a'], 'finalizers': ['b', 'a']}}",
          "{'metadata': {'finalizers': ['x', 'b', 'a']}}");
}

TEST(retained_keys_drop_the_others)
{
    check("Deployment", "{'spec': {'strategy': {'type': 'RollingUpdate', 'rollingUpdate': {'maxSurge': 1}}}}",
          "{'spec': {'strategy': {'$retainKeys': ['type'], 'type': 'Recreate'}}}",
          "{'spec': {'strategy': {'type': 'Recreate'}}}");
    check("Pod", "{'spec': {'volumes': [{'name': 'v', 'emptyDir': {}}]}}",
          "{'spec': {'volumes': [{'$retainKeys': ['name', 'configMap'], 'name': 'v', 'configMap': {'name': 'c'}}]}}",
          "{'spec': {'volumes': [{'name': 'v', 'configMap': {'name': 'c'}}]}}");
    check_fails("Deployment", "{}", "{'spec': {'strategy': {'$retainKeys': [], 'type': 'Recreate'}}}", ERROR_INVALID);
}

TEST(ports_of_the_same_number_are_told_apart_by_protocol)
{
    check("Service", "{'spec': {'ports': [{'port': 53, 'protocol': 'TCP'}, {'port': 53, 'protocol': 'UDP'}]}}",
          "{'spec': {'ports': [{'port': 53, 'protocol': 'UDP', 'name': 'u'}]}}",
          "{'spec': {'ports': [{'port': 53, 'protocol': 'TCP'}, {'port': 53, 'protocol': 'UDP', 'name': 'u'}]}}");
    check("Service", "{'spec': {'ports': [{'port': 53, 'protocol': 'TCP'}]}}",
          "{'spec': {'ports': [{'port': 53, 'protocol': 'UDP'}]}}",
          "{'spec': {'ports': [{'port': 53, 'protocol': 'UDP'}]}}");
}

TEST(patches_that_make_no_sense_are_refused)
{
    check_fails("Pod", CONTAINERS("[]"), CONTAINERS("[{'image': 'x'}]"), ERROR_INVALID);
    check_fails("Pod", CONTAINERS("[]"), CONTAINERS("['x']"), ERROR_INVALID);
    check_fails("Pod", "{}", "{'spec': {'$patch': 'explode'}}", ERROR_INVALID);
    check_fails("Pod", "{}", "{'spec': {'$patch': 1}}", ERROR_INVALID);
    check_fails("Pod", "{}", "[]", ERROR_INVALID);
    check_fails("Pod", CONTAINERS("[]"),
                "{'spec': {'$setElementOrder/containers': [{'name': 'a'}], 'containers': [{'name': 'b'}]}}",
                ERROR_INVALID);
    check_fails("Trigger", "{}", "{}", ERROR_UNSUPPORTED);
}
