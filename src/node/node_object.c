/* SPDX-License-Identifier: Apache-2.0 */
/* The Node object: this machine. There is no heartbeat: evoke and its node live and die together, and a condition that
 * says nothing new would wake the disk of an idle machine up. It is written when it differs from what is stored. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "node/node_priv.h"

enum { PODS_MAX = 1000 };

static struct json *amounts(const struct node *node)
{
    struct json *list = json_new_object();
    json_set(list, "cpu", json_new_format("%" PRId64, node->machine.cpus));
    json_set(list, "memory", json_new_format("%" PRId64 "Ki", node->machine.memory / 1024));
    json_set(list, "pods", json_new_format("%d", PODS_MAX));
    return list;
}

static struct json *node_info(const struct node *node)
{
    const struct machine *machine = &node->machine;
    const struct runtime *runtime = node->containers ? node->containers : node->processes;
    struct json *info = json_new_object();
    json_set(info, "machineID", json_new_text(machine->machine_id));
    json_set(info, "systemUUID", json_new_text(machine->machine_id));
    json_set(info, "bootID", json_new_text(machine->boot_id));
    json_set(info, "kernelVersion", json_new_text(machine->kernel));
    json_set(info, "osImage", json_new_text(machine->os_image));
    json_set(info, "containerRuntimeVersion", json_new_format("%s://%s", runtime->name, runtime->version));
    json_set(info, "kubeletVersion", json_new_text(KUBERNETES_VERSION));
    json_set(info, "kubeProxyVersion", json_new_text(""));
    json_set(info, "operatingSystem", json_new_text("linux"));
    json_set(info, "architecture", json_new_text(machine->architecture));
    return info;
}

static struct json *address(const char *type, const char *value)
{
    struct json *entry = json_new_object();
    json_set(entry, "type", json_new_text(type));
    json_set(entry, "address", json_new_text(value));
    return entry;
}

static void set_labels(const struct node *node, struct json *json)
{
    static const char *const both[] = {"kubernetes.io/", "beta.kubernetes.io/"};
    struct json *labels = json_get(json_get(json, "metadata"), "labels");
    if (!labels) {
        json_set_at(json, "metadata.labels", json_new_object());
        labels = json_at(json, "metadata.labels");
    }
    char key[64];
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        snprintf(key, sizeof key, "%sos", both[i]);
        json_set(labels, key, json_new_text("linux"));
        snprintf(key, sizeof key, "%sarch", both[i]);
        json_set(labels, key, json_new_text(node->machine.architecture));
    }
    json_set(labels, "kubernetes.io/hostname", json_new_text(node->name));
}

static void set_runnable(const struct node *node, struct json *json)
{
    static const char type[] = "ContainersRunnable";
    char message[400];
    if (!node->containers) {
        snprintf(message, sizeof message, "all pods run as processes: %s", node->no_containers);
        object_set_condition(node->api, json, type, "False", "ProcessesOnly", message);
    } else if (node->containers->trouble) {
        object_set_condition(node->api, json, type, "False", "RuntimeNotReady", node->containers->trouble);
    } else {
        object_set_condition(node->api, json, type, "True", "RuncReady",
                             "pods run as containers, or as processes with runtimeClassName: process");
    }
}

static void set_status(const struct node *node, struct json *json)
{
    json_set_at(json, "status.capacity", amounts(node));
    json_set_at(json, "status.allocatable", amounts(node));
    json_set_at(json, "status.nodeInfo", node_info(node));
    struct json *addresses = json_new_array();
    json_append(addresses, address("InternalIP", node->machine.ip));
    json_append(addresses, address("Hostname", node->name));
    json_set_at(json, "status.addresses", addresses);
    object_set_condition(node->api, json, "MemoryPressure", "False", "KubeletHasSufficientMemory",
                         "evoke does not measure it yet");
    object_set_condition(node->api, json, "DiskPressure", "False", "KubeletHasNoDiskPressure",
                         "evoke does not measure it yet");
    object_set_condition(node->api, json, "PIDPressure", "False", "KubeletHasSufficientPID",
                         "evoke does not measure it yet");
    set_runnable(node, json);
    object_set_condition(node->api, json, "Ready", "True", "KubeletReady", "evoke is running");
}

static bool make_runtime_class(struct node *node, struct error *err)
{
    const struct kind *kind = kind_by_name("RuntimeClass");
    if (!kind || api_find(node->api, "RuntimeClass", "", "process"))
        return true;
    AUTO_JSON *json = json_new_object();
    json_set(json, "apiVersion", json_new_text(kind_api_version(kind)));
    json_set(json, "kind", json_new_text("RuntimeClass"));
    json_set_at(json, "metadata.name", json_new_text("process"));
    json_set(json, "handler", json_new_text("process"));
    return api_create(node->api, kind, BYTES_LITERAL(""), json, 0, NULL, err);
}

bool node_object_register(struct node *node, struct error *err)
{
    const struct kind *kind = kind_by_name("Node");
    struct object *known = api_find(node->api, "Node", "", node->name);
    AUTO_OBJECT *stored = known ? object_ref(known) : NULL;
    AUTO_JSON *json = known ? json_clone(known->json) : json_new_object();
    struct bytes name = bytes_of_string(node->name);
    if (!known) {
        json_set(json, "apiVersion", json_new_text("v1"));
        json_set(json, "kind", json_new_text("Node"));
        json_set_at(json, "metadata.name", json_new_text(node->name));
    }
    set_labels(node, json);
    if (known ? !api_update(node->api, kind, BYTES_LITERAL(""), name, json, 0, NULL, err)
              : !api_create(node->api, kind, BYTES_LITERAL(""), json, 0, NULL, err))
        return error_wrap(err, "node %s", node->name);
    set_status(node, json);
    json_remove(json_get(json, "metadata"), "resourceVersion");
    return (api_update(node->api, kind, BYTES_LITERAL(""), name, json, API_STATUS, NULL, err) ||
            error_wrap(err, "node %s", node->name)) &&
           make_runtime_class(node, err);
}
