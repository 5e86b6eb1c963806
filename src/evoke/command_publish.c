/* SPDX-License-Identifier: Apache-2.0 */
/* evoke publish: appends records to a topic, from the command line, from files, or from the lines of standard input. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "evoke/command.h"
#include "evoke/input.h"
#include "evoke/producer.h"
#include "evoke/record_json.h"
#include "io/file.h"
#include "wire/kafka_codec.h"

enum { VALUE_SIZE_MAX = 8 << 20 };

struct options {
    struct kafka_client_options client;
    const char *key, *key_separator, *input, *compression;
    int64_t partition, rate;
    struct flag_list headers, files;
    bool quiet, tombstone;
};

struct publish {
    const struct options *options;
    const char *topic;
    struct producer *producer;
    struct kafka_record_header headers[FLAG_LIST_MAX];
    size_t header_count;
    int64_t started_us;
    uint64_t added, lines;
};

static int64_t clock_us(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* --- One record --- */

/* Waits until the next record is due. What is gathered goes out first: nobody waits for a pause to end. */
static bool keep_rate(struct publish *publish, struct error *err)
{
    if (publish->options->rate <= 0)
        return true;
    int64_t due_us = publish->started_us + (int64_t)(publish->added * 1000000 / (uint64_t)publish->options->rate);
    if (clock_us(CLOCK_MONOTONIC) >= due_us)
        return true;
    if (!producer_flush(publish->producer, err))
        return false;
    int64_t wait_us = due_us - clock_us(CLOCK_MONOTONIC);
    if (wait_us > 0)
        nanosleep(&(struct timespec){.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000}, NULL);
    return true;
}

static bool publish_record(struct publish *publish, struct bytes key, struct bytes value,
                           const struct kafka_record_header *headers, size_t count, struct error *err)
{
    if (!keep_rate(publish, err))
        return false;
    publish->added++;
    return producer_add(publish->producer, clock_us(CLOCK_REALTIME) / 1000, key, value, headers, count, err);
}

static bool publish_value(struct publish *publish, struct bytes value, struct error *err)
{
    return publish_record(publish, bytes_of_string(publish->options->key), value, publish->headers,
                          publish->header_count, err);
}

/* --- Where records come from --- */

/* The lines before the one that is wrong are published. */
static bool refuse_line(struct publish *publish, const struct error *wrong, struct error *err)
{
    return producer_flush(publish->producer, err) &&
           error_set(err, wrong->kind, "line %llu: %s", (unsigned long long)publish->lines, wrong->message);
}

static bool publish_json(struct publish *publish, struct bytes line, struct error *err)
{
    AUTO_RECORD_JSON record = {0};
    struct error wrong;
    if (!record_json_parse(line, &record, &wrong))
        return refuse_line(publish, &wrong, err);
    return publish_record(publish, record.key, record.value, record.headers, record.header_count, err);
}

static bool publish_line(void *ctx, struct bytes line, struct error *err)
{
    struct publish *publish = ctx;
    const char *separator = publish->options->key_separator;
    struct error wrong;
    publish->lines++;
    if (publish->options->input && strcmp(publish->options->input, "json") == 0)
        return publish_json(publish, line, err);
    if (!separator)
        return publish_value(publish, line, err);
    const uint8_t *at = line.size > 0 ? memmem(line.data, line.size, separator, strlen(separator)) : NULL;
    if (!at) {
        error_set(&wrong, ERROR_INVALID, "no \"%s\" after a key", separator);
        return refuse_line(publish, &wrong, err);
    }
    size_t key_size = (size_t)(at - line.data);
    return publish_record(publish, bytes_slice(line, 0, key_size),
                          bytes_slice(line, key_size + strlen(separator), SIZE_MAX), publish->headers,
                          publish->header_count, err);
}

static bool flush_lines(void *ctx, struct error *err)
{
    return producer_flush(((struct publish *)ctx)->producer, err);
}

static bool publish_files(struct publish *publish, struct error *err)
{
    const struct flag_list *files = &publish->options->files;
    struct io *io = io_linux_new(err);
    bool ok = io;
    for (size_t i = 0; ok && i < files->count; i++) {
        const char *path = strcmp(files->items[i], "-") == 0 ? "/dev/stdin" : files->items[i];
        AUTO_BUF content;
        buf_init(&content, VALUE_SIZE_MAX);
        ok = io_path_read(io, path, &content, err) && publish_value(publish, buf_bytes(&content), err);
    }
    io_free(io);
    return ok;
}

static bool publish_all(struct publish *publish, const char *value, struct error *err)
{
    bool ok;
    publish->started_us = clock_us(CLOCK_MONOTONIC);
    if (publish->options->tombstone)
        ok = publish_value(publish, BYTES_NULL, err);
    else if (publish->options->files.count > 0)
        ok = publish_files(publish, err);
    else if (value)
        ok = publish_value(publish, bytes_of_string(value), err);
    else
        ok = input_each_line(publish_line, flush_lines, publish, err);
    return ok && producer_flush(publish->producer, err);
}

/* --- The command --- */

static bool check(struct publish *publish, const struct arguments *arguments, struct error *err)
{
    const struct options *options = publish->options;
    int sources = options->tombstone + (options->files.count > 0) + (arguments->count == 2);
    bool lines = sources == 0;
    if (sources > 1)
        return error_set(err, ERROR_INVALID, "one of VALUE, --file and --tombstone");
    if (options->tombstone && !options->key)
        return error_set(err, ERROR_INVALID, "--tombstone needs the --key whose values are to go");
    if (!lines && (options->key_separator || options->input))
        return error_set(err, ERROR_INVALID, "--key-separator and --input are for the lines of standard input");
    if (options->key_separator && (options->key || !options->key_separator[0]))
        return error_set(err, ERROR_INVALID, "--key-separator must be a text, and takes the place of --key");
    for (size_t i = 0; i < options->headers.count; i++) {
        struct kafka_record_header *header = &publish->headers[publish->header_count++];
        if (!flags_split_pair("header", options->headers.items[i], &header->name, &header->value, err))
            return false;
    }
    return true;
}

/* None, or what the flag says; flags_parse() has seen to it that it is one of them. */
static enum kafka_codec codec_of(const struct options *options)
{
    static const enum kafka_codec codecs[] = {KAFKA_CODEC_GZIP, KAFKA_CODEC_SNAPPY, KAFKA_CODEC_LZ4, KAFKA_CODEC_ZSTD};
    for (size_t i = 0; options->compression && i < ARRAY_SIZE(codecs); i++)
        if (strcmp(options->compression, kafka_codec_name(codecs[i])) == 0)
            return codecs[i];
    return KAFKA_CODEC_NONE;
}

static void print(const struct publish *publish)
{
    int32_t partition;
    int64_t offset;
    uint64_t count = producer_published(publish->producer);
    producer_last(publish->producer, &partition, &offset);
    if (count == 1)
        printf("%s partition %d offset %lld\n", publish->topic, partition, (long long)offset);
    else
        printf("%llu records published to %s\n", (unsigned long long)count, publish->topic);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct options options = {.partition = -1};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    struct publish publish = {.options = &options, .topic = arguments.items[0]};
    if (!check(&publish, &arguments, &err))
        return command_fail_usage(&err);
    struct kafka_client *client = kafka_client_open(&options.client, &err);
    publish.producer = client ? producer_new(client, publish.topic, options.partition, codec_of(&options), &err) : NULL;
    bool ok = publish.producer && publish_all(&publish, arguments.count == 2 ? arguments.items[1] : NULL, &err);
    if (publish.producer && !options.quiet && (ok || producer_published(publish.producer) > 0))
        print(&publish);
    producer_free(publish.producer);
    kafka_client_close(client);
    return ok ? EXIT_DONE : command_fail(&err);
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"key", "KEY", "key of the records", AT(key), 'k', FLAG_TEXT},
    {"header", "NAME=VALUE", "a header of the records", AT(headers), 'H', FLAG_LIST},
    {"partition", "N", "partition (default: by the key's hash, or any)", AT(partition), 'p', FLAG_INDEX},
    {"file", "FILE", "a record whose value is the whole file; - is standard input", AT(files), 'f', FLAG_LIST},
    {"tombstone", NULL, "a record without a value: compaction removes its key", AT(tombstone), 0, FLAG_SWITCH},
    {"key-separator", "TEXT", "of each line, what stands before TEXT is the key", AT(key_separator), 'K', FLAG_TEXT},
    {"input", "lines|json", "json: lines as \"evoke consume -o json\" prints them", AT(input), 'i', FLAG_CHOICE},
    {"compression", "none|gzip|snappy|lz4|zstd", "packs the records (default none)", AT(compression), 'z', FLAG_CHOICE},
    {"rate", "N", "at most N records a second", AT(rate), 'r', FLAG_COUNT},
    {"quiet", NULL, "print nothing", AT(quiet), 'q', FLAG_SWITCH},
    {0},
};

const struct command command_publish = {
    .name = "publish",
    .about = "Append records to a topic",
    .flags = {.tables = {flags, kafka_client_flags}, .arguments = "TOPIC [VALUE]"},
    .details = "It waits until they are on disk. Without VALUE and --file: a record for each line of standard input, "
               "sent as soon\n"
               "as no more lines wait. A topic that does not exist is made, if the server does that.",
    .examples = "  evoke publish orders --key 17 '{\"item\": \"tea\"}'\n"
                "  evoke publish orders --header ce_type=order.placed --file order.json\n"
                "  seq 1000 | evoke publish numbers --rate 100\n"
                "  evoke consume old -o json | evoke publish new --input json\n",
    .run = run,
};
