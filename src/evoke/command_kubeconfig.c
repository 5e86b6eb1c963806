/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/buf.h"
#include "evoke/command.h"
#include "io/file.h"

int command_kubeconfig(int argc, char **argv)
{
    const char *data = NULL;
    const struct flag flags[] = {{"data", 0, FLAG_TEXT, &data, "DIR", "the data directory of the daemon"}, {0}};
    const struct command_line line = {
        .usage = "evoke kubeconfig [flags]",
        .about = "Prints the admin's kubeconfig of a data directory: evoke kubeconfig > ~/.kube/config",
        .flags = flags,
    };
    size_t count;
    int exit_code;
    if (!command_parse(&line, argc, argv, NULL, &count, &exit_code))
        return exit_code;
    struct error err;
    struct io *io = io_linux_new(&err);
    if (!io)
        return command_fail(&err);
    char path[4096];
    snprintf(path, sizeof path, "%s/kubeconfig", data ? data : command_default_data());
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    bool ok = io_path_read(io, path, &text, &err);
    io_free(io);
    if (!ok) {
        error_wrap(&err, "no kubeconfig yet; \"evoke serve\" makes it at its first start");
        return command_fail(&err);
    }
    fwrite(text.data, 1, text.size, stdout);
    return 0;
}
