/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of gRPC's health checking protocol (grpc.health.v1.Health/Check) as its client, over HTTP/2 without TLS
 * (RFC 9113, prior knowledge): what to send, and what the bytes that come mean. A connection makes this one call.
 *
 *     grpc_health_init(&health);
 *     grpc_health_request(&health, authority, service, &out);     send out
 *     grpc_health_take(&health, data, &out) ...                   send out, until it is not GOING_ON any more
 *     grpc_health_deinit(&health);
 *
 * The answer is in its message; its header fields are not looked at, which would take HPACK's tables. What they would
 * add is why a call failed, and for a health check there are two reasons: the service is not there, or its name is not.
 */
#ifndef WIRE_GRPC_HEALTH_H
#define WIRE_GRPC_HEALTH_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

enum {
    GRPC_HEALTH_SERVICE_MAX = 1024,   /* bytes of a service's name */
    GRPC_HEALTH_ANSWER_MAX = 1 << 16, /* bytes that a peer may send in all */
};

enum grpc_health_state { GRPC_HEALTH_GOING_ON, GRPC_HEALTH_SERVING, GRPC_HEALTH_FAILED };

struct grpc_health {
    struct buf in;      /* the beginning of a frame */
    struct buf message; /* of the answer */
    size_t taken;
    enum grpc_health_state state;
    char service[64];  /* its beginning, for what is told */
    char failure[200]; /* when FAILED: why */
};

void grpc_health_init(struct grpc_health *health);
void grpc_health_deinit(struct grpc_health *health);
/* Appends the connection's beginning and the call. `authority`: "10.88.0.5:8080", at most 100 bytes. Fails with
 * ERROR_LIMIT when the service's name is too long. */
MUST_CHECK bool grpc_health_request(struct grpc_health *health, const char *authority, struct bytes service,
                                    struct buf *out, struct error *err);
/* Takes what has come; appends what is to be sent. After an end nothing is taken. */
enum grpc_health_state grpc_health_take(struct grpc_health *health, struct bytes data, struct buf *out);

#endif
