/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as each kind of record of __consumer_offsets; what is read is written again, and must read the same. */
#include "coordinator/group_records.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_key(struct bytes input)
{
    struct group_record_key key, again;
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    if (!group_record_get_key(input, &key))
        return;
    group_record_put_key(&out, &key);
    bool ok = group_record_get_key(buf_bytes(&out), &again);
    assert(ok && again.is_offset == key.is_offset && again.partition == key.partition);
    assert(bytes_equal(again.group, key.group) && bytes_equal(again.topic, key.topic));
}

static void try_offset(struct bytes input)
{
    struct group_record_offset offset, again;
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    if (!group_record_get_offset(input, &offset))
        return;
    group_record_put_offset(&out, &offset);
    bool ok = group_record_get_offset(buf_bytes(&out), &again);
    assert(ok && again.offset == offset.offset && again.commit_ms == offset.commit_ms);
    assert(bytes_equal(again.metadata, offset.metadata));
}

static void try_group(struct bytes input)
{
    struct group_record_group group, again;
    struct group_record_member member;
    AUTO_BUF out;
    buf_init(&out, 1 << 22);
    if (!group_record_get_group(input, &group))
        return;
    struct bytes members = group.members;
    group_record_put_group(&out, &group);
    for (int32_t i = 0; i < group.member_count && group_record_next_member(&members, &member); i++)
        group_record_put_member(&out, &member);
    bool ok = group_record_get_group(buf_bytes(&out), &again);
    assert(ok && again.generation == group.generation && again.member_count == group.member_count);
    assert(bytes_equal(again.protocol, group.protocol));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_key(bytes_of(data, size));
    try_offset(bytes_of(data, size));
    try_group(bytes_of(data, size));
    return 0;
}
