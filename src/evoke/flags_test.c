/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "evoke/flags.h"

struct parsed {
    const char *text;
    int64_t number;
    bool yes;
    struct flag_list list;
    const char *arguments[2];
    size_t count;
    struct error err;
};

static enum flags_result parse(struct parsed *out, int argc, const char *const *argv)
{
    *out = (struct parsed){0};
    const struct flag flags[] = {
        {"text", 't', FLAG_TEXT, &out->text, "TEXT", ""},
        {"number", 0, FLAG_NUMBER, &out->number, "N", ""},
        {"yes", 'y', FLAG_SWITCH, &out->yes, "", ""},
        {"list", 'l', FLAG_LIST, &out->list, "X", ""},
        {0},
    };
    const struct command_line line = {
        .usage = "evoke test A [B]", .about = "", .flags = flags, .arguments_min = 1, .arguments_max = 2};
    char *copy[16];
    for (int i = 0; i < argc; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    return flags_parse(&line, argc, copy, out->arguments, &out->count, &out->err);
}

#define PARSE(out, ...)                                                                                                \
    parse(out, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

TEST(flags_come_in_both_forms_and_between_arguments)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "--text=a=b", "one", "--number", "-7", "-y", "-l", "x", "--list=y", "two"), FLAGS_OK);
    CHECK_STR(parsed.text, "a=b");
    CHECK_INT(parsed.number, -7);
    CHECK(parsed.yes);
    CHECK_INT(parsed.list.count, 2);
    CHECK_STR(parsed.list.items[1], "y");
    CHECK_INT(parsed.count, 2);
    CHECK_STR(parsed.arguments[1], "two");
}

TEST(flags_that_are_wrong_are_named)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "one", "--nothing"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "unknown flag: --nothing");
    CHECK_INT(PARSE(&parsed, "one", "--number", "x"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "--number: \"x\" is not a number");
    CHECK_INT(PARSE(&parsed, "one", "--text"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "flag needs a value: --text TEXT");
    CHECK_INT(PARSE(&parsed, "one", "--yes=maybe"), FLAGS_WRONG);
    CHECK_INT(PARSE(&parsed, "one", "two", "three"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "unexpected argument: three");
    CHECK_INT(PARSE(&parsed, "-y"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "usage: evoke test A [B]");
}

TEST(flags_end_at_two_dashes_and_a_lone_dash_is_an_argument)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "-", "--", "--text"), FLAGS_OK);
    CHECK_STR(parsed.arguments[0], "-");
    CHECK_STR(parsed.arguments[1], "--text");
    CHECK_INT(PARSE(&parsed, "one", "--help"), FLAGS_HELP);
}
