/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of a fixed width in bytes: big-endian as networks and Kafka write them, little-endian as the journal does.
 * get_be16(at), put_be16(at, value) and so on for be and le, 16, 32 and 64. `at` needs no alignment; that all the bytes
 * are there is the caller's to know.
 */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define ENDIAN_PAIR(order, width)                                                                                      \
    static inline uint##width##_t get_##order##width(const void *at)                                                   \
    {                                                                                                                  \
        uint##width##_t value;                                                                                         \
        memcpy(&value, at, sizeof value);                                                                              \
        return order##width##toh(value);                                                                               \
    }                                                                                                                  \
    static inline void put_##order##width(void *at, uint##width##_t value)                                             \
    {                                                                                                                  \
        value = hto##order##width(value);                                                                              \
        memcpy(at, &value, sizeof value);                                                                              \
    }

ENDIAN_PAIR(be, 16)
ENDIAN_PAIR(be, 32)
ENDIAN_PAIR(be, 64)
ENDIAN_PAIR(le, 16)
ENDIAN_PAIR(le, 32)
ENDIAN_PAIR(le, 64)
#undef ENDIAN_PAIR

#endif
