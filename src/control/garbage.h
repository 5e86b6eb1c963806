/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The garbage collector: what goes with its owners. An object whose owners (metadata.ownerReferences, by uid) are all
 * gone is deleted; one that keeps an owner only loses the references to the others. How an owner itself goes:
 *
 *     background   at once; what it owned follows
 *     foreground   finalizer foregroundDeletion: first what it owned (in the foreground too), then, when nothing with
 *                  blockOwnerDeletion is left, the owner
 *     orphan       finalizer orphan: its dependents lose the reference, then the owner goes
 *
 * An owner of a kind that evoke does not know is believed to be there.
 */
#ifndef CONTROL_GARBAGE_H
#define CONTROL_GARBAGE_H

#include "control/reconciler.h"

struct garbage;
struct garbage *garbage_new(struct work_queue *queue, struct api *api);
void garbage_free(struct garbage *garbage); /* NULL is allowed */

#endif
