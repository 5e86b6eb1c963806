/* SPDX-License-Identifier: Apache-2.0 */
/* evoke group list|delete; describe and reset have files of their own. */
#include <stdio.h>

#include "evoke/command_group.h"
#include "evoke/command_names.h"
#include "evoke/listing.h"
#include "wire/kafka_error.h"

struct options {
    struct kafka_client_options client;
    const char *output;
};

/* --- list --- */

static struct json *list_groups(const struct options *options, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_client *client = kafka_client_open(&options->client, err);
    const struct kafka_list_groups_response *response = NULL;
    if (client)
        response =
            kafka_client_call(client, KAFKA_LIST_GROUPS, 4, KAFKA_NEW(&arena, kafka_list_groups_request), &arena, err);
    kafka_client_close(client);
    if (response && response->error_code != KAFKA_NONE)
        kafka_client_error(err, response->error_code, BYTES_NULL, "listing groups");
    if (!response || response->error_code != KAFKA_NONE)
        return NULL;
    struct json *rows = json_new_array();
    for (size_t i = 0; i < response->groups_count; i++) {
        struct json *row = json_new_object();
        json_set(row, "name", json_new_string(response->groups[i].group_id));
        json_set(row, "state", json_new_string(response->groups[i].group_state));
        json_set(row, "protocol", json_new_string(response->groups[i].protocol_type));
        json_append(rows, row);
    }
    return rows;
}

static int list(const struct command *self, int argc, char **argv)
{
    static const struct listing_column columns[] = {
        {"name", "GROUP"}, {"state", "STATE"}, {"protocol", "PROTOCOL"}, {0}};
    struct options options = {0};
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, NULL, &exit_code))
        return exit_code;
    AUTO_JSON *rows = list_groups(&options, &err);
    if (!rows)
        return command_fail(&err);
    listing_print(rows, columns, options.output);
    return EXIT_DONE;
}

static const struct flag list_flags[] = {LISTING_FLAG(offsetof(struct options, output)), {0}};

static const struct command group_list_command = {
    .name = "list",
    .about = "List the groups; a Trigger is one",
    .flags = {.tables = {list_flags, kafka_client_flags}},
    .examples = "  evoke group list\n",
    .run = list,
};

/* --- delete --- */

static bool delete_group(struct kafka_client *client, const char *name, bool lenient, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct bytes group = bytes_of_string(name);
    if (!kafka_client_await_coordinator(client, group, err))
        return false;
    struct kafka_delete_groups_request *request = KAFKA_NEW(&arena, kafka_delete_groups_request);
    request->group_ids = &group;
    request->group_ids_count = 1;
    const struct kafka_delete_groups_response *response =
        kafka_client_call(client, KAFKA_DELETE_GROUPS, 1, request, &arena, err);
    if (!response)
        return false;
    int16_t code = response->results_count == 1 ? response->results->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    if (code != KAFKA_NONE && !(lenient && code == KAFKA_GROUP_ID_NOT_FOUND))
        return kafka_client_error(err, code, BYTES_NULL, "group %s", name);
    printf("group %s %s\n", name, code == KAFKA_NONE ? "deleted" : "is not there");
    return true;
}

static int delete_groups(const struct command *self, int argc, char **argv)
{
    return names_delete(self, argc, argv, delete_group);
}

static const struct command group_delete_command = {
    .name = "delete",
    .about = "Delete groups and the offsets they have committed",
    .flags = {.tables = {names_delete_flags, kafka_client_flags}, .arguments = "GROUP..."},
    .details = "A group with members is not deleted.",
    .examples = "  evoke group delete reports\n",
    .run = delete_groups,
};

static const struct command *const children[] = {&group_list_command, &group_describe_command, &group_reset_command,
                                                 &group_delete_command, NULL};
const struct command command_group = {
    .name = "group", .about = "List, describe, reset and delete consumer groups", .children = children};
