/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/buf.h"
#include "evoke/command.h"
#include "evoke/config.h"
#include "io/file.h"

struct options {
    const char *data;
};

static bool read_kubeconfig(const char *directory, struct buf *out, struct error *err)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/kubeconfig", directory) >= sizeof path)
        return error_set(err, ERROR_LIMIT, "--data: the path is too long");
    struct io *io = io_linux_new(err);
    bool ok = io && io_path_read(io, path, out, err);
    io_free(io);
    if (!ok && err->kind == ERROR_NOT_FOUND)
        error_wrap(err, "no kubeconfig yet; \"evoke serve --data %s\" makes it at its first start", directory);
    return ok;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct options options = {0};
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, NULL, &exit_code))
        return exit_code;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    if (!read_kubeconfig(options.data ? options.data : config_default_data(), &text, &err))
        return command_fail(&err);
    fwrite(text.data, 1, text.size, stdout);
    return EXIT_DONE;
}

static const struct flag flags[] = {
    {"data", "DIR", "the data directory (default: as of \"serve\")", offsetof(struct options, data), 0, FLAG_TEXT},
    {0},
};

const struct command command_kubeconfig = {
    .name = "kubeconfig",
    .about = "Print the kubeconfig of a data directory",
    .flags = {.tables = {flags}},
    .details = "It holds the address of the API door and the admin's certificate and key: keep it private. It is also "
               "the file\n"
               "DIR/kubeconfig.",
    .examples = "  evoke kubeconfig > ~/.kube/config\n"
                "  kubectl --kubeconfig <(evoke kubeconfig --data /srv/evoke) get pods\n",
    .run = run,
};
