/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <endian.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void round_once(struct state *s)
{
    s->v0 += s->v1, s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0, s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1, s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2, s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static void rounds(struct state *s, int count)
{
    for (int i = 0; i < count; i++)
        round_once(s);
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

static uint64_t word_at(const uint8_t *in, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, in, size);
    return le64toh(word);
}

struct siphash siphash128(const uint8_t key[16], struct bytes data)
{
    uint64_t k0 = word_at(key, 8), k1 = word_at(key + 8, 8);
    struct state s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261,
                      k1 ^ 0x7465646279746573};
    size_t at = 0;
    for (; data.size - at >= 8; at += 8)
        absorb(&s, word_at(data.data + at, 8));
    uint64_t last = (uint64_t)data.size << 56;
    if (data.size > at)
        last |= word_at(data.data + at, data.size - at);
    absorb(&s, last);
    struct siphash out;
    s.v2 ^= 0xee;
    rounds(&s, 4);
    out.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    out.high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return out;
}
