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

struct consume {
    const char *brokers, *offset_text, *output;
    int64_t partition, count_max;
    bool follow;

    const char *topic;
    struct kafka_client *client;
    int64_t offset, high_watermark;
    int64_t printed;
};

static bool list_offset(struct consume *consume, int64_t timestamp_ms, int64_t *out, struct error *err)
{
    return kafka_client_offset(consume->client, bytes_of_string(consume->topic), (int32_t)consume->partition,
                               timestamp_ms, out, err);
}

/* "beginning", "end", an offset, or "@" and an RFC 3339 time. */
static bool resolve_offset(struct consume *consume, struct error *err)
{
    const char *text = consume->offset_text ? consume->offset_text : "beginning";
    int64_t time_ns;
    if (!list_offset(consume, KAFKA_CLIENT_LATEST, &consume->high_watermark, err))
        return false;
    if (strcmp(text, "end") == 0)
        consume->offset = consume->high_watermark;
    else if (strcmp(text, "beginning") == 0)
        return list_offset(consume, KAFKA_CLIENT_EARLIEST, &consume->offset, err);
    else if (text[0] == '@' && text_parse_time_ns(bytes_of_string(text + 1), &time_ns))
        return list_offset(consume, time_ns / 1000000, &consume->offset, err) &&
               (consume->offset >= 0 || ((consume->offset = consume->high_watermark), true));
    else if (!bytes_to_i64(bytes_of_string(text), &consume->offset) || consume->offset < 0)
        return error_set(err, ERROR_INVALID,
                         "--offset: beginning, end, a number, or a time such as @2026-11-21T09:00:00Z, not \"%s\"",
                         text);
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

static void print_json(const struct consume *consume, const struct kafka_record *record)
{
    AUTO_JSON *object = json_new_object();
    json_set(object, "topic", json_new_text(consume->topic));
    json_set(object, "partition", json_new_int(consume->partition));
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

static void print_record(struct consume *consume, const struct kafka_record *record)
{
    if (consume->output && strcmp(consume->output, "json") == 0) {
        print_json(consume, record);
    } else {
        fwrite(record->value.data, 1, record->value.data ? record->value.size : 0, stdout);
        putchar('\n');
    }
    consume->printed++;
}

static bool done(const struct consume *consume)
{
    if (consume->count_max > 0 && consume->printed >= consume->count_max)
        return true;
    return !consume->follow && consume->offset >= consume->high_watermark;
}

static bool print_records(struct consume *consume, struct bytes data, struct error *err)
{
    struct kafka_batch batch;
    int64_t from = consume->offset;
    while (data.size > 0 && !done(consume)) {
        /* Kafka may cut the last batch short: the next fetch brings it whole. */
        if (!kafka_batch_parse(&data, &batch, err))
            return consume->offset > from;
        AUTO_KAFKA_RECORDS records = {0};
        struct kafka_record record;
        if (!kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, err))
            return false;
        while (!done(consume) && kafka_records_next(&records, &record)) {
            if (record.offset < consume->offset)
                continue;
            consume->offset = record.offset + 1;
            if (!kafka_batch_is_control(&batch))
                print_record(consume, &record);
        }
        if (!done(consume))
            consume->offset = kafka_batch_last_offset(&batch) + 1;
    }
    return true;
}

static bool fetch(struct consume *consume, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_fetch_request *request = KAFKA_NEW(&arena, kafka_fetch_request);
    request->max_wait_ms = CONSUME_WAIT_MS;
    request->min_bytes = 1;
    request->max_bytes = CONSUME_FETCH_SIZE;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->topic = bytes_of_string(consume->topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_fetch_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition = (int32_t)consume->partition;
    request->topics->partitions->fetch_offset = consume->offset;
    request->topics->partitions->partition_max_bytes = CONSUME_FETCH_SIZE;
    const struct kafka_fetch_response *response =
        kafka_client_call(consume->client, KAFKA_FETCH, 11, request, &arena, err);
    if (!response)
        return false;
    if (response->topics_count != 1 || response->topics->partitions_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    const struct kafka_fetch_response_partition *partition = response->topics->partitions;
    if (partition->error_code != KAFKA_NONE)
        return kafka_client_error(err, partition->error_code, BYTES_NULL, "topic %s, partition %lld, offset %" PRId64,
                                  consume->topic, (long long)consume->partition, consume->offset);
    bool ok = true;
    for (size_t i = 0; ok && i < partition->records.count; i++)
        ok = print_records(consume, partition->records.parts[i], err);
    fflush(stdout);
    return ok;
}

int command_consume(int argc, char **argv)
{
    struct consume consume = {0};
    const struct flag flags[] = {
        KAFKA_CLIENT_FLAG(&consume.brokers),
        {"offset", 0, FLAG_TEXT, &consume.offset_text, "WHERE",
         "beginning (default), end, a number, or a time: @2026-11-21T09:00:00Z"},
        {"partition", 'p', FLAG_NUMBER, &consume.partition, "N", "partition (default 0)"},
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
    bool ok = consume.client && resolve_offset(&consume, &err);
    while (ok && !done(&consume))
        ok = fetch(&consume, &err);
    kafka_client_close(consume.client);
    return ok ? 0 : command_fail(&err);
}
