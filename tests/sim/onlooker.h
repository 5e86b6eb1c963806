/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who looks on while evoke lives, from each start to the next death, as a client of its api that changes nothing:
 *
 *   - watches ConfigMaps from a start on: revisions rise, every acknowledged version is shown, what was shown stays;
 *   - sees Deployments: one that a ScaledObject scales does not go to zero while its Triggers have a backlog, nor
 * before the cooldown after the last delivery is over;
 *   - sees ReplicaSets: those of a Deployment grow to no more than its replicas and the surge;
 *   - sees pods: one that a ReplicaSet deletes has been drained (its handler tells, when it is told to end).
 */
#ifndef SIM_ONLOOKER_H
#define SIM_ONLOOKER_H

#include "handler.h"
#include "host.h"
#include "model.h"

struct onlooker;

/* It belongs to this life of evoke: when evoke dies, it is forgotten with everything else that evoke held. */
struct onlooker *onlooker_start(struct host *host, struct model *model, struct handlers *handlers);
/* Whether all that was acknowledged in this life has been shown; ERROR_TIMEOUT: not yet. */
MUST_CHECK bool onlooker_has_seen_all(const struct onlooker *onlooker, struct error *err);

#endif
