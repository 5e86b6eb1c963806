/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions: lists of names and regular expressions (KIP-848; the syntax is RE2's), and who is concerned when a
 * topic changes. Names are indexed over all groups under "topic, zero byte, group", so a topic finds its groups; the
 * groups with expressions are in a list, and each expression is asked.
 */
#include <assert.h>

#include "base/diag.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"

/* --- The index from topics to groups --- */

enum { WANTED_KEY_SIZE_MAX = TOPIC_NAME_SIZE_MAX + 1 + GROUP_ID_SIZE_MAX };

/* How many of a group's subscriptions have the name. */
struct wanted {
    struct consumer_group *in;
    size_t count;
};

static struct bytes wanted_key(uint8_t memory[WANTED_KEY_SIZE_MAX], struct bytes topic, struct bytes group_id)
{
    assert(topic.size <= TOPIC_NAME_SIZE_MAX && group_id.size <= GROUP_ID_SIZE_MAX);
    memcpy(memory, topic.data, topic.size);
    memory[topic.size] = 0;
    if (group_id.size > 0)
        memcpy(memory + topic.size + 1, group_id.data, group_id.size);
    return bytes_of(memory, topic.size + 1 + group_id.size);
}

static void index_names(struct consumer_group *in, const struct consumer_subscription *subscription)
{
    struct groups *groups = in->group->groups;
    uint8_t memory[WANTED_KEY_SIZE_MAX];
    for (size_t i = 0; i < subscription->name_count; i++) {
        struct bytes key = wanted_key(memory, subscription->names[i], in->group->id);
        struct wanted *wanted = map_get(&groups->wanted_topics, key);
        if (!wanted) {
            wanted = NEW(struct wanted);
            wanted->in = in;
            map_put(&groups->wanted_topics, key, wanted);
        }
        wanted->count++;
    }
}

static void unindex_names(struct consumer_group *in, const struct consumer_subscription *subscription)
{
    struct groups *groups = in->group->groups;
    uint8_t memory[WANTED_KEY_SIZE_MAX];
    for (size_t i = 0; i < subscription->name_count; i++) {
        struct bytes key = wanted_key(memory, subscription->names[i], in->group->id);
        struct wanted *wanted = map_get(&groups->wanted_topics, key);
        if (--wanted->count == 0)
            free(map_remove(&groups->wanted_topics, key));
    }
}

/* --- Interning --- */

static int by_bytes(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

bool consumer_subscription_check_names(const struct bytes *names, size_t count, struct error *err)
{
    if (count > CONSUMER_TOPICS_MAX)
        return error_set(err, ERROR_INVALID, "a subscription has at most %d topics, not %zu", CONSUMER_TOPICS_MAX,
                         count);
    for (size_t i = 0; i < count; i++)
        if (names[i].size == 0 || names[i].size > TOPIC_NAME_SIZE_MAX)
            return error_set(err, ERROR_INVALID, "a topic's name has 1 to %d characters, not %zu", TOPIC_NAME_SIZE_MAX,
                             names[i].size);
    return true;
}

/* Each join looks at all topics of all subscriptions of its group, and each new topic is shown to all expressions. */
static bool check_room(const struct consumer_group *in, struct bytes key, struct bytes regex, struct error *err)
{
    const struct groups *groups = in->group->groups;
    if (in->subscriptions_size + key.size > CONSUMER_GROUP_SUBSCRIPTIONS_SIZE_MAX)
        return error_set(err, ERROR_UNAVAILABLE, "the group's subscriptions have at most %d bytes",
                         CONSUMER_GROUP_SUBSCRIPTIONS_SIZE_MAX);
    if (groups->subscriptions_size + key.size > CONSUMER_SUBSCRIPTIONS_SIZE_MAX)
        return error_set(err, ERROR_UNAVAILABLE, "all subscriptions together have at most %d bytes",
                         CONSUMER_SUBSCRIPTIONS_SIZE_MAX);
    if (regex.size > 0 && (in->regex_count >= CONSUMER_GROUP_REGEX_MAX || groups->regex_count >= CONSUMER_REGEX_MAX))
        return error_set(err, ERROR_UNAVAILABLE, "a group has at most %d regular expressions, all together %d",
                         CONSUMER_GROUP_REGEX_MAX, CONSUMER_REGEX_MAX);
    return true;
}

/* The names, each behind its length, which is a byte; a zero; the expression. */
static struct bytes make_key(struct bytes *names, size_t *count, struct bytes regex)
{
    struct buf key;
    size_t kept = 0;
    buf_init(&key, SIZE_MAX);
    if (*count > 0)
        qsort(names, *count, sizeof *names, by_bytes);
    for (size_t i = 0; i < *count; i++) {
        if (kept > 0 && bytes_equal(names[kept - 1], names[i]))
            continue;
        names[kept++] = names[i];
        buf_append_byte(&key, (uint8_t)names[i].size);
        buf_append(&key, names[i]);
    }
    *count = kept;
    buf_append_byte(&key, 0);
    buf_append(&key, regex);
    return buf_take(&key);
}

/* The names and the expression as they lie in the key. */
static void point_into_key(struct consumer_subscription *subscription)
{
    struct bytes rest = subscription->key;
    for (size_t i = 0; i < subscription->name_count; i++) {
        size_t size = rest.data[0];
        subscription->names[i] = bytes_slice(rest, 1, size);
        rest = bytes_slice(rest, 1 + size, SIZE_MAX);
    }
    if (rest.size > 1)
        subscription->regex = bytes_slice(rest, 1, SIZE_MAX);
}

static struct consumer_subscription *add(struct consumer_group *in, struct bytes key, size_t name_count,
                                         struct bytes regex, struct error *err)
{
    struct groups *groups = in->group->groups;
    struct regexp *compiled = NULL;
    if (!check_room(in, key, regex, err))
        return NULL;
    if (regex.size > 0 && !(compiled = regexp_compile(regex, err)))
        return NULL;
    struct consumer_subscription *subscription = NEW(struct consumer_subscription);
    subscription->compiled = compiled;
    subscription->name_count = name_count;
    subscription->names = memory_new_array(name_count, sizeof *subscription->names);
    map_put(&in->subscriptions, key, subscription);
    subscription->key = map_key(map_find(&in->subscriptions, key));
    point_into_key(subscription);
    groups->subscriptions_size += key.size;
    in->subscriptions_size += key.size;
    in->regex_count += compiled != NULL;
    groups->regex_count += compiled != NULL;
    return subscription;
}

struct consumer_subscription *consumer_subscription_intern(struct consumer_group *in, const struct bytes *names,
                                                           size_t count, struct bytes regex, struct error *err)
{
    if (!consumer_subscription_check_names(names, count, err))
        return NULL;
    AUTO_FREE(struct bytes) sorted = memory_new_array(count, sizeof *sorted);
    if (count > 0)
        memcpy(sorted, names, count * sizeof *sorted);
    struct bytes key = make_key(sorted, &count, regex);
    struct consumer_subscription *subscription = map_get(&in->subscriptions, key);
    if (!subscription)
        subscription = add(in, key, count, regex, err);
    free((void *)(uintptr_t)key.data);
    return subscription;
}

void consumer_subscription_drop_unused(struct consumer_group *in, struct consumer_subscription *subscription)
{
    if (!subscription || subscription->refs > 0)
        return;
    struct groups *groups = in->group->groups;
    groups->subscriptions_size -= subscription->key.size;
    in->subscriptions_size -= subscription->key.size;
    in->regex_count -= subscription->compiled != NULL;
    groups->regex_count -= subscription->compiled != NULL;
    regexp_free(subscription->compiled);
    free(subscription->names);
    map_remove(&in->subscriptions, subscription->key);
    free(subscription);
}

void consumer_subscription_take(struct consumer_group *in, struct consumer_subscription *subscription)
{
    if (subscription->refs++ > 0)
        return;
    index_names(in, subscription);
    if (subscription->compiled && !list_linked(&in->regex_link))
        list_append(&in->group->groups->regex_groups, &in->regex_link);
}

void consumer_subscription_release(struct consumer_group *in, struct consumer_subscription *subscription)
{
    if (--subscription->refs > 0)
        return;
    unindex_names(in, subscription);
    consumer_subscription_drop_unused(in, subscription);
    if (in->regex_count == 0)
        list_remove(&in->regex_link);
}

/* --- Topics --- */

bool consumer_subscription_wants(const struct consumer_subscription *subscription, struct bytes topic)
{
    bool named = subscription->name_count > 0 &&
                 bsearch(&topic, subscription->names, subscription->name_count, sizeof *subscription->names, by_bytes);
    return named || (subscription->compiled && regexp_matches(subscription->compiled, topic));
}

static int by_id(const void *a, const void *b)
{
    return memcmp(topic_id(*(struct topic *const *)a), topic_id(*(struct topic *const *)b), TOPIC_ID_SIZE);
}

/* Each once: an expression may match a name that is also listed. */
static size_t sort_topics(struct topic **topics, size_t count)
{
    size_t kept = 0;
    if (count > 0)
        qsort(topics, count, sizeof(struct topic *), by_id);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || topics[kept - 1] != topics[i])
            topics[kept++] = topics[i];
    return kept;
}

/* Internal topics are for those who name them: no expression gives them. */
struct topic **consumer_subscription_topics(struct groups *groups, const struct consumer_subscription *subscription,
                                            struct arena *arena, size_t *count)
{
    struct log *log = groups->log;
    size_t found = 0, most = subscription->name_count + (subscription->compiled ? log_topic_count(log) : 0);
    struct topic **topics = arena_alloc_array(arena, most, sizeof(struct topic *));
    for (size_t i = 0; i < subscription->name_count; i++) {
        struct topic *topic = topic_find(log, subscription->names[i]);
        if (topic)
            topics[found++] = topic;
    }
    for (struct topic *topic = subscription->compiled ? topic_first(log) : NULL; topic; topic = topic_next(log, topic))
        if (!topic_internal(topic) && regexp_matches(subscription->compiled, topic_name(topic)))
            topics[found++] = topic;
    *count = sort_topics(topics, found);
    return topics;
}

/* FNV-1a of 64 bits. Kafka's hash is another; its tools only show it. */
static uint64_t hash(uint64_t so_far, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        so_far = (so_far ^ bytes[i]) * UINT64_C(0x100000001b3);
    return so_far;
}

uint64_t consumer_topics_hash(const struct consumer_group *in, const struct consumer_subscription *without,
                              const struct consumer_subscription *with)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct map topics = {0};
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    map_each (entry, &in->subscriptions) {
        const struct consumer_subscription *subscription = entry->value;
        if (subscription->refs - (subscription == without) + (subscription == with) == 0)
            continue;
        size_t count;
        struct topic **found = consumer_subscription_topics(in->group->groups, subscription, &arena, &count);
        for (size_t i = 0; i < count; i++)
            map_put(&topics, bytes_of(topic_id(found[i]), TOPIC_ID_SIZE), found[i]);
    }
    map_each (entry, &topics) {
        const struct topic *topic = entry->value;
        int32_t partition_count = topic_partition_count(topic);
        sum = hash(sum, topic_id(topic), TOPIC_ID_SIZE);
        sum = hash(sum, &partition_count, sizeof partition_count);
    }
    uint64_t result = topics.count > 0 ? sum : 0;
    map_deinit(&topics, NULL);
    return result;
}

/* --- Topics that come and go --- */

static void mark(struct groups *groups, struct consumer_group *in)
{
    if (list_linked(&in->changed_link))
        return;
    list_append(&groups->changed_groups, &in->changed_link);
    io_defer(&groups->run_changed);
}

void consumer_groups_topic_changed(struct groups *groups, struct bytes topic)
{
    uint8_t memory[WANTED_KEY_SIZE_MAX];
    struct bytes prefix = wanted_key(memory, topic, BYTES_NULL);
    for (struct map_entry *entry = map_at_or_after(&groups->wanted_topics, prefix);
         entry && bytes_starts_with(map_key(entry), prefix); entry = map_next(entry))
        mark(groups, ((struct wanted *)entry->value)->in);
    list_each (struct consumer_group, in, &groups->regex_groups, regex_link)
        if (consumer_group_subscribes(in, topic))
            mark(groups, in);
}

bool consumer_group_follow_topics(struct consumer_group *in, struct error *err)
{
    uint64_t now = consumer_topics_hash(in, NULL, NULL);
    in->topics_missed = true;
    if (now != in->metadata_hash) {
        AUTO_GROUP_BATCH batch;
        group_batch_begin(&batch, in->group->groups->log);
        consumer_put_epoch(&batch, in, in->epoch + 1, now);
        if (!consumer_append(in, &batch, err))
            return false;
    }
    in->topics_missed = false;
    return true;
}

void consumer_groups_run_changed(void *ctx)
{
    struct groups *groups = ctx;
    struct consumer_group *in;
    while ((in = LIST_TAKE_FIRST(&groups->changed_groups, struct consumer_group, changed_link))) {
        struct error err;
        if (!consumer_group_follow_topics(in, &err)) /* its next heartbeat tries again */
            diag_warn("coordinator", "group " BYTES_FORMAT ": %s", BYTES_ARGS(in->group->id), err.message);
    }
}
