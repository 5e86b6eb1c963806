/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012): a keyed hash. Who does not know the key can not choose
 * inputs that collide, so a table may hold hashes in place of what was hashed.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/bytes.h"

struct siphash {
    uint64_t low, high;
};

struct siphash siphash128(const uint8_t key[16], struct bytes data);

#endif
