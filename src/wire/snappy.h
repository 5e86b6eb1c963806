/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google's snappy, loaded at the first batch that is packed with it and not before: it is C++, and with libstdc++ and
 * libm it would be a tenth of an idle evoke's memory and a good part of what the dynamic linker does at each start
 * (docs/decisions/0304). Each function is here under its own name with "sym_" in front; call snappy_load() before any.
 */
#ifndef WIRE_SNAPPY_H
#define WIRE_SNAPPY_H

#include <snappy-c.h>

#define SNAPPY_FUNCTIONS(WITH)                                                                                         \
    WITH(snappy_compress)                                                                                              \
    WITH(snappy_max_compressed_length)                                                                                 \
    WITH(snappy_uncompress)                                                                                            \
    WITH(snappy_uncompressed_length)

#define SNAPPY_DECLARE(name) extern __typeof__(name) *sym_##name;
SNAPPY_FUNCTIONS(SNAPPY_DECLARE)
#undef SNAPPY_DECLARE

/* From any thread; stays for as long as the process. evoke needs the library as much as those it is linked with: where
 * it is missing the program says so and ends. To go on would be to pass over events as if they were damaged. */
void snappy_load(void);

#endif
