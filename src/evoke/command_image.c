/* SPDX-License-Identifier: Apache-2.0 */
/* evoke image import|list: container images from files, also while a daemon runs on the same data directory. */
#include <stdio.h>

#include "base/text.h"
#include "evoke/command.h"
#include "evoke/config.h"
#include "evoke/listing.h"
#include "node/image.h"

struct options {
    const char *data, *output;
    struct image_import_options import;
};

#define DATA_FLAG                                                                                                      \
    {                                                                                                                  \
        "data", "DIR", "the data directory (default: as of \"serve\")", offsetof(struct options, data), 0, FLAG_TEXT   \
    }

static const char *data_of(const struct options *options)
{
    return options->data ? options->data : config_default_data();
}

/* --- import --- */

static void print_imported(void *ctx, const struct image *image)
{
    (void)ctx;
    printf("imported %s %s\n", image->name, image->id);
}

static int import(const struct command *self, int argc, char **argv)
{
    struct options options = {0};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    if (!image_import(data_of(&options), arguments.items[0], &options.import, print_imported, NULL, &err))
        return command_fail(&err);
    return EXIT_DONE;
}

static const struct flag import_flags[] = {
    DATA_FLAG,
    {"name", "NAME[:TAG]", "instead of the name in the archive", offsetof(struct options, import.name), 0, FLAG_TEXT},
    {0},
};

static const struct command image_import_command = {
    .name = "import",
    .about = "Import images from a file",
    .flags = {.tables = {import_flags}, .arguments = "FILE"},
    .details = "FILE is what \"docker save\" writes, or an OCI layout (a tar or a directory). A daemon may be running "
               "on the data\n"
               "directory; it sees the image at once.",
    .examples = "  docker save billing:1 > billing.tar && evoke image import billing.tar\n"
                "  evoke image import layout/ --name billing:2 --data /srv/evoke\n",
    .run = import,
};

/* --- list --- */

static void add_image(void *ctx, const struct image *image)
{
    struct json *rows = ctx, *row = json_new_object();
    char created[TEXT_TIME_SIZE];
    text_format_time_s(image->created_s, created);
    json_set(row, "name", json_new_text(image->name));
    json_set(row, "id", json_new_text(image->id));
    json_set(row, "size", json_new_int((int64_t)image->size));
    json_set(row, "imported", json_new_text(created));
    json_append(rows, row);
}

static int list(const struct command *self, int argc, char **argv)
{
    static const struct listing_column columns[] = {
        {"name", "NAME"}, {"id", "ID"}, {"size", "SIZE"}, {"imported", "IMPORTED"}, {0}};
    struct options options = {0};
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, NULL, &exit_code))
        return exit_code;
    AUTO_JSON *rows = json_new_array();
    if (!image_list(data_of(&options), add_image, rows, &err))
        return command_fail(&err);
    listing_print(rows, columns, options.output);
    return EXIT_DONE;
}

static const struct flag list_flags[] = {DATA_FLAG, LISTING_FLAG(offsetof(struct options, output)), {0}};

static const struct command image_list_command = {
    .name = "list",
    .about = "List the images of a data directory",
    .flags = {.tables = {list_flags}},
    .examples = "  evoke image list -o json\n",
    .run = list,
};

static const struct command *const children[] = {&image_import_command, &image_list_command, NULL};
const struct command command_image = {
    .name = "image", .about = "Import and list container images", .children = children};
