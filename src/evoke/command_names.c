/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/command_names.h"

#include <stdio.h>

#include "evoke/listing.h"

struct options {
    struct kafka_client_options client;
    const char *output;
    bool lenient;
};

const struct flag names_describe_flags[] = {LISTING_DESCRIBE_FLAG(offsetof(struct options, output)), {0}};

const struct flag names_delete_flags[] = {
    {"if-exists", NULL, "fine if it is not there", offsetof(struct options, lenient), 0, FLAG_SWITCH},
    {0},
};

int names_describe(const struct command *self, int argc, char **argv, names_describe_one *describe,
                   void (*print)(const struct json *described))
{
    struct options options = {0};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    struct kafka_client *client = kafka_client_open(&options.client, &err);
    AUTO_JSON *described = json_new_array();
    bool ok = client;
    for (size_t i = 0; ok && i < arguments.count; i++)
        ok = json_append(described, describe(client, arguments.items[i], &err));
    kafka_client_close(client);
    if (!ok)
        return command_fail(&err);
    if (listing_is_json(options.output))
        listing_print_json(described, stdout);
    json_array_each (i, one, listing_is_json(options.output) ? NULL : described) {
        if (i > 0)
            putchar('\n');
        print(one);
    }
    return EXIT_DONE;
}

int names_delete(const struct command *self, int argc, char **argv, names_delete_one *delete_one)
{
    struct options options = {0};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    struct kafka_client *client = kafka_client_open(&options.client, &err);
    bool ok = client;
    for (size_t i = 0; ok && i < arguments.count; i++)
        ok = delete_one(client, arguments.items[i], options.lenient, &err);
    kafka_client_close(client);
    return ok ? EXIT_DONE : command_fail(&err);
}
