/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects as records of the topic __objects, one batch of one record per change:
 *     key      the object's path: /v1/Namespace/shop, /apps/v1/Deployment/shop/billing
 *     value    its JSON as the API serves it, resourceVersion included; null: it was deleted
 *     header   resourceVersion: decimal, the LSN of the frame
 * So any Kafka client can read what the API holds, and compaction by key is right for it.
 */
#ifndef API_RECORD_H
#define API_RECORD_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

struct record {
    struct bytes key;
    struct bytes value; /* null: a tombstone */
    uint64_t revision;
    int64_t offset; /* when read */
};

enum { RECORD_KEY_SIZE = 1024 };
/* `group_version` is "v1" or "apps/v1"; an empty namespace is left out. */
struct bytes record_key(char out[RECORD_KEY_SIZE], const char *group_version, const char *kind, struct bytes namespace,
                        struct bytes name);

/* The whole batch, in `out`. ERROR_LIMIT when it does not fit. */
MUST_CHECK bool record_encode(const struct record *record, int64_t timestamp_ms, struct buf *out, struct bytes *batch,
                              struct error *err);

/* Calls `each` for the records of a run of whole batches, as partition_read() gives them, until it returns false.
 * ERROR_CORRUPT where the bytes are no record of ours. */
MUST_CHECK bool record_each(struct bytes batches,
                            bool (*each)(void *ctx, const struct record *record, struct error *err), void *ctx,
                            struct error *err);

#endif
