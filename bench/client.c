/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s\n", error);
        exit(2);
    }
}

static rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char error[512];
    rd_kafka_t *kafka = rd_kafka_new(type, conf, error, sizeof error);
    if (!kafka) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    return kafka;
}

rd_kafka_t *client_producer(const char *brokers, const char *acks, const char *linger_ms, client_delivered *delivered)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "acks", acks);
    set(conf, "linger.ms", linger_ms);
    set(conf, "queue.buffering.max.messages", "1000000");
    set(conf, "reconnect.backoff.ms", "1");
    set(conf, "reconnect.backoff.max.ms", "2");
    set(conf, "socket.nagle.disable", "true");
    set(conf, "log_level", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    return client_new(RD_KAFKA_PRODUCER, conf);
}

rd_kafka_t *client_consumer(const char *brokers, const char *topic, int64_t offset)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "group.id", "load");
    set(conf, "enable.auto.commit", "false");
    set(conf, "fetch.message.max.bytes", "10485760");
    set(conf, "socket.nagle.disable", "true");
    rd_kafka_t *kafka = client_new(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(kafka);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    rd_kafka_assign(kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    return kafka;
}

void client_know(rd_kafka_t *kafka, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, name, NULL);
    for (int known = 0; !known;) {
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(kafka, 0, topic, &metadata, 100) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            usleep(500);
            continue;
        }
        known = metadata->topic_cnt == 1 && !metadata->topics[0].err && metadata->topics[0].partition_cnt > 0;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
}
