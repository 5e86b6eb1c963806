/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame: what the journal writes and reads back whole or not at all. One or more batches, each for a stream (a
 * partition, or the catalog). All numbers are little-endian; every frame starts and ends at a multiple of 8.
 *
 *      0  crc u32         CRC-32C of what follows, but for the batches' records: of bytes 4 up to the first batch, then
 *                         of the first 21 bytes of every batch. The rest of a batch is under its own CRC, which is
 *                         among those 21. So bytes that a client sent are summed once, when they arrive.
 *      4  mark u32        the file's random mark: a client can not forge a frame inside a record
 *      8  size u32        of the whole frame, with padding
 *     12  count u16       of batches
 *     14  flags u16       FRAME_CLOSED
 *     16  lsn u64
 *     24  group_lsn u64   the first LSN of the group that this frame was written in: before any byte of the group
 *                         reached the disk, every frame with a lower LSN was synced (see journal_scan.h)
 *     32  count entries of 16 bytes: stream u64, size u32 (of the batch), zero u32
 *         then the batches, each padded with zeros to a multiple of 8
 */
#ifndef JOURNAL_FRAME_H
#define JOURNAL_FRAME_H

#include "base/bytes.h"

enum {
    FRAME_HEADER_SIZE = 32,
    FRAME_ENTRY_SIZE = 16,
    FRAME_ALIGNMENT = 8,
    FRAME_MARK_AT = 4,
    FRAME_LSN_AT = 16,
    FRAME_COUNT_MAX = 4096,
    FRAME_SIZE_MAX = 32 << 20,
    FRAME_BATCH_PREFIX_SIZE = 21,
};

enum frame_flags {
    FRAME_CLOSED = 1, /* the last one of a run that ended properly: all before it is synced, nothing was to follow */
};

struct frame {
    struct bytes bytes; /* all of it */
    uint16_t count, flags;
    uint64_t lsn, group_lsn;
};

/* Of one batch in a frame. */
struct frame_entry {
    uint64_t stream;
    struct bytes batch;
    size_t at; /* of the batch, from the start of the frame */
};

/* The size of a frame of these batches; 0: more than FRAME_SIZE_MAX. */
size_t frame_size(const size_t *batch_sizes, size_t count);

/* Lays out a frame in `memory` (of frame_size()): header without CRC, entries, padding. batch_at[i] is where the caller
 * then puts batch i. */
void frame_begin(uint8_t *memory, const struct frame *header, uint32_t mark, const uint64_t *streams,
                 const size_t *batch_sizes, size_t *batch_at);
/* Once the batches are in place: the CRC. */
void frame_seal(uint8_t *memory);

/* What can be said from the first FRAME_HEADER_SIZE bytes alone: the size, or 0 when no frame begins here. */
size_t frame_peek(struct bytes start, uint32_t mark);
/* `bytes` is what frame_peek() said. False: it does not verify. */
bool frame_verify(struct bytes bytes, uint32_t mark, struct frame *out);
/* The same without looking at any CRC: what a damaged frame seems to hold. False: its entries make no sense. */
bool frame_read_damaged(struct bytes bytes, uint32_t mark, struct frame *out);
/* Of a frame that verified. `index` < frame->count; go through them in order with *at, which starts at 0. */
struct frame_entry frame_entry(const struct frame *frame, size_t index, size_t *at);

#endif
