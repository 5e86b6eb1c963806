/* SPDX-License-Identifier: Apache-2.0 */
/* evoke consume: prints records of a topic. It joins no group and commits nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "evoke/command.h"
#include "evoke/kafka_client.h"
#include "wire/json.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"

enum { CONSUME_WAIT_MS = 10000, CONSUME_FETCH_SIZE = 4 << 20 };

/* How far we are in a partition, and how far we go. */
struct position {
    int32_t partition;
    int64_t offset, end;
};

struct consume {
    const char *brokers, *offset_text, *output;
    int64_t partition, count_max;
    bool follow;

    const char *topic;
    struct kafka_client *client;
    struct position *positions;
    int32_t position_count;
    int64_t printed;
};

static bool list_offset(struct consume *consume, const struct position *position, int64_t timestamp_ms, int64_t *out,
                        struct error *err)
{
    return kafka_client_offset(consume->client, bytes_of_string(consume->topic), position->partition, timestamp_ms, out,
                               err);
}

/* "beginning", "end", an offset, or "@" and an RFC 3339 time. */
static bool resolve_offset(struct consume *consume, struct position *position, struct error *err)
{
    const char *text = consume->offset_text ? consume->offset_text : "beginning";
    int64_t time_ns;
    if (!list_offset(consume, position, KAFKA_CLIENT_LATEST, &position->end, err))
        return false;
    if (strcmp(text, "end") == 0) {
        position->offset = position->end;
        return true;
    }
    if (strcmp(text, "beginning") == 0)
        return list_offset(consume, position, KAFKA_CLIENT_EARLIEST, &position->offset, err);
    if (text[0] == '@' && text_parse_time_ns(bytes_of_string(text + 1), &time_ns)) {
        bool ok = list_offset(consume, position, time_ns / 1000000, &position->offset, err);
        if (ok && position->offset < 0)
            position->offset = position->end;
        return ok;
    }
    return (bytes_to_i64(bytes_of_string(text), &position->offset) && position->offset >= 0) ||
           error_set(err, ERROR_INVALID,
                     "--offset: beginning, end, a number, or a time such as @2026-11-21T09:00:00Z, not \"%s\"", text);
}

static bool resolve_positions(struct consume *consume, struct error *err)
{
    int32_t count;
    if (!kafka_client_partitions(consume->client, consume->topic, false, &count, err))
        return false;
    if (consume->partition >= count)
        return error_set(err, ERROR_NOT_FOUND, "topic %s has %d partitions: no partition %lld", consume->topic, count,
                         (long long)consume->partition);
    consume->position_count = consume->partition >= 0 ? 1 : count;
    consume->positions = memory_new_array((size_t)consume->position_count, sizeof *consume->positions);
    for (int32_t i = 0; i < consume->position_count; i++) {
        consume->positions[i].partition = consume->partition >= 0 ? (int32_t)consume->partition : i;
        if (!resolve_offset(consume, &consume->positions[i], err))
            return false;
    }
    return true;
}

/* Text as it is; what is not UTF-8 as {"base64": ...}. */
static struct json *json_of(struct bytes text)
{
    if (!text.data)
        return json_new_null();
    struct json *string = json_new_string(text);
    if (string)
        return string;
    AUTO_BUF base64;
    buf_init(&base64, 2 * LIMIT_KAFKA_FRAME_SIZE);
    text_append_base64(&base64, text);
    struct json *object = json_new_object();
    json_set(object, "base64", json_new_string(buf_bytes(&base64)));
    return object;
}

static void print_json(const struct consume *consume, int32_t partition, const struct kafka_record *record)
{
    AUTO_JSON *object = json_new_object();
    json_set(object, "topic", json_new_text(consume->topic));
    json_set(object, "partition", json_new_int(partition));
    json_set(object, "offset", json_new_int(record->offset));
    json_set(object, "timestamp", json_new_int(record->timestamp_ms));
    json_set(object, "key", json_of(record->key));
    struct json *headers = json_new_object();
    struct bytes rest = record->headers;
    for (struct kafka_record_header header; kafka_record_next_header(&rest, &header);)
        json_set_bytes(headers, header.name, json_of(header.value));
    json_set(object, "headers", headers);
    json_set(object, "value", json_of(record->value));
    AUTO_BUF out;
    buf_init(&out, 4 * LIMIT_KAFKA_FRAME_SIZE);
    json_print(object, &out);
    buf_append_byte(&out, '\n');
    fwrite(out.data, 1, out.size, stdout);
}

static void print_record(struct consume *consume, int32_t partition, const struct kafka_record *record)
{
    if (consume->output && strcmp(consume->output, "json") == 0) {
        print_json(consume, partition, record);
    } else {
        fwrite(record->value.data, 1, record->value.data ? record->value.size : 0, stdout);
        putchar('\n');
    }
    consume->printed++;
}

static bool has_enough(const struct consume *consume)
{
    return consume->count_max > 0 && consume->printed >= consume->count_max;
}

static bool is_wanted(const struct consume *consume, const struct position *position)
{
    return consume->follow || position->offset < position->end;
}

static bool done(const struct consume *consume)
{
    for (int32_t i = 0; i < consume->position_count; i++)
        if (is_wanted(consume, &consume->positions[i]))
            return has_enough(consume);
    return true;
}

static bool print_records(struct consume *consume, struct position *position, struct bytes data, struct error *err)
{
    struct kafka_batch batch;
    int64_t from = position->offset;
    while (data.size > 0 && !has_enough(consume) && is_wanted(consume, position)) {
        /* Kafka may cut the last batch short: the next fetch brings it whole. */
        if (!kafka_batch_parse(&data, &batch, err))
            return position->offset > from;
        AUTO_KAFKA_RECORDS records = {0};
        struct kafka_record record;
        if (!kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, err))
            return false;
        while (!has_enough(consume) && is_wanted(consume, position) && kafka_records_next(&records, &record)) {
            if (record.offset < position->offset)
                continue;
            position->offset = record.offset + 1;
            if (!kafka_batch_is_control(&batch))
                print_record(consume, position->partition, &record);
        }
        if (!has_enough(consume) && is_wanted(consume, position))
            position->offset = kafka_batch_last_offset(&batch) + 1;
    }
    return true;
}

static struct kafka_fetch_request *make_request(const struct consume *consume, struct arena *arena)
{
    struct kafka_fetch_request *request = KAFKA_NEW(arena, kafka_fetch_request);
    request->max_wait_ms = CONSUME_WAIT_MS;
    request->min_bytes = 1;
    request->max_bytes = CONSUME_FETCH_SIZE;
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
                            struct error *err)
{
    struct position *position = position_of(consume, partition->partition_index);
    if (!position)
        return error_set(err, ERROR_CORRUPT, "the answer is about a partition that was not asked for");
    if (partition->error_code != KAFKA_NONE)
        return kafka_client_error(err, partition->error_code, BYTES_NULL, "topic %s, partition %d, offset %" PRId64,
                                  consume->topic, position->partition, position->offset);
    for (size_t i = 0; i < partition->records.count; i++)
        if (!print_records(consume, position, partition->records.parts[i], err))
            return false;
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
            ok = print_partition(consume, &response->topics[t].partitions[p], err);
    fflush(stdout);
    return ok;
}

int command_consume(int argc, char **argv)
{
    struct consume consume = {.partition = -1};
    const struct flag flags[] = {
        KAFKA_CLIENT_FLAG(&consume.brokers),
        {"offset", 0, FLAG_TEXT, &consume.offset_text, "WHERE",
         "beginning (default), end, a number, or a time: @2026-11-21T09:00:00Z"},
        {"partition", 'p', FLAG_NUMBER, &consume.partition, "N", "only this partition"},
        {"count", 'c', FLAG_NUMBER, &consume.count_max, "N", "end after so many records"},
        {"follow", 'f', FLAG_SWITCH, &consume.follow, "", "wait for more at the end"},
        {"output", 'o', FLAG_TEXT, &consume.output, "text|json", "text (default): the value; json: all of the record"},
        {0},
    };
    const struct command_line line = {
        .usage = "evoke consume [flags] TOPIC",
        .about = "Prints the records of a topic, a line each, and ends at its end unless told to follow.",
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 1,
    };
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, &consume.topic, &count, &exit_code))
        return exit_code;
    if (consume.output && strcmp(consume.output, "json") != 0 && strcmp(consume.output, "text") != 0) {
        error_set(&err, ERROR_INVALID, "--output: text or json, not \"%s\"", consume.output);
        command_fail(&err);
        return 2;
    }
    consume.client = kafka_client_open(consume.brokers, &err);
    bool ok = consume.client && resolve_positions(&consume, &err);
    while (ok && !done(&consume))
        ok = fetch(&consume, &err);
    kafka_client_close(consume.client);
    free(consume.positions);
    return ok ? 0 : command_fail(&err);
}
