/* SPDX-License-Identifier: Apache-2.0 */
/* By the processor's instruction where there is one (x86-64 with SSE 4.2), else by a table of 8 x 256 words. */
#include "base/crc32c.h"

#include <stdatomic.h>

enum { POLYNOMIAL = (int)0x82f63b78 };

struct tables {
    uint32_t at[8][256];
};

static void build(struct tables *tables)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? (uint32_t)POLYNOMIAL : 0);
        tables->at[0][i] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (uint32_t i = 0; i < 256; i++)
            tables->at[slice][i] = (tables->at[slice - 1][i] >> 8) ^ tables->at[0][tables->at[slice - 1][i] & 0xff];
}

static uint32_t by_table(uint32_t crc, const uint8_t *data, size_t size)
{
    static struct tables tables;
    static atomic_bool built;
    if (!atomic_load_explicit(&built, memory_order_acquire)) {
        build(&tables); /* two threads may both do it, with the same result */
        atomic_store_explicit(&built, true, memory_order_release);
    }
    for (; size >= 8; size -= 8, data += 8) {
        uint32_t low, high;
        memcpy(&low, data, 4);
        memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = tables.at[7][low & 0xff] ^ tables.at[6][(low >> 8) & 0xff] ^ tables.at[5][(low >> 16) & 0xff] ^
              tables.at[4][low >> 24] ^ tables.at[3][high & 0xff] ^ tables.at[2][(high >> 8) & 0xff] ^
              tables.at[1][(high >> 16) & 0xff] ^ tables.at[0][high >> 24];
    }
    for (; size > 0; size--, data++)
        crc = (crc >> 8) ^ tables.at[0][(crc ^ *data) & 0xff];
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size > 0; size--, data++)
        crc = __builtin_ia32_crc32qi(crc, *data);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, struct bytes bytes)
{
    if (bytes.size == 0)
        return crc;
    crc = ~crc;
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(crc, bytes.data, bytes.size);
#endif
    return ~by_table(crc, bytes.data, bytes.size);
}
