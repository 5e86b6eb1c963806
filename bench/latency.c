/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latency as a C client sees it, for the benchmark; nothing lingers.
 *     latency BROKERS produce TOPIC COUNT SIZE ACKS RATE    at RATE a second: from produce() to the acknowledgement
 *     latency BROKERS one TOPIC COUNT SIZE ACKS             one at a time: from produce() to the acknowledgement
 *     latency BROKERS through TOPIC COUNT SIZE              one at a time, acks=all: until it was consumed, too
 * All print "mean N p50 N p99 N p99.9 N us".
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

static uint64_t *latencies; /* ns, in the order in which they became known */
static size_t latency_count;
static atomic_uint_fast64_t failed, delivered;

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static double percentile_us(double part)
{
    return (double)latencies[(size_t)((double)(latency_count - 1) * part)] / 1e3;
}

static int report(uint64_t count)
{
    if (failed > 0 || latency_count != count) {
        fprintf(stderr, "%" PRIu64 " of %" PRIu64 " records failed\n", count - latency_count, count);
        return 1;
    }
    double sum = 0;
    for (size_t i = 0; i < latency_count; i++)
        sum += (double)latencies[i];
    qsort(latencies, latency_count, sizeof *latencies, by_value);
    printf("mean %.0f p50 %.0f p99 %.0f p99.9 %.0f us\n", sum / (double)latency_count / 1e3, percentile_us(0.5),
           percentile_us(0.99), percentile_us(0.999));
    return 0;
}

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka, (void)opaque;
    if (message->err) {
        failed++;
        return;
    }
    uint64_t sent_ns;
    memcpy(&sent_ns, message->payload, sizeof sent_ns);
    latencies[latency_count++] = now_ns() - sent_ns;
    delivered++;
}

struct deliveries {
    rd_kafka_t *kafka;
    uint64_t count;
};

/* On a thread of its own: on_delivery() runs the moment there is something to tell. */
static void *serve_deliveries(void *ctx)
{
    struct deliveries *deliveries = ctx;
    while (delivered + failed < deliveries->count)
        rd_kafka_poll(deliveries->kafka, 100);
    return NULL;
}

static void sleep_until(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0)
        ;
}

static void send_record(rd_kafka_t *kafka, const char *topic, char *value, size_t size)
{
    uint64_t sent_ns = now_ns();
    memcpy(value, &sent_ns, sizeof sent_ns);
    if (rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(value, size),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) != 0)
        failed++;
}

/* Ten times a millisecond what is due: a thread that sleeps for each record does not reach high rates. */
static int produce(const char *brokers, const char *topic, uint64_t count, size_t size, const char *acks, uint64_t rate)
{
    struct deliveries deliveries = {.kafka = client_producer(brokers, acks, "0", on_delivery), .count = count};
    client_know(deliveries.kafka, topic);
    char *value = calloc(1, size);
    pthread_t thread;
    pthread_create(&thread, NULL, serve_deliveries, &deliveries);
    uint64_t start = now_ns(), sent = 0;
    for (uint64_t tick = 0; sent < count; tick++) {
        sleep_until(start + tick * 100000);
        for (uint64_t due = (tick + 1) * rate / 10000; sent < due && sent < count; sent++)
            send_record(deliveries.kafka, topic, value, size);
    }
    pthread_join(thread, NULL);
    free(value);
    rd_kafka_destroy(deliveries.kafka);
    return report(count);
}

/* Waits for the record that was sent. */
static bool consume_one(rd_kafka_t *consumer)
{
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 10000);
        bool good = message && !message->err;
        bool other = message && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message)
            rd_kafka_message_destroy(message);
        if (!other)
            return good;
    }
}

static void on_ignored_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka, (void)opaque;
    delivered++;
    if (message->err)
        failed++;
}

static rd_kafka_t *consumer_at_end(const char *brokers, const char *topic)
{
    rd_kafka_t *consumer = client_consumer(brokers, topic, RD_KAFKA_OFFSET_END);
    rd_kafka_message_t *none = rd_kafka_consumer_poll(consumer, 1000); /* it has found the end meanwhile */
    if (none)
        rd_kafka_message_destroy(none);
    return consumer;
}

/* The next record is sent when this one was acknowledged and, as in Kafka's EndToEndLatency, consumed. */
static int one_at_a_time(const char *brokers, const char *topic, uint64_t count, size_t size, const char *acks,
                         bool through)
{
    rd_kafka_t *kafka = client_producer(brokers, acks, "0", on_ignored_delivery);
    client_know(kafka, topic);
    rd_kafka_t *consumer = through ? consumer_at_end(brokers, topic) : NULL;
    char *value = calloc(1, size);
    for (uint64_t i = 0; i < count && failed == 0; i++) {
        uint64_t start = now_ns();
        send_record(kafka, topic, value, size);
        while (delivered <= i)
            rd_kafka_poll(kafka, 100);
        if (consumer && !consume_one(consumer))
            failed++;
        latencies[latency_count++] = now_ns() - start;
    }
    free(value);
    rd_kafka_destroy(kafka);
    int result = report(count);
    fflush(stdout);
    _exit(result); /* leaving a consumer properly takes longer than the run */
}

int main(int argc, char **argv)
{
    const char *what = argc > 5 ? argv[2] : "";
    uint64_t count = argc > 5 ? strtoull(argv[4], NULL, 10) : 0;
    size_t size = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
    prctl(PR_SET_TIMERSLACK, 1);
    if (count == 0 || size < sizeof(uint64_t) || !(latencies = calloc(count, sizeof *latencies))) {
        fprintf(stderr, "usage: latency BROKERS produce|one|through TOPIC COUNT SIZE ...\n");
        return 2;
    }
    if (strcmp(what, "produce") == 0 && argc == 8)
        return produce(argv[1], argv[3], count, size, argv[6], strtoull(argv[7], NULL, 10));
    if (strcmp(what, "one") == 0 && argc == 7)
        return one_at_a_time(argv[1], argv[3], count, size, argv[6], false);
    if (strcmp(what, "through") == 0 && argc == 6)
        return one_at_a_time(argv[1], argv[3], count, size, "all", true);
    fprintf(stderr, "usage: latency BROKERS produce|one|through TOPIC COUNT SIZE ...\n");
    return 2;
}
