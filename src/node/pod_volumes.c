/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pod_volumes.h"

#include "api/quantity.h"
#include "base/memory.h"

enum { FILES_MAX = 10000, DEFAULT_MODE = 0644 };

/* The files of one volume while they are gathered. */
struct files {
    struct arena *arena;
    int mode_more; /* bits that all of them have */
    struct runtime_file *files;
    size_t count, capacity;
};

static bool add_file(struct files *files, const char *path, struct bytes content, int mode, struct error *err)
{
    if (files->count >= FILES_MAX)
        return error_set(err, ERROR_LIMIT, "a volume of more than %d files", FILES_MAX);
    if (files->count == files->capacity) {
        size_t capacity = files->capacity ? files->capacity * 2 : 16;
        struct runtime_file *larger = arena_alloc_array(files->arena, capacity, sizeof *larger);
        for (size_t i = 0; i < files->count; i++)
            larger[i] = files->files[i];
        files->files = larger;
        files->capacity = capacity;
    }
    files->files[files->count++] =
        (struct runtime_file){.path = path, .content = content, .mode = mode | files->mode_more};
    return true;
}

static bool add_keys(struct files *files, const struct object *config, const struct json *map, int mode,
                     struct error *err)
{
    json_object_each (member, map) {
        struct bytes content;
        if (!environment_config_value(config, bytes_of_string(member.key), files->arena, &content))
            return error_set(err, ERROR_INVALID, "key %s is not base64", member.key);
        if (!add_file(files, arena_string(files->arena, bytes_of_string(member.key)), content, mode, err))
            return false;
    }
    return true;
}

/* configMap and secret volumes and projections: `name_key` is "name" or, in a secret volume, "secretName". */
static bool add_config(const struct environment_source *source, struct files *files, const char *kind,
                       const struct json *volume, const char *name_key, int default_mode, struct error *err)
{
    const char *name = json_text_at(volume, name_key, "");
    AUTO_FREE(char) namespace = memory_string(source->pod->namespace);
    bool optional = json_bool_at(volume, "optional", false);
    const struct object *config = api_find(source->api, kind, namespace, name);
    if (!config)
        return optional || error_set(err, ERROR_NOT_FOUND, "%s \"%s\" not found",
                                     strcmp(kind, "Secret") == 0 ? "secret" : "configmap", name);
    int mode = (int)json_int_at(volume, "defaultMode", default_mode);
    const struct json *items = json_get(volume, "items");
    if (json_size(items) == 0)
        return add_keys(files, config, json_get(config->json, "data"), mode, err) &&
               add_keys(files, config, json_get(config->json, "binaryData"), mode, err);
    json_array_each (i, item, items) {
        struct bytes key = json_bytes(json_get(item, "key")), content;
        if (!environment_config_value(config, key, files->arena, &content)) {
            if (optional)
                continue;
            return strcmp(kind, "Secret") == 0
                       ? error_set(err, ERROR_NOT_FOUND,
                                   "secret \"%s\" references non-existent secret key: " BYTES_FORMAT, name,
                                   BYTES_ARGS(key))
                       : error_set(err, ERROR_NOT_FOUND,
                                   "configmap \"%s\" references non-existent config key: " BYTES_FORMAT, name,
                                   BYTES_ARGS(key));
        }
        if (!add_file(files, arena_string(files->arena, json_bytes(json_get(item, "path"))), content,
                      (int)json_int_at(item, "mode", mode), err))
            return false;
    }
    return true;
}

static bool add_downward(const struct environment_source *source, struct files *files, const struct json *volume,
                         int default_mode, struct error *err)
{
    int mode = (int)json_int_at(volume, "defaultMode", default_mode);
    json_array_each (i, item, json_get(volume, "items")) {
        const char *value = "", *field = json_text_at(item, "fieldRef.fieldPath", "");
        const struct json *resource = json_get(item, "resourceFieldRef");
        if (resource ? !environment_resource(source, NULL, resource, files->arena, &value, err)
                     : !environment_field(source, field, files->arena, &value, err))
            return false;
        if (!add_file(files, arena_string(files->arena, json_bytes(json_get(item, "path"))),
                      arena_copy(files->arena, bytes_of_string(value)), (int)json_int_at(item, "mode", mode), err))
            return false;
    }
    return true;
}

static bool add_projected(const struct environment_source *source, struct files *files, const struct json *volume,
                          struct error *err)
{
    int mode = (int)json_int_at(volume, "defaultMode", DEFAULT_MODE);
    json_array_each (i, part, json_get(volume, "sources")) {
        const struct json *projection;
        bool ok = true;
        if ((projection = json_get(part, "configMap")))
            ok = add_config(source, files, "ConfigMap", projection, "name", mode, err);
        else if ((projection = json_get(part, "secret")))
            ok = add_config(source, files, "Secret", projection, "name", mode, err);
        else if ((projection = json_get(part, "downwardAPI")))
            ok = add_downward(source, files, projection, mode, err);
        else
            ok = error_set(err, ERROR_UNSUPPORTED, "only configMap, secret and downwardAPI can be projected");
        if (!ok)
            return false;
    }
    return true;
}

static void resolve_empty(const struct json *empty, struct runtime_volume *out)
{
    struct quantity size;
    out->type = RUNTIME_VOLUME_EMPTY;
    out->in_memory = strcmp(json_text_at(empty, "medium", ""), "Memory") == 0;
    const struct json *limit = json_get(empty, "sizeLimit");
    if (json_is_string(limit) && quantity_parse(json_bytes(limit), &size) && quantity_units(size) > 0)
        out->size_max = (uint64_t)quantity_units(size);
}

static bool resolve(const struct environment_source *source, const struct json *volume, struct arena *arena,
                    struct runtime_volume *out, struct error *err)
{
    const struct json *type;
    int64_t group = json_int_at(source->pod->json, "spec.securityContext.fsGroup", -1);
    struct files files = {.arena = arena, .mode_more = group >= 0 ? 0440 : 0};
    bool ok = true;
    out->has_group = group >= 0;
    out->group = (uint32_t)group;
    out->name = arena_string(arena, json_bytes(json_get(volume, "name")));
    out->type = RUNTIME_VOLUME_FILES;
    if ((type = json_get(volume, "configMap")))
        ok = add_config(source, &files, "ConfigMap", type, "name", DEFAULT_MODE, err);
    else if ((type = json_get(volume, "secret")))
        ok = add_config(source, &files, "Secret", type, "secretName", DEFAULT_MODE, err);
    else if ((type = json_get(volume, "downwardAPI")))
        ok = add_downward(source, &files, type, DEFAULT_MODE, err);
    else if ((type = json_get(volume, "projected")))
        ok = add_projected(source, &files, type, err);
    else if ((type = json_get(volume, "hostPath"))) {
        out->type = RUNTIME_VOLUME_HOST;
        out->host_path = arena_string(arena, bytes_of_string(json_text_at(type, "path", "/")));
        out->host_type = arena_string(arena, bytes_of_string(json_text_at(type, "type", "")));
    } else if ((type = json_get(volume, "emptyDir"))) {
        resolve_empty(type, out);
    } else {
        return error_set(
            err, ERROR_UNSUPPORTED,
            "volume %s: evoke has emptyDir, configMap, secret, downwardAPI, projected and hostPath volumes", out->name);
    }
    out->files = files.files;
    out->file_count = files.count;
    return ok || error_wrap(err, "MountVolume.SetUp failed for volume \"%s\" ", out->name); /* a kubelet's words */
}

bool pod_volumes_resolve(const struct environment_source *source, struct arena *arena, struct pod_volumes *out,
                         struct error *err)
{
    const struct json *volumes = json_at(source->pod->json, "spec.volumes");
    struct pod_volumes resolved = {.count = json_size(volumes)};
    resolved.volumes = arena_alloc_array(arena, resolved.count + 1, sizeof *resolved.volumes);
    json_array_each (i, volume, volumes)
        if (!resolve(source, volume, arena, &resolved.volumes[i], err))
            return false;
    *out = resolved;
    return true;
}

/* --- Who refers to what --- */

static bool named(const struct json *reference, const char *name_key, struct bytes name)
{
    return bytes_equal(json_bytes(json_get(reference, name_key)), name);
}

static bool container_refers(const struct json *container, bool secret, struct bytes name)
{
    json_array_each (i, from, json_get(container, "envFrom"))
        if (named(json_get(from, secret ? "secretRef" : "configMapRef"), "name", name))
            return true;
    json_array_each (i, env, json_get(container, "env"))
        if (named(json_at(env, secret ? "valueFrom.secretKeyRef" : "valueFrom.configMapKeyRef"), "name", name))
            return true;
    return false;
}

bool pod_volumes_refer(const struct json *pod, const char *kind, struct bytes name)
{
    bool secret = strcmp(kind, "Secret") == 0;
    json_array_each (i, volume, json_at(pod, "spec.volumes")) {
        if (secret ? named(json_get(volume, "secret"), "secretName", name)
                   : named(json_get(volume, "configMap"), "name", name))
            return true;
        json_array_each (j, part, json_at(volume, "projected.sources"))
            if (named(json_get(part, secret ? "secret" : "configMap"), "name", name))
                return true;
    }
    json_array_each (i, container, json_at(pod, "spec.containers"))
        if (container_refers(container, secret, name))
            return true;
    json_array_each (i, container, json_at(pod, "spec.initContainers"))
        if (container_refers(container, secret, name))
            return true;
    return false;
}

struct runtime_mount *pod_volumes_mounts(const struct json *container, const struct environment *environment,
                                         struct arena *arena, size_t *count)
{
    const struct json *list = json_get(container, "volumeMounts");
    struct runtime_mount *mounts = arena_alloc_array(arena, json_size(list) + 1, sizeof *mounts);
    json_array_each (i, mount, list) {
        const struct json *sub_path = json_get(mount, "subPath"), *expanded = json_get(mount, "subPathExpr");
        mounts[i].volume = arena_string(arena, bytes_of_string(json_text_at(mount, "name", "")));
        mounts[i].path = arena_string(arena, bytes_of_string(json_text_at(mount, "mountPath", "")));
        mounts[i].read_only = json_bool_at(mount, "readOnly", false);
        if (json_bytes(sub_path).size > 0)
            mounts[i].sub_path = arena_string(arena, json_bytes(sub_path));
        if (json_bytes(expanded).size > 0) {
            AUTO_JSON *one = json_new_array();
            json_append(one, json_ref(expanded));
            mounts[i].sub_path = environment_expand_list(environment, one, arena)[0];
        }
    }
    *count = json_size(list);
    return mounts;
}
