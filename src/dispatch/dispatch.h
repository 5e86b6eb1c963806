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

struct dispatch_options {
    struct api *api;
    struct mesh *mesh;
    const char *events_url; /* of the events door, for status.address.url: "http://127.0.0.1:8080"; NULL: it is off */
};

struct dispatch *dispatch_open(const struct dispatch_options *options);
/* Ends at once; what is in flight is delivered again after the next start. NULL is allowed. */
void dispatch_close(struct dispatch *dispatch);

enum { DISPATCH_LATENCY_BUCKETS = 14 };
extern const double dispatch_latency_bounds_s[DISPATCH_LATENCY_BUCKETS];

struct dispatch_metrics {
    uint64_t brokers, triggers, in_flight, waiting_retry;
    uint64_t events_read, events_filtered;            /* filtered: did not match */
    uint64_t deliveries;                              /* attempts, by how they ended: */
    uint64_t succeeded, refused, failed;              /* 2xx; another status; no response (timeout, connection) */
    uint64_t retries, replies, dead_letters, dropped; /* dropped: failed for good, and no dead letter sink */
    uint64_t latency[DISPATCH_LATENCY_BUCKETS + 1];   /* of attempts, by bound; the last above all */
    double latency_sum_s;
};
void dispatch_metrics(const struct dispatch *dispatch, struct dispatch_metrics *out);

#endif
