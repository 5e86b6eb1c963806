/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka protocol's door: connections, frames, the order of answers, back-pressure; what the requests mean is in the
 * kafka_*.c files beside it, one per area. Everything it knows of topics and groups it asks of log/.
 *
 * One node, id 0, which is leader of every partition, coordinator of every group, and the controller.
 *
 * Rules of a connection:
 *   - requests are served as they arrive; answers leave in the order of the requests, even when a Fetch waits;
 *   - while it has KAFKA_DOOR_REQUESTS_MAX unanswered requests, or a peer that does not read its answers, it is not
 * read;
 *   - a frame that is too large, is cut short, or has an unknown key or version, ends the connection, with one line in
 *     the diagnostics and a counter;
 *   - while the disk is behind, a Produce waits, and what stands behind it on its connection;
 *   - Produce with acks=0 has no answer; its failure ends the connection.
 */
#ifndef DOOR_KAFKA_DOOR_H
#define DOOR_KAFKA_DOOR_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/histogram.h"
#include "io/address.h"
#include "io/io.h"
#include "io/stream.h"
#include "log/log.h"

struct io_tls; /* io/tls.h */
struct kafka_door;

enum {
    KAFKA_DOOR_REQUESTS_MAX = 100, /* unanswered, per connection */
};

struct kafka_door_options {
    struct io_address address;
    struct io_tls *tls;          /* NULL: plain */
    const char *advertised_host; /* what clients are told to connect to; NULL: the address they came by */
    int32_t advertised_port;     /* 0: the listener's */
    int32_t partition_count;     /* of topics made without a count; 0: 1 */
    bool no_auto_create;         /* Metadata does not make topics */
    /* Requests of all connections together, as received and decoded: above it no connection begins another, as Kafka's
     * queued.max.request.bytes; who brings twice as much is disconnected. 0: 256 MiB. */
    size_t request_bytes_max;
};

struct kafka_door *kafka_door_open(struct io *io, struct log *log, const struct kafka_door_options *options,
                                   struct error *err);
void kafka_door_close(struct kafka_door *door); /* ends all connections; NULL is allowed */
struct io_address kafka_door_address(const struct kafka_door *door);

enum { KAFKA_DOOR_API_KEYS = 96, KAFKA_DOOR_ERROR_FIRST = -1, KAFKA_DOOR_ERROR_CODES = 140 };

struct kafka_api_metrics {
    uint64_t requests, errors; /* errors: codes in answers, of which one answer may have many */
    uint64_t bytes_in, bytes_out;
    struct histogram seconds; /* from the whole request to its answer's turn, in histogram_seconds */
};

struct kafka_door_metrics {
    uint64_t connections; /* open now */
    uint64_t connections_accepted;
    uint64_t frames_too_large;
    uint64_t frames_malformed; /* cut short, counts that do not fit */
    uint64_t frames_unknown;   /* api key or version that is not served */
    uint64_t frames_refused;   /* while all connections together hold too much */
    uint64_t frames_stalled;   /* of which nothing came any more for ten minutes */
    uint64_t connections_idle; /* ended after ten minutes without a request */
    struct io_handshake_metrics handshakes;
    struct kafka_api_metrics apis[KAFKA_DOOR_API_KEYS]; /* by api key */
    uint64_t errors_by_code[KAFKA_DOOR_ERROR_CODES];    /* by code - KAFKA_DOOR_ERROR_FIRST */
    struct histogram produce_bytes;                     /* of record batches, in histogram_bytes */
    struct histogram fetch_bytes;                       /* of records in answers to Fetch */
    uint64_t batches_corrupt;                           /* CRC or structure */
    uint64_t batches_refused;                           /* too large, out of sequence, stale epoch, invalid */
    uint64_t bytes_in, bytes_out;
    uint64_t records_in;      /* records appended by Produce */
    uint64_t produce_waits;   /* requests that waited for the disk to catch up */
    uint64_t fetches_waiting; /* parked now */
    uint64_t paused;          /* times that a connection was no longer read: its unanswered requests, a quota */
    uint64_t throttled;       /* answers that told their client that it is above a quota */
    uint64_t throttled_ms;    /* for how long */
};
size_t kafka_door_held(const struct kafka_door *door); /* bytes of requests that are not answered, or arriving */
void kafka_door_metrics(const struct kafka_door *door, struct kafka_door_metrics *out);

#endif
