/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeClientQuotas and AlterClientQuotas (KIP-546). What quotas do is in kafka_quota.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_quota.h"
#include "log/settings.h"

enum match_type { MATCH_EXACT, MATCH_DEFAULT, MATCH_ANY };

/* --- DescribeClientQuotas --- */

struct filter {
    struct { /* of the user, of the client */
        bool present;
        enum match_type type;
        struct bytes name;
    } parts[2];
    bool strict;
    bool of_ip; /* which nothing has a quota for */
};

static int part_of_type(struct bytes type)
{
    return bytes_equal_string(type, "user") ? 0 : bytes_equal_string(type, "client-id") ? 1 : -1;
}

static enum kafka_error read_filter(const struct kafka_describe_client_quotas_request *body, struct filter *out,
                                    const char **message)
{
    *out = (struct filter){.strict = body->strict};
    for (size_t i = 0; i < body->components_count; i++) {
        const struct kafka_describe_client_quotas_request_component *in = &body->components[i];
        int part = part_of_type(in->entity_type);
        bool ip = bytes_equal_string(in->entity_type, "ip");
        *message = "quotas are of user and client-id here";
        if (part < 0 && !ip)
            return KAFKA_UNSUPPORTED_VERSION;
        *message = "a type of entity is there twice, or its match makes no sense";
        if ((ip ? out->of_ip : out->parts[part].present) || in->match_type < MATCH_EXACT ||
            in->match_type > MATCH_ANY || (in->match_type == MATCH_EXACT) != (in->match.data != NULL))
            return KAFKA_INVALID_REQUEST;
        out->of_ip |= ip;
        if (ip)
            continue;
        out->parts[part].present = true;
        out->parts[part].type = (enum match_type)in->match_type;
        out->parts[part].name = in->match;
    }
    return KAFKA_NONE;
}

static bool matches_part(const struct filter *filter, int part, bool has, struct bytes name)
{
    if (!filter->parts[part].present)
        return !has || !filter->strict;
    if (!has)
        return false;
    if (filter->parts[part].type == MATCH_EXACT)
        return name.data && bytes_equal(name, filter->parts[part].name);
    return filter->parts[part].type == MATCH_ANY || !name.data;
}

/* Without components everything is meant, unless strict: then entities without any, of which there are none. */
static bool matches(const struct filter *filter, const struct quota_entity *entity)
{
    return !filter->of_ip && matches_part(filter, 0, entity->has_user, entity->user) &&
           matches_part(filter, 1, entity->has_client, entity->client);
}

static void describe_entity(struct kafka_request *request, const struct quota_entity *entity,
                            const struct settings *settings, struct kafka_describe_client_quotas_response_entry *out)
{
    struct arena *arena = &request->arena;
    out->entity = KAFKA_NEW_ARRAY(arena, kafka_describe_client_quotas_response_entity, 2);
    if (entity->has_user)
        out->entity[out->entity_count++] =
            (struct kafka_describe_client_quotas_response_entity){BYTES_LITERAL("user"), entity->user};
    if (entity->has_client)
        out->entity[out->entity_count++] =
            (struct kafka_describe_client_quotas_response_entity){BYTES_LITERAL("client-id"), entity->client};
    out->values = KAFKA_NEW_ARRAY(arena, kafka_describe_client_quotas_response_value, settings_count(settings));
    for (struct map_entry *at = settings_first_entry(settings); at; at = map_next(at))
        out->values[out->values_count++] =
            (struct kafka_describe_client_quotas_response_value){map_key(at), strtod(at->value, NULL)};
}

void kafka_handle_describe_client_quotas(struct kafka_request *request)
{
    struct kafka_describe_client_quotas_response *response =
        KAFKA_NEW(&request->arena, kafka_describe_client_quotas_response);
    struct log *log = request->log;
    struct filter filter;
    const char *message;
    size_t count = 0;
    enum kafka_error code = read_filter(request->body, &filter, &message);
    if (code) {
        response->error_code = kafka_refuse(request, code);
        response->error_message = bytes_of_string(message);
        kafka_answer(request, response);
        return;
    }
    for (const struct settings *at = settings_first(log, "quota"); at; at = settings_next(log, at))
        count++;
    response->entries = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_client_quotas_response_entry, count + 1);
    for (const struct settings *at = settings_first(log, "quota"); at; at = settings_next(log, at)) {
        struct quota_entity entity;
        if (quota_entity_parse(settings_name(at), &request->arena, &entity) && matches(&filter, &entity))
            describe_entity(request, &entity, at, &response->entries[response->entries_count++]);
    }
    kafka_answer(request, response);
}

/* --- AlterClientQuotas --- */

static bool read_entity(const struct kafka_alter_client_quotas_request_entry *in, struct quota_entity *out,
                        struct error *err)
{
    *out = (struct quota_entity){0};
    for (size_t i = 0; i < in->entity_count; i++) {
        struct bytes name = in->entity[i].entity_name;
        int part = part_of_type(in->entity[i].entity_type);
        if (part < 0)
            return error_set(err, ERROR_INVALID, "quotas are of user and client-id here, not of \"" BYTES_FORMAT "\"",
                             BYTES_ARGS(in->entity[i].entity_type));
        if (name.data && (name.size == 0 || name.size > SETTINGS_NAME_SIZE_MAX / 8))
            return error_set(err, ERROR_INVALID, "a name has 1 to %d bytes", SETTINGS_NAME_SIZE_MAX / 8);
        bool *has = part == 0 ? &out->has_user : &out->has_client;
        if (*has)
            return error_set(err, ERROR_INVALID, "a type of entity is there twice");
        *has = true;
        *(part == 0 ? &out->user : &out->client) = name;
    }
    return out->has_user || out->has_client || error_set(err, ERROR_INVALID, "the entity is empty");
}

static int kind_of(struct bytes key)
{
    for (int i = 0; i < QUOTA_KINDS; i++)
        if (bytes_equal_string(key, quota_keys[i].name))
            return i;
    return -1;
}

static bool check_op(const struct kafka_alter_client_quotas_request_op *op, int *kind, struct error *err)
{
    *kind = kind_of(op->key);
    if (*kind < 0)
        return error_set(err, ERROR_INVALID,
                         "quotas are producer_byte_rate, consumer_byte_rate and request_percentage, not \"" BYTES_FORMAT
                         "\"",
                         BYTES_ARGS(op->key));
    if (!op->remove && (!isfinite(op->value) || op->value <= 0 || op->value > 1e15 ||
                        (quota_keys[*kind].whole && op->value != floor(op->value))))
        return error_set(err, ERROR_INVALID, "%s must be above 0%s, not %g", quota_keys[*kind].name,
                         quota_keys[*kind].whole ? " and whole" : "", op->value);
    return true;
}

/* One value of each kind at most; an operation that comes later wins. */
static bool read_values(struct kafka_request *request, const struct kafka_alter_client_quotas_request_entry *in,
                        struct bytes values[QUOTA_KINDS], struct error *err)
{
    for (size_t i = 0; i < in->ops_count; i++) {
        int kind;
        if (!check_op(&in->ops[i], &kind, err))
            return false;
        values[kind] =
            in->ops[i].remove ? BYTES_NULL : bytes_of_string(arena_printf(&request->arena, "%.17g", in->ops[i].value));
    }
    return true;
}

static bool alter(struct kafka_request *request, const struct kafka_alter_client_quotas_request_entry *in,
                  uint64_t *lsn_max, struct error *err)
{
    const struct kafka_alter_client_quotas_request *body = request->body;
    struct topic_config_entry entries[QUOTA_KINDS];
    struct bytes values[QUOTA_KINDS];
    struct quota_entity entity;
    size_t count = 0;
    uint64_t lsn;
    AUTO_BUF name;
    buf_init(&name, SETTINGS_NAME_SIZE_MAX);
    if (!read_entity(in, &entity, err))
        return false;
    quota_entity_print(&entity, &name);
    const struct settings *before = settings_find(request->log, "quota", buf_bytes(&name));
    for (int i = 0; i < QUOTA_KINDS; i++) {
        struct bytes value = settings_get(before, bytes_of_string(quota_keys[i].name));
        values[i] = value.data ? arena_copy(&request->arena, value) : BYTES_NULL;
    }
    if (!read_values(request, in, values, err))
        return false;
    for (int i = 0; i < QUOTA_KINDS; i++)
        if (values[i].data)
            entries[count++] = (struct topic_config_entry){bytes_of_string(quota_keys[i].name), values[i]};
    if (body->validate_only)
        return true;
    if (!log_set_settings(request->log, "quota", buf_bytes(&name), entries, count, &lsn, err))
        return false;
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
    return true;
}

static void alter_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_alter_client_quotas_response *response = ctx;
    for (size_t i = 0; i < response->entries_count; i++)
        response->entries[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

static void copy_entity(struct arena *arena, const struct kafka_alter_client_quotas_request_entry *in,
                        struct kafka_alter_client_quotas_response_entry *out)
{
    out->entity = KAFKA_NEW_ARRAY(arena, kafka_alter_client_quotas_response_entity, in->entity_count);
    out->entity_count = in->entity_count;
    for (size_t i = 0; i < in->entity_count; i++)
        out->entity[i] =
            (struct kafka_alter_client_quotas_response_entity){in->entity[i].entity_type, in->entity[i].entity_name};
}

void kafka_handle_alter_client_quotas(struct kafka_request *request)
{
    const struct kafka_alter_client_quotas_request *body = request->body;
    struct kafka_alter_client_quotas_response *response =
        KAFKA_NEW(&request->arena, kafka_alter_client_quotas_response);
    uint64_t lsn = 0;
    response->entries = KAFKA_NEW_ARRAY(&request->arena, kafka_alter_client_quotas_response_entry, body->entries_count);
    response->entries_count = body->entries_count;
    for (size_t i = 0; i < body->entries_count; i++) {
        struct kafka_alter_client_quotas_response_entry *out = &response->entries[i];
        struct error err;
        copy_entity(&request->arena, &body->entries[i], out);
        if (alter(request, &body->entries[i], &lsn, &err))
            continue;
        bool wrong = err.kind == ERROR_INVALID || (err.kind == ERROR_LIMIT && !err.sys);
        out->error_code = kafka_refuse(request, wrong ? KAFKA_INVALID_REQUEST : KAFKA_KAFKA_STORAGE_ERROR);
        out->error_message = bytes_of_string(arena_string(&request->arena, bytes_of_string(err.message)));
    }
    quotas_changed(request->door->quotas);
    kafka_answer_when(request, response, lsn, LOG_SYNCED, alter_failed);
}

/* --- DescribeUserScramCredentials --- */

/* What tools ask together with the quotas of users. No user has a password here: there is no SASL. */
void kafka_handle_describe_user_scram_credentials(struct kafka_request *request)
{
    const struct kafka_describe_user_scram_credentials_request *body = request->body;
    struct kafka_describe_user_scram_credentials_response *response =
        KAFKA_NEW(&request->arena, kafka_describe_user_scram_credentials_response);
    response->results =
        KAFKA_NEW_ARRAY(&request->arena, kafka_describe_user_scram_credentials_response_result, body->users_count);
    response->results_count = body->users_count;
    for (size_t i = 0; i < body->users_count; i++) {
        response->results[i].user = body->users[i].name;
        response->results[i].error_code = kafka_refuse(request, KAFKA_RESOURCE_NOT_FOUND);
        response->results[i].error_message = BYTES_LITERAL("there is no SASL here: no user has credentials");
    }
    kafka_answer(request, response);
}
