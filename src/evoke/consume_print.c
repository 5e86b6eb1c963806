/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/consume_print.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "evoke/record_json.h"

static void print_bytes(struct bytes text, FILE *out)
{
    if (text.data)
        fwrite(text.data, 1, text.size, out);
}

static void print_json(const char *topic, int32_t partition, const struct kafka_record *record, FILE *out)
{
    AUTO_BUF line;
    buf_init(&line, 4 * LIMIT_KAFKA_FRAME_SIZE);
    record_json_append(topic, partition, record, &line);
    print_bytes(buf_bytes(&line), out);
}

static void print_full(const char *topic, int32_t partition, const struct kafka_record *record, FILE *out)
{
    char time[TEXT_TIME_SIZE];
    text_format_time_us(record->timestamp_ms * 1000, time);
    fprintf(out, "%s/%d offset %lld %.23sZ\n", topic, partition, (long long)record->offset, time); /* to the ms */
    if (record->key.data) {
        fputs("key: ", out);
        print_bytes(record->key, out);
        putc('\n', out);
    }
    struct bytes rest = record->headers;
    for (struct kafka_record_header header; kafka_record_next_header(&rest, &header);) {
        print_bytes(header.name, out);
        fputs(": ", out);
        print_bytes(header.value, out);
        putc('\n', out);
    }
    putc('\n', out);
    print_bytes(record->value, out);
    fputs(record->value.data ? "\n\n" : "(no value)\n\n", out);
}

void consume_print(const char *output, const char *topic, int32_t partition, const struct kafka_record *record,
                   FILE *out)
{
    if (output && strcmp(output, "json") == 0) {
        print_json(topic, partition, record, out);
    } else if (output && strcmp(output, "full") == 0) {
        print_full(topic, partition, record, out);
    } else {
        print_bytes(record->value, out);
        if (!output || strcmp(output, "raw") != 0)
            putc('\n', out);
    }
}
