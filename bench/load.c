/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Kafka producer and consumer at the speed of librdkafka, for the benchmark.
 *     load BROKERS produce TOPIC COUNT SIZE ACKS [LINGER_MS]   prints records/s and MB/s until all are acknowledged
 *     load BROKERS spread PREFIX TOPICS COUNT              keyed records of 100 B over topics <PREFIX>-0 .., acks=all
 *     load BROKERS consume TOPIC COUNT                         prints records/s and MB/s from the first record on
 *     load BROKERS first TOPIC                                 one record as soon as somebody listens; prints when it
 *                                                              was acknowledged, as CLOCK_MONOTONIC ns
 *     load BROKERS events TOPIC COUNT INTERVAL_US              CloudEvents (binary mode) with the extension `sentns`
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

static uint64_t delivered, failed;

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka, (void)opaque;
    if (message->err)
        failed++;
    else
        delivered++;
}

static void report(const char *what, uint64_t count, uint64_t bytes, uint64_t ns)
{
    double s = (double)ns / 1e9;
    printf("%s %" PRIu64 " records, %.0f records/s, %.1f MB/s\n", what, count, (double)count / s,
           (double)bytes / s / 1e6);
}

static int produce(const char *brokers, const char *topic, uint64_t count, size_t size, const char *acks,
                   const char *linger_ms)
{
    rd_kafka_t *kafka = client_producer(brokers, acks, linger_ms, on_delivery);
    char *value = malloc(size);
    for (size_t i = 0; value && i < size; i++)
        value[i] = (char)('a' + i % 26);
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        while (rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(value, size),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) != 0)
            rd_kafka_poll(kafka, 10);
        rd_kafka_poll(kafka, 0);
    }
    rd_kafka_flush(kafka, 120000);
    report("produced", delivered, delivered * size, now_ns() - start);
    rd_kafka_destroy(kafka);
    free(value);
    return failed > 0 || delivered != count;
}

/* librdkafka looks for a server that was not there only ten times a second: it would measure itself. From an address of
 * our own, because who connects from the very port that it connects to (the kernel may choose it) meets itself. */
static void await_listener(const char *brokers)
{
    char host[64];
    unsigned port;
    struct sockaddr_in address = {.sin_family = AF_INET}, own = {.sin_family = AF_INET};
    if (sscanf(brokers, "%63[^:]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "%s: must be an IPv4 address and a port\n", brokers);
        exit(2);
    }
    address.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, "127.0.0.2", &own.sin_addr);
    for (bool open = false; !open; usleep(200)) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        open = bind(fd, (struct sockaddr *)&own, sizeof own) == 0 &&
               connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
    }
}

/* All topics are known before the clock starts: making them is not what is measured. */
static int spread(const char *brokers, const char *prefix, uint64_t topic_count, uint64_t count)
{
    rd_kafka_t *kafka = client_producer(brokers, "all", "5", on_delivery);
    char name[300], key[32], value[100] = {0};
    for (uint64_t i = 0; i < topic_count; i++) {
        snprintf(name, sizeof name, "%s-%" PRIu64, prefix, i);
        client_know(kafka, name);
    }
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s-%" PRIu64, prefix, i % topic_count);
        int key_size = snprintf(key, sizeof key, "key-%" PRIu64, i);
        while (rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_KEY(key, (size_t)key_size),
                                 RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_END) != 0)
            rd_kafka_poll(kafka, 10);
        rd_kafka_poll(kafka, 0);
    }
    rd_kafka_flush(kafka, 300000);
    report("spread", delivered, delivered * sizeof value, now_ns() - start);
    rd_kafka_destroy(kafka);
    return failed > 0 || delivered != count;
}

static int first(const char *brokers, const char *topic)
{
    await_listener(brokers);
    rd_kafka_t *kafka = client_producer(brokers, "all", "0", on_delivery);
    client_know(kafka, topic);
    rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE((char[]){"x"}, 1),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    while (delivered + failed == 0)
        rd_kafka_poll(kafka, 1);
    printf("%" PRIu64 "\n", now_ns());
    return failed > 0;
}

static int events(const char *brokers, const char *topic, uint64_t count, useconds_t interval_us)
{
    rd_kafka_t *kafka = client_producer(brokers, "all", "0", on_delivery);
    client_know(kafka, topic);
    for (uint64_t i = 0; i < count; i++) {
        char id[32], sent[32];
        snprintf(id, sizeof id, "%d-%" PRIu64, (int)getpid(), i);
        snprintf(sent, sizeof sent, "%" PRIu64, now_ns());
        while (rd_kafka_producev(
                   kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE((char[]){"{}"}, 2),
                   RD_KAFKA_V_HEADER("ce_specversion", "1.0", -1), RD_KAFKA_V_HEADER("ce_id", id, -1),
                   RD_KAFKA_V_HEADER("ce_source", "bench", -1), RD_KAFKA_V_HEADER("ce_type", "bench.ping", -1),
                   RD_KAFKA_V_HEADER("ce_sentns", sent, -1), RD_KAFKA_V_HEADER("content-type", "application/json", -1),
                   RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) != 0)
            rd_kafka_poll(kafka, 10);
        rd_kafka_poll(kafka, 0);
        if (interval_us > 0)
            usleep(interval_us);
    }
    rd_kafka_flush(kafka, 60000);
    rd_kafka_destroy(kafka);
    return failed > 0;
}

static int consume(const char *brokers, const char *topic, uint64_t count)
{
    rd_kafka_t *kafka = client_consumer(brokers, topic, 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka);
    static rd_kafka_message_t *batch[10000];
    uint64_t start = 0, bytes = 0, records = 0;
    while (records < count) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 1000, batch, 10000);
        if (start == 0 && got > 0)
            start = now_ns();
        for (ssize_t i = 0; i < got; i++) {
            if (!batch[i]->err)
                records++, bytes += batch[i]->len;
            rd_kafka_message_destroy(batch[i]);
        }
    }
    report("consumed", records, bytes, now_ns() - start);
    fflush(stdout);
    _exit(0); /* leaving a consumer properly takes longer than the run */
}

int main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[2] : "";
    if (strcmp(what, "produce") == 0 && argc >= 7)
        return produce(argv[1], argv[3], strtoull(argv[4], NULL, 10), strtoul(argv[5], NULL, 10), argv[6],
                       argc > 7 ? argv[7] : "5");
    if (strcmp(what, "consume") == 0 && argc == 5)
        return consume(argv[1], argv[3], strtoull(argv[4], NULL, 10));
    if (strcmp(what, "spread") == 0 && argc == 6)
        return spread(argv[1], argv[3], strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    if (strcmp(what, "first") == 0)
        return first(argv[1], argv[3]);
    if (strcmp(what, "events") == 0 && argc == 6)
        return events(argv[1], argv[3], strtoull(argv[4], NULL, 10), (useconds_t)strtoul(argv[5], NULL, 10));
    fprintf(stderr, "usage: load BROKERS produce|spread|consume|first|events TOPIC ...\n");
    return 2;
}
