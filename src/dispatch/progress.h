/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a Trigger has come in a partition. Deliveries end in any order, a consumer group has one offset: so all below
 * `base` is done, and of the PROGRESS_WINDOW offsets from there on a bit each says whether it is. Both are committed
 * together, the bits as text in the commit's metadata, so that after a crash nothing that was done is done again.
 *
 * The metadata is "done:" and the bits in base64 (URL-safe), the least significant bit of the first byte for `base`,
 * zero bytes at the end left out. Whatever else stands there (a commit of another tool) means: nothing beyond the
 * offset is done.
 */
#ifndef DISPATCH_PROGRESS_H
#define DISPATCH_PROGRESS_H

#include "base/buf.h"
#include "base/bytes.h"

enum { PROGRESS_WINDOW = 1024 };

struct progress {
    int64_t base;
    uint8_t done[PROGRESS_WINDOW / 8]; /* of offset o: bit o % PROGRESS_WINDOW */
};

void progress_init(struct progress *progress, int64_t base);
/* From a commit. */
void progress_read(struct progress *progress, int64_t offset, struct bytes metadata);
void progress_print_metadata(const struct progress *progress, struct buf *out);

static inline int64_t progress_end(const struct progress *progress)
{
    return progress->base + PROGRESS_WINDOW;
}
bool progress_is_done(const struct progress *progress, int64_t offset);
/* `offset` is below progress_end(). */
void progress_mark(struct progress *progress, int64_t offset);

#endif
