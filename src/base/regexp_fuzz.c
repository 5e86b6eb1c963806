/* SPDX-License-Identifier: Apache-2.0 */
/* An expression, a newline, and a text: whatever they are, the answer comes, and twice the same. */
#include "base/regexp.h"

#include <assert.h>
#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size), pattern;
    struct error err;
    if (!bytes_split(&text, '\n', &pattern))
        return 0;
    struct regexp *regexp = regexp_compile(pattern, &err);
    if (regexp) {
        struct bytes start = bytes_slice(text, 0, 300);
        bool matched = regexp_matches(regexp, start);
        bool again = regexp_matches(regexp, start);
        assert(matched == again);
    }
    regexp_free(regexp);
    return 0;
}
