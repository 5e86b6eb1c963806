/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers and Triggers at work. A Broker is the topic <namespace>.<broker>; a Trigger is the consumer group
 * trigger.<namespace>.<trigger> on it: it reads, filters, delivers by HTTP (CloudEvents binary mode, `Prefer: reply`),
 * appends the reply to the Broker's topic, retries, dead-letters, and keeps both kinds' status.
 *
 * The contract is Knative's data plane (knative/specs, eventing/data-plane.md), with one thing more: a reply and the
 * input's offset are one frame of the journal, so that no crash of evoke doubles or loses a reply. The handler itself
 * may see an event twice (at least once).
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include "api/api.h"
#include "base/error.h"
#include "mesh/mesh.h"

struct dispatch;

/* What happened to one event at one Trigger, for `evoke up`, which shows it live. Good during the call. */
enum dispatch_step_type {
    DISPATCH_DELIVERED,     /* the subscriber took it; reply_type is set when it answered with an event */
    DISPATCH_RETRY,         /* the attempt failed; the next one is in delay_ms */
    DISPATCH_DEAD_LETTERED, /* given up, and taken by the dead letter sink */
    DISPATCH_DROPPED,       /* given up, and there is no dead letter sink */
};

struct dispatch_step {
    enum dispatch_step_type type;
    struct bytes namespace, trigger;
    struct bytes event_id, event_type;
    struct bytes reply_type; /* null: no reply */
    const char *pod;         /* "" when it was not a pod of a Service */
    int attempt;             /* 1 for the first */
    int status;              /* of the HTTP response; 0: there was none, and `error` says why */
    const char *error;       /* "" without one */
    uint64_t delay_ms;
    uint64_t latency_us; /* from the append of the event to the end of this step */
};

struct dispatch_options {
    struct api *api;
    struct mesh *mesh;
    const char *events_url; /* of the events door, for status.address.url: "http://127.0.0.1:8080"; NULL: it is off */
    void (*observe)(void *ctx, const struct dispatch_step *step); /* NULL: nobody looks */
    void *observe_ctx;
    uint64_t patience_ms; /* how long events wait for an endpoint before their Trigger says so; 0: 10 s */
};

struct dispatch *dispatch_open(const struct dispatch_options *options);
/* Ends at once; what is in flight is delivered again after the next start. NULL is allowed. */
void dispatch_close(struct dispatch *dispatch);

enum { DISPATCH_LATENCY_BUCKETS = 14 };
extern const double dispatch_latency_bounds_s[DISPATCH_LATENCY_BUCKETS];

struct dispatch_metrics {
    uint64_t brokers, triggers, in_flight, waiting_retry;
    uint64_t events_read, events_filtered;            /* filtered: did not match */
    uint64_t events_invalid;                          /* records that are no CloudEvents, and were passed over */
    uint64_t read_failures;                           /* that a Trigger came to what can not be read, and stopped */
    uint64_t deliveries;                              /* attempts, by how they ended: */
    uint64_t succeeded, refused, failed;              /* 2xx; another status; no response (timeout, connection) */
    uint64_t retries, replies, dead_letters, dropped; /* dropped: failed for good, and no dead letter sink */
    uint64_t latency[DISPATCH_LATENCY_BUCKETS + 1];   /* of attempts, by bound; the last above all */
    double latency_sum_s;
};
void dispatch_metrics(const struct dispatch *dispatch, struct dispatch_metrics *out);

#endif
