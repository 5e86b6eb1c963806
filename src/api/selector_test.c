/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"
#include "api/field_selector.h"
#include "api/label_selector.h"
#include "test.h"

static struct json *json_of(const char *text)
{
    struct error err;
    struct json *json = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(json, &err);
    return json;
}

static bool selects(const char *selector, const char *labels)
{
    struct error err;
    struct label_selector *parsed;
    AUTO_JSON *json = labels ? json_of(labels) : NULL;
    CHECK_OK(label_selector_parse(bytes_of_string(selector), &parsed, &err), &err);
    bool matches = label_selector_matches(parsed, json);
    label_selector_free(parsed);
    return matches;
}

static bool refused(const char *selector)
{
    struct error err;
    struct label_selector *parsed;
    if (label_selector_parse(bytes_of_string(selector), &parsed, &err)) {
        label_selector_free(parsed);
        return false;
    }
    CHECK(err.kind == ERROR_INVALID);
    return true;
}

TEST(an_empty_selector_selects_everything)
{
    CHECK(selects("", NULL));
    CHECK(selects("  ", "{\"a\":\"b\"}"));
}

TEST(equality_needs_the_label)
{
    CHECK(selects("app=shop", "{\"app\":\"shop\"}"));
    CHECK(selects("app==shop", "{\"app\":\"shop\"}"));
    CHECK(!selects("app=shop", "{\"app\":\"other\"}"));
    CHECK(!selects("app=shop", NULL));
    CHECK(selects("app=", "{\"app\":\"\"}"));
    CHECK(!selects("app=", "{}"));
}

TEST(inequality_holds_without_the_label)
{
    CHECK(selects("app!=shop", NULL));
    CHECK(selects("app!=shop", "{\"app\":\"other\"}"));
    CHECK(!selects("app!=shop", "{\"app\":\"shop\"}"));
    CHECK(selects("app notin (a,b)", NULL));
    CHECK(!selects("app notin (a,b)", "{\"app\":\"b\"}"));
}

TEST(sets_existence_and_numbers_are_understood)
{
    CHECK(selects("tier in (web, api)", "{\"tier\":\"api\"}"));
    CHECK(!selects("tier in (web, api)", "{\"tier\":\"db\"}"));
    CHECK(selects("example.com/tier", "{\"example.com/tier\":\"x\"}"));
    CHECK(selects("!canary", "{\"tier\":\"x\"}"));
    CHECK(!selects("!canary", "{\"canary\":\"\"}"));
    CHECK(selects("n>3", "{\"n\":\"4\"}"));
    CHECK(!selects("n>3", "{\"n\":\"three\"}"));
    CHECK(selects("n<3", "{\"n\":\"-1\"}"));
}

TEST(all_requirements_must_hold)
{
    CHECK(selects("a=1,b in (2,3),!c,d!=5", "{\"a\":\"1\",\"b\":\"3\",\"d\":\"4\"}"));
    CHECK(!selects("a=1,b in (2,3),!c", "{\"a\":\"1\",\"b\":\"3\",\"c\":\"4\"}"));
}

TEST(a_selector_that_is_none_is_refused)
{
    CHECK(refused("a=b c"));
    CHECK(refused("a in b"));
    CHECK(refused("a in (b"));
    CHECK(refused("a,"));
    CHECK(refused("=b"));
    CHECK(refused("a=b,,c"));
    CHECK(refused("a>x"));
    CHECK(refused("-a=b"));
    CHECK(refused("/a=b"));
    CHECK(refused("a=b/c"));
    CHECK(refused("a ~ b"));
}

TEST(a_selector_with_too_many_values_is_refused)
{
    struct error err;
    struct label_selector *parsed;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    buf_append_string(&text, "a in (");
    for (int i = 0; i < LABEL_SELECTOR_VALUES_MAX; i++)
        buf_append_string(&text, "v,");
    buf_append_string(&text, "v)");
    CHECK(!label_selector_parse(buf_bytes(&text), &parsed, &err));
    CHECK(err.kind == ERROR_LIMIT);
}

TEST(a_label_selector_structure_is_matched)
{
    AUTO_JSON *pod = json_of("{\"metadata\":{\"labels\":{\"app\":\"shop\",\"tier\":\"web\"}}}");
    AUTO_JSON *good = json_of("{\"matchLabels\":{\"app\":\"shop\"},\"matchExpressions\":["
                              "{\"key\":\"tier\",\"operator\":\"In\",\"values\":[\"web\"]},"
                              "{\"key\":\"x\",\"operator\":\"DoesNotExist\"},"
                              "{\"key\":\"app\",\"operator\":\"Exists\"},"
                              "{\"key\":\"y\",\"operator\":\"NotIn\",\"values\":[\"z\"]}]}");
    AUTO_JSON *bad = json_of("{\"matchLabels\":{\"app\":\"shop\",\"tier\":\"db\"}}");
    AUTO_JSON *empty = json_of("{}"), *map = json_of("{\"tier\":\"web\"}");
    CHECK(object_matches_selector(good, pod));
    CHECK(!object_matches_selector(bad, pod));
    CHECK(object_matches_selector(empty, pod));
    CHECK(!object_matches_selector(NULL, pod));
    CHECK(object_matches_labels(map, pod));
    CHECK(!object_matches_labels(empty, pod));
    CHECK(!object_matches_labels(NULL, pod));
}

static bool field_selects(const char *kind, const char *selector, const char *object)
{
    struct error err;
    struct field_selector *parsed;
    AUTO_JSON *json = json_of(object);
    CHECK_OK(field_selector_parse(kind_by_name(kind), bytes_of_string(selector), &parsed, &err), &err);
    bool matches = field_selector_matches(parsed, json);
    field_selector_free(parsed);
    return matches;
}

TEST(field_selectors_compare_strings_numbers_and_switches)
{
    const char *pod =
        "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}";
    CHECK(field_selects("Pod", "metadata.name=a,spec.nodeName=n1", pod));
    CHECK(!field_selects("Pod", "spec.nodeName!=n1", pod));
    CHECK(field_selects("Pod", "status.phase!=Failed,status.podIP=", pod));
    CHECK(field_selects("Pod", "spec.hostNetwork=false", pod));
    CHECK(field_selects("ReplicaSet", "status.replicas=3", "{\"status\":{\"replicas\":3}}"));
    CHECK(field_selects("Node", "spec.unschedulable==true", "{\"spec\":{\"unschedulable\":true}}"));
    CHECK(field_selects("Event", "source=evoke", "{\"source\":{\"component\":\"evoke\"}}"));
    CHECK(field_selects("Event", "reason=a\\,b", "{\"reason\":\"a,b\"}"));
}

TEST(a_field_that_a_kind_is_not_selected_by_is_refused)
{
    struct error err;
    struct field_selector *parsed;
    CHECK(!field_selector_parse(kind_by_name("Pod"), BYTES_LITERAL("spec.bogus=1"), &parsed, &err));
    CHECK_STR(err.message, "field label not supported: spec.bogus");
    CHECK(!field_selector_parse(kind_by_name("Node"), BYTES_LITERAL("metadata.namespace=1"), &parsed, &err));
    CHECK(!field_selector_parse(kind_by_name("Pod"), BYTES_LITERAL("=x"), &parsed, &err));
    CHECK(!field_selector_parse(kind_by_name("Pod"), BYTES_LITERAL("metadata.name"), &parsed, &err));
}
