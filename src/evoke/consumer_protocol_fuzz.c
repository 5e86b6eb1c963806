/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a group are other programs: what they send is read within its bounds, and no longer than it is. */
#include <stdlib.h>

#include "evoke/consumer_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t counted;

static bool count_topic(void *ctx, struct bytes topic)
{
    counted += 2 + topic.size;
    return ctx != NULL;
}

static void count_partition(void *ctx, struct bytes topic, int32_t partition)
{
    (void)ctx, (void)topic, (void)partition;
    counted += 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    counted = 0;
    consumer_protocol_each_topic(bytes_of(data, size), count_topic, &counted);
    if (counted > size)
        abort();
    counted = 0;
    consumer_protocol_each_partition(bytes_of(data, size), count_partition, NULL);
    if (counted > size)
        abort();
    return 0;
}
