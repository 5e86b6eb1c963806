/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API door: the Kubernetes REST API over HTTPS, for kubectl, client libraries and operators.
 *
 * At first start it makes a CA in DIR/pki, a server certificate and an admin client certificate (CN kubernetes-admin,
 * O system:masters), and writes DIR/kubeconfig (0600) with all of it embedded. A request without a client certificate
 * of that CA is answered 401, but for /healthz, /livez, /readyz and /version.
 *
 * Every answer to a write is sent when the write is on disk, and nobody is shown what is not.
 */
#ifndef DOOR_KUBE_DOOR_H
#define DOOR_KUBE_DOOR_H

#include "api/api.h"
#include "base/error.h"
#include "http/http_server.h"
#include "io/address.h"

struct kube_door;
struct kube_pki_loading; /* kube_pki.h */

/* --- pods/log: the node fills this --- */
struct kube_log_options {
    struct bytes container; /* null or empty: the pod's only one */
    bool follow, previous, timestamps;
    int64_t tail_lines;  /* -1: all */
    int64_t since_ns;    /* wall time; 0: all */
    int64_t limit_bytes; /* -1: no limit */
};
struct kube_log_callbacks {
    void (*on_data)(void *ctx, struct bytes text);      /* good during the call */
    void (*on_end)(void *ctx, const struct error *err); /* once, last */
};
struct kube_pod_logs {
    void *node; /* first argument of `open` */
    /* NULL on error: ERROR_NOT_FOUND, ERROR_INVALID (answered 400) ... Callbacks come from the loop. */
    void *(*open)(void *node, struct bytes namespace, struct bytes pod, const struct kube_log_options *options,
                  const struct kube_log_callbacks *callbacks, void *ctx, struct error *err);
    void (*pause)(void *log);
    void (*resume)(void *log);
    void (*close)(void *log); /* exactly once, also after on_end */
};

struct kube_door_options {
    struct io_address address;
    const char *directory; /* DIR: pki/ and kubeconfig are made in it */
    const char *host_name; /* goes into the server's certificate; may be NULL */
    /* Begun by kube_pki_begin() with both; taken over, also on an error. NULL: certificates are loaded here and now. */
    struct kube_pki_loading *pki;
};

/* ERROR_UNAVAILABLE when the port is taken. */
struct kube_door *kube_door_open(struct api *api, const struct kube_door_options *options, struct error *err);
void kube_door_close(struct kube_door *door); /* NULL is allowed */
struct io_address kube_door_address(const struct kube_door *door);

/* Until it is set, pods/log answers 503. Copied; NULL takes it away (before the node closes). */
void kube_door_set_pod_logs(struct kube_door *door, const struct kube_pod_logs *logs);
/* The CA's certificate, PEM: what control puts into kube-root-ca.crt. Lives as long as the door. */
const char *kube_door_ca(const struct kube_door *door);

struct kube_door_metrics {
    uint64_t requests, errors; /* errors: answers of 500 and above */
    uint64_t watches;          /* now */
    struct http_server_metrics http;
};
void kube_door_metrics(const struct kube_door *door, struct kube_door_metrics *out);

#endif
