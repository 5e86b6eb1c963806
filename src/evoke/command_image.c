/* SPDX-License-Identifier: Apache-2.0 */
/* evoke image import|list: container images from files, also while a daemon runs on the same data directory. */
#include <stdio.h>

#include "base/text.h"
#include "evoke/subcommand.h"
#include "node/image.h"

struct imported {
    size_t count;
};

static void print_imported(void *ctx, const struct image *image)
{
    struct imported *imported = ctx;
    imported->count++;
    printf("imported %s %s\n", image->name, image->id);
}

static int image_import_command(int argc, char **argv)
{
    const char *data = NULL, *file;
    struct image_import_options options = {0};
    const struct flag flags[] = {
        {"data", 0, FLAG_TEXT, &data, "DIR", "the data directory of the daemon"},
        {"name", 0, FLAG_TEXT, &options.name, "NAME[:TAG]", "instead of the name in the archive"},
        {0},
    };
    const struct command_line line = {
        .usage = "evoke image import [flags] FILE",
        .about = "Imports images from what \"docker save\" writes, or from an OCI layout (a tar or a directory).\n"
                 "A daemon may be running on the data directory; it sees the image at once.",
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 1,
    };
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, &file, &count, &exit_code))
        return exit_code;
    struct imported imported = {0};
    if (!image_import(data ? data : command_default_data(), file, &options, print_imported, &imported, &err))
        return command_fail(&err);
    return 0;
}

static void print_image(void *ctx, const struct image *image)
{
    (void)ctx;
    char created[TEXT_TIME_SIZE];
    text_format_time_s(image->created_s, created);
    printf("%-50s %.19s %12llu %s\n", image->name, image->id, (unsigned long long)image->size, created);
}

static int image_list_command(int argc, char **argv)
{
    const char *data = NULL;
    const struct flag flags[] = {{"data", 0, FLAG_TEXT, &data, "DIR", "the data directory of the daemon"}, {0}};
    const struct command_line line = {
        .usage = "evoke image list [flags]", .about = "Lists the images of a data directory.", .flags = flags};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, NULL, &count, &exit_code))
        return exit_code;
    printf("%-50s %-19s %12s %s\n", "NAME", "ID", "SIZE", "IMPORTED");
    if (!image_list(data ? data : command_default_data(), print_image, NULL, &err))
        return command_fail(&err);
    return 0;
}

int command_image(int argc, char **argv)
{
    static const struct command commands[] = {
        {"import", "Import images from a file", image_import_command},
        {"list", "List the images", image_list_command},
        {0},
    };
    return subcommand_run("image", "Works with container images.", commands, argc, argv);
}
