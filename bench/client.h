/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark's Kafka clients share: librdkafka, set up so that it measures the server and not itself. What
 * fails ends the process with a line on stderr. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>

uint64_t now_ns(void); /* CLOCK_MONOTONIC */

typedef void client_delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque);

rd_kafka_t *client_producer(const char *brokers, const char *acks, const char *linger_ms, client_delivered *delivered);
/* Of partition 0 of the topic, from `offset` on. */
rd_kafka_t *client_consumer(const char *brokers, const char *topic, int64_t offset);
/* Asks for the topic until it is known, so that no record waits for librdkafka's own next look (up to a second). */
void client_know(rd_kafka_t *kafka, const char *topic);

#endif
