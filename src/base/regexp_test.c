/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp.h"

#include "base/buf.h"
#include "test.h"

static bool matches(const char *pattern, const char *text)
{
    struct error err;
    struct regexp *regexp = regexp_compile(bytes_of_string(pattern), &err);
    if (!regexp) {
        CHECK_STR(err.message, pattern);
        return false;
    }
    bool matched = regexp_matches(regexp, bytes_of_string(text));
    CHECK_INT(regexp_matches(regexp, bytes_of_string(text)), matched); /* nothing is left over from the first time */
    regexp_free(regexp);
    return matched;
}

TEST(a_regular_expression_matches_whole_texts_as_re2_does)
{
    static const struct {
        const char *pattern, *yes[4], *no[4];
    } cases[] = {
        {"", {""}, {"a"}},
        {"orders", {"orders"}, {"order", "orders2", "my-orders"}},
        {"orders-.*", {"orders-", "orders-eu"}, {"orders", "xorders-"}},
        {"(foo|bar)\\.[0-9]+", {"foo.1", "bar.42"}, {"foo.", "foox1", "baz.1"}},
        {"a|", {"a", ""}, {"aa"}},
        {"^a$", {"a"}, {"", "aa"}},
        {"a^b|a$c", {NULL}, {"ab", "ac"}},
        {"[a-c^]+", {"abc^"}, {"d", ""}},
        {"[^a-c]", {"d", "-"}, {"a", "dd"}},
        {"[]a]+", {"]a"}, {"b"}},
        {"[a-]+", {"a-"}, {"b"}},
        {"[[:alpha:][:digit:]_]+", {"aZ9_"}, {"-"}},
        {"[[:^digit:]]+", {"ab-"}, {"a1"}},
        {"\\d+\\w\\s\\S", {"12a x", "1_\tz"}, {"a", "12a  "}},
        {"\\D\\W", {"a-"}, {"1-", "aa"}},
        {"a{3}", {"aaa"}, {"aa", "aaaa"}},
        {"a{2,}", {"aa", "aaaaa"}, {"a"}},
        {"a{1,3}?b", {"ab", "aaab"}, {"b", "aaaab"}},
        {"(ab){0,2}", {"", "abab"}, {"ababab"}},
        {"a{x}", {"a{x}"}, {"ax"}},
        {"a{0}b", {"b"}, {"ab"}},
        {"(a*)*b", {"b", "aab"}, {"a"}},
        {"(|a)+", {"", "aaa"}, {"b"}},
        {"(?i)Orders-[a-c]", {"oRDERS-B"}, {"orders-d"}},
        {"a(?i:b)c", {"aBc", "abc"}, {"abC"}},
        {"(?i)a(?-i)b", {"Ab"}, {"AB"}},
        {"(?P<name>a)(?<other>b)(?:c)", {"abc"}, {"ab"}},
        {"\\Qa.b\\E.", {"a.bx"}, {"axbx"}},
        {"a.c", {"abc"}, {"a\nc"}},
        {"(?s)a.c", {"a\nc"}, {"ac"}},
        {"(?m)^a$\n^b$", {"a\nb"}, {"ab"}},
        {"\\ba\\b", {"a"}, {"ab"}},
        {"a\\Bb", {"ab"}, {"b"}},
        {"\\x41\\x{42}\\t\\.\\\\", {"AB\t.\\"}, {"AB"}},
        {"\\Aa\\z", {"a"}, {"b"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t k = 0; k < 4 && cases[i].yes[k]; k++)
            if (!matches(cases[i].pattern, cases[i].yes[k]))
                CHECK_STR(cases[i].pattern, cases[i].yes[k]);
        for (size_t k = 0; k < 4 && cases[i].no[k]; k++)
            if (matches(cases[i].pattern, cases[i].no[k]))
                CHECK_STR(cases[i].pattern, cases[i].no[k]);
    }
}

static struct error refused(const char *pattern)
{
    struct error err = {0};
    struct regexp *regexp = regexp_compile(bytes_of_string(pattern), &err);
    CHECK(regexp == NULL);
    regexp_free(regexp);
    return err;
}

TEST(a_regular_expression_that_is_wrong_is_refused_with_its_place)
{
    static const char *const wrong[] = {"(",     ")",        "a)",     "(a",    "[a",     "[",       "[b-a]",
                                        "*",     "a**",      "a*+",    "a|*",   "\\",     "\\1",     "\\pL",
                                        "\\y",   "(?=a)",    "(?<=a)", "(?!a)", "a{2,1}", "a{1001}", "\\x4",
                                        "\\x{}", "[[:no:]]", "(?P<a",  "(?",    "(?z)",   "[a-",     "a{99999999999}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_INT(refused(wrong[i]).kind, ERROR_INVALID);
    CHECK_STR(refused("ab[c").message, "regular expression \"ab[c\", at 4: ] is missing");
}

TEST(a_regular_expression_cannot_be_made_to_cost_much)
{
    CHECK_INT(refused("((((a{100}){100}){100}){100}){100}").kind, ERROR_LIMIT);
    CHECK_INT(refused("((((){1000}){1000}){1000}){1000}").kind, ERROR_LIMIT);
    CHECK_INT(refused("(a|b|c|d){700}").kind, ERROR_LIMIT);
    char text[REGEXP_SIZE_MAX + 2];
    memset(text, '(', sizeof text);
    text[200] = '\0';
    CHECK_INT(refused(text).kind, ERROR_LIMIT);
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    CHECK_INT(refused(text).kind, ERROR_LIMIT);
    text[249] = '\0';
    CHECK(!matches("(a+)+(a+)+(a+)+(a+)+b", text)); /* what backtracking never ends with */
    CHECK(matches("(a?){249}a{249}", text));
}
