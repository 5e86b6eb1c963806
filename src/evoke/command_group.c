/* SPDX-License-Identifier: Apache-2.0 */
/* evoke group list|describe */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "evoke/kafka_client.h"
#include "evoke/subcommand.h"
#include "wire/kafka_error.h"

static int group_list_command(int argc, char **argv)
{
    const char *brokers = NULL;
    const struct flag flags[] = {KAFKA_CLIENT_FLAG(&brokers), {0}};
    const struct command_line line = {
        .usage = "evoke group list [flags]", .about = "Lists the consumer groups; a Trigger is one.", .flags = flags};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, NULL, &count, &exit_code))
        return exit_code;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_list_groups_response *response = NULL;
    struct kafka_client *client = kafka_client_open(brokers, &err);
    if (client)
        response =
            kafka_client_call(client, KAFKA_LIST_GROUPS, 4, KAFKA_NEW(&arena, kafka_list_groups_request), &arena, &err);
    if (response && response->error_code != KAFKA_NONE) {
        kafka_client_error(&err, response->error_code, BYTES_NULL, "listing groups");
        response = NULL;
    }
    if (response)
        printf("%-50s %-12s %s\n", "GROUP", "STATE", "TYPE");
    for (size_t i = 0; response && i < response->groups_count; i++)
        printf("%-50.*s %-12.*s %.*s\n", BYTES_ARGS(response->groups[i].group_id),
               BYTES_ARGS(response->groups[i].group_state), BYTES_ARGS(response->groups[i].protocol_type));
    kafka_client_close(client);
    return response ? 0 : command_fail(&err);
}

static const struct kafka_describe_groups_response_group *describe_group(struct kafka_client *client, struct bytes name,
                                                                         struct arena *arena, struct error *err)
{
    struct kafka_describe_groups_request *request = KAFKA_NEW(arena, kafka_describe_groups_request);
    request->groups = &name;
    request->groups_count = 1;
    const struct kafka_describe_groups_response *response =
        kafka_client_call(client, KAFKA_DESCRIBE_GROUPS, 4, request, arena, err);
    if (!response)
        return NULL;
    if (response->groups_count == 1 && response->groups->error_code == KAFKA_NONE)
        return response->groups;
    kafka_client_error(err, response->groups_count == 1 ? response->groups->error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                       BYTES_NULL, "group " BYTES_FORMAT, BYTES_ARGS(name));
    return NULL;
}

/* All committed offsets of the group. */
static const struct kafka_offset_fetch_response *fetch_offsets(struct kafka_client *client, struct bytes name,
                                                               struct arena *arena, struct error *err)
{
    struct kafka_offset_fetch_request *request = KAFKA_NEW(arena, kafka_offset_fetch_request);
    request->group_id = name;
    request->topics = NULL;
    return kafka_client_call(client, KAFKA_OFFSET_FETCH, 5, request, arena, err);
}

static bool print_offsets(struct kafka_client *client, const struct kafka_offset_fetch_response *offsets,
                          struct error *err)
{
    printf("%-36s %9s %14s %14s %10s\n", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG");
    for (size_t i = 0; i < offsets->topics_count; i++) {
        const struct kafka_offset_fetch_response_topic *topic = &offsets->topics[i];
        for (size_t j = 0; j < topic->partitions_count; j++) {
            int64_t committed = topic->partitions[j].committed_offset;
            int32_t index = topic->partitions[j].partition_index;
            int64_t end;
            if (!kafka_client_offset(client, topic->name, index, KAFKA_CLIENT_LATEST, &end, err))
                return false;
            printf("%-36.*s %9d %14" PRId64 " %14" PRId64 " %10" PRId64 "\n", BYTES_ARGS(topic->name), index, committed,
                   end, end >= committed ? end - committed : 0);
        }
    }
    return true;
}

static bool describe(struct kafka_client *client, const char *name, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_describe_groups_response_group *group =
        describe_group(client, bytes_of_string(name), &arena, err);
    const struct kafka_offset_fetch_response *offsets =
        group ? fetch_offsets(client, bytes_of_string(name), &arena, err) : NULL;
    if (!offsets)
        return false;
    if (bytes_equal_string(group->group_state, "Dead") && offsets->topics_count == 0)
        return error_set(err, ERROR_NOT_FOUND, "no such group: %s", name);
    printf("Group:    %s\nState:    " BYTES_FORMAT "\nMembers:  %zu\n", name, BYTES_ARGS(group->group_state),
           group->members_count);
    for (size_t i = 0; i < group->members_count; i++)
        printf("          " BYTES_FORMAT " " BYTES_FORMAT " " BYTES_FORMAT "\n",
               BYTES_ARGS(group->members[i].member_id), BYTES_ARGS(group->members[i].client_id),
               BYTES_ARGS(group->members[i].client_host));
    putchar('\n');
    return print_offsets(client, offsets, err);
}

static int group_describe_command(int argc, char **argv)
{
    const char *brokers = NULL, *name;
    const struct flag flags[] = {KAFKA_CLIENT_FLAG(&brokers), {0}};
    const struct command_line line = {.usage = "evoke group describe [flags] GROUP",
                                      .about = "Shows a group's members, committed offsets and lag.",
                                      .flags = flags,
                                      .arguments_min = 1,
                                      .arguments_max = 1};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, &name, &count, &exit_code))
        return exit_code;
    struct kafka_client *client = kafka_client_open(brokers, &err);
    bool ok = client && describe(client, name, &err);
    kafka_client_close(client);
    return ok ? 0 : command_fail(&err);
}

int command_group(int argc, char **argv)
{
    static const struct command commands[] = {
        {"list", "List the groups", group_list_command},
        {"describe", "Show members, committed offsets and lag", group_describe_command},
        {0},
    };
    return subcommand_run("group", "Works with consumer groups.", commands, argc, argv);
}
