/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/yaml.h"

#include <stdio.h>

#include "test.h"
#include "wire/yaml_feed.h"

static void check_json(const char *text, const char *want)
{
    AUTO_YAML yaml = {0};
    struct error err = {0};
    CHECK_OK(yaml_parse(bytes_of_string(text), "a.yaml", &yaml, &err), &err);
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < yaml.count; i++) {
        if (i)
            buf_append_string(&out, " | ");
        json_print(yaml.documents[i].value, &out);
    }
    CHECK_STR(buf_string(&out), want);
}

static void check_error(const char *text, enum error_kind kind, const char *want)
{
    AUTO_YAML yaml = {0};
    struct error err = {0};
    CHECK(!yaml_parse(bytes_of_string(text), "a.yaml", &yaml, &err));
    CHECK_INT(err.kind, kind);
    CHECK_STR(err.message, want);
    CHECK_INT(yaml.count, 0);
}

TEST(yaml_documents_become_json_values)
{
    check_json(
        "kind: Pod\nspec:\n  containers:\n  - name: a\n    args: [x, \"1\", 1]\n---\n---\n- 1\n- b: {}\n...\n",
        "{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"x\",\"1\",1]}]}} | [1,{\"b\":{}}]");
    check_json("", "");
    check_json("# nothing\n", "");
    check_json("text: |\n  two\n  lines\nfolded: >-\n  one\n  line\n",
               "{\"text\":\"two\\nlines\\n\",\"folded\":\"one line\"}");
}

TEST(yaml_reads_json)
{
    check_json("{\"a\": [1, 2.5, true, null, \"x\\ny\"]}", "{\"a\":[1,2.5,true,null,\"x\\ny\"]}");
}

TEST(yaml_scalars_follow_the_core_schema)
{
    check_json("[~, null, true, False, yes, on, 12, -12, +3, 0x1F, 0o17, 1.5, .5, 1., 1e3, 1.0.0, 1_000, 12:30, '1']",
               "[null,null,true,false,\"yes\",\"on\",12,-12,3,31,15,1.5,0.5,1.0,1000.0,\"1.0.0\",\"1_000\",\"12:30\","
               "\"1\"]");
    check_json("[9223372036854775807, -9223372036854775808]", "[9223372036854775807,-9223372036854775808]");
    check_json("[!!str 12, !!int 12]", "[\"12\",12]");
}

TEST(yaml_leading_zero_is_octal_as_for_kubernetes)
{
    check_json("defaultMode: 0644", "{\"defaultMode\":420}");
    check_json("version: 0890", "{\"version\":890}");
}

TEST(yaml_keys_become_texts)
{
    check_json("1: a\ntrue: b\n\"\": c\n", "{\"1\":\"a\",\"true\":\"b\",\"\":\"c\"}");
}

TEST(yaml_aliases_and_merge_keys_are_expanded)
{
    check_json("a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: *x\n  c: 3\n",
               "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"b\":1,\"c\":2},\"e\":{\"c\":3,\"b\":1}}");
}

TEST(yaml_errors_name_file_and_line)
{
    check_error("a: 1\nb: 2\na: 3\n", ERROR_INVALID, "a.yaml:3: the key \"a\" is given twice");
    check_error("a: .inf\n", ERROR_INVALID, "a.yaml:1: infinity and NaN are not numbers here");
    check_error("\n? [a]\n: b\n", ERROR_INVALID, "a.yaml:2: a key must be a plain or quoted text");
    check_error("a: *b\n", ERROR_INVALID, "a.yaml:1: an alias for an anchor that is not there");
    check_error("a: &b [*b]\n", ERROR_INVALID, "a.yaml:1: an alias for an anchor that is not there");
    check_error("a: !thing b\n", ERROR_INVALID, "a.yaml:1: a tag that is not of the core schema");
    check_error("a: 1\nb: \x01\n", ERROR_INVALID, "a.yaml:2: a control character");
    check_error("%YAML 1.2\n---\na: 1\n", ERROR_INVALID, "a.yaml:1: a line that begins with %");
    AUTO_YAML yaml = {0};
    struct error err = {0};
    CHECK(!yaml_parse(BYTES_LITERAL("a: 1\n b: [2\n"), "a.yaml", &yaml, &err));
    CHECK(strncmp(err.message, "a.yaml:", 7) == 0);
}

TEST(yaml_lines_are_found_by_kubernetes_paths)
{
    AUTO_YAML yaml = {0};
    struct error err = {0};
    static const char text[] = "# comment\n"
                               "kind: Pod\n"
                               "metadata:\n"
                               "  labels:\n"
                               "    app.kubernetes.io/name: x\n"
                               "spec:\n"
                               "  containers:\n"
                               "  - name: a\n"
                               "    image: b\n"
                               "  - name: c\n"
                               "---\n"
                               "kind: Service\n";
    CHECK_OK(yaml_parse(bytes_of_string(text), "a.yaml", &yaml, &err), &err);
    CHECK_INT(yaml.count, 2);
    static const struct {
        const char *path;
        int line;
    } cases[] = {{"kind", 2},
                 {"metadata.labels[app.kubernetes.io/name]", 5},
                 {"spec.containers[0].image", 9},
                 {"spec.containers[1]", 10},
                 {"spec.containers[1].image", 10},
                 {"spec.replicas", 6},
                 {"nothing", 2},
                 {"", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_INT(yaml_line(&yaml.documents[0], cases[i].path), cases[i].line);
    CHECK_INT(yaml_line(&yaml.documents[1], "kind"), 12);
}

TEST(yaml_aliases_for_a_long_text_cannot_grow_without_bound)
{
    AUTO_BUF text;
    buf_init(&text, 4 << 20);
    buf_append_string(&text, "a: &a ");
    for (int i = 0; i < 1000000; i++)
        buf_append_byte(&text, 'x');
    buf_append_string(&text, "\nb:\n");
    for (int i = 0; i < 100; i++)
        buf_append_string(&text, "- *a\n");
    check_error(buf_string(&text), ERROR_LIMIT, "a.yaml:18: too much text, counting what aliases stand for");
    buf_reset(&text);
    buf_append_string(&text, "a: &a [1, {b: x}]\nb: [*a, *a]\n"); /* and short ones may */
    struct error err;
    AUTO_YAML yaml = {0};
    CHECK_OK(yaml_parse(buf_bytes(&text), "a.yaml", &yaml, &err), &err);
    CHECK_STR(json_text_at(yaml.documents[0].value, "b.1.1.b", ""), "x");
}

TEST(yaml_keeps_the_lines_of_so_many_long_paths_only)
{
    AUTO_BUF text;
    struct error err;
    AUTO_YAML yaml = {0};
    buf_init(&text, 4 << 20);
    for (int i = 0; i < 10000; i++)
        buf_append_byte(&text, 'k');
    buf_append_string(&text, ":\n");
    for (int i = 0; i < 100000; i++)
        buf_append_string(&text, "- 0\n");
    CHECK_OK(yaml_parse(buf_bytes(&text), "a.yaml", &yaml, &err), &err);
    CHECK(yaml.documents[0].lines.count < 1000); /* they would be a gigabyte */
    CHECK(yaml.documents[0].lines.count > 500);
}

TEST(yaml_aliases_cannot_grow_without_bound)
{
    char text[2000];
    size_t at = (size_t)snprintf(text, sizeof text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1,
                               i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    check_error(text, ERROR_LIMIT, "a.yaml:6: too many values, counting what aliases stand for");
}

/* A text of `count` times `piece` between `begin` and `end`; false: refused, with ERROR_LIMIT for brackets. */
static bool parses(const char *begin, const char *piece, size_t count, const char *end)
{
    AUTO_BUF text;
    buf_init(&text, YAML_SIZE_MAX);
    buf_append_string(&text, begin);
    for (size_t i = 0; i < count; i++)
        buf_append_string(&text, piece);
    buf_append_string(&text, end);
    struct error err = {0};
    AUTO_YAML yaml = {0};
    bool ok = yaml_parse(buf_bytes(&text), "a", &yaml, &err);
    CHECK(ok || (err.kind == ERROR_LIMIT && strstr(err.message, "in brackets that is too large")));
    return ok;
}

TEST(yaml_brackets_are_not_read_ahead_without_bound)
{
    enum { MANY = YAML_INDICATORS_AHEAD_MAX + 5000 };
    CHECK(!parses("a: ", "[", MANY, ""));
    CHECK(!parses("", "[a,", MANY, ""));
    CHECK(!parses("&b !!seq # c\n", "[", MANY, ""));
    CHECK(!parses("- |\n  text\n- ", "[", MANY, ""));
    CHECK(!parses("'a': ", "[", MANY, ""));
    CHECK(parses("[", "'a: b',", 100000, "]"));
    CHECK(parses("a: |\n", "  [[[[\n", MANY, ""));
    CHECK(parses("a: &b !!str # c\n  >\n", "  {}{}\n", MANY, ""));
    CHECK(parses("a: \"", "[[", MANY, "\""));
    CHECK(parses("a: '", ",:", MANY, "'"));
}

TEST(yaml_depth_is_bounded_also_through_aliases)
{
    char text[4096];
    size_t at = 0;
    for (int i = 0; i < 130; i++)
        text[at++] = '[';
    for (int i = 0; i < 130; i++)
        text[at++] = ']';
    text[at] = '\0';
    struct error err = {0};
    AUTO_YAML yaml = {0};
    CHECK(!yaml_parse(bytes_of_string(text), "a", &yaml, &err));

    at = (size_t)snprintf(text, sizeof text, "- &a0 [x]\n");
    for (int i = 1; i < 140; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "- &a%d [*a%d]\n", i, i - 1);
    CHECK(!yaml_parse(bytes_of_string(text), "a", &yaml, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
}
