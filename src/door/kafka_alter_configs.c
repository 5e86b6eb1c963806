/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterConfigs, which replaces all settings of a resource, and IncrementalAlterConfigs, which changes some. Each
 * resource of a request succeeds or fails on its own; the answer waits until what was done is on disk.
 */
#include "base/map.h"
#include "base/memory.h"
#include "door/kafka_configs.h"

enum operation { OPERATION_SET, OPERATION_DELETE, OPERATION_APPEND, OPERATION_SUBTRACT };

struct change {
    struct config_resource resource;
    const struct config_entry *known;
    size_t known_count;
    struct topic_config_entry *entries; /* all that shall be set */
    size_t count;
};

static bool fail(struct error *err, enum kafka_error *code, enum kafka_error is, const char *message)
{
    *code = is;
    return error_set(err, ERROR_INVALID, "%s", message);
}

static bool begin(struct kafka_request *request, int8_t type, struct bytes name, size_t room, struct change *change,
                  enum kafka_error *code, struct error *err)
{
    const char *message;
    *change = (struct change){0};
    *code = kafka_config_find(request, type, name, &change->resource, &message);
    if (*code)
        return fail(err, code, *code, message);
    if (change->resource.topic && topic_internal(change->resource.topic))
        return fail(err, code, KAFKA_INVALID_TOPIC_EXCEPTION, "the topic is evoke's own");
    change->known = kafka_config_entries(&change->resource, &change->known_count);
    change->entries = arena_alloc_array(&request->arena, room + change->known_count, sizeof *change->entries);
    return true;
}

static const struct config_entry *known(const struct change *change, struct bytes name, enum kafka_error *code,
                                        struct error *err)
{
    const struct config_entry *entry = kafka_config_entry(change->known, change->known_count, name);
    *code = kafka_config_invalid(&change->resource);
    if (!entry && change->resource.topic)
        topic_config_refuse(name, err);
    else if (!entry)
        error_set(err, ERROR_INVALID, "there is no setting \"" BYTES_FORMAT "\"", BYTES_ARGS(name));
    else if (entry->read_only)
        error_set(err, ERROR_INVALID, "%s cannot be changed while evoke runs", entry->info->name);
    return entry && !entry->read_only ? entry : NULL;
}

static bool put(struct change *change, const struct config_entry *entry, struct bytes value, struct error *err)
{
    struct bytes name = bytes_of_string(entry->info->name);
    size_t at = 0;
    while (at < change->count && !bytes_equal(change->entries[at].name, name))
        at++;
    if (!topic_config_check_value(entry->info, value, err))
        return false;
    change->entries[at] = (struct topic_config_entry){name, value};
    change->count += at == change->count;
    return true;
}

static bool finish(struct change *change, bool validate_only, uint64_t *lsn_max, enum kafka_error *code,
                   struct error *err)
{
    uint64_t lsn;
    *code = kafka_config_invalid(&change->resource);
    if (change->resource.topic && !topic_config_check_all(change->entries, change->count, err))
        return false;
    if (validate_only)
        return true;
    if (!kafka_config_replace(&change->resource, change->entries, change->count, &lsn, err)) {
        *code = err->kind == ERROR_INVALID || (err->kind == ERROR_LIMIT && !err->sys)
                    ? kafka_config_invalid(&change->resource)
                    : KAFKA_KAFKA_STORAGE_ERROR;
        return false;
    }
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
    return true;
}

static struct bytes message_of(struct kafka_request *request, const struct error *err)
{
    return bytes_of_string(arena_string(&request->arena, bytes_of_string(err->message)));
}

/* --- AlterConfigs --- */

static bool alter(struct kafka_request *request, size_t at, const struct map *names, uint64_t *lsn,
                  enum kafka_error *code, struct error *err)
{
    const struct kafka_alter_configs_request *body = request->body;
    const struct kafka_alter_configs_request_resource *in = &body->resources[at];
    struct change change;
    if (kafka_is_twice(names, in->resource_type, in->resource_name))
        return fail(err, code, KAFKA_INVALID_REQUEST, "a resource is in the request twice");
    if (!begin(request, in->resource_type, in->resource_name, in->configs_count, &change, code, err))
        return false;
    for (size_t i = 0; i < in->configs_count; i++) {
        const struct config_entry *entry = known(&change, in->configs[i].name, code, err);
        if (!entry)
            return false;
        if (!in->configs[i].value.data)
            return fail(err, code, KAFKA_INVALID_REQUEST, "a setting needs a value");
        if (!put(&change, entry, in->configs[i].value, err))
            return false;
    }
    return finish(&change, body->validate_only, lsn, code, err);
}

static void alter_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_alter_configs_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

void kafka_handle_alter_configs(struct kafka_request *request)
{
    const struct kafka_alter_configs_request *body = request->body;
    struct kafka_alter_configs_response *response = KAFKA_NEW(&request->arena, kafka_alter_configs_response);
    uint64_t lsn = 0;
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_alter_configs_response_result, body->resources_count);
    response->results_count = body->resources_count;
    struct map names = {0};
    for (size_t i = 0; i < body->resources_count; i++)
        kafka_note_name(&names, body->resources[i].resource_type, body->resources[i].resource_name);
    for (size_t i = 0; i < body->resources_count; i++) {
        struct kafka_alter_configs_response_result *out = &response->results[i];
        enum kafka_error code;
        struct error err;
        out->resource_type = body->resources[i].resource_type;
        out->resource_name = body->resources[i].resource_name;
        if (!alter(request, i, &names, &lsn, &code, &err)) {
            out->error_code = kafka_refuse(request, code);
            out->error_message = message_of(request, &err);
        }
    }
    map_deinit(&names, NULL);
    kafka_answer_when(request, response, lsn, LOG_SYNCED, alter_failed);
}

/* --- IncrementalAlterConfigs --- */

static bool list_has(struct bytes list, struct bytes element)
{
    struct bytes one;
    while (list.size > 0 && bytes_split(&list, ',', &one))
        if (bytes_equal(bytes_trim(one), element))
            return true;
    return false;
}

/* The elements of `from` that are not in `other`, separated by commas. */
static void append_elements(struct buf *out, struct bytes from, struct bytes other)
{
    struct bytes one;
    while (from.size > 0 && bytes_split(&from, ',', &one)) {
        one = bytes_trim(one);
        if (list_has(other, one))
            continue;
        if (out->size > 0)
            buf_append_byte(out, ',');
        buf_append(out, one);
    }
}

static struct bytes edit_list(struct arena *arena, struct bytes list, enum operation operation, struct bytes elements)
{
    AUTO_BUF out;
    buf_init(&out, 2 * TOPIC_CONFIG_SIZE_MAX);
    if (operation == OPERATION_SUBTRACT) {
        append_elements(&out, list, elements);
    } else {
        buf_append(&out, list);
        append_elements(&out, elements, list);
    }
    return bytes_of(arena_string(arena, buf_bytes(&out)), out.size);
}

static void take_out(struct change *change, struct bytes name)
{
    for (size_t i = 0; i < change->count; i++)
        if (bytes_equal(change->entries[i].name, name)) {
            change->entries[i] = change->entries[--change->count];
            return;
        }
}

/* What holds now without the node's settings: what the elements are added to. */
static struct bytes list_before(const struct change *change, const struct config_entry *entry)
{
    return kafka_config_is_own(&change->resource, entry) ? entry->values[0].value
                                                         : bytes_of_string(entry->info->default_value);
}

/* Puts one operation onto the entries. */
static bool edit(struct change *change, const struct kafka_incremental_alter_configs_request_config *in,
                 enum kafka_error *code, struct error *err)
{
    if (in->config_operation ==
        OPERATION_DELETE) { /* as in Kafka also of what is unknown: tools clear what might be set */
        take_out(change, in->name);
        return true;
    }
    const struct config_entry *entry = known(change, in->name, code, err);
    if (!entry)
        return false;
    if (!in->value.data)
        return fail(err, code, KAFKA_INVALID_REQUEST, "a setting needs a value");
    switch (in->config_operation) {
    case OPERATION_SET:
        return put(change, entry, in->value, err);
    case OPERATION_APPEND:
    case OPERATION_SUBTRACT:
        if (entry->info->type != TOPIC_CONFIG_LIST)
            return error_set(err, ERROR_INVALID, "%s is not a list", entry->info->name);
        return put(change, entry,
                   edit_list(&change->resource.request->arena, list_before(change, entry),
                             (enum operation)in->config_operation, in->value),
                   err);
    default:
        *code = KAFKA_INVALID_REQUEST;
        return error_set(err, ERROR_INVALID, "%d is not an operation", in->config_operation);
    }
}

static void start_from_present(struct change *change)
{
    for (size_t i = 0; i < change->known_count; i++)
        if (kafka_config_is_own(&change->resource, &change->known[i]))
            change->entries[change->count++] = (struct topic_config_entry){
                bytes_of_string(change->known[i].info->name),
                arena_copy(&change->resource.request->arena, change->known[i].values[0].value)};
}

static bool is_setting_twice(const struct kafka_incremental_alter_configs_request_resource *in, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (bytes_equal(in->configs[i].name, in->configs[at].name))
            return true;
    return false;
}

static bool alter_some(struct kafka_request *request, size_t at, const struct map *names, uint64_t *lsn,
                       enum kafka_error *code, struct error *err)
{
    const struct kafka_incremental_alter_configs_request *body = request->body;
    const struct kafka_incremental_alter_configs_request_resource *in = &body->resources[at];
    struct change change;
    if (kafka_is_twice(names, in->resource_type, in->resource_name))
        return fail(err, code, KAFKA_INVALID_REQUEST, "a resource is in the request twice");
    if (!begin(request, in->resource_type, in->resource_name, in->configs_count, &change, code, err))
        return false;
    start_from_present(&change);
    for (size_t i = 0; i < in->configs_count; i++) {
        if (is_setting_twice(in, i))
            return fail(err, code, KAFKA_INVALID_REQUEST, "a setting is in the request twice");
        if (!edit(&change, &in->configs[i], code, err))
            return false;
    }
    return finish(&change, body->validate_only, lsn, code, err);
}

static void incremental_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_incremental_alter_configs_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

void kafka_handle_incremental_alter_configs(struct kafka_request *request)
{
    const struct kafka_incremental_alter_configs_request *body = request->body;
    struct kafka_incremental_alter_configs_response *response =
        KAFKA_NEW(&request->arena, kafka_incremental_alter_configs_response);
    uint64_t lsn = 0;
    response->results =
        KAFKA_NEW_ARRAY(&request->arena, kafka_incremental_alter_configs_response_result, body->resources_count);
    response->results_count = body->resources_count;
    struct map names = {0};
    for (size_t i = 0; i < body->resources_count; i++)
        kafka_note_name(&names, body->resources[i].resource_type, body->resources[i].resource_name);
    for (size_t i = 0; i < body->resources_count; i++) {
        struct kafka_incremental_alter_configs_response_result *out = &response->results[i];
        enum kafka_error code;
        struct error err;
        out->resource_type = body->resources[i].resource_type;
        out->resource_name = body->resources[i].resource_name;
        if (!alter_some(request, i, &names, &lsn, &code, &err)) {
            out->error_code = kafka_refuse(request, code);
            out->error_message = message_of(request, &err);
        }
    }
    map_deinit(&names, NULL);
    kafka_answer_when(request, response, lsn, LOG_SYNCED, incremental_failed);
}
