/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScaledObjects (keda.sh/v1alpha1): the replicas of a Deployment follow the backlog of consumer groups, from none to a
 * maximum and back. Nothing is polled: an append or a commit is the signal, and the way from it to the Deployment's
 * spec.replicas passes no timer.
 *
 *     active     a backlog above its activationLagThreshold, a connection that waits at a Service of the target, or one
 *                in flight there: at least one replica, at once as many as the backlog asks for
 *                Of a Trigger that delivers to such a Service the backlog counts only while it does: what lies in the
 *                topic may be for other Triggers, and dispatch tells by asking for the Service (docs/decisions/1002)
 *     inactive   for cooldownPeriod: to minReplicaCount (or idleReplicaCount); until then at least one stays
 *     fewer      no lower than what was asked for in the last stabilization window: that of
 *                advanced.horizontalPodAutoscalerConfig.behavior.scaleDown, otherwise cooldownPeriod but at most the
 *                300 s of Kubernetes (docs/decisions/1003)
 *
 * pollingInterval and fallback have no meaning here: there is no source that could fail to answer.
 */
#ifndef CONTROL_SCALER_H
#define CONTROL_SCALER_H

#include "control/control.h"
#include "control/reconciler.h"

struct scaler;

struct scaler_options {
    struct work_queue *queue;
    struct api *api;
    struct mesh *mesh; /* NULL: no demand but the log's */
};
struct scaler *scaler_new(const struct scaler_options *options);
void scaler_free(struct scaler *scaler); /* NULL is allowed */

struct scaler_counts {
    uint64_t ups, downs;
};
struct scaler_counts scaler_counts(const struct scaler *scaler);

#endif
