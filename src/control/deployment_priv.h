/* SPDX-License-Identifier: Apache-2.0 */
/* The Deployment reconciler's parts: its replica sets (deployment_sets.c), its status (deployment_status.c), what is
 * done about both (deployment.c). For this folder only. */
#ifndef CONTROL_DEPLOYMENT_PRIV_H
#define CONTROL_DEPLOYMENT_PRIV_H

#include "api/api.h"
#include "control/deployment.h"
#include "control/reconciler.h"
#include "control/rollout.h"

#define ANNOTATION_REVISION "deployment.kubernetes.io/revision"
#define ANNOTATION_REVISION_HISTORY "deployment.kubernetes.io/revision-history"
#define ANNOTATION_DESIRED_REPLICAS "deployment.kubernetes.io/desired-replicas"
#define ANNOTATION_MAX_REPLICAS "deployment.kubernetes.io/max-replicas"
#define LABEL_TEMPLATE_HASH "pod-template-hash"

/* More replica sets than this are not looked at in one reconcile; the clean-up brings them below it. */
enum { DEPLOYMENT_SETS_MAX = 64 };

/* One reconcile's view. Objects are held. */
struct rollout {
    struct api *api;
    struct reconciler *reconciler;
    struct object *deployment;                /* held */
    struct object *sets[DEPLOYMENT_SETS_MAX]; /* all, oldest first */
    size_t count;
    size_t newest; /* the one with the current template; `count` when there is none */
    int64_t replicas;
    struct rollout_bounds bounds;
};

bool rollout_open(struct rollout *rollout, struct error *err); /* finds, adopts and releases replica sets */
void rollout_close(struct rollout *rollout);

static inline struct object *rollout_newest(const struct rollout *rollout)
{
    return rollout->newest < rollout->count ? rollout->sets[rollout->newest] : NULL;
}

/* The newest one gets the right revision and annotations; it is made if `create` and it is not there. */
bool rollout_sync_newest(struct rollout *rollout, bool create, struct error *err);
/* Sets spec.replicas and the two annotations of its size; an Event says so. */
bool rollout_scale_set(struct rollout *rollout, size_t at, int64_t replicas, struct error *err);
/* Removes the oldest empty ones beyond spec.revisionHistoryLimit. */
bool rollout_clean_up(struct rollout *rollout, struct error *err);
int64_t annotation_int(const struct object *object, const char *annotation, int64_t otherwise);

/* --- Status --- */
bool rollout_complete(const struct rollout *rollout);
/* Sets the condition, keeping both times if status and reason stay, lastTransitionTime if the status stays. */
void deployment_set_condition(struct api *api, struct json *deployment, const char *type, const char *status,
                              const char *reason, const char *message);
bool deployment_has_deadline(const struct object *deployment);
/* Writes the status as it follows from the replica sets. `rolling`: a rollout may go on, so that its progress counts.
 */
bool rollout_write_status(struct rollout *rollout, bool rolling, struct error *err);
/* Writes `next`'s status and keeps rollout->deployment current. */
bool rollout_store_status(struct rollout *rollout, const struct json *next, struct error *err);

#endif
