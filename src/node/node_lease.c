/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's Lease in kube-node-lease, which `kubectl describe node` shows. Elsewhere it is a heartbeat, renewed every
 * ten seconds so that others notice a node that has died. Here whoever can read it talks to the node itself, and an
 * idle evoke writes nothing (decision 0807): it is taken once, at the start, and promises nothing about how long it is
 * good for (no leaseDurationSeconds).
 */
#include <errno.h>

#include "base/text.h"
#include "node/node_priv.h"

static struct json *owner_of(const struct object *node_object)
{
    struct json *owners = json_new_array(), *owner = json_new_object();
    json_set(owner, "apiVersion", json_new_text("v1"));
    json_set(owner, "kind", json_new_text("Node"));
    json_set(owner, "name", json_new_string(node_object->name));
    json_set(owner, "uid", json_new_text(node_object->uid));
    json_append(owners, owner);
    return owners;
}

static void describe(const struct node *node, const struct object *node_object, struct json *lease)
{
    char now[TEXT_TIME_SIZE];
    text_format_time_us(io_wall_ns(node->io) / 1000, now);
    json_set_at(lease, "metadata.ownerReferences", owner_of(node_object));
    json_set_at(lease, "spec.holderIdentity", json_new_text(node->name));
    json_set_at(lease, "spec.acquireTime", json_new_text(now));
    json_set_at(lease, "spec.renewTime", json_new_text(now));
}

bool node_lease_take(void *ctx, struct error *err)
{
    static const struct bytes namespace = {(const uint8_t *)"kube-node-lease", 15};
    struct node *node = ctx;
    const struct kind *kind = kind_by_name("Lease");
    struct bytes name = bytes_of_string(node->name);
    const struct object *node_object = api_find(node->api, "Node", "", node->name);
    const struct object *known = api_get(node->api, kind, namespace, name);
    if (!node_object)
        return true; /* a user has deleted it: the next start makes both */
    AUTO_JSON *lease = known ? json_clone(known->json) : json_new_object();
    json_set(lease, "apiVersion", json_new_text(kind_api_version(kind)));
    json_set(lease, "kind", json_new_text(kind->kind));
    json_set_at(lease, "metadata.name", json_new_text(node->name));
    describe(node, node_object, lease);
    bool ok = known ? api_update(node->api, kind, namespace, name, lease, 0, NULL, err)
                    : api_create(node->api, kind, namespace, lease, 0, NULL, err);
    bool no_namespace = !ok && (err->kind == ERROR_NOT_FOUND || (err->kind == ERROR_DENIED && err->sys == ESHUTDOWN));
    return ok || no_namespace || error_wrap(err, "the node's lease");
}
