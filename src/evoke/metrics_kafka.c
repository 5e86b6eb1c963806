/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of the Kafka door, and of each partition and each group's lag. Of the latter there are as many as clients
 * make; so that a scrape stays small, only the first in order of names are told, and a gauge says that there are more.
 */
#include <stdio.h>

#include "base/memory.h"
#include "coordinator/coordinator.h"
#include "coordinator/group.h"
#include "evoke/metrics.h"
#include "evoke/metrics_priv.h"
#include "wire/kafka_error.h"
#include "wire/kafka_message.h"

enum { SERIES_MAX = 2000 }; /* of each family */

static struct metrics_histogram of_histogram(const struct histogram *histogram, const double *bounds)
{
    return (struct metrics_histogram){
        .bounds = bounds, .counts = histogram->counts, .bound_count = HISTOGRAM_BOUNDS, .sum = histogram->sum};
}

void metrics_base_histogram(struct metrics *out, const char *name, const char *help, const struct histogram *histogram,
                            const double *bounds)
{
    struct metrics_histogram shown = of_histogram(histogram, bounds);
    metrics_histogram(out, name, help, &shown);
}

/* --- By API --- */

static const char *name_of_used(const struct kafka_door_metrics *kafka, int key)
{
    const struct kafka_api *api = kafka_api_find((int16_t)key);
    return api && kafka->apis[key].requests > 0 ? api->name : NULL;
}

static void by_api(struct metrics *out, const struct kafka_door_metrics *kafka, const char *name, const char *help,
                   size_t figure_offset)
{
    metrics_family(out, name, METRICS_COUNTER, help);
    for (int key = 0; key < KAFKA_DOOR_API_KEYS; key++) {
        const char *api = name_of_used(kafka, key);
        uint64_t figure;
        memcpy(&figure, (const char *)&kafka->apis[key] + figure_offset, sizeof figure);
        if (api)
            metrics_sample(out, (double)figure, "api", api, NULL);
    }
}

static void collect_apis(struct metrics *out, const struct kafka_door_metrics *kafka)
{
    by_api(out, kafka, "evoke_kafka_requests_total", "Requests by API.", offsetof(struct kafka_api_metrics, requests));
    by_api(out, kafka, "evoke_kafka_errors_total", "Error codes in answers, by API.",
           offsetof(struct kafka_api_metrics, errors));
    by_api(out, kafka, "evoke_kafka_request_bytes_total", "Bytes of requests, by API.",
           offsetof(struct kafka_api_metrics, bytes_in));
    by_api(out, kafka, "evoke_kafka_response_bytes_total", "Bytes of answers, by API.",
           offsetof(struct kafka_api_metrics, bytes_out));
    metrics_histogram_family(out, "evoke_kafka_request_seconds",
                             "From a whole request to its answer, waiting included, by API.");
    for (int key = 0; key < KAFKA_DOOR_API_KEYS; key++) {
        struct metrics_histogram shown = of_histogram(&kafka->apis[key].seconds, histogram_seconds);
        const char *api = name_of_used(kafka, key);
        if (api)
            metrics_histogram_sample(out, &shown, "api", api);
    }
}

static void collect_codes(struct metrics *out, const struct kafka_door_metrics *kafka)
{
    metrics_family(out, "evoke_kafka_error_codes_total", METRICS_COUNTER, "Error codes in answers.");
    for (int i = 0; i < KAFKA_DOOR_ERROR_CODES; i++)
        if (kafka->errors_by_code[i] > 0)
            metrics_sample(out, (double)kafka->errors_by_code[i], "error",
                           kafka_error_name((int16_t)(i + KAFKA_DOOR_ERROR_FIRST)), NULL);
}

static void collect_refused(struct metrics *out, const struct kafka_door_metrics *kafka)
{
    metrics_family(out, "evoke_kafka_frames_refused_total", METRICS_COUNTER, "Frames that ended their connection.");
    metrics_sample(out, (double)kafka->frames_too_large, "reason", "too_large", NULL);
    metrics_sample(out, (double)kafka->frames_malformed, "reason", "malformed", NULL);
    metrics_sample(out, (double)kafka->frames_unknown, "reason", "unknown", NULL);
    metrics_sample(out, (double)kafka->frames_refused, "reason", "memory", NULL);
    metrics_sample(out, (double)kafka->frames_stalled, "reason", "stalled", NULL);
    metrics_family(out, "evoke_kafka_batches_refused_total", METRICS_COUNTER, "Record batches that were refused.");
    metrics_sample(out, (double)kafka->batches_corrupt, "reason", "corrupt", NULL);
    metrics_sample(out, (double)kafka->batches_refused, "reason", "invalid", NULL);
}

void metrics_collect_kafka(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->kafka)
        return;
    AUTO_FREE(struct kafka_door_metrics) kafka = NEW(struct kafka_door_metrics);
    kafka_door_metrics(parts->kafka, kafka);
    metrics_gauge(out, "evoke_kafka_connections", "Connections to the Kafka door.", kafka->connections);
    metrics_counter(out, "evoke_kafka_connections_total", "Connections accepted.", kafka->connections_accepted);
    metrics_counter(out, "evoke_kafka_connections_idle_total", "Connections ended after ten minutes without a request.",
                    kafka->connections_idle);
    collect_apis(out, kafka);
    collect_codes(out, kafka);
    collect_refused(out, kafka);
    metrics_counter(out, "evoke_kafka_received_bytes_total", "Bytes received.", kafka->bytes_in);
    metrics_counter(out, "evoke_kafka_sent_bytes_total", "Bytes sent.", kafka->bytes_out);
    metrics_counter(out, "evoke_kafka_records_total", "Records appended by Produce.", kafka->records_in);
    metrics_counter(out, "evoke_kafka_produce_waits_total", "Produce requests that waited for the disk to catch up.",
                    kafka->produce_waits);
    metrics_base_histogram(out, "evoke_kafka_produce_bytes", "Sizes of record batches appended by Produce.",
                           &kafka->produce_bytes, histogram_bytes);
    metrics_base_histogram(out, "evoke_kafka_fetch_bytes", "Bytes of records in answers to Fetch.", &kafka->fetch_bytes,
                           histogram_bytes);
    metrics_gauge(out, "evoke_kafka_fetches_waiting", "Fetches that wait for records.", kafka->fetches_waiting);
    metrics_gauge(out, "evoke_kafka_requests_bytes", "Bytes of requests that are served or arriving.",
                  kafka_door_held(parts->kafka));
    metrics_counter(out, "evoke_kafka_paused_total",
                    "Times a connection was not read: unanswered requests, a quota, much work at once.", kafka->paused);
    metrics_counter(out, "evoke_kafka_throttled_total", "Answers to clients above a quota.", kafka->throttled);
    metrics_one(out, "evoke_kafka_throttle_seconds_total", METRICS_COUNTER,
                "For how long those clients were told to wait.", (double)kafka->throttled_ms / 1e3);
}

/* --- Partitions --- */

static int64_t size_of(const struct partition *partition)
{
    return (int64_t)partition_size(partition);
}

/* True: some were left out. */
static bool by_partition(struct metrics *out, struct log *log, const char *name, const char *help,
                         int64_t (*figure)(const struct partition *partition))
{
    int count = 0;
    metrics_family(out, name, METRICS_GAUGE, help);
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic)) {
        AUTO_FREE(char) topic_text = memory_string(topic_name(topic));
        for (int32_t i = 0; i < topic_partition_count(topic); i++) {
            char index[16];
            if (count++ == SERIES_MAX)
                return true;
            snprintf(index, sizeof index, "%d", i);
            metrics_sample(out, (double)figure(topic_partition(topic, i)), "topic", topic_text, "partition", index,
                           NULL);
        }
    }
    return false;
}

/* --- Groups --- */

struct lags {
    struct metrics *out;
    const char *group;
    int count;
};

/* A group's id may be anything that a client sends, a label is text: other bytes than ASCII's signs become %41. */
static char *label_text(struct bytes id)
{
    AUTO_BUF text;
    buf_init(&text, SIZE_MAX);
    for (size_t i = 0; i < id.size; i++)
        if (id.data[i] > ' ' && id.data[i] <= '~' && id.data[i] != '%')
            buf_append_byte(&text, id.data[i]);
        else
            buf_printf(&text, "%%%02X", id.data[i]);
    return memory_string(buf_bytes(&text));
}

static bool tell_lag(void *ctx, struct bytes topic, int32_t partition, int64_t lag)
{
    struct lags *lags = ctx;
    AUTO_FREE(char) topic_text = label_text(topic);
    char index[16];
    if (lags->count == SERIES_MAX)
        return false;
    lags->count++;
    snprintf(index, sizeof index, "%d", partition);
    metrics_sample(lags->out, (double)lag, "group", lags->group, "topic", topic_text, "partition", index, NULL);
    return true;
}

static bool collect_lags(struct metrics *out, struct log *log)
{
    struct lags lags = {.out = out};
    metrics_family(out, "evoke_kafka_group_lag", METRICS_GAUGE, "Records that a group has not committed yet.");
    for (struct group *group = group_first(log); group; group = group_next(log, group)) {
        AUTO_FREE(char) id = label_text(group_id(group));
        lags.group = id;
        if (!group_each_lag(group, tell_lag, &lags))
            return true;
    }
    return false;
}

void metrics_collect_partitions(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->log)
        return;
    struct log *log = parts->log;
    bool cut = by_partition(out, log, "evoke_log_start_offset", "The first offset of a partition.",
                            partition_log_start_offset);
    cut |=
        by_partition(out, log, "evoke_log_end_offset", "Where a partition's next record goes.", partition_end_offset);
    cut |= by_partition(out, log, "evoke_log_high_watermark", "A partition can be read below it.",
                        partition_high_watermark);
    cut |= by_partition(out, log, "evoke_log_partition_bytes", "Bytes of a partition's batches.", size_of);
    cut |= collect_lags(out, log);
    metrics_gauge(out, "evoke_metrics_left_out", "1: there are more partitions or groups than are told.", cut);
}
