/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "evoke/command.h"

int command_version(int argc, char **argv)
{
    static const struct command_line line = {.usage = "evoke version", .about = "Prints the version."};
    size_t count;
    int exit_code;
    if (!command_parse(&line, argc, argv, NULL, &count, &exit_code))
        return exit_code;
    printf("evoke %s\n", EVOKE_VERSION);
    return 0;
}
