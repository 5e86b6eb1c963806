/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as Kubernetes' Status objects. kubectl prints `message`; client libraries decide by `reason` and `code`; one
 * table leads from our kinds of errors to both.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "door/kube_call.h"

static const struct {
    enum error_kind kind;
    int sys; /* 0: any */
    int code;
    const char *reason;
} table[] = {
    {ERROR_INVALID, EBADMSG, 400, "BadRequest"},
    {ERROR_INVALID, 0, 422, "Invalid"},
    {ERROR_UNAUTHENTICATED, 0, 401, "Unauthorized"},
    {ERROR_DENIED, 0, 403, "Forbidden"},
    {ERROR_NOT_FOUND, 0, 404, "NotFound"},
    {ERROR_EXISTS, 0, 409, "AlreadyExists"},
    {ERROR_CONFLICT, 0, 409, "Conflict"},
    {ERROR_GONE, 0, 410, "Expired"},
    {ERROR_UNSUPPORTED, 0, 415, "UnsupportedMediaType"},
    {ERROR_LIMIT, EMSGSIZE, 413, "RequestEntityTooLarge"},
    {ERROR_LIMIT, ENOSPC, 503, "ServiceUnavailable"},
    {ERROR_LIMIT, 0, 429, "TooManyRequests"},
    {ERROR_TIMEOUT, 0, 504, "Timeout"},
    {ERROR_UNAVAILABLE, EAGAIN, 429, "TooManyRequests"}, /* the disk is behind */
    {ERROR_UNAVAILABLE, 0, 503, "ServiceUnavailable"},
    {ERROR_CANCELLED, 0, 503, "ServiceUnavailable"},
};

static size_t row_of(const struct error *err)
{
    size_t i = 0;
    while (i < ARRAY_SIZE(table) && !(table[i].kind == err->kind && (!table[i].sys || table[i].sys == err->sys)))
        i++;
    return i;
}

struct json *kube_status_new(int code, const char *reason, const char *message)
{
    struct json *status = json_new_object();
    json_set(status, "kind", json_new_text("Status"));
    json_set(status, "apiVersion", json_new_text("v1"));
    json_set(status, "metadata", json_new_object());
    json_set(status, "status", json_new_text(code < 400 ? "Success" : "Failure"));
    if (message && *message)
        json_set(status, "message", json_new_text(message));
    if (reason)
        json_set(status, "reason", json_new_text(reason));
    json_set(status, "code", json_new_int(code));
    return status;
}

static void set_nonempty(struct json *object, const char *key, struct bytes value)
{
    if (value.size > 0)
        json_set(object, key, json_new_string(value));
}

static struct json *cause(const char *reason, const char *message, const char *field)
{
    struct json *json = json_new_object();
    json_set(json, "reason", json_new_text(reason));
    json_set(json, "message", json_new_text(message));
    if (field)
        json_set(json, "field", json_new_text(field));
    return json;
}

static struct json *causes_of(struct kube_call *call, const struct error *err)
{
    struct json *causes = json_new_array();
    if (err->kind == ERROR_DENIED && err->sys == ESHUTDOWN) {
        json_append(causes, cause("NamespaceTerminating", "the namespace is being terminated", "metadata.namespace"));
    } else if (err->kind == ERROR_TIMEOUT) {
        json_append(causes, cause("ResourceVersionTooLarge", "Too large resource version", NULL));
    } else if (err->kind == ERROR_INVALID && err->sys == EINVAL) {
        const struct field_errors *errors = api_field_errors(call->api);
        for (size_t i = 0; i < errors->count; i++)
            json_append(causes, cause(field_error_reason(errors->errors[i].type), errors->errors[i].message,
                                      errors->errors[i].field));
    }
    return causes;
}

static void name_target(struct kube_call *call, int code, struct json *details)
{
    set_nonempty(details, "name", call->target.name);
    set_nonempty(details, "group", call->target.group);
    /* For what is not valid the details name the kind, elsewhere the resource. */
    set_nonempty(details, "kind",
                 code == 422 && call->target.kind ? bytes_of_string(call->target.kind->kind) : call->target.plural);
}

struct json *kube_status_of(struct kube_call *call, const struct error *err, int *code)
{
    size_t row = row_of(err);
    *code = row < ARRAY_SIZE(table) ? table[row].code : 500;
    struct json *status =
        kube_status_new(*code, row < ARRAY_SIZE(table) ? table[row].reason : "InternalError", err->message);
    struct json *details = json_new_object(), *causes = causes_of(call, err);
    json_set(status, "details", details);
    /* A body that is not valid for a reason outside its fields, as a patch that does not fit: where details name an
       object, kubectl shows the causes and no message. */
    if (*code != 422 || json_size(causes) > 0)
        name_target(call, *code, details);
    if (json_size(causes) > 0)
        json_set(details, "causes", causes);
    else
        json_unref(causes);
    if (*code == 429)
        json_set(details, "retryAfterSeconds", json_new_int(1));
    return status;
}

void kube_respond_error(struct kube_call *call, const struct error *err)
{
    int code;
    struct json *status = kube_status_of(call, err, &code);
    kube_respond_json(call, code, status);
}

void kube_respond_status(struct kube_call *call, int code, const char *reason, const char *format, ...)
{
    char message[500];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct json *status = kube_status_new(code, reason, message);
    struct json *details = json_new_object();
    set_nonempty(details, "name", call->target.name);
    set_nonempty(details, "group", call->target.group);
    set_nonempty(details, "kind", call->target.plural);
    json_set(status, "details", details);
    kube_respond_json(call, code, status);
}

void kube_respond_no_such_resource(struct kube_call *call)
{
    kube_respond_status(call, 404, "NotFound", "the server could not find the requested resource");
}

void kube_respond_method_not_allowed(struct kube_call *call)
{
    kube_respond_status(call, 405, "MethodNotAllowed",
                        "the server does not allow this method on the requested resource");
}
