/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: which topics there are, their partitions' streams and settings, blocks of producer ids, the leader
 * epoch, the cluster's id. Stream 0 of the journal; each change is a record whose value is a JSON object, so that
 * `evoke check` and a person can read it. What is in memory is a fold of these records and of nothing else: a change is
 * appended, and then applied by the same code that applies it at the next start.
 *
 *     {"type":"cluster","id":"5L6g3nShT-eMCtK--X86sw"}
 *     {"type":"epoch","epoch":3}
 *     {"type":"topic","name":"orders","id":"<uuid>","internal":false,"partitions":3,"stream":17,"configs":{...}}
 *     {"type":"partitions","id":"<uuid>","add":2,"stream":20}        streams 20 and 21
 *     {"type":"configs","id":"<uuid>","configs":{...}}               all that are set
 *     {"type":"delete","id":"<uuid>"}
 *     {"type":"settings","kind":"group","name":"g","settings":{...}}  all that are set; see settings.h
 *     {"type":"producer_ids","end":2000}                             ids below 2000 are given or lost
 *     {"type":"storage", ...}                                        where a partition's records lie: storage.h
 *
 * The records themselves are not kept for ever: the checkpoint has what they come to (checkpoint.h).
 */
#include "log/catalog.h"

#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "log/settings.h"
#include "log/storage.h"
#include "log/topic_config.h"
#include "wire/json.h"

enum { RECORD_SIZE_MAX = 16 << 20, PRODUCER_ID_BLOCK = 1000 };

/* --- Applying --- */

static bool malformed(struct error *err, const char *what)
{
    return error_set(err, ERROR_CORRUPT, "catalog: a record without a valid \"%s\"", what);
}

static bool parse_id(const struct json *record, uint8_t id[16], struct error *err)
{
    return text_parse_uuid(json_bytes(json_get(record, "id")), id) || malformed(err, "id");
}

static struct topic *topic_of(struct log *log, const struct json *record, struct error *err)
{
    uint8_t id[16];
    if (!parse_id(record, id, err))
        return NULL;
    struct topic *topic = topic_find_by_id(log, id);
    if (!topic)
        malformed(err, "id");
    return topic;
}

static void apply_configs(struct topic *topic, const struct json *configs)
{
    map_deinit(&topic->configs, free);
    json_object_each (member, configs)
        topic_set_config(topic, bytes_of_string(member.key), json_bytes(member.value));
    topic_configs_changed(topic);
}

static bool apply_partitions(struct topic *topic, const struct json *record, const char *count_key, struct error *err)
{
    int64_t count = json_int_at(record, count_key, 0), stream = json_int_at(record, "stream", 0);
    if (count < 1 || count > LIMIT_PARTITIONS_PER_TOPIC)
        return malformed(err, count_key);
    if (stream < (int64_t)topic->log->next_stream)
        return malformed(err, "stream");
    topic_make_partitions(topic, (int32_t)count, (uint64_t)stream);
    return true;
}

static bool apply_topic(struct log *log, const struct json *record, struct error *err)
{
    uint8_t id[16];
    struct bytes name = json_bytes(json_get(record, "name"));
    if (!parse_id(record, id, err))
        return false;
    if (name.size == 0 || topic_find(log, name) || topic_find_by_id(log, id))
        return malformed(err, "name");
    struct topic *topic = topic_make(log, name, id, json_bool_at(record, "internal", false));
    folds_topic_made(topic);
    apply_configs(topic, json_get(record, "configs"));
    return apply_partitions(topic, record, "partitions", err);
}

static bool apply_record(struct log *log, const struct json *record, struct error *err)
{
    struct bytes type = json_bytes(json_get(record, "type"));
    struct topic *topic;
    if (bytes_equal_string(type, "topic"))
        return apply_topic(log, record, err);
    if (bytes_equal_string(type, "partitions"))
        return (topic = topic_of(log, record, err)) && apply_partitions(topic, record, "add", err);
    if (bytes_equal_string(type, "configs")) {
        if (!(topic = topic_of(log, record, err)))
            return false;
        apply_configs(topic, json_get(record, "configs"));
    } else if (bytes_equal_string(type, "delete")) {
        if (!(topic = topic_of(log, record, err)))
            return false;
        topic_remove(topic);
    } else if (bytes_equal_string(type, "settings")) {
        const char *kind = json_text(json_get(record, "kind"));
        if (!kind)
            return malformed(err, "kind");
        settings_apply(log, kind, json_bytes(json_get(record, "name")), json_get(record, "settings"));
    } else if (bytes_equal_string(type, "storage")) {
        return storage_apply(log, record, err);
    } else if (bytes_equal_string(type, "producer_ids")) {
        log->next_producer_id = log->producer_id_end;
        log->producer_id_end = json_int_at(record, "end", log->producer_id_end);
    } else if (bytes_equal_string(type, "epoch")) {
        log->leader_epoch = (int32_t)json_int_at(record, "epoch", log->leader_epoch);
    } else if (bytes_equal_string(type, "cluster")) {
        struct bytes id = json_bytes(json_get(record, "id"));
        if (id.size != sizeof log->cluster_id - 1)
            return malformed(err, "id");
        memcpy(log->cluster_id, id.data, id.size);
    } else {
        return malformed(err, "type");
    }
    return true;
}

bool catalog_apply(struct log *log, const struct kafka_batch *batch, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record)) {
        AUTO_JSON *value = json_parse(record.value, JSON_PARSE_OUR_OWN, err);
        if (!value || !apply_record(log, value, err))
            return false;
    }
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "catalog: a record does not parse");
}

/* --- Appending --- */

static bool build(struct log *log, const struct json *record, struct buf *buf, struct bytes *batch, struct error *err)
{
    AUTO_BUF text;
    buf_init(&text, RECORD_SIZE_MAX);
    json_print(record, &text);
    struct kafka_batch_builder builder;
    kafka_batch_begin(&builder, buf, 0);
    kafka_batch_add(&builder, io_wall_ms(log->io), BYTES_NULL, buf_bytes(&text), NULL, 0);
    return (!text.overflowed || error_set(err, ERROR_LIMIT, "the settings are too large")) &&
           kafka_batch_end(&builder, batch, err);
}

static bool append_record(struct log *log, const struct json *record, uint64_t *lsn, struct error *err)
{
    AUTO_BUF buf;
    buf_init(&buf, RECORD_SIZE_MAX);
    struct bytes batch;
    return build(log, record, &buf, &batch, err) && log_append_internal(log, log->catalog, batch, lsn, err);
}

static struct json *new_record(const char *type)
{
    struct json *record = json_new_object();
    json_set(record, "type", json_new_text(type));
    return record;
}

static struct json *new_topic_record(const char *type, const struct topic *topic)
{
    char id[37];
    text_format_uuid(topic->id, id);
    struct json *record = new_record(type);
    json_set(record, "id", json_new_text(id));
    return record;
}

/* --- Topics --- */

static bool check_name(struct bytes name, struct error *err)
{
    bool valid =
        name.size >= 1 && name.size <= 249 && !bytes_equal_string(name, ".") && !bytes_equal_string(name, "..");
    for (size_t i = 0; valid && i < name.size; i++) {
        uint8_t c = name.data[i];
        valid = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                c == '-';
    }
    return valid ||
           error_set(err, ERROR_INVALID,
                     "a topic's name is 1 to 249 of a-z A-Z 0-9 . _ - and neither \".\" nor \"..\", not \"" BYTES_FORMAT
                     "\"",
                     BYTES_ARGS(name));
}

static bool check_partition_count(struct log *log, int32_t count, int32_t before, struct error *err)
{
    if (count < 1 || count > LIMIT_PARTITIONS_PER_TOPIC)
        return error_set(err, ERROR_INVALID, "the number of partitions must be 1 to %d, not %" PRId32,
                         LIMIT_PARTITIONS_PER_TOPIC, count);
    if (log->partition_count + (uint64_t)(count - before) > CATALOG_PARTITIONS_MAX)
        return error_set(err, ERROR_LIMIT, "all topics together have at most %d partitions", CATALOG_PARTITIONS_MAX);
    return true;
}

bool topic_check(struct log *log, const struct topic_spec *spec, struct error *err)
{
    if (!check_name(spec->name, err))
        return false;
    if (topic_find(log, spec->name))
        return error_set(err, ERROR_EXISTS, "topic \"" BYTES_FORMAT "\" is there already", BYTES_ARGS(spec->name));
    if (log->topics.count >= LIMIT_TOPICS)
        return error_set(err, ERROR_LIMIT, "there are %d topics, which is the maximum", LIMIT_TOPICS);
    return check_partition_count(log, spec->partition_count, 0, err) &&
           topic_config_check_all(spec->configs, spec->config_count, err);
}

static struct json *json_of_configs(const struct topic_config_entry *configs, size_t count)
{
    struct json *object = json_new_object();
    for (size_t i = 0; i < count; i++) /* by a known name: ASCII; the value too, but for free text, which is checked */
        json_set_bytes(object, configs[i].name, json_new_string(configs[i].value));
    return object;
}

bool topic_create(struct log *log, const struct topic_spec *spec, struct topic **out, uint64_t *lsn, struct error *err)
{
    if (!topic_check(log, spec, err))
        return false;
    uint8_t id[16];
    char id_text[37];
    do {
        io_random(log->io, id, sizeof id);
        text_uuid_from_random(id);
    } while (topic_find_by_id(log, id));
    text_format_uuid(id, id_text);
    AUTO_JSON *record = new_record("topic");
    json_set(record, "name", json_new_string(spec->name));
    json_set(record, "id", json_new_text(id_text));
    json_set(record, "internal", json_new_bool(spec->internal));
    json_set(record, "partitions", json_new_int(spec->partition_count));
    json_set(record, "stream", json_new_int((int64_t)log->next_stream));
    json_set(record, "configs", json_of_configs(spec->configs, spec->config_count));
    if (!append_record(log, record, lsn, err))
        return false;
    *out = topic_find(log, spec->name);
    topic_announce(*out, TOPIC_CREATED);
    return true;
}

bool topic_add_partitions(struct log *log, struct topic *topic, int32_t partition_count, uint64_t *lsn,
                          struct error *err)
{
    if (partition_count <= topic->partition_count)
        return error_set(err, ERROR_INVALID, "the topic has %" PRId32 " partitions already, %" PRId32 " would be fewer",
                         topic->partition_count, partition_count);
    if (!check_partition_count(log, partition_count, topic->partition_count, err))
        return false;
    AUTO_JSON *record = new_topic_record("partitions", topic);
    json_set(record, "add", json_new_int(partition_count - topic->partition_count));
    json_set(record, "stream", json_new_int((int64_t)log->next_stream));
    if (!append_record(log, record, lsn, err))
        return false;
    topic_announce(topic, TOPIC_GROWN);
    return true;
}

bool topic_set_configs(struct log *log, struct topic *topic, const struct topic_config_entry *configs, size_t count,
                       uint64_t *lsn, struct error *err)
{
    if (!topic_config_check_all(configs, count, err))
        return false;
    AUTO_JSON *record = new_topic_record("configs", topic);
    json_set(record, "configs", json_of_configs(configs, count));
    return append_record(log, record, lsn, err);
}

bool topic_delete(struct log *log, struct topic *topic, uint64_t *lsn, struct error *err)
{
    if (topic->fold)
        return error_set(err, ERROR_DENIED, "%s holds %s", topic->fold->fold->topic, topic->fold->fold->holds);
    AUTO_JSON *record = new_topic_record("delete", topic);
    if (!append_record(log, record, lsn, err))
        return false;
    topic_announce(topic, TOPIC_DELETED); /* its memory stays until the end of the turn */
    *lsn = log_lsn(log);
    return true;
}

/* --- Settings --- */

bool log_set_settings(struct log *log, const char *kind, struct bytes name, const struct topic_config_entry *entries,
                      size_t count, uint64_t *lsn, struct error *err)
{
    if (!settings_check(log, kind, name, entries, count, err))
        return false;
    AUTO_JSON *record = new_record("settings");
    struct json *values = json_new_object();
    bool is_text = json_set(record, "name", json_new_string(name));
    json_set(record, "kind", json_new_text(kind));
    for (size_t i = 0; i < count; i++)
        is_text &= json_set_bytes(values, entries[i].name, json_new_string(entries[i].value));
    json_set(record, "settings", values);
    if (!is_text)
        return error_set(err, ERROR_INVALID, "a name or a value is not UTF-8");
    return append_record(log, record, lsn, err);
}

/* --- Producer ids --- */

bool log_new_producer_id(struct log *log, int64_t *producer_id, uint64_t *lsn, struct error *err)
{
    if (log->next_producer_id == log->producer_id_end) {
        AUTO_JSON *record = new_record("producer_ids");
        json_set(record, "end", json_new_int(log->producer_id_end + PRODUCER_ID_BLOCK));
        if (!append_record(log, record, &log->producer_ids_lsn, err))
            return false;
    }
    *producer_id = log->next_producer_id++;
    *lsn = log->producer_ids_lsn;
    return true;
}

/* --- Starting --- */

static bool start_cluster(struct log *log, struct error *err)
{
    uint8_t random[16];
    io_random(log->io, random, sizeof random);
    text_uuid_from_random(random);
    AUTO_BUF id;
    buf_init(&id, 64);
    text_append_base64url(&id, bytes_of(random, sizeof random));
    AUTO_JSON *record = new_record("cluster");
    json_set(record, "id", json_new_string(buf_bytes(&id)));
    uint64_t lsn;
    return append_record(log, record, &lsn, err);
}

/* Compacted, as Kafka has it, and in one partition, so that the records have one order. */
static bool make_fold_topic(struct log *log, const char *name, struct error *err)
{
    const struct topic_config_entry configs[] = {
        {BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")},
        {BYTES_LITERAL("compression.type"), BYTES_LITERAL("producer")},
        {BYTES_LITERAL("segment.bytes"), BYTES_LITERAL("104857600")},
    };
    const struct topic_spec spec = {.name = bytes_of_string(name),
                                    .partition_count = 1,
                                    .internal = true,
                                    .configs = configs,
                                    .config_count = ARRAY_SIZE(configs)};
    struct topic *topic;
    uint64_t lsn;
    return topic_create(log, &spec, &topic, &lsn, err);
}

static bool make_fold_topics(struct log *log, struct error *err)
{
    for (size_t i = 0; i < log->fold_count; i++)
        if (!log->folds[i].topic && !make_fold_topic(log, log->folds[i].fold->topic, err))
            return false;
    return true;
}

bool catalog_start(struct log *log, bool clean, struct error *err)
{
    if (log->cluster_id[0] == '\0' && !start_cluster(log, err))
        return false;
    if (!clean) {
        AUTO_JSON *record = new_record("epoch");
        json_set(record, "epoch", json_new_int(log->leader_epoch + 1));
        uint64_t lsn;
        if (!append_record(log, record, &lsn, err))
            return false;
    }
    log->next_producer_id = log->producer_id_end; /* what the last run did not give is lost */
    return make_fold_topics(log, err);
}
