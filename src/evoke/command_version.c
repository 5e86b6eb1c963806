/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "evoke/command.h"

static int run(const struct command *self, int argc, char **argv)
{
    int exit_code;
    if (!command_parse(self, argc, argv, NULL, NULL, &exit_code))
        return exit_code;
    printf("evoke %s\n", EVOKE_VERSION);
    return EXIT_DONE;
}

const struct command command_version = {.name = "version", .about = "Print the version", .run = run};
