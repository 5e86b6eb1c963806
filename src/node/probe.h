/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One probe of one container: asks again and again, and tells when its answer changes.
 *
 * Kubernetes' timing: the first attempt initialDelaySeconds after the start, then every periodSeconds; successThreshold
 * successes in a row make it good, failureThreshold failures make it bad. With one addition, for services that start in
 * milliseconds: until its first success, a readiness or startup probe is tried again after 1, 2, 4, 8 ... ms, up to its
 * period. These quick attempts can only find a success sooner; a failure counts only when it falls on the times above.
 */
#ifndef NODE_PROBE_H
#define NODE_PROBE_H

#include "http/http_client.h"
#include "io/io.h"
#include "node/runtime.h"
#include "wire/json.h"

enum probe_kind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS };

struct probe;

struct probe_target {
    struct io *io;
    struct http_client *http;
    struct io_tls *tls;      /* for scheme HTTPS, whose certificates are not verified: as kubelet does */
    struct sandbox *sandbox; /* for exec */
    const char *container;
    const char *ip;           /* of the pod */
    const struct json *ports; /* the container's, for ports given by name */
};

struct probe_events {
    /* It became good or bad. A readiness or startup probe starts as bad, a liveness probe as good. A startup probe
     * ends with its first success. */
    void (*on_change)(void *ctx, enum probe_kind kind, bool good, const char *message);
    /* An attempt failed at a regular time. */
    void (*on_failure)(void *ctx, enum probe_kind kind, const char *message);
};

/* `spec` is held; the target's strings are copied. NULL: the spec has none of the actions that evoke knows, err. */
struct probe *probe_new(enum probe_kind kind, const struct json *spec, const struct probe_target *target,
                        const struct probe_events *events, void *ctx, struct error *err);
void probe_free(struct probe *probe);              /* at any time, no callback after it; NULL is allowed */
const char *probe_kind_name(enum probe_kind kind); /* "Readiness" */

/* One attempt of an action (httpGet, tcpSocket, exec, grpc), as probes and preStop hooks use it. */
struct probe_action;
/* `done` once, from the loop, unless it is freed first; message is "" on success. The action is freed by its owner. */
struct probe_action *probe_action_start(const struct json *spec, const struct probe_target *target, uint64_t timeout_ms,
                                        void (*done)(void *ctx, bool ok, const char *message), void *ctx);
void probe_action_free(struct probe_action *action); /* NULL is allowed */

#endif
