/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAPI documents, written from the tables when they are asked for: nothing is kept, so an idle evoke does not
 * hold them (the door may cache what it sends). kubectl reads them for `apply` (does the server validate fields and do
 * dry runs?), for `explain`, and, when old, for validating on its own side.
 */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "base/buf.h"
#include "base/bytes.h"

/* Version 2 in gnostic's protobuf form. Its Content-Type must be exactly
 * application/com.github.proto-openapi.spec.v2.v1.0+protobuf. */
void openapi_v2_protobuf(struct buf *out);
/* {"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=..."}}} */
void openapi_v3_index(struct buf *out);
/* The document of one group version; `group` "" is core (/openapi/v3/api/v1). False when no kind is in it. */
bool openapi_v3_document(struct bytes group, struct bytes version, struct buf *out);
/* What stands behind ?hash=, and serves as ETag: changes whenever a document could. */
const char *openapi_hash(void);

#endif
