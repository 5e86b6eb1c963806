/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_patch.h"
#include "api/merge_patch.h"
#include "test.h"

static struct json *json_of(const char *text)
{
    struct error err;
    struct json *json = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(json, &err);
    return json;
}

static void check_patch(const char *document, const char *patch, const char *want)
{
    struct error err;
    AUTO_JSON *from = json_of(document), *operations = json_of(patch), *wanted = json_of(want);
    AUTO_JSON *got = json_patch_apply(from, operations, &err);
    CHECK_OK(got, &err);
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    json_print(got, &text);
    if (!json_same(got, wanted))
        CHECK_STR(buf_string(&text), want);
    AUTO_JSON *again = json_of(document);
    CHECK(json_same(from, again)); /* the document is not touched */
}

static void check_refused(const char *document, const char *patch, const char *message)
{
    struct error err;
    AUTO_JSON *from = json_of(document), *operations = json_of(patch);
    CHECK(!json_patch_apply(from, operations, &err));
    CHECK_STR(err.message, message);
    AUTO_JSON *again = json_of(document);
    CHECK(json_same(from, again));
}

/* The examples of RFC 6902, appendix A. */
TEST(json_patch_adds_and_removes_members_and_elements)
{
    check_patch("{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
                "{\"baz\":\"qux\",\"foo\":\"bar\"}");
    check_patch("{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
                "{\"foo\":[\"bar\",\"qux\",\"baz\"]}");
    check_patch("{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":\"bar\"}");
    check_patch("{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
                "{\"foo\":[\"bar\",\"baz\"]}");
    check_patch("{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
                "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}");
    check_patch("{\"foo\":null}", "[{\"op\":\"add\",\"path\":\"/foo\",\"value\":1}]", "{\"foo\":1}");
}

TEST(json_patch_replaces_moves_copies_and_tests)
{
    check_patch("{\"baz\":\"qux\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]", "{\"baz\":\"boo\"}");
    check_patch("{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
                "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
                "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}");
    check_patch("{\"foo\":[1,2,3,4]}", "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
                "{\"foo\":[1,3,4,2]}");
    check_patch("{\"a\":{\"b\":1}}",
                "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},"
                "{\"op\":\"replace\",\"path\":\"/c/b\",\"value\":2}]",
                "{\"a\":{\"b\":1},\"c\":{\"b\":2}}");
    check_patch(
        "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
        "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
        "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}");
    check_patch("{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":2}}]", "{\"b\":2}");
    check_patch("{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}");
}

TEST(json_pointers_are_unescaped)
{
    check_patch("{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", "{\"/\":9,\"~1\":10}");
    check_patch("{}", "[{\"op\":\"add\",\"path\":\"/a.b~1c\",\"value\":1}]", "{\"a.b/c\":1}");
}

TEST(json_patch_refuses_what_does_not_apply)
{
    check_refused("{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]",
                  "operation 0 of the patch: testing path \"/baz\" failed");
    check_refused("{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]",
                  "operation 0 of the patch: path \"/baz/bat\" does not exist");
    check_refused("{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"remove\",\"path\":\"/a\"}]",
                  "operation 1 of the patch: path \"/a\" does not exist");
    check_refused("{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]",
                  "operation 0 of the patch: path \"/a/2\" does not exist");
    check_refused("{\"a\":[1]}", "[{\"op\":\"replace\",\"path\":\"/a/00\",\"value\":1}]",
                  "operation 0 of the patch: path \"/a/00\" does not exist");
    check_refused("{\"a\":{\"b\":{}}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b/c\"}]",
                  "operation 0 of the patch: \"/a\" cannot move into itself");
    check_refused("{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]",
                  "operation 0 of the patch: \"a\" is not a JSON pointer: it must begin with a slash");
    check_refused("{}", "[{\"op\":\"add\",\"path\":\"/~2\",\"value\":1}]",
                  "operation 0 of the patch: \"/~2\" is not a JSON pointer");
    check_refused("{}", "[{\"op\":\"explode\",\"path\":\"/a\"}]",
                  "operation 0 of the patch: \"explode\" is not an operation of JSON Patch");
    check_refused("{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", "operation 0 of the patch: the value is missing");
    check_refused("{}", "[7]", "operation 0 of the patch: \"op\" is missing or not a string");
    check_refused("{}", "{}", "a JSON patch is an array of operations");
    check_refused("{}", "[{\"op\":\"remove\",\"path\":\"\"}]",
                  "operation 0 of the patch: the whole document cannot be removed");
}

TEST(a_patch_cannot_double_a_document_without_end)
{
    struct error err;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    buf_append_string(&text, "[");
    for (int i = 0; i <= JSON_PATCH_COPIES_MAX; i++)
        buf_printf(&text, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b%d\"}", i ? "," : "", i);
    buf_append_string(&text, "]");
    AUTO_JSON *document = json_of("{\"a\":1}"), *patch = json_of(buf_string(&text));
    CHECK(!json_patch_apply(document, patch, &err));
    CHECK(err.kind == ERROR_LIMIT);
}

static void check_merge(const char *document, const char *patch, const char *want)
{
    AUTO_JSON *from = json_of(document), *change = json_of(patch), *wanted = json_of(want);
    AUTO_JSON *got = merge_patch_apply(from, change);
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    json_print(got, &text);
    if (!json_same(got, wanted))
        CHECK_STR(buf_string(&text), want);
}

/* The table of RFC 7386, appendix A. */
TEST(merge_patch_does_what_its_rfc_says)
{
    check_merge("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    check_merge("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
    check_merge("{\"a\":\"b\"}", "{\"a\":null}", "{}");
    check_merge("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
    check_merge("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    check_merge("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}");
    check_merge("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}");
    check_merge("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}");
    check_merge("[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]");
    check_merge("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}");
    check_merge("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}");
    check_merge("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
}
