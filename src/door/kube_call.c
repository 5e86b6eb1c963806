/* SPDX-License-Identifier: Apache-2.0 */
/* See kube_call.h: what all answers of the API door need of a request. */
#include "door/kube_call.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "wire/yaml.h"

/* --- Query --- */

struct bytes kube_query(struct kube_call *call, const char *name)
{
    return http_query_get(call->request->head->query, call->arena, name);
}

/* Not every client is written in Go: Python sends True. */
static bool truth(struct bytes value)
{
    static const char *const words[] = {"", "1", "t", "T", "true", "TRUE", "True"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (bytes_equal_string(value, words[i]))
            return true;
    return false;
}

bool kube_query_bool(struct kube_call *call, const char *name)
{
    struct bytes value = kube_query(call, name);
    return value.data && truth(value);
}

static bool bad_request(struct error *err, const char *name, struct bytes value)
{
    error_set(err, ERROR_INVALID, "invalid value \"" BYTES_FORMAT "\" of the query parameter %s", BYTES_ARGS(value),
              name);
    err->sys = EBADMSG;
    return false;
}

bool kube_query_int(struct kube_call *call, const char *name, int64_t *out, struct error *err)
{
    struct bytes value = kube_query(call, name);
    return value.size == 0 || bytes_to_i64(value, out) || bad_request(err, name, value);
}

/* --- Accept --- */

/* One media range of the Accept field: "application/json;as=Table;v=v1;g=meta.k8s.io". */
struct media_range {
    struct bytes type;
    struct bytes as, version;
};

static bool next_range(struct bytes *rest, struct media_range *out)
{
    struct bytes range, part;
    if (!bytes_split(rest, ',', &range))
        return false;
    *out = (struct media_range){0};
    bytes_split(&range, ';', &part);
    out->type = bytes_trim(part);
    while (bytes_split(&range, ';', &part)) {
        part = bytes_trim(part);
        if (bytes_starts_with(part, BYTES_LITERAL("as=")))
            out->as = bytes_slice(part, 3, part.size);
        else if (bytes_starts_with(part, BYTES_LITERAL("v=")))
            out->version = bytes_slice(part, 2, part.size);
    }
    return true;
}

static bool is_json(struct bytes type)
{
    return bytes_equal_ignore_case(type, BYTES_LITERAL("application/json")) ||
           bytes_equal_string(type, "application/*") || bytes_equal_string(type, "*/*");
}

bool kube_accepts(struct kube_call *call, const char *as, struct bytes *version)
{
    struct bytes rest = http_head_get(call->request->head, "Accept");
    struct media_range range;
    while (rest.data && next_range(&rest, &range)) {
        if (is_json(range.type) && bytes_equal_string(range.as, as)) {
            *version = range.version;
            return true;
        }
    }
    return false;
}

/* The first range that we can serve decides. Protobuf is passed over: every client that asks for it takes JSON too. */
static enum kube_form form_of(struct kube_call *call)
{
    struct bytes rest = http_head_get(call->request->head, "Accept");
    struct media_range range;
    while (rest.data && next_range(&rest, &range)) {
        if (!is_json(range.type))
            continue;
        if (range.as.size == 0)
            return KUBE_PLAIN;
        if (bytes_equal_string(range.as, "Table"))
            return KUBE_TABLE;
        if (bytes_starts_with(range.as, BYTES_LITERAL("PartialObjectMetadata")))
            return KUBE_PARTIAL;
    }
    return KUBE_PLAIN;
}

static bool read_validation(struct kube_call *call, struct error *err)
{
    struct bytes value = kube_query(call, "fieldValidation");
    if (value.size == 0 || bytes_equal_string(value, "Warn"))
        call->validation = SCHEMA_WARN;
    else if (bytes_equal_string(value, "Strict"))
        call->validation = SCHEMA_STRICT;
    else if (bytes_equal_string(value, "Ignore"))
        call->validation = SCHEMA_IGNORE;
    else
        return bad_request(err, "fieldValidation", value);
    return true;
}

bool kube_read_options(struct kube_call *call, struct error *err)
{
    struct bytes dry_run = kube_query(call, "dryRun"), include = kube_query(call, "includeObject");
    if (dry_run.size > 0 && !bytes_equal_string(dry_run, "All"))
        return bad_request(err, "dryRun", dry_run);
    call->dry_run = dry_run.size > 0;
    call->form = form_of(call);
    call->include = bytes_equal_string(include, "None")     ? TABLE_NONE
                    : bytes_equal_string(include, "Object") ? TABLE_OBJECT
                                                            : TABLE_METADATA;
    return read_validation(call, err);
}

/* --- Body --- */

static bool has_type(struct kube_call *call, const char *type)
{
    struct bytes value = http_head_get(call->request->head, "Content-Type");
    return bytes_equal_ignore_case(bytes_trim(bytes_slice(value, 0, bytes_find(value, 0, ';'))), bytes_of_string(type));
}

static struct json *bad_body(struct error *err)
{
    if (err->kind == ERROR_INVALID || err->kind == ERROR_LIMIT) {
        err->kind = ERROR_INVALID;
        err->sys = EBADMSG;
    }
    return NULL;
}

static struct json *body_of_yaml(struct bytes body, struct error *err)
{
    AUTO_YAML yaml = {0};
    if (!yaml_parse(body, "body", &yaml, err))
        return bad_body(err);
    if (yaml.count == 1)
        return json_ref(yaml.documents[0].value);
    error_set(err, ERROR_INVALID, "the body holds %zu YAML documents instead of one", yaml.count);
    return bad_body(err);
}

struct json *kube_body_raw(struct kube_call *call, const struct kind *expected, struct error *err)
{
    struct bytes body = call->request->body;
    const struct kind *named;
    struct json *out = NULL;
    if (has_type(call, "application/vnd.kubernetes.protobuf"))
        return schema_decode_protobuf(body, expected, &named, &out, err) ? out : bad_body(err);
    if (has_type(call, "application/yaml"))
        return body_of_yaml(body, err);
    struct bytes type = http_head_get(call->request->head, "Content-Type");
    if (type.size > 0 && !has_type(call, "application/json")) {
        error_set(err, ERROR_UNSUPPORTED,
                  "the body of the request was in an unknown format - accepted media types include: application/json, "
                  "application/yaml, application/vnd.kubernetes.protobuf");
        return NULL;
    }
    if (expected && !schema_check_duplicates(expected, body, call->validation, call->warnings, err))
        return bad_body(err);
    out = json_parse(body, JSON_PARSE_LAST_KEY_WINS, err);
    return out ? out : bad_body(err);
}

struct json *kube_body(struct kube_call *call, const struct kind *kind, struct error *err)
{
    AUTO_JSON *raw = kube_body_raw(call, kind, err);
    struct json *out = NULL;
    if (!raw)
        return NULL;
    return schema_decode_json(kind, raw, call->validation, &out, call->warnings, err) ? out : bad_body(err);
}

/* --- Answers --- */

static size_t warning_fields(struct kube_call *call, struct http_field *fields)
{
    size_t count = 0;
    for (size_t i = 0; i < call->warnings->count; i++) {
        AUTO_BUF text;
        buf_init(&text, 4096);
        buf_append_string(&text, "299 - \"");
        for (const char *from = call->warnings->texts[i]; *from; from++) {
            if (*from == '"' || *from == '\\')
                buf_append_byte(&text, '\\');
            buf_append_byte(&text, (uint8_t)*from);
        }
        buf_append_byte(&text, '"');
        struct bytes value = arena_copy(call->arena, buf_bytes(&text));
        if (value.data)
            fields[count++] = HTTP_FIELD("Warning", value);
    }
    return count;
}

void kube_respond_bytes(struct kube_call *call, int status, const char *content_type, struct bytes body)
{
    struct http_field fields[LIMIT_WARNINGS + 2];
    size_t count = warning_fields(call, fields);
    fields[count++] = HTTP_FIELD("Content-Type", bytes_of_string(content_type));
    if (status == 429)
        fields[count++] = HTTP_FIELD("Retry-After", BYTES_LITERAL("1"));
    call->door->error_count += status >= 500;
    http_respond(call->request, status, fields, count, body);
}

void kube_respond_json(struct kube_call *call, int status, struct json *json)
{
    AUTO_BUF text;
    buf_init(&text, SIZE_MAX);
    json_print(json, &text);
    json_unref(json);
    buf_append_byte(&text, '\n');
    kube_respond_bytes(call, status, "application/json", buf_bytes(&text));
}

/* The kind that the client asked for, which may be a view of the object's. */
static const struct kind *shown_kind(const struct kube_call *call, const struct object *object)
{
    const struct kind *asked = call->target.kind;
    return asked && asked->stored == object->kind ? asked : object->kind;
}

void kube_print_object(struct kube_call *call, const struct object *object, struct buf *out)
{
    const struct kind *kind = shown_kind(call, object);
    if (kind == object->kind) {
        buf_append(out, object_text(object));
        return;
    }
    AUTO_JSON *shown = view_show(kind, object->json);
    json_print(shown, out);
}

void kube_respond_object(struct kube_call *call, int status, struct object *object)
{
    AUTO_OBJECT *held = object;
    const struct json *json = held->json;
    if (call->form == KUBE_TABLE)
        kube_respond_json(call, status,
                          table_print(shown_kind(call, held), &json, 1, json_get(json, "metadata"), call->include,
                                      io_wall_ms(call->door->io) / 1000, true));
    else if (call->form == KUBE_PARTIAL)
        kube_respond_json(call, status, table_partial_metadata(json));
    else if (shown_kind(call, held) != held->kind)
        kube_respond_json(call, status, view_show(shown_kind(call, held), json));
    else
        kube_respond_bytes(call, status, "application/json", object_text(held));
}

/* --- Waiting for the disk --- */

static void on_durable(void *ctx, const struct error *err)
{
    struct kube_call *call = ctx;
    list_remove(&call->link);
    if (err)
        kube_respond_error(call, err);
    else
        call->then(call);
}

void kube_when_durable(struct kube_call *call, uint64_t revision, void (*then)(struct kube_call *call))
{
    struct log *log = api_log(call->api);
    if (revision <= log_synced_lsn(log)) {
        then(call);
        return;
    }
    call->then = then;
    call->waiter = (struct log_waiter){.run = on_durable, .ctx = call};
    list_append(&call->door->waiting, &call->link);
    log_wait(log, &call->waiter, revision, LOG_SYNCED);
}

static void respond_kept_object(struct kube_call *call)
{
    struct object *object = TAKE(call->object);
    kube_respond_object(call, call->status, object);
}

void kube_respond_durable(struct kube_call *call, int status, struct object *object)
{
    call->status = status;
    call->object = object;
    kube_when_durable(call, call->dry_run ? 0 : object->resource_version, respond_kept_object);
}

static void respond_kept_json(struct kube_call *call)
{
    struct json *json = TAKE(call->json);
    kube_respond_json(call, call->status, json);
}

void kube_respond_json_durable(struct kube_call *call, int status, struct json *json)
{
    call->status = status;
    call->json = json;
    kube_when_durable(call, call->dry_run ? 0 : api_revision(call->api), respond_kept_json);
}
