/* SPDX-License-Identifier: Apache-2.0 */
#include "api/protobuf.h"
#include "api/schema.h"
#include "api/test_json.h"

/* The envelope around a message. */
static void wrap(struct buf *out, const char *api_version, const char *kind, struct bytes raw)
{
    AUTO_BUF meta;
    buf_init(&meta, 1000);
    protobuf_write_text(&meta, 1, api_version);
    protobuf_write_text(&meta, 2, kind);
    buf_append(out, bytes_of("k8s", 4));
    protobuf_write_bytes(out, 1, buf_bytes(&meta));
    protobuf_write_bytes(out, 2, raw);
}

static struct json *decode(const char *api_version, const char *kind_name, struct bytes raw, struct error *err)
{
    const struct kind *kind = NULL;
    struct json *out = NULL;
    AUTO_BUF body;
    buf_init(&body, 16 << 20);
    wrap(&body, api_version, kind_name, raw);
    return schema_decode_protobuf(buf_bytes(&body), NULL, &kind, &out, err) ? out : NULL;
}

TEST(delete_options_are_decoded_in_every_version)
{
    struct error err = {0};
    AUTO_BUF raw;
    buf_init(&raw, 1000);
    protobuf_write_varint(&raw, 1, 5);
    protobuf_write_text(&raw, 4, "Background");
    AUTO_JSON *options = decode("apps/v1", "DeleteOptions", buf_bytes(&raw), &err);
    test_json_same(options, "{'apiVersion': 'meta.k8s.io/v1', 'kind': 'DeleteOptions', 'gracePeriodSeconds': 5,"
                            "'propagationPolicy': 'Background'}");
    AUTO_JSON *empty = decode("v1", "DeleteOptions", BYTES_LITERAL(""), &err);
    test_json_same(empty, "{'apiVersion': 'meta.k8s.io/v1', 'kind': 'DeleteOptions'}");
}

TEST(unknown_tags_are_skipped_and_a_message_in_two_parts_is_both)
{
    struct error err = {0};
    AUTO_BUF raw, part;
    buf_init(&raw, 1000);
    buf_init(&part, 1000);
    protobuf_write_text(&part, 1, "c");
    protobuf_write_bytes(&raw, 1, buf_bytes(&part));
    buf_reset(&part);
    protobuf_write_text(&part, 3, "n");
    protobuf_write_bytes(&raw, 1, buf_bytes(&part));
    protobuf_write_varint(&raw, 1000, 1);
    AUTO_JSON *object = decode("v1", "ConfigMap", buf_bytes(&raw), &err);
    test_json_same(object, "{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'c', 'namespace': 'n'}}");
}

static void check_refused(struct bytes raw, enum error_kind kind)
{
    struct error err = {0};
    CHECK(!decode("v1", "ConfigMap", raw, &err));
    CHECK_INT(err.kind, kind);
}

TEST(malformed_bodies_are_refused)
{
    check_refused(BYTES_LITERAL("\x0a\x05"), ERROR_INVALID);             /* longer than what is there */
    check_refused(BYTES_LITERAL("\x0a"), ERROR_INVALID);                 /* no size */
    check_refused(BYTES_LITERAL("\x08\x01"), ERROR_INVALID);             /* metadata as a number */
    check_refused(BYTES_LITERAL("\x0b"), ERROR_INVALID);                 /* a group */
    check_refused(BYTES_LITERAL("\x02\x00"), ERROR_INVALID);             /* field 0 */
    check_refused(BYTES_LITERAL("\x0a\x03\x0a\x01\xff"), ERROR_INVALID); /* a name that is not UTF-8 */
    check_refused(BYTES_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), ERROR_INVALID);
    struct error err = {0};
    struct json *out;
    const struct kind *kind;
    CHECK(!schema_decode_protobuf(BYTES_LITERAL("{}"), NULL, &kind, &out, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    CHECK(!schema_decode_protobuf(BYTES_LITERAL("k8s\0\x0a\x7f"), NULL, &kind, &out, &err));
    CHECK(!decode("v1", "Gadget", BYTES_LITERAL(""), &err));
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
    CHECK(!decode("eventing.knative.dev/v1", "Trigger", BYTES_LITERAL(""), &err));
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
}

TEST(a_small_body_cannot_become_a_huge_object)
{
    AUTO_BUF raw;
    buf_init(&raw, 4 << 20);
    for (int i = 0; i < 1000000; i++)
        protobuf_write_bytes(&raw, 17, BYTES_LITERAL("")); /* managedFields, within metadata */
    AUTO_BUF object;
    buf_init(&object, 8 << 20);
    protobuf_write_bytes(&object, 1, buf_bytes(&raw));
    check_refused(buf_bytes(&object), ERROR_LIMIT);
}
