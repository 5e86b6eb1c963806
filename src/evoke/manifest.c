/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/manifest.h"

#include <errno.h>
#include <stdio.h>

#include "api/kind.h"
#include "api/merge_patch.h"
#include "api/schema.h"
#include "api/view.h"
#include "base/memory.h"
#include "io/file.h"
#include "wire/yaml.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

enum { MANIFEST_PATH_SIZE = 4096 };

struct manifest {
    struct api *api;
    manifest_report *report;
    void *ctx;
    const char *file;                     /* the one that is being applied */
    const struct yaml_document *document; /* the one that is being applied */
    const char *prefix;                   /* of paths within the document: "" or "items[3]." */
};

struct manifests {
    const char *directory; /* while it is listed */
    bool too_many;
    char *paths[MANIFEST_FILES_MAX];
    struct yaml yamls[MANIFEST_FILES_MAX]; /* beside the paths */
    size_t count;
};

/* --- Where an error belongs --- */

static int line_of(const struct manifest *manifest, const char *field)
{
    char path[1024];
    snprintf(path, sizeof path, "%s%s", manifest->prefix, field);
    return yaml_line(manifest->document, path);
}

/* Where schema_decode_json() found the error: `... field "PATH"` of what is unknown or twice there,
 * `... cannot be handled as a KIND: PATH: ...` of what is of the wrong type. */
static bool wrap_decode_error(const struct manifest *manifest, struct error *err)
{
    char field[512] = "";
    const char *quoted = strstr(err->message, "field \""), *kind = strstr(err->message, "cannot be handled as a ");
    if (quoted)
        sscanf(quoted, "field \"%511[^\"]\"", field);
    else if (kind)
        sscanf(kind, "cannot be handled as a %*[^:]: %511[^: ]", field);
    return error_wrap(err, "%s:%d", manifest->file, line_of(manifest, field));
}

static bool wrap_write_error(const struct manifest *manifest, struct error *err)
{
    const struct field_errors *errors = api_field_errors(manifest->api);
    bool known = err->kind == ERROR_INVALID && err->sys != EBADMSG && errors && errors->count > 0;
    return error_wrap(err, "%s:%d", manifest->file, line_of(manifest, known ? errors->errors[0].field : ""));
}

/* --- Applying one object --- */

/* Puts a null into `patch` for every key that `last` has and `manifest` has not: a merge patch then removes it. */
static void remove_dropped(struct json *patch, const struct json *last, const struct json *manifest)
{
    json_object_each (member, last) {
        const struct json *now = json_get(manifest, member.key);
        if (!now) {
            json_set(patch, member.key, json_new_null());
        } else if (json_is_object(member.value) && json_is_object(now)) {
            struct json *below = json_get(patch, member.key);
            remove_dropped(below, member.value, now);
        }
    }
}

/* Takes out of `patch` what the manifest says as it did the last time: there, what others have set stays. */
static void remove_unchanged(struct json *patch, const struct json *last)
{
    json_object_each (member, last) {
        struct json *now = json_get(patch, member.key);
        if (json_is_object(member.value) && json_is_object(now))
            remove_unchanged(now, member.value);
        else if (now && json_same(now, member.value))
            json_remove(patch, member.key);
    }
}

static struct json *last_applied(const struct object *object)
{
    struct error err;
    const struct json *annotations = json_at(object->json, "metadata.annotations");
    const struct json *text = json_get(annotations, LAST_APPLIED);
    return text ? json_parse(json_bytes(text), JSON_PARSE_LAST_KEY_WINS, &err) : NULL;
}

static void set_last_applied(struct json *json, const struct json *manifest)
{
    AUTO_BUF text;
    buf_init(&text, 4 << 20);
    json_print(manifest, &text);
    struct json *metadata = json_get(json, "metadata");
    if (!json_is_object(json_get(metadata, "annotations")))
        json_set(metadata, "annotations", json_new_object());
    json_set(json_get(metadata, "annotations"), LAST_APPLIED, json_new_string(buf_bytes(&text)));
}

static void report(struct manifest *manifest, const struct kind *kind, struct bytes name, const char *what)
{
    char line[512];
    snprintf(line, sizeof line, "%s%s%s/" BYTES_FORMAT " %s", kind->singular, kind->group[0] ? "." : "", kind->group,
             BYTES_ARGS(name), what);
    manifest->report(manifest->ctx, line);
}

static void report_warnings(struct manifest *manifest, const struct warnings *warnings)
{
    char line[1024];
    for (size_t i = 0; i < warnings->count; i++) {
        snprintf(line, sizeof line, "Warning: %s", warnings->texts[i]);
        manifest->report(manifest->ctx, line);
    }
}

static bool update(struct manifest *manifest, const struct kind *kind, struct object *current, struct json *json,
                   struct error *err)
{
    AUTO_OBJECT *held = object_ref(current);
    AUTO_OBJECT *stored = NULL;
    AUTO_JSON *last = last_applied(held);
    AUTO_JSON *patch = json_clone(json);
    remove_unchanged(patch, last);
    remove_dropped(patch, last, json);
    AUTO_JSON *shown = view_show(kind, held->json);
    AUTO_JSON *merged = merge_patch_apply(shown, patch);
    set_last_applied(merged, json);
    json_remove(json_get(merged, "metadata"), "resourceVersion");
    if (!api_update(manifest->api, kind, held->namespace, held->name, merged, 0, &stored, err))
        return wrap_write_error(manifest, err);
    report(manifest, kind, held->name, stored->resource_version == held->resource_version ? "unchanged" : "configured");
    return true;
}

static bool create(struct manifest *manifest, const struct kind *kind, struct bytes namespace, const struct json *json,
                   struct error *err)
{
    AUTO_OBJECT *stored = NULL;
    AUTO_JSON *annotated = json_clone(json);
    set_last_applied(annotated, json);
    if (!api_create(manifest->api, kind, namespace, annotated, 0, &stored, err))
        return wrap_write_error(manifest, err);
    report(manifest, kind, stored->name, "created");
    return true;
}

static bool apply_object(struct manifest *manifest, const struct json *value, struct error *err)
{
    struct bytes api_version = json_bytes(json_get(value, "apiVersion")), name = json_bytes(json_get(value, "kind"));
    const struct kind *kind = kind_by_gvk(api_version, name);
    if (api_version.size == 0 || name.size == 0) {
        error_set(err, ERROR_INVALID,
                  "%s is missing: a manifest begins with, for example, `apiVersion: v1` and `kind: Pod`",
                  api_version.size == 0 ? "apiVersion" : "kind");
        return error_wrap(err, "%s:%d", manifest->file, line_of(manifest, ""));
    }
    if (!kind) {
        error_set(err, ERROR_INVALID, "no such kind: \"" BYTES_FORMAT "\" in \"" BYTES_FORMAT "\"", BYTES_ARGS(name),
                  BYTES_ARGS(api_version));
        return error_wrap(err, "%s:%d", manifest->file, line_of(manifest, "kind"));
    }
    AUTO_WARNINGS warnings = {0};
    AUTO_JSON *json = NULL;
    if (!schema_decode_json(kind, value, SCHEMA_STRICT, &json, &warnings, err))
        return wrap_decode_error(manifest, err);
    report_warnings(manifest, &warnings);
    if (!json_is_object(json_get(json, "metadata")))
        json_set(json, "metadata", json_new_object());
    struct bytes namespace = BYTES_LITERAL("");
    if (kind->namespaced)
    namespace = bytes_of_string(json_text_at(json, "metadata.namespace", "default"));
    struct bytes object_name = json_bytes(json_at(json, "metadata.name"));
    struct object *current = object_name.data ? api_get(manifest->api, kind, namespace, object_name) : NULL;
    return current ? update(manifest, kind, current, json, err) : create(manifest, kind, namespace, json, err);
}

static bool apply_document(struct manifest *manifest, const struct yaml_document *document, struct error *err)
{
    manifest->document = document;
    manifest->prefix = "";
    const struct json *items = json_get(document->value, "items");
    if (strcmp(json_text_at(document->value, "kind", ""), "List") != 0 || !json_is_array(items))
        return apply_object(manifest, document->value, err);
    json_array_each (i, item, items) {
        char prefix[48];
        snprintf(prefix, sizeof prefix, "items[%zu].", i);
        manifest->prefix = prefix;
        bool ok = apply_object(manifest, item, err);
        manifest->prefix = "";
        if (!ok)
            return false;
    }
    return true;
}

/* --- Files --- */

static void add_path(struct manifests *manifests, const char *path)
{
    manifests->paths[manifests->count++] = memory_string(bytes_of_string(path));
}

static void add_file(void *ctx, const char *name)
{
    struct manifests *manifests = ctx;
    struct bytes text = bytes_of_string(name);
    if (!bytes_ends_with(text, BYTES_LITERAL(".yaml")) && !bytes_ends_with(text, BYTES_LITERAL(".yml")) &&
        !bytes_ends_with(text, BYTES_LITERAL(".json")))
        return;
    if (manifests->count == MANIFEST_FILES_MAX) {
        manifests->too_many = true;
        return;
    }
    char path[MANIFEST_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", manifests->directory, name);
    add_path(manifests, path);
}

static bool list_files(struct io *io, const char *path, struct manifests *manifests, struct error *err)
{
    struct error not_a_directory;
    manifests->directory = path;
    if (strcmp(path, "-") == 0) {
        add_path(manifests, "/dev/stdin");
        return true;
    }
    if (!io_path_exists(io, path))
        return error_set(err, ERROR_NOT_FOUND, "%s: no such file or directory", path);
    if (!io_dir_list(io, path, add_file, manifests, &not_a_directory)) {
        add_path(manifests, path);
        return true;
    }
    if (manifests->too_many)
        return error_set(err, ERROR_LIMIT, "%s: more than %d manifests", path, MANIFEST_FILES_MAX);
    return manifests->count > 0 || error_set(err, ERROR_NOT_FOUND, "%s: no *.yaml, *.yml or *.json in it", path);
}

static bool read_file(struct io *io, const char *path, struct yaml *yaml, struct error *err)
{
    AUTO_BUF text;
    buf_init(&text, YAML_SIZE_MAX);
    return io_path_read(io, path, &text, err) && yaml_parse(buf_bytes(&text), path, yaml, err);
}

struct manifests *manifests_read(struct io *io, const char *path, struct error *err)
{
    struct manifests *manifests = NEW(struct manifests);
    bool ok = list_files(io, path, manifests, err);
    for (size_t i = 0; ok && i < manifests->count; i++)
        ok = read_file(io, manifests->paths[i], &manifests->yamls[i], err);
    if (ok)
        return manifests;
    manifests_free(manifests);
    return NULL;
}

void manifests_free(struct manifests *manifests)
{
    if (!manifests)
        return;
    for (size_t i = 0; i < manifests->count; i++) {
        yaml_deinit(&manifests->yamls[i]);
        free(manifests->paths[i]);
    }
    free(manifests);
}

bool manifests_apply(struct api *api, const struct manifests *manifests, manifest_report *report_line, void *ctx,
                     struct error *err)
{
    struct manifest manifest = {.api = api, .report = report_line, .ctx = ctx};
    for (size_t i = 0; i < manifests->count; i++) {
        manifest.file = manifests->paths[i];
        for (size_t d = 0; d < manifests->yamls[i].count; d++)
            if (!apply_document(&manifest, &manifests->yamls[i].documents[d], err))
                return false;
    }
    return true;
}
