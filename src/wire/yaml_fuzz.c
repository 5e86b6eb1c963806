/* SPDX-License-Identifier: Apache-2.0 */
/* YAML on hostile input: whatever is accepted can be printed as JSON and read back as the same value. */
#include "wire/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_YAML yaml = {0};
    struct error err;
    if (!yaml_parse(bytes_of(data, size), "fuzz", &yaml, &err))
        return 0;
    for (size_t i = 0; i < yaml.count; i++) {
        AUTO_BUF text;
        buf_init(&text, 64 << 20);
        json_print(yaml.documents[i].value, &text);
        if (text.overflowed)
            continue;
        AUTO_JSON *again = json_parse(buf_bytes(&text), 0, &err);
        if (!again || yaml_line(&yaml.documents[i], "a[0].b") < 1)
            abort();
    }
    return 0;
}
