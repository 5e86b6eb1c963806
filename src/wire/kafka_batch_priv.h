/* SPDX-License-Identifier: Apache-2.0 */
/* What building a batch and rewriting one have in common. */
#ifndef WIRE_KAFKA_BATCH_PRIV_H
#define WIRE_KAFKA_BATCH_PRIV_H

#include "wire/kafka_batch.h"

size_t kafka_varint_size(int64_t value);
void kafka_append_varint(struct buf *out, int64_t value);
size_t kafka_batch_field_size(struct bytes field);
void kafka_append_field(struct buf *out, struct bytes field); /* null: -1 */

/* All fields, and the CRC of what stands behind them: the records are in place. */
void kafka_batch_write_header(uint8_t *at, size_t size, const struct kafka_batch *header);

#endif
