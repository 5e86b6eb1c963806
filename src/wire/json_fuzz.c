/* SPDX-License-Identifier: Apache-2.0 */
/* What parses also prints, and what was printed parses to the same value. */
#include <stdlib.h>

#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    AUTO_JSON *value = json_parse(bytes_of(data, size), JSON_PARSE_LAST_KEY_WINS, &err);
    if (!value)
        return 0;
    AUTO_BUF out;
    buf_init(&out, 16 << 20);
    json_print(value, &out);
    AUTO_JSON *again = json_parse(buf_bytes(&out), 0, &err);
    if (!again || !json_same(value, again))
        abort();
    return 0;
}
