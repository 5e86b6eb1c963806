/* SPDX-License-Identifier: Apache-2.0 */
/* evoke consume: prints records of a topic; as a member of a group only with --group. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "evoke/aborted.h"
#include "evoke/command.h"
#include "evoke/consume_print.h"
#include "evoke/group_member.h"
#include "evoke/kafka_client.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"

enum { CONSUME_WAIT_MS = 10000, CONSUME_LOOK_MS = 5000, CONSUME_FETCH_SIZE = 4 << 20 };

enum { READ_UNCOMMITTED = 0, READ_COMMITTED = 1 };

struct options {
    struct kafka_client_options client;
    const char *offset, *output, *isolation, *group;
    int64_t partition, count_max;
    bool follow;
};

/* How far we are in a partition, and how far we go. */
struct position {
    int32_t partition;
    int64_t offset, end, committed;
};

struct consume {
    const struct options *options;
    const char *topic;
    struct kafka_client *client;
    struct group_member *member; /* --group; else NULL */
    struct position *positions;
    int32_t position_count;
    int64_t printed;
    int64_t looked_ms; /* when it last looked for partitions that were added */
};

static bool list_offset(struct consume *consume, const struct position *position, int64_t timestamp_ms, int64_t *out,
                        struct error *err)
{
    return kafka_client_offset(consume->client, bytes_of_string(consume->topic), position->partition, timestamp_ms, out,
                               err);
}

/* A number below zero counts from the end. What the log does not hold becomes the nearest that it does, as with group
 * reset. */
static bool resolve_number(struct consume *consume, struct position *position, int64_t number, struct error *err)
{
    int64_t start, wanted = number < 0 ? position->end + number : number;
    if (!list_offset(consume, position, KAFKA_CLIENT_EARLIEST, &start, err))
        return false;
    position->offset = wanted > position->end ? position->end : wanted < start ? start : wanted;
    return true;
}

static bool resolve_time(struct consume *consume, struct position *position, int64_t time_ms, struct error *err)
{
    if (!list_offset(consume, position, time_ms, &position->offset, err))
        return false;
    if (position->offset < 0)
        position->offset = position->end;
    return true;
}

/* "@2026-11-21T09:00:00Z", or "@1795251600000": milliseconds since 1970. */
static bool parse_moment(const char *text, int64_t *out_ms)
{
    int64_t ns;
    if (text[0] != '@')
        return false;
    if (bytes_to_i64(bytes_of_string(text + 1), out_ms))
        return *out_ms >= 0;
    if (!text_parse_time_ns(bytes_of_string(text + 1), &ns))
        return false;
    *out_ms = ns / 1000000;
    return true;
}

static bool resolve_offset(struct consume *consume, struct position *position, struct error *err)
{
    const char *text = consume->options->offset ? consume->options->offset : "beginning";
    int64_t value;
    if (!list_offset(consume, position, KAFKA_CLIENT_LATEST, &position->end, err))
        return false;
    if (strcmp(text, "beginning") == 0)
        return list_offset(consume, position, KAFKA_CLIENT_EARLIEST, &position->offset, err);
    if (parse_moment(text, &value))
        return resolve_time(consume, position, value, err);
    if (bytes_to_i64(bytes_of_string(text), &value))
        return resolve_number(consume, position, value, err);
    position->offset = position->end;
    return true;
}

/* What resolve_offset() understands. */
static bool check_offset(const char *text, struct error *err)
{
    int64_t value;
    return !text || strcmp(text, "beginning") == 0 || strcmp(text, "end") == 0 ||
           bytes_to_i64(bytes_of_string(text), &value) || parse_moment(text, &value) ||
           error_set(
               err, ERROR_INVALID,
               "--offset: beginning, end, a number, or a time such as @2026-11-21T09:00:00Z or @1795251600000 (ms), "
               "not \"%s\"",
               text);
}

/* Where the group is, or, where it has committed nothing, where --offset says. */
static bool resolve_position(struct consume *consume, struct position *position, struct error *err)
{
    position->committed = -1;
    if (consume->member && !group_member_committed(consume->member, position->partition, &position->committed, err))
        return false;
    if (position->committed < 0)
        return resolve_offset(consume, position, err);
    position->offset = position->committed;
    return list_offset(consume, position, KAFKA_CLIENT_LATEST, &position->end, err);
}

/* The member's partitions, the one asked for, or all. */
static bool choose_partitions(struct consume *consume, struct error *err)
{
    int32_t count;
    size_t mine = 0;
    const int32_t *assigned = consume->member ? group_member_partitions(consume->member, &mine) : NULL;
    int64_t only = consume->options->partition;
    if (!kafka_client_partitions(consume->client, consume->topic, false, &count, err))
        return false;
    if (only >= count)
        return error_set(err, ERROR_NOT_FOUND, "topic %s has no partition %lld: it has 0 to %d", consume->topic,
                         (long long)only, count - 1);
    consume->position_count = consume->member ? (int32_t)mine : only >= 0 ? 1 : count;
    free(consume->positions);
    consume->positions = memory_new_array((size_t)consume->position_count, sizeof *consume->positions);
    for (int32_t i = 0; i < consume->position_count; i++)
        consume->positions[i].partition = consume->member ? assigned[i] : only >= 0 ? (int32_t)only : i;
    return true;
}

static bool resolve_positions(struct consume *consume, struct error *err)
{
    if (!choose_partitions(consume, err))
        return false;
    for (int32_t i = 0; i < consume->position_count; i++)
        if (!resolve_position(consume, &consume->positions[i], err))
            return false;
    return true;
}

/* Whether it reads all that there are, and those that may come. */
static bool follows_all(const struct consume *consume)
{
    return consume->options->follow && !consume->member && consume->options->partition < 0;
}

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* All that is in a partition which is new came after we had begun. */
static bool add_partitions(struct consume *consume, int32_t count, struct error *err)
{
    if (count <= consume->position_count)
        return true;
    consume->positions = memory_resize_array(consume->positions, (size_t)count, sizeof *consume->positions);
    while (consume->position_count < count) {
        struct position *position = &consume->positions[consume->position_count];
        *position = (struct position){.partition = consume->position_count, .committed = -1};
        if (!list_offset(consume, position, KAFKA_CLIENT_EARLIEST, &position->offset, err))
            return false;
        consume->position_count++;
    }
    return true;
}

static bool look_for_partitions(struct consume *consume, struct error *err)
{
    int32_t count;
    if (!follows_all(consume) || now_ms() - consume->looked_ms < CONSUME_LOOK_MS)
        return true;
    consume->looked_ms = now_ms();
    return kafka_client_partitions(consume->client, consume->topic, false, &count, err) &&
           add_partitions(consume, count, err);
}

static bool has_enough(const struct consume *consume)
{
    return consume->options->count_max > 0 && consume->printed >= consume->options->count_max;
}

static bool is_wanted(const struct consume *consume, const struct position *position)
{
    return consume->options->follow || position->offset < position->end;
}

static bool done(const struct consume *consume)
{
    for (int32_t i = 0; i < consume->position_count; i++)
        if (is_wanted(consume, &consume->positions[i]))
            return has_enough(consume);
    return !consume->options->follow; /* a member without a partition may get one */
}

static bool read_committed(const struct consume *consume)
{
    return consume->options->isolation && strcmp(consume->options->isolation, "read_committed") == 0;
}

/* The records of a batch from our position on. */
static bool print_batch(struct consume *consume, struct position *position, const struct kafka_batch *batch,
                        struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (!has_enough(consume) && is_wanted(consume, position) && kafka_records_next(&records, &record)) {
        if (record.offset < position->offset)
            continue;
        position->offset = record.offset + 1;
        consume_print(consume->options->output, consume->topic, position->partition, &record, stdout);
        consume->printed++;
    }
    return !records.corrupt ||
           error_set(err, ERROR_CORRUPT, "partition %d: a record near offset %" PRId64 " is damaged",
                     position->partition, position->offset);
}

static bool print_records(struct consume *consume, struct position *position, struct aborted *aborted,
                          struct bytes data, struct error *err)
{
    struct kafka_batch batch;
    int64_t from = position->offset;
    while (data.size > 0 && !has_enough(consume) && is_wanted(consume, position)) {
        /* Kafka may cut the last batch short: the next fetch brings it whole. */
        if (!kafka_batch_parse(&data, &batch, err))
            return position->offset > from;
        if (!kafka_batch_verify(&batch, err))
            return error_wrap(err, "partition %d: offsets %" PRId64 " to %" PRId64, position->partition,
                              batch.base_offset, kafka_batch_last_offset(&batch));
        bool hidden = (read_committed(consume) && aborted_has(aborted, &batch)) || kafka_batch_is_control(&batch);
        if (!hidden && !print_batch(consume, position, &batch, err))
            return false;
        if (!has_enough(consume) && is_wanted(consume, position))
            position->offset = kafka_batch_last_offset(&batch) + 1;
    }
    return true;
}

static struct kafka_fetch_request *make_request(const struct consume *consume, struct arena *arena)
{
    struct kafka_fetch_request *request = KAFKA_NEW(arena, kafka_fetch_request);
    request->max_wait_ms = consume->member        ? GROUP_MEMBER_BEAT_MS
                           : follows_all(consume) ? CONSUME_LOOK_MS
                                                  : CONSUME_WAIT_MS;
    request->min_bytes = 1;
    request->max_bytes = CONSUME_FETCH_SIZE;
    request->isolation_level = read_committed(consume) ? READ_COMMITTED : READ_UNCOMMITTED;
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->topic = bytes_of_string(consume->topic);
    request->topics->partitions =
        KAFKA_NEW_ARRAY(arena, kafka_fetch_request_partition, (size_t)consume->position_count);
    for (int32_t i = 0; i < consume->position_count; i++) {
        const struct position *position = &consume->positions[i];
        if (!is_wanted(consume, position))
            continue;
        struct kafka_fetch_request_partition *partition =
            &request->topics->partitions[request->topics->partitions_count++];
        partition->partition = position->partition;
        partition->fetch_offset = position->offset;
        partition->partition_max_bytes = CONSUME_FETCH_SIZE;
    }
    return request;
}

static struct position *position_of(struct consume *consume, int32_t partition)
{
    for (int32_t i = 0; i < consume->position_count; i++)
        if (consume->positions[i].partition == partition)
            return &consume->positions[i];
    return NULL;
}

static bool print_partition(struct consume *consume, const struct kafka_fetch_response_partition *partition,
                            struct arena *arena, struct error *err)
{
    struct aborted aborted;
    struct position *position = position_of(consume, partition->partition_index);
    if (!position)
        return error_set(err, ERROR_CORRUPT, "the answer is about a partition that was not asked for");
    if (partition->error_code != KAFKA_NONE)
        return kafka_client_error(err, partition->error_code, BYTES_NULL, "topic %s, partition %d, offset %" PRId64,
                                  consume->topic, position->partition, position->offset);
    aborted_init(&aborted, partition, arena);
    for (size_t i = 0; i < partition->records.count; i++)
        if (!print_records(consume, position, &aborted, partition->records.parts[i], err))
            return false;
    return true;
}

/* The signal that ends us. */
static volatile sig_atomic_t interrupted;

/* Nobody reads on, as behind "| head": that ends us as it ends other programs. */
static bool flush_output(struct error *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno != EPIPE)
        return error_sys(err, errno, "write standard output");
    interrupted = SIGPIPE;
    return true;
}

static bool fetch(struct consume *consume, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_fetch_response *response =
        kafka_client_call(consume->client, KAFKA_FETCH, 11, make_request(consume, &arena), &arena, err);
    if (!response)
        return false;
    bool ok = true;
    for (size_t t = 0; ok && t < response->topics_count; t++)
        for (size_t p = 0; ok && p < response->topics[t].partitions_count; p++)
            ok = print_partition(consume, &response->topics[t].partitions[p], &arena, err);
    return ok && flush_output(err);
}

/* --- As a member of a group --- */

static bool commit_progress(struct consume *consume, struct error *err)
{
    for (int32_t i = 0; i < consume->position_count; i++) {
        struct position *position = &consume->positions[i];
        if (position->offset == position->committed)
            continue;
        if (!group_member_commit(consume->member, position->partition, position->offset, err))
            return false;
        position->committed = position->offset;
    }
    return true;
}

/* One fetch, and what belongs around it. */
static bool step(struct consume *consume, struct error *err)
{
    bool changed;
    if (!consume->member)
        return look_for_partitions(consume, err) && fetch(consume, err);
    if (!group_member_keep(consume->member, &changed, err) || (changed && !resolve_positions(consume, err)))
        return false;
    if (consume->position_count == 0)
        usleep(GROUP_MEMBER_BEAT_MS * 1000);
    else if (!done(consume) && !fetch(consume, err))
        return false;
    return interrupted == SIGPIPE || commit_progress(consume, err); /* what nobody has read is not done */
}

static void on_signal(int number)
{
    interrupted = number;
}

/* So that the others need not wait until our session ends. */
static void leave_on_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void end_by_signal(void)
{
    signal(interrupted, SIG_DFL);
    raise(interrupted);
}

/* --- The command --- */

static bool begin(struct consume *consume, struct error *err)
{
    bool changed;
    consume->client = kafka_client_open(&consume->options->client, err);
    if (!consume->client)
        return false;
    if (read_committed(consume))
        kafka_client_read_committed(consume->client);
    if (consume->options->group) {
        leave_on_signals();
        if (!kafka_client_await_coordinator(consume->client, bytes_of_string(consume->options->group), err))
            return false;
        consume->member = group_member_new(consume->client, consume->options->group, consume->topic);
        if (!group_member_keep(consume->member, &changed, err))
            return false;
    }
    return resolve_positions(consume, err);
}

static bool check(const struct options *options, struct error *err)
{
    if (options->group && options->partition >= 0)
        return error_set(err, ERROR_INVALID, "--partition or --group: the group decides who reads which partition");
    return check_offset(options->offset, err);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct options options = {.partition = -1};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    if (!check(&options, &err))
        return command_fail_usage(&err);
    struct consume consume = {.options = &options, .topic = arguments.items[0]};
    bool ok = begin(&consume, &err);
    while (ok && !interrupted && !done(&consume))
        ok = step(&consume, &err);
    if (ok)
        group_member_leave(consume.member);
    group_member_free(consume.member);
    kafka_client_close(consume.client);
    free(consume.positions);
    if (interrupted)
        end_by_signal();
    return ok ? EXIT_DONE : command_fail(&err);
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"offset", "WHERE",
     "beginning (default), end, a number (below zero: from the end), or a time: @2026-11-21T09:00:00Z or @MS",
     AT(offset), 0, FLAG_TEXT},
    {"partition", "N", "only this partition", AT(partition), 'p', FLAG_INDEX},
    {"group", "GROUP", "as a member of this group: shares the partitions, goes on where it was, commits", AT(group),
     'g', FLAG_TEXT},
    {"count", "N", "end after so many records", AT(count_max), 'n', FLAG_COUNT},
    {"follow", NULL, "wait for more at the end", AT(follow), 'f', FLAG_SWITCH},
    {"output", CONSUME_OUTPUTS, "how records are printed (default text)", AT(output), 'o', FLAG_CHOICE},
    {"isolation", "read_uncommitted|read_committed", "read_committed: without aborted transactions", AT(isolation), 0,
     FLAG_CHOICE},
    {0},
};

const struct command command_consume = {
    .name = "consume",
    .about = "Print the records of a topic",
    .flags = {.tables = {flags, kafka_client_flags}, .arguments = "TOPIC"},
    .details =
        "It ends at the end of the topic, unless told to follow; then it also sees partitions that are added.\n\n"
        "Outputs: text is the value and a line break; raw the value alone, byte for byte; json a line of JSON "
        "with all of\n"
        "the record; full a text with offset, time, key, headers and value.\n\n"
        "An --offset that a partition does not hold becomes the nearest one that it does. With --group, what is "
        "printed is\n"
        "committed, and --offset counts where nothing is committed yet.",
    .examples = "  evoke consume orders --follow --offset end\n"
                "  evoke consume orders --offset -10 -o full\n"
                "  evoke consume orders --offset @2026-11-21T09:00:00Z -n 1 -o json\n"
                "  evoke consume orders --group reports --follow\n"
                "  evoke consume images --partition 0 --offset 12 -n 1 -o raw > image.png\n",
    .run = run,
};
