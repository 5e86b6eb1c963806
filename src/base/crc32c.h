/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): of journal frames and of Kafka's record batches. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/bytes.h"

/* Of `bytes`, continuing from `crc` (0 to start): crc32c(crc32c(0, a), b) is the CRC of a then b. */
uint32_t crc32c(uint32_t crc, struct bytes bytes);

#endif
