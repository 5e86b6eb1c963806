/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that evoke publish --input json is given. All that comes out lies in memory that is there. */
#include "evoke/record_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t seen;

static void touch(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        seen ^= text.data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    AUTO_RECORD_JSON record = {0};
    if (!record_json_parse(bytes_of(data, size), &record, &err))
        return 0;
    touch(record.key);
    touch(record.value);
    for (size_t i = 0; i < record.header_count; i++) {
        touch(record.headers[i].name);
        touch(record.headers[i].value);
    }
    return 0;
}
