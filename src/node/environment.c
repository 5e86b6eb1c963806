/* SPDX-License-Identifier: Apache-2.0 */
#include "node/environment.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/quantity.h"
#include "base/memory.h"
#include "base/text.h"

const char *environment_get(const struct environment *environment, struct bytes name)
{
    for (size_t i = environment->count; i-- > 0;) {
        const char *variable = environment->variables[i];
        if (strncmp(variable, (const char *)name.data, name.size) == 0 && variable[name.size] == '=')
            return variable + name.size + 1;
    }
    return NULL;
}

/* Defines it anew, in its old place if it has one. */
static void put(struct environment *environment, struct bytes name, const char *value)
{
    char *variable = arena_printf(environment->arena, BYTES_FORMAT "=%s", BYTES_ARGS(name), value ? value : "");
    for (size_t i = 0; i < environment->count; i++) {
        const char *known = environment->variables[i];
        if (strncmp(known, variable, name.size + 1) == 0) {
            environment->variables[i] = variable;
            return;
        }
    }
    if (environment->count + 1 >= environment->capacity) {
        size_t capacity = environment->capacity ? environment->capacity * 2 : 32;
        const char **variables = arena_alloc_array(environment->arena, capacity, sizeof *variables);
        for (size_t i = 0; i < environment->count; i++)
            variables[i] = environment->variables[i];
        environment->variables = variables;
        environment->capacity = capacity;
    }
    environment->variables[environment->count++] = variable;
    environment->variables[environment->count] = NULL;
}

void environment_add(struct environment *environment, const char *name, const char *value)
{
    if (!environment_get(environment, bytes_of_string(name)))
        put(environment, bytes_of_string(name), value);
}

static const char *expand(const struct environment *environment, const char *text, struct arena *arena)
{
    AUTO_BUF out;
    buf_init(&out, ENVIRONMENT_SIZE_MAX);
    for (const char *at = text; *at; at++) {
        if (*at != '$') {
            buf_append_byte(&out, (uint8_t)*at);
        } else if (at[1] == '$') {
            buf_append_byte(&out, '$');
            at++;
        } else {
            const char *end = at[1] == '(' ? strchr(at, ')') : NULL;
            const char *value = end ? environment_get(environment, bytes_of(at + 2, (size_t)(end - at - 2))) : NULL;
            if (value) {
                buf_append_string(&out, value);
                at = end;
            } else {
                buf_append_byte(&out, '$');
            }
        }
    }
    return arena_string(arena, buf_bytes(&out));
}

const char *const *environment_expand_list(const struct environment *environment, const struct json *array,
                                           struct arena *arena)
{
    size_t count = json_size(array);
    if (count == 0)
        return NULL;
    const char **list = arena_alloc_array(arena, count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_text(json_index(array, i));
        list[i] = expand(environment, text ? text : "", arena);
    }
    return list;
}

/* --- ConfigMaps and Secrets --- */

bool environment_config_value(const struct object *config, struct bytes key, struct arena *arena, struct bytes *out)
{
    const struct json *data = json_get(config->json, "data");
    bool secret = strcmp(config->kind->kind, "Secret") == 0;
    const struct json *plain = secret ? NULL : json_get_bytes(data, key);
    const struct json *encoded = json_get_bytes(secret ? data : json_get(config->json, "binaryData"), key);
    if (json_is_string(plain)) {
        *out = arena_copy(arena, json_bytes(plain));
        return true;
    }
    AUTO_BUF decoded;
    buf_init(&decoded, ENVIRONMENT_SIZE_MAX);
    if (!json_is_string(encoded) || !text_decode_base64(json_bytes(encoded), &decoded))
        return false;
    *out = arena_copy(arena, buf_bytes(&decoded));
    return true;
}

static const struct object *find_config(const struct environment_source *source, const char *kind, const char *name)
{
    AUTO_FREE(char) namespace = memory_string(source->pod->namespace);
    return api_find(source->api, kind, namespace, name);
}

static bool config_missing(const char *kind, const struct json *reference, struct error *err)
{
    if (json_bool_at(reference, "optional", false))
        return true;
    return error_set(err, ERROR_NOT_FOUND, "%s \"%s\" not found", strcmp(kind, "Secret") == 0 ? "secret" : "configmap",
                     json_text_at(reference, "name", ""));
}

/* A C string cannot hold a NUL, and neither can an environment. */
static const char *as_text(struct arena *arena, struct bytes value)
{
    return arena_string(arena, bytes_slice(value, 0, bytes_find(value, 0, 0)));
}

static bool add_key(const struct environment_source *source, struct environment *environment, struct bytes name,
                    const char *kind, const struct json *reference, struct error *err)
{
    const struct object *config = find_config(source, kind, json_text_at(reference, "name", ""));
    struct bytes key = json_bytes(json_get(reference, "key")), value;
    if (!config)
        return config_missing(kind, reference, err);
    if (environment_config_value(config, key, environment->arena, &value)) {
        put(environment, name, as_text(environment->arena, value));
        return true;
    }
    if (json_bool_at(reference, "optional", false))
        return true;
    return error_set(err, ERROR_NOT_FOUND, "couldn't find key " BYTES_FORMAT " in %s " BYTES_FORMAT "/%s",
                     BYTES_ARGS(key), kind, BYTES_ARGS(source->pod->namespace), json_text_at(reference, "name", ""));
}

static bool name_valid(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '=' || name.data[i] < 0x21 || name.data[i] > 0x7e)
            return false;
    return name.size > 0;
}

static void add_all_of(struct environment *environment, const struct object *config, const struct json *map,
                       const char *prefix)
{
    json_object_each (member, map) {
        struct bytes value;
        const char *name = arena_printf(environment->arena, "%s%s", prefix, member.key);
        if (name_valid(bytes_of_string(name)) &&
            environment_config_value(config, bytes_of_string(member.key), environment->arena, &value))
            put(environment, bytes_of_string(name), as_text(environment->arena, value));
    }
}

static bool add_from(const struct environment_source *source, struct environment *environment, const struct json *from,
                     struct error *err)
{
    const struct json *reference = json_get(from, "configMapRef");
    const char *kind = reference ? "ConfigMap" : "Secret";
    if (!reference)
        reference = json_get(from, "secretRef");
    if (!reference)
        return true;
    const struct object *config = find_config(source, kind, json_text_at(reference, "name", ""));
    if (!config)
        return config_missing(kind, reference, err);
    add_all_of(environment, config, json_get(config->json, "data"), json_text_at(from, "prefix", ""));
    return true;
}

/* --- The downward API --- */

/* "metadata.labels['app']": the part between the quotes; null: no subscript. */
static struct bytes subscript(const char *path)
{
    const char *open = strstr(path, "['"), *close = open ? strstr(open, "']") : NULL;
    return close ? bytes_of(open + 2, (size_t)(close - open - 2)) : BYTES_NULL;
}

static const char *print_map(const struct json *map, struct arena *arena)
{
    AUTO_BUF out;
    AUTO_BUF quoted;
    buf_init(&out, ENVIRONMENT_SIZE_MAX);
    buf_init(&quoted, ENVIRONMENT_SIZE_MAX);
    json_object_each (member, map) {
        buf_reset(&quoted);
        json_print(member.value, &quoted);
        buf_printf(&out, "%s%s=" BYTES_FORMAT, out.size ? "\n" : "", member.key, BYTES_ARGS(buf_bytes(&quoted)));
    }
    return arena_string(arena, buf_bytes(&out));
}

bool environment_field(const struct environment_source *source, const char *path, struct arena *arena, const char **out,
                       struct error *err)
{
    static const char *const plain[] = {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                                        "spec.serviceAccountName"};
    const struct json *pod = source->pod->json;
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (strcmp(path, plain[i]) == 0) {
            *out = arena_string(arena, bytes_of_string(json_text_at(pod, path, "")));
            return true;
        }
    if (strcmp(path, "status.podIP") == 0 || strcmp(path, "status.podIPs") == 0) {
        *out = source->pod_ip;
        return true;
    }
    if (strcmp(path, "status.hostIP") == 0 || strcmp(path, "status.hostIPs") == 0) {
        *out = source->host_ip;
        return true;
    }
    bool labels = strncmp(path, "metadata.labels", 15) == 0;
    if (labels || strncmp(path, "metadata.annotations", 20) == 0) {
        const struct json *map = json_at(pod, labels ? "metadata.labels" : "metadata.annotations");
        struct bytes key = subscript(path);
        if (key.data) {
            struct bytes value = json_bytes(json_get_bytes(map, key));
            *out = arena_string(arena, value.data ? value : BYTES_LITERAL(""));
        } else {
            *out = print_map(map, arena);
        }
        return true;
    }
    return error_set(err, ERROR_INVALID, "fieldRef: the field \"%s\" is not one of those that a pod can refer to",
                     path);
}

static const struct json *find_container(const struct json *pod, const char *name)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        json_array_each (at, container, json_at(pod, lists[i]))
            if (strcmp(json_text_at(container, "name", ""), name) == 0)
                return container;
    return NULL;
}

bool environment_resource(const struct environment_source *source, const struct json *container,
                          const struct json *reference, struct arena *arena, const char **out, struct error *err)
{
    const char *resource = json_text_at(reference, "resource", ""),
               *name = json_text_at(reference, "containerName", "");
    struct quantity value, divisor;
    if (name[0])
        container = find_container(source->pod->json, name);
    const char *which = strchr(resource, '.');
    bool limit = strncmp(resource, "limits.", 7) == 0;
    if (!container || !which || (!limit && strncmp(resource, "requests.", 9) != 0))
        return error_set(err, ERROR_INVALID, "resourceFieldRef: \"%s\" of container \"%s\" is not a resource", resource,
                         name);
    bool cpu = strcmp(which + 1, "cpu") == 0;
    const struct json *resources = json_get(container, "resources");
    const struct json *text = json_get(json_get(resources, limit ? "limits" : "requests"), which + 1);
    if (!text && !limit)
        text = json_get(json_get(resources, "limits"), which + 1);
    if (!json_is_string(text) || !quantity_parse(json_bytes(text), &value)) {
        int64_t whole = !limit                             ? 0
                        : cpu                              ? source->node_cpu_m
                        : strcmp(which + 1, "memory") == 0 ? source->node_memory
                                                           : 0;
        value.nanos = (quantity_nanos)whole * (cpu ? 1000000 : 1000000000);
    }
    const struct json *given = json_get(reference, "divisor");
    if (!json_is_string(given) || !quantity_parse(json_bytes(given), &divisor) || divisor.nanos <= 0)
        divisor.nanos = 1000000000;
    /* Rounded up: a limit of 500m is 1 core to a program that counts in cores. */
    *out = arena_printf(arena, "%" PRId64, (int64_t)((value.nanos + divisor.nanos - 1) / divisor.nanos));
    return true;
}

/* --- All of it --- */

/* "my-svc" -> "MY_SVC" */
static char *service_name(struct arena *arena, struct bytes name)
{
    char *upper = arena_string(arena, name);
    for (char *c = upper; *c; c++)
        *c = *c == '-' || *c == '.' ? '_' : (char)toupper((unsigned char)*c);
    return upper;
}

static void add_service(struct environment *environment, const struct object *service)
{
    const char *ip = json_text_at(service->json, "spec.clusterIP", "");
    const struct json *ports = json_at(service->json, "spec.ports");
    if (!ip[0] || strcmp(ip, "None") == 0 || json_size(ports) == 0)
        return;
    const char *name = service_name(environment->arena, service->name);
    put(environment, bytes_of_string(arena_printf(environment->arena, "%s_SERVICE_HOST", name)), ip);
    const char *first = arena_printf(environment->arena, "%s_SERVICE_PORT", name);
    json_array_each (i, port, ports) {
        const char *number = arena_printf(environment->arena, "%" PRId64, json_int_at(port, "port", 0));
        struct bytes port_name = json_bytes(json_get(port, "name"));
        if (i == 0)
            put(environment, bytes_of_string(first), number);
        if (port_name.size > 0)
            put(environment,
                bytes_of_string(
                    arena_printf(environment->arena, "%s_%s", first, service_name(environment->arena, port_name))),
                number);
    }
}

/* The API's is for every pod, the others are for those of their namespace that want them. */
static void add_services(const struct environment_source *source, struct environment *environment)
{
    struct api_iterator iterator;
    const struct object *api = api_find(source->api, "Service", "default", "kubernetes");
    if (api)
        add_service(environment, api);
    if (!json_bool_at(source->pod->json, "spec.enableServiceLinks", true))
        return;
    api_iterate(source->api, kind_by_name("Service"), source->pod->namespace, &iterator);
    for (const struct object *service; (service = api_iterator_next(&iterator));)
        add_service(environment, service);
}

static bool add_one(const struct environment_source *source, const struct json *container,
                    struct environment *environment, const struct json *env, struct error *err)
{
    struct bytes name = json_bytes(json_get(env, "name"));
    const struct json *from = json_get(env, "valueFrom"), *reference;
    const char *value = "";
    if (!name_valid(name))
        return error_set(err, ERROR_INVALID, "env: \"" BYTES_FORMAT "\" is not a name for a variable",
                         BYTES_ARGS(name));
    if ((reference = json_get(from, "configMapKeyRef")))
        return add_key(source, environment, name, "ConfigMap", reference, err);
    if ((reference = json_get(from, "secretKeyRef")))
        return add_key(source, environment, name, "Secret", reference, err);
    if ((reference = json_get(from, "fieldRef"))) {
        if (!environment_field(source, json_text_at(reference, "fieldPath", ""), environment->arena, &value, err))
            return false;
    } else if ((reference = json_get(from, "resourceFieldRef"))) {
        if (!environment_resource(source, container, reference, environment->arena, &value, err))
            return false;
    } else {
        value = expand(environment, json_text_at(env, "value", ""), environment->arena);
    }
    put(environment, name, value);
    return true;
}

bool environment_resolve(const struct environment_source *source, const struct json *container, struct arena *arena,
                         struct environment *out, struct error *err)
{
    struct environment environment = {.arena = arena, .variables = arena_alloc_array(arena, 1, sizeof(char *))};
    add_services(source, &environment);
    json_array_each (i, from, json_get(container, "envFrom"))
        if (!add_from(source, &environment, from, err))
            return false;
    json_array_each (i, env, json_get(container, "env"))
        if (!add_one(source, container, &environment, env, err))
            return false;
    if (environment.count > ENVIRONMENT_VARIABLES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d environment variables", ENVIRONMENT_VARIABLES_MAX);
    *out = environment;
    return true;
}
