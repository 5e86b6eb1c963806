/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include <stdio.h>

#include "api/kind.h"
#include "api/protobuf.h"
#include "api/test_json.h"

static struct json *document(const char *group, const char *version)
{
    struct error err = {0};
    AUTO_BUF text;
    buf_init(&text, 16 << 20);
    CHECK(openapi_v3_document(bytes_of_string(group), bytes_of_string(version), &text));
    struct json *value = json_parse(buf_bytes(&text), 0, &err);
    if (!value)
        test_fail(__FILE__, __LINE__, "%s/%s: %s", group, version, err.message);
    return value;
}

/* Every $ref leads to a schema of the same document. */
static void check_refs(const struct json *value, const struct json *schemas)
{
    static const char prefix[] = "#/components/schemas/";
    const char *ref = json_text_at(value, "$ref", NULL);
    if (ref && (strncmp(ref, prefix, sizeof prefix - 1) != 0 || !json_get(schemas, ref + sizeof prefix - 1)))
        test_fail(__FILE__, __LINE__, "%s leads nowhere", ref);
    json_object_each (member, value)
        check_refs(member.value, schemas);
    json_array_each (i, element, value)
        check_refs(element, schemas);
}

TEST(every_group_version_has_a_document_whose_references_hold)
{
    struct error err = {0};
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    openapi_v3_index(&text);
    AUTO_JSON *index = json_parse(buf_bytes(&text), 0, &err);
    for (size_t i = 0; kind_at(i); i++) {
        const struct kind *kind = kind_at(i);
        char path[200];
        snprintf(path, sizeof path, "%s/%s", *kind->group ? "apis" : "api", kind->api_version);
        CHECK(json_get(json_get(json_get(index, "paths"), path), "serverRelativeURL"));
        AUTO_JSON *value = document(kind->group, kind->version);
        check_refs(value, json_at(value, "components.schemas"));
    }
    buf_reset(&text);
    CHECK(!openapi_v3_document(BYTES_LITERAL("nobody"), BYTES_LITERAL("v1"), &text));
}

TEST(a_patch_tells_its_kind_and_that_fields_are_validated)
{
    AUTO_JSON *apps = document("apps", "v1");
    const struct json *item =
        json_get(json_get(apps, "paths"), "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    test_json_same(json_at(item, "patch.x-kubernetes-group-version-kind"),
                   "{'group': 'apps', 'version': 'v1', 'kind': 'Deployment'}");
    bool found = false;
    json_array_each (i, parameter, json_at(item, "patch.parameters"))
        found |= strcmp(json_text_at(parameter, "name", ""), "fieldValidation") == 0 &&
                 strcmp(json_text_at(parameter, "in", ""), "query") == 0;
    CHECK(found);
}

TEST(a_schema_says_what_the_row_says)
{
    AUTO_JSON *apps = document("apps", "v1");
    const struct json *schemas = json_at(apps, "components.schemas");
    const struct json *spec = json_get(schemas, "io.k8s.api.apps.v1.DeploymentSpec");
    test_json_same(json_get(spec, "required"), "['selector', 'template']");
    test_json_same(json_at(spec, "properties.replicas"),
                   "{'type': 'integer', 'format': 'int32', 'default': 1, 'description': 'How many pods are wanted.'}");
    const struct json *ports = json_at(json_get(schemas, "io.k8s.api.core.v1.Container"), "properties.ports");
    CHECK_STR(json_text_at(ports, "x-kubernetes-patch-merge-key", ""), "containerPort");
    CHECK_STR(json_text_at(ports, "x-kubernetes-list-type", ""), "map");
}

TEST(the_second_version_is_well_formed_protobuf)
{
    AUTO_BUF out;
    struct protobuf_field field;
    enum protobuf_result result;
    size_t seen = 0;
    buf_init(&out, 16 << 20);
    openapi_v2_protobuf(&out);
    struct bytes rest = buf_bytes(&out);
    while ((result = protobuf_next(&rest, &field)) == PROTOBUF_FIELD)
        seen += field.number;
    CHECK_INT(result, PROTOBUF_END);
    CHECK_INT(seen, 1 + 2 + 8 + 9);
}
