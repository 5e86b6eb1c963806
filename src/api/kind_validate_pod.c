/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod's spec must be, and what may change in it later. */
#include <stdio.h>

#include "api/quantity.h"
#include "api/text_format.h"
#include "api/validation.h"
#include "base/map.h"
#include "base/memory.h"

/* How many of these are there? */
static size_t count_present(const struct json *object, const char *const *names, size_t count)
{
    size_t present = 0;
    for (size_t i = 0; i < count; i++)
        present += json_get(object, names[i]) != NULL;
    return present;
}

/* --- Environment, ports, mounts --- */

static void check_env(struct validation *validation, const struct json *container)
{
    static const char *const sources[] = {"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef",
                                          "fileKeyRef"};
    json_array_each (i, variable, json_get(container, "env")) {
        size_t mark = field_path_push(&validation->path, "env");
        field_path_push_index(&validation->path, i);
        const struct json *name = json_get(variable, "name"), *from = json_get(variable, "valueFrom");
        if (json_bytes(name).size > 0 && !text_has_format(json_bytes(name), FORMAT_ENV_NAME))
            validation_invalid(validation, "name", name, text_format_words(FORMAT_ENV_NAME));
        if (from && json_bytes(json_get(variable, "value")).size > 0)
            validation_invalid(validation, "valueFrom", from, "may not be there when value is");
        else if (from && count_present(from, sources, ARRAY_SIZE(sources)) != 1)
            validation_invalid(validation, "valueFrom", from, "must have exactly one source");
        field_path_cut(&validation->path, mark);
    }
}

static void check_env_from(struct validation *validation, const struct json *container)
{
    static const char *const sources[] = {"configMapRef", "secretRef"};
    json_array_each (i, source, json_get(container, "envFrom")) {
        size_t mark = field_path_push(&validation->path, "envFrom");
        field_path_push_index(&validation->path, i);
        if (count_present(source, sources, ARRAY_SIZE(sources)) != 1)
            validation_invalid(validation, NULL, source, "must have exactly one of configMapRef and secretRef");
        field_path_cut(&validation->path, mark);
    }
}

static void check_ports(struct validation *validation, const struct json *container)
{
    size_t mark = field_path_push(&validation->path, "ports");
    validation_unique(validation, json_get(container, "ports"), "name");
    field_path_cut(&validation->path, mark);
}

static void check_mounts(struct validation *validation, const struct json *container, const struct map *volumes)
{
    const struct json *mounts = json_get(container, "volumeMounts");
    size_t mark = field_path_push(&validation->path, "volumeMounts");
    validation_unique(validation, mounts, "mountPath");
    json_array_each (i, mount, mounts) {
        size_t list_mark = field_path_push_index(&validation->path, i);
        const struct json *name = json_get(mount, "name");
        if (json_bytes(name).size > 0 && !map_get(volumes, json_bytes(name)))
            validation_not_found(validation, "name", name);
        field_path_cut(&validation->path, list_mark);
    }
    field_path_cut(&validation->path, mark);
}

/* --- Resources --- */

static void check_resources(struct validation *validation, const struct json *resources)
{
    static const char *const lists[] = {"limits", "requests"};
    size_t mark = field_path_push(&validation->path, "resources");
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        json_object_each (member, json_get(resources, lists[i])) {
            struct quantity quantity, limit;
            size_t list_mark = field_path_push(&validation->path, lists[i]);
            field_path_push_key(&validation->path, member.key);
            const struct json *limit_text = json_get(json_get(resources, "limits"), member.key);
            if (!quantity_parse(json_bytes(member.value), &quantity) || quantity.nanos < 0)
                validation_invalid(validation, NULL, member.value, "must be greater than or equal to 0");
            else if (i == 1 && quantity_parse(json_bytes(limit_text), &limit) && quantity_compare(quantity, limit) > 0)
                validation_invalid(validation, NULL, member.value, "must be less than or equal to the limit");
            field_path_cut(&validation->path, list_mark);
        }
    }
    field_path_cut(&validation->path, mark);
}

/* --- Probes --- */

/* A number from 1 to 65535, or a port's name. */
static void check_port(struct validation *validation, const char *name, const struct json *port)
{
    if (json_is_int(port) && (json_int(port, 0) < 1 || json_int(port, 0) > 65535))
        validation_invalid(validation, name, port, "must be between 1 and 65535, inclusive");
    else if (json_is_string(port) && !text_has_format(json_bytes(port), FORMAT_PORT_NAME))
        validation_invalid(validation, name, port, text_format_words(FORMAT_PORT_NAME));
}

static void check_handler(struct validation *validation, const struct json *handler)
{
    static const char *const handlers[] = {"exec", "httpGet", "tcpSocket", "grpc", "sleep"};
    size_t count = count_present(handler, handlers, ARRAY_SIZE(handlers));
    if (count == 0)
        validation_required(validation, NULL, "must have one of exec, httpGet, tcpSocket and grpc");
    if (count > 1)
        validation_forbidden(validation, NULL, "may not have more than one of exec, httpGet, tcpSocket and grpc");
    check_port(validation, "httpGet.port", json_at(handler, "httpGet.port"));
    check_port(validation, "tcpSocket.port", json_at(handler, "tcpSocket.port"));
    if (json_get(handler, "exec") && json_size(json_at(handler, "exec.command")) == 0)
        validation_required(validation, "exec.command", "");
}

static void check_probes(struct validation *validation, const struct json *container)
{
    static const char *const probes[] = {"readinessProbe", "livenessProbe", "startupProbe"};
    static const char *const hooks[] = {"lifecycle.postStart", "lifecycle.preStop"};
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
        const struct json *probe = json_get(container, probes[i]);
        if (!probe)
            continue;
        size_t mark = field_path_push(&validation->path, probes[i]);
        check_handler(validation, probe);
        if (i > 0 && json_int_at(probe, "successThreshold", 1) != 1)
            validation_invalid(validation, "successThreshold", json_get(probe, "successThreshold"), "must be 1");
        field_path_cut(&validation->path, mark);
    }
    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
        size_t mark = field_path_push(&validation->path, hooks[i]);
        if (json_at(container, hooks[i]))
            check_handler(validation, json_at(container, hooks[i]));
        field_path_cut(&validation->path, mark);
    }
}

/* --- Containers and volumes --- */

static void check_containers(struct validation *validation, const struct json *spec, const char *list,
                             const struct map *volumes, struct map *names)
{
    json_array_each (i, container, json_get(spec, list)) {
        size_t mark = field_path_push(&validation->path, list);
        field_path_push_index(&validation->path, i);
        const struct json *name = json_get(container, "name");
        if (json_bytes(name).size > 0 && !text_has_format(json_bytes(name), FORMAT_DNS_LABEL))
            validation_invalid(validation, "name", name, text_format_words(FORMAT_DNS_LABEL));
        else if (json_bytes(name).size > 0 && !map_add(names, json_bytes(name)))
            validation_duplicate(validation, "name", name);
        struct bytes image = json_bytes(json_get(container, "image"));
        if (image.size == 0)
            validation_required(validation, "image", "");
        else if (!bytes_equal(image, bytes_trim(image)))
            validation_invalid(validation, "image", json_get(container, "image"), "must not begin or end with a blank");
        check_env(validation, container);
        check_env_from(validation, container);
        check_ports(validation, container);
        check_mounts(validation, container, volumes);
        check_resources(validation, json_get(container, "resources"));
        check_probes(validation, container);
        field_path_cut(&validation->path, mark);
    }
}

/* What a source refers to. */
static void check_source(struct validation *validation, const struct json *volume)
{
    const struct json *path = json_at(volume, "hostPath.path");
    struct bytes rest = json_bytes(path), part;
    if (json_get(volume, "configMap") && !json_at(volume, "configMap.name"))
        validation_required(validation, "configMap.name", "");
    if (json_get(volume, "secret") && !json_at(volume, "secret.secretName"))
        validation_required(validation, "secret.secretName", "");
    while (bytes_split(&rest, '/', &part))
        if (bytes_equal_string(part, ".."))
            validation_invalid(validation, "hostPath.path", path, "must not contain '..'");
}

static void check_volumes(struct validation *validation, const struct json *volumes, struct map *names)
{
    size_t mark = field_path_push(&validation->path, "volumes");
    validation_unique(validation, volumes, "name");
    json_array_each (i, volume, volumes) {
        size_t list_mark = field_path_push_index(&validation->path, i);
        const struct json *name = json_get(volume, "name");
        if (json_bytes(name).size > 0)
            map_add(names, json_bytes(name));
        /* Its members are its name and its source. */
        if (json_size(volume) > 2)
            validation_forbidden(validation, NULL, "may not have more than one source");
        check_source(validation, volume);
        field_path_cut(&validation->path, list_mark);
    }
    field_path_cut(&validation->path, mark);
}

void validate_pod_spec(struct validation *validation, const struct json *spec)
{
    struct map volumes = {0}, names = {0};
    check_volumes(validation, json_get(spec, "volumes"), &volumes);
    check_containers(validation, spec, "containers", &volumes, &names);
    check_containers(validation, spec, "initContainers", &volumes, &names);
    validation_labels(validation, "nodeSelector", json_get(spec, "nodeSelector"));
    map_deinit(&volumes, NULL);
    map_deinit(&names, NULL);
}

/* --- Updates --- */

/* Makes the parts that may change equal to the old ones; what then still differs has no right to. */
static void forgive(struct json *spec, const struct json *old)
{
    static const char *const lists[] = {"containers", "initContainers"};
    static const char *const fields[] = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds",
                                         "schedulingGates"};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        const struct json *before = json_get(old, lists[i]);
        json_array_each (j, container, json_get(spec, lists[i]))
            if (json_get(container, "image") && json_at(json_index(before, j), "image"))
                json_set(container, "image", json_ref(json_at(json_index(before, j), "image")));
    }
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        json_remove(spec, fields[i]);
        json_set(spec, fields[i], json_ref(json_get(old, fields[i])));
    }
    /* The node is chosen once. */
    if (!json_get(old, "nodeName"))
        json_remove(spec, "nodeName");
}

void validate_pod_update(struct validation *validation, const struct json *pod)
{
    const struct json *old = json_get(validation->old, "spec");
    if (json_same(json_get(pod, "spec"), old))
        return;
    AUTO_JSON *spec = json_clone(json_get(pod, "spec"));
    forgive(spec, old);
    if (!json_same(spec, old))
        validation_forbidden(validation, "spec",
                             "an existing pod can only change the image of its containers, activeDeadlineSeconds, "
                             "terminationGracePeriodSeconds and tolerations");
}
