/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "evoke/completion.h"

static int run(const struct command *self, int argc, char **argv)
{
    static const struct {
        const char *shell;
        void (*print)(const struct command *root, FILE *out);
    } shells[] = {{"bash", completion_print_bash}, {"zsh", completion_print_zsh}, {"fish", completion_print_fish}};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, NULL, &arguments, &exit_code))
        return exit_code;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
        if (strcmp(arguments.items[0], shells[i].shell) == 0) {
            shells[i].print(&command_root, stdout);
            return EXIT_DONE;
        }
    error_set(&err, ERROR_INVALID, "completion for bash, zsh or fish, not for \"%s\"", arguments.items[0]);
    return command_fail_usage(&err);
}

const struct command command_completion = {
    .name = "completion",
    .about = "Print the completion script of a shell",
    .flags = {.arguments = "bash|zsh|fish"},
    .details = "\"make install\" puts these scripts where the shells look for them.",
    .examples = "  source <(evoke completion bash)\n"
                "  evoke completion zsh > \"${fpath[1]}/_evoke\"\n"
                "  evoke completion fish > ~/.config/fish/completions/evoke.fish\n",
    .run = run,
};
