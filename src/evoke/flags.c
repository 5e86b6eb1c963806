/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/flags.h"

#include <inttypes.h>
#include <string.h>

/* --- The tables --- */

static const struct flag *first_from(const struct flags *flags, size_t table)
{
    for (; table < FLAG_TABLES_MAX && flags->tables[table]; table++)
        if (flags->tables[table]->name)
            return flags->tables[table];
    return NULL;
}

const struct flag *flags_first(const struct flags *flags)
{
    return first_from(flags, 0);
}

static bool is_in(const struct flag *table, const struct flag *flag)
{
    for (; table && table->name; table++)
        if (table == flag)
            return true;
    return false;
}

const struct flag *flags_next(const struct flags *flags, const struct flag *flag)
{
    if (flag[1].name)
        return flag + 1;
    for (size_t i = 0; i < FLAG_TABLES_MAX; i++)
        if (is_in(flags->tables[i], flag))
            return first_from(flags, i + 1);
    return NULL;
}

static const struct flag *find(const struct flags *flags, struct bytes name)
{
    flags_each(flag, flags) if (bytes_equal_string(name, flag->name) ||
                                (name.size == 1 && flag->letter && (char)name.data[0] == flag->letter)) return flag;
    return NULL;
}

/* --- Values --- */

static bool is_choice(const struct flag *flag, const char *value)
{
    struct bytes rest = bytes_of_string(flag->value), choice;
    while (bytes_split(&rest, '|', &choice))
        if (bytes_equal_string(choice, value))
            return true;
    return false;
}

static bool add(const struct flag *flag, struct flag_list *list, const char *value, struct error *err)
{
    if (list->count == FLAG_LIST_MAX)
        return error_set(err, ERROR_LIMIT, "--%s: more than %d of them", flag->name, FLAG_LIST_MAX);
    list->items[list->count++] = value;
    return true;
}

static bool set_switch(const struct flag *flag, bool *out, const char *value, struct error *err)
{
    bool yes = !value || strcmp(value, "true") == 0;
    if (value && !yes && strcmp(value, "false") != 0)
        return error_set(err, ERROR_INVALID, "--%s: true or false, not \"%s\"", flag->name, value);
    *out = yes;
    return true;
}

static bool set_number(const struct flag *flag, int64_t *out, const char *value, struct error *err)
{
    int64_t min = flag->type == FLAG_COUNT ? 1 : flag->type == FLAG_INDEX ? 0 : INT64_MIN;
    int64_t max = flag->type == FLAG_NUMBER ? INT64_MAX : INT32_MAX, number;
    if (!bytes_to_i64(bytes_of_string(value), &number))
        return error_set(err, ERROR_INVALID, "--%s: \"%s\" is not a number", flag->name, value);
    if (number < min || number > max)
        return error_set(err, ERROR_INVALID, "--%s: %" PRId64 " to %" PRId64 ", not %s", flag->name, min, max, value);
    *out = number;
    return true;
}

static bool set(const struct flag *flag, void *options, const char *value, struct error *err)
{
    void *out = (char *)options + flag->at;
    switch (flag->type) {
    case FLAG_CHOICE:
        if (!is_choice(flag, value))
            return error_set(err, ERROR_INVALID, "--%s: one of %s, not \"%s\"", flag->name, flag->value, value);
        *(const char **)out = value;
        return true;
    case FLAG_TEXT:
        if (flag->check && !flag->check(value, err))
            return error_wrap(err, "--%s", flag->name);
        *(const char **)out = value;
        return true;
    case FLAG_NUMBER:
    case FLAG_COUNT:
    case FLAG_INDEX:
        return set_number(flag, out, value, err);
    case FLAG_LIST:
        return add(flag, out, value, err);
    case FLAG_SWITCH:
        return set_switch(flag, out, value, err);
    }
    return false;
}

/* Takes the flag at argv[*at], and its value behind it if it has one. */
static bool take_flag(const struct flags *flags, int argc, char **argv, int *at, void *options, struct error *err)
{
    const char *text = argv[*at] + (argv[*at][1] == '-' ? 2 : 1);
    const char *equals = strchr(text, '=');
    struct bytes name = bytes_of(text, equals ? (size_t)(equals - text) : strlen(text));
    const struct flag *flag = find(flags, name);
    if (!flag)
        return error_set(err, ERROR_INVALID, "unknown flag: %s", argv[*at]);
    const char *value = equals ? equals + 1 : NULL;
    if (flag->type == FLAG_SWITCH)
        return set(flag, options, value, err);
    if (!value && ++*at < argc)
        value = argv[*at];
    if (!value)
        return error_set(err, ERROR_INVALID, "flag needs a value: --%s %s", flag->name, flag->value);
    return set(flag, options, value, err);
}

/* --- Arguments --- */

/* "TOPIC [VALUE]" is 1 to 2, "GROUP..." is 1 to as many as there may be. */
static void count_arguments(const char *text, size_t *min, size_t *max)
{
    struct bytes rest = bytes_of_string(text), word;
    *min = *max = 0;
    while (bytes_split(&rest, ' ', &word)) {
        ++*max;
        *min += word.size > 0 && word.data[0] != '[';
        if (bytes_ends_with(word, BYTES_LITERAL("...")) || bytes_ends_with(word, BYTES_LITERAL("...]")))
            *max = ARGUMENTS_MAX;
    }
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static bool take_argument(const char *argument, size_t max, struct arguments *arguments, struct error *err)
{
    if (arguments->count == max)
        return error_set(err, ERROR_INVALID, "unexpected argument: %s", argument);
    arguments->items[arguments->count++] = argument;
    return true;
}

enum flags_result flags_parse(const struct flags *flags, int argc, char **argv, void *options,
                              struct arguments *arguments, struct error *err)
{
    bool flags_ended = false, ok = true;
    size_t min, max;
    count_arguments(flags->arguments, &min, &max);
    arguments->count = 0;
    for (int i = 0; i < argc && ok; i++) {
        if (!flags_ended && strcmp(argv[i], "--") == 0)
            flags_ended = true;
        else if (!flags_ended && is_help(argv[i]))
            return FLAGS_HELP;
        else if (!flags_ended && argv[i][0] == '-' && argv[i][1])
            ok = take_flag(flags, argc, argv, &i, options, err);
        else
            ok = take_argument(argv[i], max, arguments, err);
    }
    if (ok && arguments->count < min)
        ok = error_set(err, ERROR_INVALID, "what is missing: %s", flags->arguments);
    return ok ? FLAGS_OK : FLAGS_WRONG;
}

bool flags_split_pair(const char *flag, const char *text, struct bytes *name, struct bytes *value, struct error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return error_set(err, ERROR_INVALID, "--%s: NAME=VALUE, not \"%s\"", flag, text);
    *name = bytes_of(text, (size_t)(equals - text));
    *value = bytes_of_string(equals + 1);
    return true;
}

/* --- Help --- */

enum { HELP_COLUMN = 34 };

void flags_print_help(const struct flags *flags, FILE *out)
{
    fprintf(out, "\nFlags:\n");
    flags_each(flag, flags)
    {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", flag->letter ? '-' : ' ', flag->letter ? flag->letter : ' ',
                 flag->letter ? "," : " ", flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
        if (strlen(left) > HELP_COLUMN) /* the text goes below */
            fprintf(out, "  %s\n%*s", left, HELP_COLUMN + 3, "");
        else
            fprintf(out, "  %-*s ", HELP_COLUMN, left);
        fprintf(out, "%s%s\n", flag->help, flag->type == FLAG_LIST ? "; may be given again" : "");
    }
    fprintf(out, "  %-*s %s\n", HELP_COLUMN, "-h, --help", "this text");
}
