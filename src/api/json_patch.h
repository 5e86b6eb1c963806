/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Patch (RFC 6902) with JSON Pointers (RFC 6901): add, remove, replace, move, copy, test. All or nothing: a patch
 * that fails leaves nothing behind.
 */
#ifndef API_JSON_PATCH_H
#define API_JSON_PATCH_H

#include "base/error.h"
#include "wire/json.h"

enum {
    JSON_PATCH_OPERATIONS_MAX = 10000,
    JSON_PATCH_COPIES_MAX = 100, /* `copy` can double a document; this many cannot make one of no end */
    JSON_PATCH_DEPTH_MAX = 128,  /* parts of a pointer */
};

/* The patched copy, or NULL. ERROR_INVALID when the patch is malformed or does not apply (a path that is not there, a
 * test that fails): the message names the operation's number. ERROR_LIMIT. */
struct json *json_patch_apply(const struct json *document, const struct json *patch, struct error *err);

#endif
