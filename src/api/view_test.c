/* SPDX-License-Identifier: Apache-2.0 */
#include "api/view.h"

#include <errno.h>

#include "api/api.h"
#include "api/field_selector.h"
#include "api/schema.h"
#include "api/store_fixture.h"
#include "api/table.h"
#include "api/test_json.h"

static const struct kind *newer(void)
{
    const struct kind *kind = kind_by_gvk(BYTES_LITERAL("events.k8s.io/v1"), BYTES_LITERAL("Event"));
    CHECK(kind != NULL);
    return kind;
}

#define NEWER                                                                                                          \
    "'metadata':{'name':'a','namespace':'default'},'eventTime':'2026-01-01T00:00:00.000001Z',"                         \
    "'reportingController':'example.com/c','reportingInstance':'c-1','action':'Binding','reason':'Scheduled',"         \
    "'regarding':{'kind':'Pod','namespace':'default','name':'p'},'note':'in words','type':'Normal'"

static struct object *create(struct fixture *f, const char *json_text)
{
    struct error err;
    struct object *out = NULL;
    AUTO_JSON *json = test_json(json_text);
    CHECK_OK(api_create(f->api, newer(), BYTES_LITERAL("default"), json, 0, &out, &err), &err);
    return out;
}

TEST(what_is_made_through_a_view_is_stored_as_the_kind_behind_it)
{
    struct fixture f;
    fixture_open(&f);
    AUTO_OBJECT *made = create(&f, "{" NEWER "}");
    CHECK(made->kind == kind_by_name("Event"));
    CHECK_STR(json_text_at(made->json, "apiVersion", ""), "v1");
    CHECK_STR(json_text_at(made->json, "involvedObject.name", ""), "p");
    CHECK_STR(json_text_at(made->json, "message", ""), "in words");
    CHECK_STR(json_text_at(made->json, "reportingComponent", ""), "example.com/c");
    CHECK(api_get(f.api, newer(), BYTES_LITERAL("default"), BYTES_LITERAL("a")) == made);
    CHECK_INT(api_count(f.api, newer()), 1);
    fixture_reopen(&f);
    CHECK(api_find(f.api, "Event", "default", "a") != NULL);
    fixture_close(&f);
}

TEST(a_view_shows_what_is_stored_in_its_own_words_and_normal_form)
{
    struct error err;
    struct json *again;
    AUTO_JSON *stored =
        test_json("{'apiVersion':'v1','kind':'Event','metadata':{'name':'a'},'involvedObject':{'name':'p'},"
                  "'message':'m','source':{'component':'c'},'count':3,'type':'Normal',"
                  "'eventTime':'2026-01-01T00:00:00.000001Z','series':{'count':2},"
                  "'reportingComponent':'','reportingInstance':''}");
    AUTO_JSON *shown = view_show(newer(), stored);
    test_json_same(json_get(shown, "regarding"), "{'name':'p'}");
    test_json_same(json_get(shown, "deprecatedSource"), "{'component':'c'}");
    CHECK_STR(json_text_at(shown, "apiVersion", ""), "events.k8s.io/v1");
    CHECK_STR(json_text_at(shown, "note", ""), "m");
    CHECK_INT(json_int_at(shown, "deprecatedCount", 0), 3);
    CHECK(!json_get(shown, "reportingController") && !json_get(shown, "message"));
    CHECK_OK(schema_decode_json(newer(), shown, SCHEMA_STRICT, &again, NULL, &err), &err);
    CHECK(json_same(shown, again));
    json_unref(again);
    AUTO_JSON *back = view_store(newer(), shown);
    CHECK_STR(json_text_at(back, "involvedObject.name", ""), "p");
    CHECK_STR(json_text_at(back, "apiVersion", ""), "v1");
}

static void refused(struct fixture *f, const char *json_text, const char *field)
{
    struct error err;
    AUTO_JSON *json = test_json(json_text);
    CHECK(!api_create(f->api, newer(), BYTES_LITERAL("default"), json, 0, NULL, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    const struct field_errors *errors = api_field_errors(f->api);
    for (size_t i = 0; i < errors->count; i++)
        if (strcmp(errors->errors[i].field, field) == 0)
            return;
    test_fail(__FILE__, __LINE__, "%s is not named in: %s", field, err.message);
}

TEST(what_is_wrong_with_an_object_is_said_in_the_views_words)
{
    struct fixture f;
    fixture_open(&f);
    refused(&f, "{'metadata':{'name':'a'}}", "eventTime");
    refused(&f, "{'metadata':{'name':'a'}}", "type");
    refused(&f, "{'metadata':{'name':'a'},'eventTime':'2026-01-01T00:00:00Z'}", "reportingController");
    refused(&f, "{" NEWER ",'deprecatedCount':1}", "deprecatedCount");
    refused(&f, "{" NEWER ",'series':{'count':1,'lastObservedTime':'2026-01-01T00:00:00Z'}}", "series.count");
    CHECK_INT(api_count(f.api, newer()), 0);
    fixture_close(&f);
}

TEST(through_a_view_only_the_series_of_an_event_changes)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    AUTO_OBJECT *made = create(&f, "{" NEWER "}");
    AUTO_JSON *next = view_show(newer(), made->json);
    json_set(next, "series", test_json("{'count':2,'lastObservedTime':'2026-01-01T00:00:01.000000Z'}"));
    CHECK_OK(api_update(f.api, newer(), made->namespace, made->name, next, 0, NULL, &err), &err);
    CHECK_INT(json_int_at(api_find(f.api, "Event", "default", "a")->json, "series.count", 0), 2);
    json_set(next, "note", json_new_text("other words"));
    json_remove(json_get(next, "metadata"), "resourceVersion");
    CHECK(!api_update(f.api, newer(), made->namespace, made->name, next, 0, NULL, &err));
    CHECK_STR(api_field_errors(f.api)->errors[0].field, "note");
    fixture_close(&f);
}

TEST(an_event_of_v1_need_not_fit_the_rows_of_its_view_to_be_labelled_through_it)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    AUTO_OBJECT *made = fixture_create(
        &f, "Event", "{\"metadata\":{\"name\":\"old\"},\"involvedObject\":{\"namespace\":\"default\",\"name\":\"p\"}}");
    AUTO_JSON *next = view_show(newer(), made->json);
    json_set_at(next, "metadata.labels", test_json("{'a':'b'}"));
    CHECK_OK(api_update(f.api, newer(), made->namespace, made->name, next, 0, NULL, &err), &err);
    CHECK_STR(json_text_at(api_find(f.api, "Event", "default", "old")->json, "metadata.labels.a", ""), "b");
    fixture_close(&f);
}

TEST(an_event_lies_in_the_namespace_of_what_it_is_about)
{
    struct fixture f;
    fixture_open(&f);
    fixture_create_fails(&f, "Event", "default",
                         "{\"metadata\":{\"name\":\"a\"},\"involvedObject\":{\"namespace\":\"other\",\"name\":\"p\"}}",
                         ERROR_INVALID, EINVAL);
    CHECK_STR(api_field_errors(f.api)->errors[0].field, "involvedObject.namespace");
    fixture_close(&f);
}

static bool selects(const char *selector_text, const struct json *stored, struct error *err)
{
    struct field_selector *selector = NULL;
    bool ok = field_selector_parse(newer(), bytes_of_string(selector_text), &selector, err) &&
              field_selector_matches(selector, stored);
    field_selector_free(selector);
    return ok;
}

TEST(a_views_field_selectors_are_in_its_own_words)
{
    struct error err = {0};
    AUTO_JSON *stored = test_json("{'involvedObject':{'name':'p'},'reportingComponent':'c','metadata':{'name':'a'}}");
    CHECK_OK(selects("regarding.name=p,reportingController=c,metadata.name=a", stored, &err), &err);
    CHECK(!selects("regarding.name=q", stored, &err));
    CHECK_INT(err.kind, 0);
    CHECK(!selects("involvedObject.name=p", stored, &err));
    CHECK_STR(err.message, "field label not supported: involvedObject.name");
}

TEST(a_views_table_has_the_columns_of_what_is_stored_and_shows_its_own_shape)
{
    AUTO_JSON *stored = test_json("{'apiVersion':'v1','kind':'Event','metadata':{'name':'a'},'reason':'Why',"
                                  "'involvedObject':{'kind':'Pod','name':'p'},'message':'m'}");
    const struct json *rows[] = {stored};
    AUTO_JSON *table = table_print(newer(), rows, 1, NULL, TABLE_OBJECT, 0, true);
    CHECK_STR(json_text_at(table, "columnDefinitions.3.name", ""), "Object");
    CHECK_STR(json_text_at(table, "rows.0.cells.3", ""), "pod/p");
    CHECK_STR(json_text_at(table, "rows.0.object.note", ""), "m");
}
