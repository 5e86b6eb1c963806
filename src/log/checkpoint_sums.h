/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last section of a checkpoint: a sum for each block of what stands between the header and the section. The sum in
 * the header says whether a checkpoint is what was written; these say where it is not. So damage has a position, and of
 * two copies with damage in different places one is made that has none.
 *
 *     SUMS   CRC-32C u32 of each 4096 bytes (the last block may be shorter), CRC-32C u32 of these
 *
 * Where it begins follows from the size of the whole. Checkpoints of before have none.
 */
#ifndef LOG_CHECKPOINT_SUMS_H
#define LOG_CHECKPOINT_SUMS_H

#include "base/buf.h"

enum { CHECKPOINT_BLOCK_SIZE = 4096 };

/* To what is all of a checkpoint but this section; its header may be still to be filled in. */
void checkpoint_sums_append(struct buf *out);

/* Of a checkpoint that does not verify: the first byte of the first block that is not what was written; 0: the header.
 * False: nothing tells. */
bool checkpoint_sums_find_damage(struct bytes checkpoint, uint64_t *at);

/* A checkpoint from the blocks of both that are as they were, of the one whose sums are better kept; also from the
 * parts of a block that is damaged in both, in a few different places. `out` is at least what was written, if it
 * verifies; false: a block can be had from neither. */
bool checkpoint_sums_merge(struct bytes a, struct bytes b, struct buf *out);

#endif
