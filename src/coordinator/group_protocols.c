/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/group_protocols.h"

#include "base/memory.h"

static struct bytes put(uint8_t **at, struct bytes bytes)
{
    struct bytes copy = bytes_of(*at, bytes.size);
    if (bytes.size > 0)
        memcpy(*at, bytes.data, bytes.size);
    *at += bytes.size;
    return copy;
}

void group_protocols_set(struct group_protocols *protocols, const struct coordinator_protocol *from, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += from[i].name.size + from[i].metadata.size; /* at most COORDINATOR_PROTOCOLS_SIZE_MAX */
    group_protocols_deinit(protocols);
    uint8_t *at = protocols->memory = memory_new(size);
    protocols->at = memory_new_array(count, sizeof *protocols->at);
    protocols->count = count;
    for (size_t i = 0; i < count; i++)
        protocols->at[i] =
            (struct coordinator_protocol){.name = put(&at, from[i].name), .metadata = put(&at, from[i].metadata)};
}

void group_protocols_deinit(struct group_protocols *protocols)
{
    free(protocols->memory);
    free(protocols->at);
    *protocols = (struct group_protocols){0};
}

bool group_protocols_equal(const struct group_protocols *protocols, const struct coordinator_protocol *other,
                           size_t count)
{
    bool same = protocols->count == count;
    for (size_t i = 0; same && i < count; i++)
        same = bytes_equal(protocols->at[i].name, other[i].name) &&
               bytes_equal(protocols->at[i].metadata, other[i].metadata);
    return same;
}

const struct coordinator_protocol *group_protocols_find(const struct group_protocols *protocols, struct bytes name)
{
    for (size_t i = 0; i < protocols->count; i++)
        if (bytes_equal(protocols->at[i].name, name))
            return &protocols->at[i];
    return NULL;
}
