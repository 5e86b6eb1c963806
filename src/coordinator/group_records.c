/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/group_records.h"

#include <assert.h>

#include "log/record_reader.h"

enum { OFFSET_KEY = 1, OFFSET_KEY_OLD = 0, GROUP_KEY = 2, VALUE = 3 };

/* --- Writing --- */

static void put_string(struct buf *out, struct bytes text)
{
    assert(text.size <= INT16_MAX);
    buf_append_be16(out, text.data ? (uint16_t)text.size : UINT16_MAX);
    buf_append(out, text);
}

static void put_bytes(struct buf *out, struct bytes bytes)
{
    buf_append_be32(out, (uint32_t)bytes.size);
    buf_append(out, bytes);
}

void group_record_put_key(struct buf *out, const struct group_record_key *key)
{
    buf_append_be16(out, key->is_offset ? OFFSET_KEY : GROUP_KEY);
    put_string(out, key->group);
    if (!key->is_offset)
        return;
    put_string(out, key->topic);
    buf_append_be32(out, (uint32_t)key->partition);
}

void group_record_put_offset(struct buf *out, const struct group_record_offset *offset)
{
    buf_append_be16(out, VALUE);
    buf_append_be64(out, (uint64_t)offset->offset);
    buf_append_be32(out, (uint32_t)offset->leader_epoch);
    put_string(out, offset->metadata.data ? offset->metadata : BYTES_LITERAL(""));
    buf_append_be64(out, (uint64_t)offset->commit_ms);
}

void group_record_put_group(struct buf *out, const struct group_record_group *group)
{
    buf_append_be16(out, VALUE);
    put_string(out, group->protocol_type);
    buf_append_be32(out, (uint32_t)group->generation);
    put_string(out, group->protocol);
    put_string(out, group->leader);
    buf_append_be64(out, (uint64_t)group->state_ms);
    buf_append_be32(out, (uint32_t)group->member_count);
}

void group_record_put_member(struct buf *out, const struct group_record_member *member)
{
    put_string(out, member->member_id);
    put_string(out, member->group_instance_id);
    put_string(out, member->client_id);
    put_string(out, member->client_host);
    buf_append_be32(out, (uint32_t)member->rebalance_timeout_ms);
    buf_append_be32(out, (uint32_t)member->session_timeout_ms);
    put_bytes(out, member->subscription);
    put_bytes(out, member->assignment);
}

/* --- Reading --- */

bool group_record_get_key(struct bytes bytes, struct group_record_key *out)
{
    struct record_reader reader = {.rest = bytes};
    int16_t version = record_take_i16(&reader);
    struct group_record_key key = {.is_offset = version == OFFSET_KEY || version == OFFSET_KEY_OLD};
    if (!key.is_offset && version != GROUP_KEY)
        return false;
    key.group = record_take_string(&reader);
    if (key.is_offset) {
        key.topic = record_take_string(&reader);
        key.partition = record_take_i32(&reader);
    }
    if (reader.bad || !key.group.data || (key.is_offset && !key.topic.data))
        return false;
    *out = key;
    return true;
}

bool group_record_get_offset(struct bytes bytes, struct group_record_offset *out)
{
    struct record_reader reader = {.rest = bytes};
    if (record_take_i16(&reader) != VALUE)
        return false;
    struct group_record_offset offset = {0};
    offset.offset = record_take_i64(&reader);
    offset.leader_epoch = record_take_i32(&reader);
    offset.metadata = record_take_string(&reader);
    offset.commit_ms = record_take_i64(&reader);
    if (reader.bad)
        return false;
    *out = offset;
    return true;
}

bool group_record_get_group(struct bytes bytes, struct group_record_group *out)
{
    struct record_reader reader = {.rest = bytes};
    if (record_take_i16(&reader) != VALUE)
        return false;
    struct group_record_group group = {0};
    group.protocol_type = record_take_string(&reader);
    group.generation = record_take_i32(&reader);
    group.protocol = record_take_string(&reader);
    group.leader = record_take_string(&reader);
    group.state_ms = record_take_i64(&reader);
    group.member_count = record_take_i32(&reader);
    group.members = reader.rest;
    if (reader.bad || group.member_count < 0)
        return false;
    *out = group;
    return true;
}

bool group_record_next_member(struct bytes *members, struct group_record_member *out)
{
    struct record_reader reader = {.rest = *members};
    struct group_record_member member = {0};
    member.member_id = record_take_string(&reader);
    member.group_instance_id = record_take_string(&reader);
    member.client_id = record_take_string(&reader);
    member.client_host = record_take_string(&reader);
    member.rebalance_timeout_ms = record_take_i32(&reader);
    member.session_timeout_ms = record_take_i32(&reader);
    member.subscription = record_take_bytes(&reader);
    member.assignment = record_take_bytes(&reader);
    if (reader.bad || !member.member_id.data)
        return false;
    *members = reader.rest;
    *out = member;
    return true;
}
