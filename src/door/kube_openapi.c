/* SPDX-License-Identifier: Apache-2.0 */
/* /openapi/v2 and /openapi/v3: the documents are the tables' own (api/openapi.h); here are their addresses and types.
 */
#include "api/openapi.h"

#include "base/memory.h"
#include "door/kube_call.h"

/* The type that clients ask for has an @ in it, which their own parser of media types refuses in an answer. */
static const char v2_type[] = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

static void respond(struct kube_call *call, const char *type, struct bytes body, bool for_ever)
{
    const char *etag = arena_printf(call->arena, "\"%s\"", openapi_hash());
    struct bytes known = http_head_get(call->request->head, "If-None-Match");
    struct http_field fields[] = {
        HTTP_FIELD("Content-Type", bytes_of_string(type)),
        HTTP_FIELD("ETag", bytes_of_string(etag)),
        HTTP_FIELD("Cache-Control", for_ever ? BYTES_LITERAL("public, immutable") : BYTES_LITERAL("no-cache, private")),
    };
    if (known.size > 0 && bytes_equal_string(known, etag))
        http_respond(call->request, 304, fields, ARRAY_SIZE(fields), BYTES_NULL);
    else
        http_respond(call->request, 200, fields, ARRAY_SIZE(fields), body);
}

/* "/api/v1" or "/apis/GROUP/VERSION" */
static bool document(struct kube_call *call, struct bytes rest, struct buf *out)
{
    struct bytes first, group = BYTES_LITERAL(""), version;
    if (!http_path_next(&rest, call->arena, &first))
        return false;
    if (bytes_equal_string(first, "apis") && !http_path_next(&rest, call->arena, &group))
        return false;
    return http_path_next(&rest, call->arena, &version) && openapi_v3_document(group, version, out);
}

void kube_openapi(struct kube_call *call, struct bytes path)
{
    static const struct bytes v3 = {(const uint8_t *)"/openapi/v3", 11};
    AUTO_BUF out;
    buf_init(&out, SIZE_MAX);
    if (bytes_equal_string(path, "/openapi/v2")) {
        openapi_v2_protobuf(&out);
        respond(call, v2_type, buf_bytes(&out), false);
    } else if (bytes_equal(path, v3)) {
        openapi_v3_index(&out);
        respond(call, "application/json", buf_bytes(&out), false);
    } else if (bytes_starts_with(path, v3) && document(call, bytes_slice(path, v3.size, path.size), &out)) {
        respond(call, "application/json", buf_bytes(&out), kube_query(call, "hash").size > 0);
    } else {
        kube_respond_no_such_resource(call);
    }
}
