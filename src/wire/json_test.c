/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "wire/json.h"

static struct json *parse(const char *text)
{
    struct error err;
    struct json *value = json_parse(bytes_of_string(text), 0, &err);
    if (!value)
        test_fail(__FILE__, __LINE__, "%s: %s", text, err.message);
    return value;
}

static void check_print(const struct json *value, const char *want)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    json_print(value, &out);
    CHECK_STR(buf_string(&out), want);
}

TEST(json_keeps_keys_in_order_and_numbers_whole)
{
    const char *text = "{\"z\":1,\"a\":[9007199254740993,-1,1.5,true,null,\"\\u0001\u00e9\"],\"m\":{}}";
    AUTO_JSON *value = parse(text);
    check_print(value, text);
}

TEST(json_refuses_what_is_not_json_with_line_and_column)
{
    struct error err;
    static const char *const wrong[] = {"",         "{",   "{\"a\":1,}", "[1 2]", "nul", "{\"a\":1} x",
                                        "\"\xff\"", "'a'", "[01]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!json_parse(bytes_of_string(wrong[i]), 0, &err) && err.kind == ERROR_INVALID);
    CHECK(!json_parse(bytes_of_string("{\n  \"a\": x}"), 0, &err));
    CHECK(strstr(err.message, "line 2"));
}

TEST(json_refuses_duplicate_keys_unless_asked)
{
    struct error err;
    CHECK(!json_parse(BYTES_LITERAL("{\"a\":1,\"a\":2}"), 0, &err));
    AUTO_JSON *value = json_parse(BYTES_LITERAL("{\"a\":1,\"a\":2}"), JSON_PARSE_LAST_KEY_WINS, &err);
    CHECK_INT(json_int_at(value, "a", 0), 2);
}

static void repeat(struct buf *text, const char *part, size_t count)
{
    buf_reset(text);
    buf_append_string(text, "[0");
    for (size_t i = 0; i < count; i++)
        buf_printf(text, ",%s", part);
    buf_append_string(text, "]");
}

TEST(json_values_are_limited_and_a_container_is_worth_eight)
{
    struct error err;
    AUTO_BUF text;
    buf_init(&text, 16 << 20);
    const size_t containers = LIMIT_JSON_VALUES / (LIMIT_JSON_CONTAINER + 1), scalars = LIMIT_JSON_VALUES - 9;
    repeat(&text, "{}", containers + 1);
    CHECK(!json_parse(buf_bytes(&text), 0, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK_STR(err.message, "JSON: more than 800000 values, of which an object or array counts as 8");
    AUTO_JSON *ours = json_parse(buf_bytes(&text), JSON_PARSE_OUR_OWN, &err);
    CHECK_INT(json_size(ours), containers + 2);
    repeat(&text, "{}", containers - 1);
    AUTO_JSON *objects = json_parse(buf_bytes(&text), 0, &err);
    CHECK_INT(json_size(objects), containers);
    repeat(&text, "1", scalars + 1);
    CHECK(!json_parse(buf_bytes(&text), 0, &err));
    repeat(&text, "1", scalars);
    AUTO_JSON *numbers = json_parse(buf_bytes(&text), 0, &err);
    CHECK_INT(json_size(numbers), scalars + 1);
    repeat(&text, "\"{,,,[\\\",,,\"", 200000); /* what is in a string is none */
    AUTO_JSON *strings = json_parse(buf_bytes(&text), 0, &err);
    CHECK_INT(json_size(strings), 200001);
}

TEST(json_depth_is_limited_and_brackets_in_strings_do_not_count)
{
    struct error err;
    AUTO_BUF text;
    buf_init(&text, 10000);
    for (int i = 0; i < LIMIT_JSON_DEPTH + 1; i++)
        buf_append_string(&text, "[");
    for (int i = 0; i < LIMIT_JSON_DEPTH + 1; i++)
        buf_append_string(&text, "]");
    CHECK(!json_parse(buf_bytes(&text), 0, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    AUTO_JSON *fits = json_parse(bytes_slice(buf_bytes(&text), 1, text.size - 2), 0, &err);
    CHECK(fits);
    buf_reset(&text);
    buf_append_string(&text, "\"\\\"");
    for (int i = 0; i < 1000; i++)
        buf_append_string(&text, "{");
    buf_append_string(&text, "\"");
    AUTO_JSON *string = json_parse(buf_bytes(&text), 0, &err);
    CHECK_INT(json_bytes(string).size, 1001);
}

TEST(json_paths_go_through_objects_and_arrays)
{
    AUTO_JSON *value = parse("{\"spec\":{\"containers\":[{\"image\":\"a\"},{\"image\":\"b\"}]}}");
    CHECK_STR(json_text_at(value, "spec.containers.1.image", ""), "b");
    CHECK(!json_at(value, "spec.containers.2.image"));
    CHECK(!json_at(value, "spec.containers.x"));
    CHECK(!json_at(NULL, "spec"));
    CHECK(json_set_at(value, "metadata.labels.app", json_new_text("shop")));
    CHECK_STR(json_text_at(value, "metadata.labels.app", ""), "shop");
}

TEST(json_members_can_be_walked_with_continue)
{
    AUTO_JSON *value = parse("{\"a\":1,\"b\":2,\"c\":3}");
    int64_t sum = 0;
    json_object_each (member, value) {
        if (strcmp(member.key, "b") == 0)
            continue;
        sum += json_int(member.value, 0);
    }
    CHECK_INT(sum, 4);
}

TEST(json_clone_is_independent)
{
    AUTO_JSON *value = parse("{\"a\":{\"b\":1}}");
    AUTO_JSON *copy = json_clone(value);
    CHECK(json_same(value, copy));
    json_set_at(copy, "a.b", json_new_int(2));
    CHECK_INT(json_int_at(value, "a.b", 0), 1);
    CHECK(!json_same(value, copy));
}

TEST(json_integers_beyond_int64_become_reals)
{
    AUTO_JSON *value = parse("[18446744073709551616]");
    CHECK_INT(json_type(json_index(value, 0)), JSON_REAL);
}

TEST(json_array_each_can_be_left_by_break_and_goes_on_with_continue)
{
    AUTO_JSON *value = parse("[1,2,3,4]");
    int64_t sum = 0;
    json_array_each (i, element, value) {
        if (i == 0)
            continue;
        if (i == 3)
            break;
        sum += json_int(element, 0);
    }
    CHECK_INT(sum, 5);
}

TEST(a_text_that_is_no_utf_8_is_repaired)
{
    static const struct {
        const char *text, *want;
    } cases[] = {{"plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x99\x82", "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x99\x82"},
                 {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xc0\x80"
                  "a",
                  "\xef\xbf\xbd\xef\xbf\xbd"
                  "a"},
                 {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_JSON *text = json_new_text(cases[i].text), *format = json_new_format("%s", cases[i].text);
        CHECK_STR(json_text(text), cases[i].want);
        CHECK_STR(json_text(format), cases[i].want);
    }
}
