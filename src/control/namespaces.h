/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: each gets the ServiceAccount `default` and the ConfigMap `kube-root-ca.crt` (and again when they are
 * deleted); one that is being deleted is emptied, kind by kind, and then let go. Its conditions say what is left.
 */
#ifndef CONTROL_NAMESPACES_H
#define CONTROL_NAMESPACES_H

#include "control/reconciler.h"

struct namespaces;
/* `ca_certificate`: PEM, copied; null: no ConfigMap. */
struct namespaces *namespaces_new(struct work_queue *queue, struct api *api, struct bytes ca_certificate);
void namespaces_free(struct namespaces *namespaces); /* NULL is allowed */

#endif
