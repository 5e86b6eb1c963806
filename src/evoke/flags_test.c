/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "evoke/flags.h"

struct options {
    const char *text, *choice;
    int64_t number, count, index;
    bool yes;
    struct flag_list list;
};

struct parsed {
    struct options options;
    struct arguments arguments;
    struct error err;
};

#define AT(member) offsetof(struct options, member)
static const struct flag table[] = {
    {"text", "TEXT", "", AT(text), 't', FLAG_TEXT},
    {"number", "N", "", AT(number), 0, FLAG_NUMBER},
    {"count", "N", "", AT(count), 0, FLAG_COUNT},
    {"index", "N", "", AT(index), 0, FLAG_INDEX},
    {0},
};
static const struct flag empty_table[] = {{0}};
static const struct flag other_table[] = {
    {"yes", NULL, "", AT(yes), 'y', FLAG_SWITCH},
    {"list", "X", "", AT(list), 'l', FLAG_LIST},
    {"choice", "one|two", "", AT(choice), 0, FLAG_CHOICE},
    {0},
};

static enum flags_result parse(struct parsed *out, const char *usage, int argc, const char *const *argv)
{
    const struct flags flags = {.tables = {table, empty_table, other_table}, .arguments = usage};
    char *copy[ARGUMENTS_MAX + 8];
    *out = (struct parsed){0};
    for (int i = 0; i < argc; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    return flags_parse(&flags, argc, copy, &out->options, &out->arguments, &out->err);
}

#define PARSE_AS(out, usage, ...)                                                                                      \
    parse(out, usage, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})
#define PARSE(out, ...) PARSE_AS(out, "A [B]", __VA_ARGS__)

TEST(flags_come_in_both_forms_and_between_arguments)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "--text=a=b", "one", "--number", "-7", "-y", "-l", "x", "--list=y", "two"), FLAGS_OK);
    CHECK_STR(parsed.options.text, "a=b");
    CHECK_INT(parsed.options.number, -7);
    CHECK(parsed.options.yes);
    CHECK_INT(parsed.options.list.count, 2);
    CHECK_STR(parsed.options.list.items[1], "y");
    CHECK_INT(parsed.arguments.count, 2);
    CHECK_STR(parsed.arguments.items[1], "two");
}

TEST(counts_begin_at_one_and_indexes_at_zero)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "a", "--count", "1", "--index", "0"), FLAGS_OK);
    CHECK_INT(PARSE(&parsed, "a", "--count", "2147483647"), FLAGS_OK);
    CHECK_INT(parsed.options.count, 2147483647);
    CHECK_INT(PARSE(&parsed, "a", "--count", "0"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "--count: 1 to 2147483647, not 0");
    CHECK_INT(PARSE(&parsed, "a", "--index", "-1"), FLAGS_WRONG);
    CHECK_INT(PARSE(&parsed, "a", "--index", "2147483648"), FLAGS_WRONG);
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
    CHECK_STR(parsed.err.message, "what is missing: A [B]");
}

TEST(flags_end_at_two_dashes_and_a_lone_dash_is_an_argument)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "-", "--", "--text"), FLAGS_OK);
    CHECK_STR(parsed.arguments.items[0], "-");
    CHECK_STR(parsed.arguments.items[1], "--text");
    CHECK_INT(PARSE(&parsed, "one", "--help"), FLAGS_HELP);
}

TEST(flags_of_all_tables_are_known_and_walked)
{
    const struct flags flags = {.tables = {table, empty_table, other_table}};
    const char *names[8] = {0};
    size_t count = 0;
    flags_each(flag, &flags) names[count++] = flag->name;
    CHECK_INT(count, 7);
    CHECK_STR(names[0], "text");
    CHECK_STR(names[4], "yes");
    CHECK_STR(names[6], "choice");
    CHECK(!flags_first(&(struct flags){.tables = {empty_table}}));
}

TEST(flags_with_choices_take_no_other_value)
{
    struct parsed parsed;
    CHECK_INT(PARSE(&parsed, "one", "--choice", "two"), FLAGS_OK);
    CHECK_STR(parsed.options.choice, "two");
    CHECK_INT(PARSE(&parsed, "one", "--choice", "tw"), FLAGS_WRONG);
    CHECK_STR(parsed.err.message, "--choice: one of one|two, not \"tw\"");
}

TEST(arguments_are_counted_as_the_usage_says)
{
    struct parsed parsed;
    CHECK_INT(PARSE_AS(&parsed, NULL, "one"), FLAGS_WRONG);
    CHECK_INT(PARSE_AS(&parsed, NULL, "-y"), FLAGS_OK);
    CHECK_INT(PARSE_AS(&parsed, "A...", "-y"), FLAGS_WRONG);
    CHECK_INT(PARSE_AS(&parsed, "A...", "1", "2", "3"), FLAGS_OK);
    CHECK_INT(parsed.arguments.count, 3);
    CHECK_INT(PARSE_AS(&parsed, "[A...]", "-y"), FLAGS_OK);
    const char *many[ARGUMENTS_MAX + 1];
    for (size_t i = 0; i < ARGUMENTS_MAX + 1; i++)
        many[i] = "x";
    CHECK_INT(parse(&parsed, "A...", ARGUMENTS_MAX, many), FLAGS_OK);
    CHECK_INT(parse(&parsed, "A...", ARGUMENTS_MAX + 1, many), FLAGS_WRONG);
}

TEST(a_pair_has_a_name_and_a_value)
{
    struct bytes name, value;
    struct error err;
    CHECK(flags_split_pair("header", "a=b=c", &name, &value, &err));
    CHECK_BYTES(name, BYTES_LITERAL("a"));
    CHECK_BYTES(value, BYTES_LITERAL("b=c"));
    CHECK(!flags_split_pair("header", "=b", &name, &value, &err));
    CHECK(!flags_split_pair("header", "ab", &name, &value, &err));
    CHECK_STR(err.message, "--header: NAME=VALUE, not \"ab\"");
}
