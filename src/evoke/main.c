/* SPDX-License-Identifier: Apache-2.0 */
/* The commands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "evoke/command.h"

static const struct command *const children[] = {&command_serve,
                                                 &command_up,
                                                 &command_down,
                                                 &command_publish,
                                                 &command_consume,
                                                 &command_topic,
                                                 &command_group,
                                                 &command_image,
                                                 &command_kubeconfig,
                                                 &command_check,
                                                 &command_completion,
                                                 &command_version,
                                                 NULL};

const struct command command_root = {
    .name = "evoke",
    .about =
        "evoke: events evoke services. An event log that speaks Kafka and an orchestrator that speaks Kubernetes, in\n"
        "one program",
    .children = children,
    .examples = "  evoke up examples/shop --data /tmp/shop        # run it all, and watch\n"
                "  evoke publish orders --key 17 '{\"item\": 1}'    # talk to it\n",
};

static int run(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return command_run(&command_version, 0, NULL);
    return command_run(&command_root, argc - 1, argv + 1);
}

/* What could not be written is not done. */
int main(int argc, char **argv)
{
    int code = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (code == EXIT_DONE)
        fprintf(stderr, "evoke: write standard output: %s\n", strerror(errno));
    return code == EXIT_DONE ? EXIT_FAILED : code;
}
