/* SPDX-License-Identifier: Apache-2.0 */
/* What io_address_parse() takes, it writes in a form that it reads as the same address. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE(char) text = memory_string(bytes_of(data, size));
    struct io_address first, second;
    struct error err;
    char written[IO_ADDRESS_TEXT_SIZE];
    if (!io_address_parse(text, &first, &err))
        return 0;
    io_address_format(&first, written);
    if (!io_address_parse(written, &second, &err) || !io_address_equal(&first, &second))
        abort();
    return 0;
}
