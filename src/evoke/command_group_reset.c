/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evoke group reset: sets where a group goes on, as kafka-consumer-groups --reset-offsets does, with the names of its
 * flags: without --execute it only says what it would do, and an offset outside the log becomes the nearest one in it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"
#include "evoke/command_group.h"
#include "evoke/listing.h"
#include "wire/kafka_error.h"

enum { SHIFT_NONE = INT32_MIN, ROWS_MAX = 100000 };

struct options {
    struct kafka_client_options client;
    struct flag_list topics;
    bool all_topics, to_earliest, to_latest, to_current, execute, dry_run;
    int64_t to_offset, shift_by;
    const char *to_datetime, *by_duration, *output;

    int64_t time_ms; /* of --to-datetime and --by-duration */
};

struct reset {
    const struct options *options;
    struct kafka_client *client;
    const char *group;
    const struct kafka_offset_fetch_response *committed;
    struct json *rows;
};

/* --- What the user asks for --- */

static bool parse_time(struct options *options, struct error *err)
{
    struct timespec now;
    int64_t value;
    if (options->to_datetime && !text_parse_time_ns(bytes_of_string(options->to_datetime), &value))
        return error_set(err, ERROR_INVALID, "--to-datetime: a time such as 2026-11-21T09:00:00Z, not \"%s\"",
                         options->to_datetime);
    if (options->to_datetime)
        options->time_ms = value / 1000000;
    if (options->by_duration && !text_parse_duration_iso8601_ms(bytes_of_string(options->by_duration), &value))
        return error_set(err, ERROR_INVALID, "--by-duration: a duration such as PT1H30M or P2D, not \"%s\"",
                         options->by_duration);
    clock_gettime(CLOCK_REALTIME, &now);
    if (options->by_duration)
        options->time_ms = (int64_t)now.tv_sec * 1000 - value;
    return true;
}

static bool check(struct options *options, struct error *err)
{
    int ways = options->to_earliest + options->to_latest + options->to_current + (options->to_offset >= 0) +
               (options->shift_by != SHIFT_NONE) + !!options->to_datetime + !!options->by_duration;
    if (ways != 1)
        return error_set(err, ERROR_INVALID,
                         "where to? One of --to-earliest, --to-latest, --to-current, --to-offset, --to-datetime, "
                         "--by-duration, --shift-by");
    if (options->all_topics == (options->topics.count > 0))
        return error_set(err, ERROR_INVALID, "of which topics? --topic TOPIC[:PARTITION,...], or --all-topics");
    if (options->execute && options->dry_run)
        return error_set(err, ERROR_INVALID, "--execute or --dry-run, not both");
    return parse_time(options, err);
}

/* --- Where a partition goes --- */

static int64_t committed_of(const struct reset *reset, struct bytes topic, int32_t partition)
{
    for (size_t i = 0; i < reset->committed->topics_count; i++) {
        const struct kafka_offset_fetch_response_topic *at = &reset->committed->topics[i];
        for (size_t p = 0; p < at->partitions_count && bytes_equal(at->name, topic); p++)
            if (at->partitions[p].partition_index == partition)
                return at->partitions[p].committed_offset;
    }
    return -1;
}

static bool find_target(const struct reset *reset, struct bytes topic, int32_t partition, int64_t committed,
                        int64_t end, int64_t *out, struct error *err)
{
    const struct options *options = reset->options;
    if (options->to_offset >= 0)
        *out = options->to_offset;
    else if (options->to_latest)
        *out = end;
    else if (options->to_earliest)
        *out = 0;
    else if (options->to_current)
        *out = committed >= 0 ? committed : end;
    else if (options->shift_by != SHIFT_NONE && committed < 0)
        return error_set(err, ERROR_INVALID, "--shift-by: the group has committed nothing in " BYTES_FORMAT ":%d",
                         BYTES_ARGS(topic), partition);
    else if (options->shift_by != SHIFT_NONE)
        *out = committed + options->shift_by;
    else if (!kafka_client_offset(reset->client, topic, partition, options->time_ms, out, err))
        return false;
    else if (*out < 0)
        *out = end; /* nothing is that young */
    return true;
}

static bool add_partition(struct reset *reset, struct bytes topic, int32_t partition, struct error *err)
{
    int64_t start, end, target, committed = committed_of(reset, topic, partition);
    if (!kafka_client_offset(reset->client, topic, partition, KAFKA_CLIENT_EARLIEST, &start, err) ||
        !kafka_client_offset(reset->client, topic, partition, KAFKA_CLIENT_LATEST, &end, err) ||
        !find_target(reset, topic, partition, committed, end, &target, err))
        return false;
    if (json_size(reset->rows) == ROWS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d partitions at once", ROWS_MAX);
    struct json *row = json_new_object();
    json_set(row, "topic", json_new_string(topic));
    json_set(row, "partition", json_new_int(partition));
    json_set(row, "committed", committed >= 0 ? json_new_int(committed) : json_new_null());
    json_set(row, "new", json_new_int(target < start ? start : target > end ? end : target));
    json_append(reset->rows, row);
    return true;
}

/* "orders", or "orders:0,2". Topic names have no colon. */
static bool add_topic(struct reset *reset, const char *text, struct error *err)
{
    struct bytes rest = bytes_of_string(text), name, index;
    int32_t count;
    int64_t partition;
    bytes_split(&rest, ':', &name);
    AUTO_FREE(char) topic = memory_string(name);
    if (!kafka_client_partitions(reset->client, topic, false, &count, err))
        return false;
    for (int32_t i = 0; !rest.data && i < count; i++)
        if (!add_partition(reset, name, i, err))
            return false;
    while (bytes_split(&rest, ',', &index)) {
        if (!bytes_to_i64(index, &partition) || partition < 0 || partition >= count)
            return error_set(err, ERROR_NOT_FOUND, "--topic %s: %s has the partitions 0 to %d", text, topic, count - 1);
        if (!add_partition(reset, name, (int32_t)partition, err))
            return false;
    }
    return true;
}

static bool add_all(struct reset *reset, struct error *err)
{
    for (size_t i = 0; i < reset->committed->topics_count; i++)
        for (size_t p = 0; p < reset->committed->topics[i].partitions_count; p++)
            if (!add_partition(reset, reset->committed->topics[i].name,
                               reset->committed->topics[i].partitions[p].partition_index, err))
                return false;
    return true;
}

/* --- Committing --- */

static struct kafka_offset_commit_request *commit_request(const struct reset *reset, struct arena *arena)
{
    size_t count = json_size(reset->rows);
    struct kafka_offset_commit_request *request = KAFKA_NEW(arena, kafka_offset_commit_request);
    request->group_id = bytes_of_string(reset->group);
    request->member_id = BYTES_LITERAL("");
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_commit_request_topic, count);
    json_array_each (i, row, reset->rows) {
        struct bytes name = json_bytes(json_get(row, "topic"));
        struct kafka_offset_commit_request_topic *topic = &request->topics[request->topics_count];
        if (request->topics_count == 0 || !bytes_equal(topic[-1].name, name)) {
            request->topics_count++;
            topic->name = name;
            topic->partitions = KAFKA_NEW_ARRAY(arena, kafka_offset_commit_request_partition, count - i);
        } else {
            topic--;
        }
        struct kafka_offset_commit_request_partition *partition = &topic->partitions[topic->partitions_count++];
        partition->partition_index = (int32_t)json_int_at(row, "partition", 0);
        partition->committed_offset = json_int_at(row, "new", 0);
        partition->committed_metadata = BYTES_LITERAL("");
    }
    return request;
}

static bool commit(const struct reset *reset, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_offset_commit_response *response =
        kafka_client_call(reset->client, KAFKA_OFFSET_COMMIT, 7, commit_request(reset, &arena), &arena, err);
    if (!response)
        return false;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            if (response->topics[i].partitions[p].error_code != KAFKA_NONE)
                return kafka_client_error(err, response->topics[i].partitions[p].error_code, BYTES_NULL,
                                          "group %s, " BYTES_FORMAT ":%d", reset->group,
                                          BYTES_ARGS(response->topics[i].name),
                                          response->topics[i].partitions[p].partition_index);
    return true;
}

/* --- The command --- */

static bool is_idle(const struct reset *reset, struct arena *arena, struct error *err)
{
    struct bytes name = bytes_of_string(reset->group);
    const struct kafka_describe_groups_response_group *group = group_describe(reset->client, name, arena, err);
    if (!group)
        return false;
    struct bytes state = group->group_state;
    size_t member_count = group->members_count;
    const struct kafka_consumer_group_describe_response_group *consumers =
        bytes_equal_string(state, "Dead") ? group_describe_consumer(reset->client, name, arena) : NULL;
    if (consumers) {
        state = consumers->group_state;
        member_count = consumers->members_count;
    }
    return bytes_equal_string(state, "Empty") || bytes_equal_string(state, "Dead") ||
           error_set(err, ERROR_UNAVAILABLE,
                     "group %s is " BYTES_FORMAT " with %zu members: offsets are reset when none is left", reset->group,
                     BYTES_ARGS(state), member_count);
}

static bool reset_group(struct reset *reset, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct flag_list *topics = &reset->options->topics;
    if (!kafka_client_await_coordinator(reset->client, bytes_of_string(reset->group), err))
        return false;
    reset->committed = group_offsets(reset->client, bytes_of_string(reset->group), &arena, err);
    bool ok = reset->committed && is_idle(reset, &arena, err);
    for (size_t i = 0; ok && i < topics->count; i++)
        ok = add_topic(reset, topics->items[i], err);
    if (ok && reset->options->all_topics)
        ok = add_all(reset, err);
    if (ok && json_size(reset->rows) == 0)
        ok = error_set(err, ERROR_NOT_FOUND, "group %s has committed nothing; name topics with --topic", reset->group);
    return ok && (!reset->options->execute || commit(reset, err));
}

static void print(const struct reset *reset)
{
    static const struct listing_column columns[] = {
        {"topic", "TOPIC"}, {"partition", "PARTITION"}, {"committed", "COMMITTED"}, {"new", "NEW"}, {0}};
    if (listing_is_json(reset->options->output))
        listing_print_json(reset->rows, stdout);
    else
        listing_print_table(reset->rows, columns, stdout);
    if (!reset->options->execute)
        fprintf(stderr, "Nothing is changed yet: --execute does it.\n");
}

static int run(const struct command *self, int argc, char **argv)
{
    struct options options = {.to_offset = -1, .shift_by = SHIFT_NONE};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    if (!check(&options, &err))
        return command_fail_usage(&err);
    AUTO_JSON *rows = json_new_array();
    struct reset reset = {.options = &options, .group = arguments.items[0], .rows = rows};
    reset.client = kafka_client_open(&options.client, &err);
    bool ok = reset.client && reset_group(&reset, &err);
    kafka_client_close(reset.client);
    if (!ok)
        return command_fail(&err);
    print(&reset);
    return EXIT_DONE;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"topic", "TOPIC[:N,...]", "of this topic, or these partitions of it", AT(topics), 't', FLAG_LIST},
    {"all-topics", NULL, "of all topics where the group has committed", AT(all_topics), 0, FLAG_SWITCH},
    {"to-earliest", NULL, "to the beginning of the log", AT(to_earliest), 0, FLAG_SWITCH},
    {"to-latest", NULL, "to its end: what is there now is skipped", AT(to_latest), 0, FLAG_SWITCH},
    {"to-current", NULL, "to where it is: commits it anew", AT(to_current), 0, FLAG_SWITCH},
    {"to-offset", "N", "to an offset", AT(to_offset), 0, FLAG_NUMBER},
    {"to-datetime", "TIME", "to the first record of a time, 2026-11-21T09:00:00Z", AT(to_datetime), 0, FLAG_TEXT},
    {"by-duration", "DURATION", "to the first record since so long ago, PT1H30M", AT(by_duration), 0, FLAG_TEXT},
    {"shift-by", "N", "so many records on; below zero: back", AT(shift_by), 0, FLAG_NUMBER},
    {"dry-run", NULL, "say what would be done (the default)", AT(dry_run), 0, FLAG_SWITCH},
    {"execute", NULL, "do it", AT(execute), 0, FLAG_SWITCH},
    LISTING_DESCRIBE_FLAG(AT(output)),
    {0},
};

const struct command group_reset_command = {
    .name = "reset",
    .about = "Set where a group goes on",
    .flags = {.tables = {flags, kafka_client_flags}, .arguments = "GROUP"},
    .details = "The group must have no members. An offset outside the log becomes the nearest one in it. Flags are "
               "named as those\n"
               "of kafka-consumer-groups --reset-offsets.",
    .examples = "  evoke group reset reports --topic orders --to-earliest\n"
                "  evoke group reset reports --topic orders:0,2 --shift-by -10 --execute\n"
                "  evoke group reset reports --all-topics --to-datetime 2026-11-21T09:00:00Z --execute\n",
    .run = run,
};
