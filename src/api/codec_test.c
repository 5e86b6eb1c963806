/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples that were made with the published Go types and functions.
 *
 * One object of each kind with every field filled, in three encodings made with the published Go types
 * (tools/fill_kinds.go): what they decode to is the same, and nothing of it is lost. And manifests as people write
 * them, with what Kubernetes makes of them (tests/kinds/defaults.list).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/schema.h"
#include "api/test_json.h"
#include "wire/yaml.h"

static struct bytes read_sample(const char *name, const char *suffix)
{
    static uint8_t data[1 << 20]; /* one at a time */
    char path[500];
    const char *source = getenv("EVOKE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/kinds/%s.%s", source ? source : ".", name, suffix);
    FILE *in = fopen(path, "rb");
    if (!in)
        test_fail(__FILE__, __LINE__,
                  "%s cannot be read: run this from the root or set EVOKE_SOURCE; tools/fill_kinds.go makes it", path);
    size_t size = fread(data, 1, sizeof data, in);
    fclose(in);
    return bytes_of(data, size);
}

static const struct kind *kind_of(const struct json *object)
{
    struct bytes api_version = json_bytes(json_get(object, "apiVersion")), name = json_bytes(json_get(object, "kind"));
    const struct kind *kind = kind_by_gvk(api_version, name);
    return kind ? kind : schema_request_kind(api_version, name);
}

static struct json *normal(const struct kind *kind, const struct json *in)
{
    struct error err = {0};
    struct json *out = NULL;
    CHECK_OK(schema_decode_json(kind, in, SCHEMA_STRICT, &out, NULL, &err), &err);
    return out;
}

/* Names the first path at which two values differ. */
static bool differ(const struct json *a, const struct json *b, const char *path)
{
    char below[600];
    if (json_same(a, b))
        return false;
    json_object_each (member, json_is_object(b) ? a : NULL) {
        snprintf(below, sizeof below, "%.500s.%s", path, member.key);
        if (differ(member.value, json_get(b, member.key), below))
            return true;
    }
    json_array_each (i, element, json_is_array(b) ? a : NULL) {
        snprintf(below, sizeof below, "%.500s[%zu]", path, i);
        if (differ(element, json_index(b, i), below))
            return true;
    }
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    json_print(a, &text);
    buf_append_string(&text, "\nnot ");
    json_print(b, &text);
    test_fail(__FILE__, __LINE__, "%s: %s", path, buf_string(&text));
}

static void check_same(const struct json *a, const struct json *b, const char *path)
{
    differ(a, b, path);
    differ(b, a, path);
}

static void check_sample(const char *name)
{
    struct error err = {0};
    AUTO_JSON *in = json_parse(read_sample(name, "json"), 0, &err);
    const struct kind *kind = kind_of(in), *found = NULL;
    CHECK(in && kind);
    AUTO_JSON *from_json = normal(kind, in);
    check_same(in, from_json, name);

    struct json *decoded = NULL;
    CHECK_OK(schema_decode_protobuf(read_sample(name, "pb"), NULL, &found, &decoded, &err), &err);
    CHECK(found == kind);
    AUTO_JSON *from_protobuf = normal(kind, decoded);
    json_unref(decoded);
    check_same(from_json, from_protobuf, name);

    AUTO_YAML yaml = {0};
    CHECK_OK(yaml_parse(read_sample(name, "yaml"), name, &yaml, &err), &err);
    AUTO_JSON *from_yaml = normal(kind, yaml.documents[0].value);
    check_same(from_json, from_yaml, name);
}

TEST(every_field_of_every_kind_is_the_same_in_json_yaml_and_protobuf)
{
    for (size_t i = 0; kind_at(i); i++) {
        if (!kind_at(i)->custom)
            check_sample(kind_at(i)->kind);
    }
    /* And what is not stored: bodies of requests. */
    char path[500];
    const char *source = getenv("EVOKE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/kinds", source ? source : ".");
    DIR *directory = opendir(path);
    CHECK(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char *suffix = strrchr(entry->d_name, '.');
        if (!suffix || strcmp(suffix, ".json") != 0)
            continue;
        *suffix = 0;
        check_sample(entry->d_name);
    }
    closedir(directory);
}

TEST(defaults_are_those_of_kubernetes)
{
    struct error err = {0};
    AUTO_JSON *list = json_parse(read_sample("defaults", "list"), 0, &err);
    CHECK(json_size(list) > 20);
    json_array_each (i, sample, list) {
        const struct kind *kind = kind_of(json_get(sample, "in"));
        AUTO_JSON *object = normal(kind, json_get(sample, "in"));
        schema_default(kind, object);
        check_same(json_get(sample, "out"), object, json_text_at(sample, "name", ""));
    }
}
