/* SPDX-License-Identifier: Apache-2.0 */
/* What requests name: topics, partitions, epochs; and whether they name a thing twice. */
#include "base/memory.h"
#include "door/kafka_door_priv.h"

enum { ONCE = 1, TWICE };
static const char times[] = {[ONCE] = ONCE, [TWICE] = TWICE};

static void make_key(struct buf *key, int8_t type, struct bytes name)
{
    buf_init(key, SIZE_MAX);
    buf_append_byte(key, (uint8_t)type);
    buf_append(key, name);
}

void kafka_note_name(struct map *names, int8_t type, struct bytes name)
{
    AUTO_BUF key;
    make_key(&key, type, name);
    const char *before = map_get(names, buf_bytes(&key));
    map_put(names, buf_bytes(&key), (void *)(uintptr_t)&times[before ? TWICE : ONCE]);
}

bool kafka_is_twice(const struct map *names, int8_t type, struct bytes name)
{
    AUTO_BUF key;
    make_key(&key, type, name);
    return map_get(names, buf_bytes(&key)) == &times[TWICE];
}

bool kafka_shows_topic(const struct topic *topic)
{
    return !topic_internal(topic) || bytes_equal_string(topic_name(topic), "__consumer_offsets") ||
           bytes_equal_string(topic_name(topic), "__transaction_state");
}

static struct topic *if_shown(struct topic *topic)
{
    return topic && kafka_shows_topic(topic) ? topic : NULL;
}

struct topic *kafka_find_topic(struct kafka_request *request, struct bytes name)
{
    return if_shown(topic_find(request->log, name));
}

struct topic *kafka_find_topic_by_id(struct kafka_request *request, const uint8_t id[16])
{
    return if_shown(topic_find_by_id(request->log, id));
}

struct partition *kafka_find_partition(struct kafka_request *request, struct bytes topic, int32_t index)
{
    struct topic *found = kafka_find_topic(request, topic);
    return found ? topic_partition(found, index) : NULL;
}

enum kafka_error kafka_check_epoch(const struct partition *partition, int32_t epoch)
{
    int32_t ours = partition_leader_epoch(partition);
    if (epoch < 0 || epoch == ours)
        return KAFKA_NONE;
    return epoch < ours ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}
