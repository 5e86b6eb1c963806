/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the Kafka door: a daemon with a log and a door, and a client on another machine of a simulated
 * world. The client writes requests and reads answers; nothing is hidden from it. */
#ifndef DOOR_KAFKA_FIXTURE_H
#define DOOR_KAFKA_FIXTURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "door/kafka_door.h"
#include "io/simulated.h"
#include "io/stream.h"
#include "log/log.h"
#include "test.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"
#include "wire/kafka_messages.h"

struct kafka_fixture {
    struct io *daemon, *machine;
    struct log *log;
    struct kafka_door *door;
    struct io_stream *stream; /* the client's end */
    struct buf in;
    bool ended;
    int32_t correlation_id;
    struct log_options log_options;
    size_t request_bytes_max;
    struct arena arena; /* of the client's requests and of the answers it has read */
    struct buf scratch;
};

void kafka_fixture_init(struct kafka_fixture *f);
void kafka_fixture_init_with(struct kafka_fixture *f, const struct log_options *log_options);
/* With a limit to what all requests may hold together. */
void kafka_fixture_init_limited(struct kafka_fixture *f, size_t request_bytes_max);
void kafka_fixture_deinit(struct kafka_fixture *f);
/* Another client of the same daemon, which ends before the first one. */
void kafka_fixture_init_another(struct kafka_fixture *another, const struct kafka_fixture *f);
void kafka_fixture_deinit_another(struct kafka_fixture *another);
void kafka_fixture_connect(struct kafka_fixture *f); /* again, after the connection has ended */
/* The daemon dies as by kill -9, or with its machine's power, and starts again on the same disk; the client connects
 * anew. */
void kafka_fixture_kill(struct kafka_fixture *f);
void kafka_fixture_power_loss(struct kafka_fixture *f);
struct kafka_door_metrics kafka_fixture_metrics(const struct kafka_fixture *f);

/* Sends it and returns its correlation id. */
int32_t kafka_fixture_send(struct kafka_fixture *f, int16_t key, int16_t version, const void *request);
void kafka_fixture_send_bytes(struct kafka_fixture *f, struct bytes bytes);
/* The next answer, which has to have this correlation id; within ten minutes of the world's time. */
void *kafka_fixture_receive(struct kafka_fixture *f, int16_t key, int16_t version, int32_t correlation_id);
void *kafka_fixture_call(struct kafka_fixture *f, int16_t key, int16_t version, const void *request);
bool kafka_fixture_is_silent(struct kafka_fixture *f, uint64_t for_ms); /* no answer meanwhile */
void kafka_fixture_expect_end(struct kafka_fixture *f);                 /* the door closes the connection */

/* What several tests do. */
struct topic *kafka_fixture_topic(struct kafka_fixture *f, const char *name, int32_t partition_count);
struct bytes kafka_fixture_batch(struct kafka_fixture *f, int count, int64_t timestamp_ms); /* good until the next */
struct kafka_produce_request *kafka_fixture_produce_request(struct kafka_fixture *f, const char *topic,
                                                            struct bytes records, int16_t acks);
/* The answer to one batch in one partition. */
struct kafka_produce_response_partition *kafka_fixture_produce(struct kafka_fixture *f, const char *topic,
                                                               struct bytes records);
struct kafka_fetch_request *kafka_fixture_fetch_request(struct kafka_fixture *f, const char *topic, int64_t offset,
                                                        int32_t wait_ms);

#endif
