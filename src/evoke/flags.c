/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/flags.h"

#include <string.h>

#include "base/bytes.h"

static const struct flag *find(const struct command_line *line, struct bytes name)
{
    for (const struct flag *flag = line->flags; flag && flag->name; flag++)
        if (bytes_equal_string(name, flag->name) ||
            (name.size == 1 && flag->letter && (char)name.data[0] == flag->letter))
            return flag;
    return NULL;
}

static bool set(const struct flag *flag, const char *value, struct error *err)
{
    switch (flag->type) {
    case FLAG_TEXT:
        *(const char **)flag->out = value;
        return true;
    case FLAG_NUMBER:
        return bytes_to_i64(bytes_of_string(value), flag->out) ||
               error_set(err, ERROR_INVALID, "--%s: \"%s\" is not a number", flag->name, value);
    case FLAG_LIST: {
        struct flag_list *list = flag->out;
        if (list->count == FLAG_LIST_MAX)
            return error_set(err, ERROR_LIMIT, "--%s: more than %d of them", flag->name, FLAG_LIST_MAX);
        list->items[list->count++] = value;
        return true;
    }
    case FLAG_SWITCH:
        break;
    }
    return false;
}

static bool set_switch(const struct flag *flag, const char *value, struct error *err)
{
    bool yes = !value || strcmp(value, "true") == 0;
    if (value && !yes && strcmp(value, "false") != 0)
        return error_set(err, ERROR_INVALID, "--%s: true or false, not \"%s\"", flag->name, value);
    *(bool *)flag->out = yes;
    return true;
}

/* Takes the flag at argv[*at], and its value behind it if it has one. */
static bool take_flag(const struct command_line *line, int argc, char **argv, int *at, struct error *err)
{
    const char *text = argv[*at] + (argv[*at][1] == '-' ? 2 : 1);
    const char *equals = strchr(text, '=');
    struct bytes name = bytes_of(text, equals ? (size_t)(equals - text) : strlen(text));
    const struct flag *flag = find(line, name);
    if (!flag)
        return error_set(err, ERROR_INVALID, "unknown flag: %s", argv[*at]);
    const char *value = equals ? equals + 1 : NULL;
    if (flag->type == FLAG_SWITCH)
        return set_switch(flag, value, err);
    if (!value && ++*at < argc)
        value = argv[*at];
    if (!value)
        return error_set(err, ERROR_INVALID, "flag needs a value: --%s %s", flag->name, flag->value);
    return set(flag, value, err);
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

enum flags_result flags_parse(const struct command_line *line, int argc, char **argv, const char **arguments,
                              size_t *argument_count, struct error *err)
{
    bool flags_ended = false;
    *argument_count = 0;
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        if (!flags_ended && strcmp(argument, "--") == 0) {
            flags_ended = true;
        } else if (!flags_ended && is_help(argument)) {
            return FLAGS_HELP;
        } else if (!flags_ended && argument[0] == '-' && argument[1]) {
            if (!take_flag(line, argc, argv, &i, err))
                return FLAGS_WRONG;
        } else if (*argument_count == line->arguments_max) {
            error_set(err, ERROR_INVALID, "unexpected argument: %s", argument);
            return FLAGS_WRONG;
        } else {
            arguments[(*argument_count)++] = argument;
        }
    }
    if (*argument_count < line->arguments_min) {
        error_set(err, ERROR_INVALID, "usage: %s", line->usage);
        return FLAGS_WRONG;
    }
    return FLAGS_OK;
}

void flags_print_help(const struct command_line *line, FILE *out)
{
    fprintf(out, "%s\n\nUsage:\n  %s\n", line->about, line->usage);
    if (!line->flags || !line->flags->name)
        return;
    fprintf(out, "\nFlags:\n");
    for (const struct flag *flag = line->flags; flag->name; flag++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", flag->letter ? '-' : ' ', flag->letter ? flag->letter : ' ',
                 flag->letter ? "," : " ", flag->name, flag->type == FLAG_SWITCH ? "" : " ",
                 flag->type == FLAG_SWITCH ? "" : flag->value);
        fprintf(out, "  %-34s %s\n", left, flag->help);
    }
}
