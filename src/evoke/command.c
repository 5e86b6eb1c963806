/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool command_parse(const struct command_line *line, int argc, char **argv, const char **arguments,
                   size_t *argument_count, int *exit_code)
{
    struct error err;
    switch (flags_parse(line, argc, argv, arguments, argument_count, &err)) {
    case FLAGS_OK:
        return true;
    case FLAGS_HELP:
        flags_print_help(line, stdout);
        *exit_code = 0;
        return false;
    case FLAGS_WRONG:
        fprintf(stderr, "evoke: %s\n", err.message);
        *exit_code = 2;
        return false;
    }
    return false;
}

int command_fail(const struct error *err)
{
    fprintf(stderr, "evoke: %s\n", err->message);
    return 1;
}

const char *command_default_data(void)
{
    static char path[4096];
    const char *data = getenv("EVOKE_DATA"), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0])
        return data;
    if (geteuid() == 0)
        return "/var/lib/evoke";
    if (xdg && xdg[0])
        snprintf(path, sizeof path, "%s/evoke", xdg);
    else
        snprintf(path, sizeof path, "%s/.local/share/evoke", home && home[0] ? home : ".");
    return path;
}
