/* SPDX-License-Identifier: Apache-2.0 */
/* What every cluster has from its first moment: four namespaces. What is in each (a service account, the CA) comes from
 * control. */
#include "api/store_priv.h"
#include "base/memory.h"

static bool ensure_namespace(struct api *api, const char *name, struct error *err)
{
    const struct kind *kind = kind_by_name("Namespace");
    if (api_get(api, kind, BYTES_NULL, bytes_of_string(name)))
        return true;
    AUTO_JSON *json = json_new_object();
    json_set_at(json, "metadata.name", json_new_text(name));
    return api_create(api, kind, BYTES_NULL, json, 0, NULL, err) || error_wrap(err, "namespace %s", name);
}

bool bootstrap_run(struct api *api, struct error *err)
{
    static const char *const names[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!ensure_namespace(api, names[i], err))
            return false;
    return true;
}
