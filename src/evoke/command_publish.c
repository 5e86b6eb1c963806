/* SPDX-License-Identifier: Apache-2.0 */
/* evoke publish: appends records to a topic, from the command line or from the lines of standard input. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "evoke/command.h"
#include "evoke/kafka_client.h"
#include "log/event.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"

enum { PUBLISH_HEADERS_MAX = FLAG_LIST_MAX, PUBLISH_BATCH_SIZE = 512 << 10, PUBLISH_LINE_MAX = 1 << 20 };

struct publish {
    const char *brokers, *key;
    int64_t partition;
    struct flag_list headers;
    bool quiet;

    const char *topic;
    struct kafka_client *client;
    struct kafka_record_header record_headers[PUBLISH_HEADERS_MAX];
    size_t header_count;
    uint64_t published;
};

static int64_t wall_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static bool parse_headers(struct publish *publish, struct error *err)
{
    for (size_t i = 0; i < publish->headers.count; i++) {
        const char *text = publish->headers.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return error_set(err, ERROR_INVALID, "--header: NAME=VALUE, not \"%s\"", text);
        publish->record_headers[publish->header_count++] = (struct kafka_record_header){
            .name = bytes_of(text, (size_t)(equals - text)), .value = bytes_of_string(equals + 1)};
    }
    return true;
}

static bool send_batch(struct publish *publish, struct bytes batch, uint64_t count, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_produce_request *request = KAFKA_NEW(&arena, kafka_produce_request);
    request->acks = -1;
    request->timeout_ms = 30000;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_produce_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(publish->topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_produce_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->index = (int32_t)publish->partition;
    request->topics->partitions->records = (struct kafka_record_set){.parts = &batch, .count = 1, .size = batch.size};
    const struct kafka_produce_response *response =
        kafka_client_call(publish->client, KAFKA_PRODUCE, 9, request, &arena, err);
    if (!response)
        return false;
    if (response->topics_count != 1 || response->topics->partitions_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    const struct kafka_produce_response_partition *partition = response->topics->partitions;
    if (partition->error_code != KAFKA_NONE)
        return kafka_client_error(err, partition->error_code, partition->error_message, "topic %s, partition %lld",
                                  publish->topic, (long long)publish->partition);
    publish->published += count;
    if (!publish->quiet && count == 1)
        printf("%s partition %lld offset %lld\n", publish->topic, (long long)publish->partition,
               (long long)partition->base_offset);
    return true;
}

static void add(struct publish *publish, struct kafka_batch_builder *builder, struct bytes value)
{
    kafka_batch_add(builder, wall_ms(), bytes_of_string(publish->key), value, publish->record_headers,
                    publish->header_count);
}

static bool publish_one(struct publish *publish, struct bytes value, struct error *err)
{
    AUTO_BUF buf;
    buf_init(&buf, LIMIT_KAFKA_BATCH_SIZE);
    struct kafka_batch_builder builder;
    struct bytes batch;
    kafka_batch_begin(&builder, &buf, 0);
    add(publish, &builder, value);
    return kafka_batch_end(&builder, &batch, err) && send_batch(publish, batch, 1, err);
}

/* Lines are gathered into batches as long as more of them wait: as fast from a file as prompt from a pipe that
 * trickles. */
static bool publish_lines(struct publish *publish, struct error *err)
{
    AUTO_BUF buf;
    buf_init(&buf, PUBLISH_BATCH_SIZE + 2 * PUBLISH_LINE_MAX);
    AUTO_FREE(char) line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    while (size >= 0) {
        struct kafka_batch_builder builder;
        struct bytes batch;
        uint64_t count = 0;
        buf_reset(&buf);
        kafka_batch_begin(&builder, &buf, 0);
        while (buf.size < PUBLISH_BATCH_SIZE && (size = getline(&line, &capacity, stdin)) >= 0) {
            if (size > PUBLISH_LINE_MAX)
                return error_set(err, ERROR_LIMIT, "a line of standard input is longer than %d bytes",
                                 PUBLISH_LINE_MAX);
            if (size > 0 && line[size - 1] == '\n')
                size--;
            add(publish, &builder, bytes_of(line, (size_t)size));
            count++;
            if (isatty(STDIN_FILENO))
                break;
        }
        if (count > 0 && (!kafka_batch_end(&builder, &batch, err) || !send_batch(publish, batch, count, err)))
            return false;
    }
    if (!publish->quiet && publish->published != 1)
        printf("%llu records published to %s\n", (unsigned long long)publish->published, publish->topic);
    return true;
}

/* As Kafka's own clients do: records with a key go where the key's hash says, those without all to one partition. */
static bool choose_partition(struct publish *publish, struct error *err)
{
    int32_t count;
    if (!kafka_client_partitions(publish->client, publish->topic, true, &count, err))
        return false;
    if (publish->partition >= 0)
        return true;
    if (publish->key)
        publish->partition = (int64_t)((event_key_hash(bytes_of_string(publish->key)) & 0x7fffffff) % (uint32_t)count);
    else
        publish->partition = wall_ms() % count;
    return true;
}

int command_publish(int argc, char **argv)
{
    struct publish publish = {.partition = -1};
    const struct flag flags[] = {
        KAFKA_CLIENT_FLAG(&publish.brokers),
        {"key", 'k', FLAG_TEXT, &publish.key, "KEY", "key of the records"},
        {"header", 'H', FLAG_LIST, &publish.headers, "NAME=VALUE", "a header; may be given again"},
        {"partition", 'p', FLAG_NUMBER, &publish.partition, "N", "partition (default: by the key's hash, or any)"},
        {"quiet", 'q', FLAG_SWITCH, &publish.quiet, "", "print nothing"},
        {0},
    };
    const struct command_line line = {
        .usage = "evoke publish [flags] TOPIC [VALUE]",
        .about = "Appends a record to a topic and waits until it is on disk. Without VALUE: a record for each line of\n"
                 "standard input. A topic that does not exist is made.",
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 2,
    };
    const char *arguments[2];
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, arguments, &count, &exit_code))
        return exit_code;
    publish.topic = arguments[0];
    if (!parse_headers(&publish, &err)) {
        command_fail(&err);
        return 2;
    }
    publish.client = kafka_client_open(publish.brokers, &err);
    bool ok = publish.client && choose_partition(&publish, &err) &&
              (count == 2 ? publish_one(&publish, bytes_of_string(arguments[1]), &err) : publish_lines(&publish, &err));
    kafka_client_close(publish.client);
    return ok ? 0 : command_fail(&err);
}
