/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer or a user can make evoke hold, in one place. Each is reached with a clear error or with back-pressure,
 * never with a crash. A limit that belongs to one module alone stands in that module's header.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    LIMIT_KAFKA_FRAME_SIZE = 100 << 20,  /* as Kafka's socket.request.max.bytes */
    LIMIT_KAFKA_DECODED_SIZE = 64 << 20, /* structs that one request may expand to, beside its own bytes */
    LIMIT_KAFKA_BATCH_SIZE = 1048588,    /* as Kafka's max.message.bytes: 1 MiB + 12 */
    LIMIT_HTTP_HEAD_SIZE = 64 << 10,     /* request or status line and header fields */
    LIMIT_API_BODY_SIZE = 3 << 20,       /* as kube-apiserver's */
    LIMIT_EVENT_SIZE = 1 << 20,          /* a CloudEvent by HTTP, and a handler's reply */
    LIMIT_JSON_DEPTH = 128,              /* containers within containers */
    LIMIT_JSON_VALUES = 800000,          /* that one text may become, as JSON, YAML or protobuf: some 60 MB, in which */
    LIMIT_JSON_CONTAINER = 8,            /* an object or array is worth so many */
    LIMIT_CONNECTIONS_PER_DOOR = 10000,
    LIMIT_STREAM_QUEUE_SIZE = 32 << 20, /* bytes queued to one slow reader before it is disconnected */
    LIMIT_TOPICS = 100000,
    LIMIT_PARTITIONS_PER_TOPIC = 10000,
    LIMIT_GROUP_MEMBERS = 10000,
    LIMIT_OBJECTS = 1000000,
    LIMIT_WATCHES = 10000,
    LIMIT_HELD_CONNECTIONS_PER_SERVICE = 1000,
    LIMIT_HELD_TIME_MS = 60000,
};

#endif
