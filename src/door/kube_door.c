/* SPDX-License-Identifier: Apache-2.0 */
/* See kube_door.h: listening, who may ask, and which file answers. */
#include "door/kube_door.h"

#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "door/kube_call.h"

/* --- What a path names --- */

/* Takes the next segment; empty at the end. */
static struct bytes segment(struct kube_call *call, struct bytes *rest)
{
    struct bytes part;
    return http_path_next(rest, call->arena, &part) ? part : BYTES_LITERAL("");
}

/* namespaces/NS/status is a subresource of a Namespace; namespaces/NS/pods are pods. */
static bool is_namespace_subresource(struct bytes name)
{
    return name.size == 0 || bytes_equal_string(name, "status") || bytes_equal_string(name, "finalize");
}

/* [namespaces/NAMESPACE/]PLURAL[/NAME[/SUBRESOURCE]] */
static void read_target(struct kube_call *call, struct bytes rest)
{
    struct kube_target *target = &call->target;
    struct bytes parts[5], *at = parts;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        parts[i] = segment(call, &rest);
    if (bytes_equal_string(parts[0], "namespaces") && (target->group.size > 0 || !is_namespace_subresource(parts[2]))) {
        target->namespace = parts[1];
        at = parts + 2;
    }
    target->plural = at[0];
    target->name = at[1];
    target->subresource = at[2];
    target->kind = kind_by_resource(target->group, target->version, target->plural);
}

/* --- Which file answers --- */

static void with_body(struct http_request *request)
{
    struct kube_call *call = request->user;
    const struct kube_target *target = &call->target;
    struct bytes method = request->head->method;
    if (target->subresource.size > 0) {
        if (!kube_subresource(call, method))
            kube_respond_method_not_allowed(call);
    } else if (bytes_equal_string(method, "POST") && target->name.size == 0) {
        kube_create(call);
    } else if (bytes_equal_string(method, "PUT") && target->name.size > 0) {
        kube_update(call);
    } else if (bytes_equal_string(method, "PATCH") && target->name.size > 0) {
        kube_patch(call);
    } else if (bytes_equal_string(method, "DELETE") && target->name.size > 0) {
        kube_delete(call);
    } else if (bytes_equal_string(method, "DELETE")) {
        kube_delete_collection(call);
    } else {
        kube_respond_method_not_allowed(call);
    }
}

static void review_with_body(struct http_request *request)
{
    struct kube_call *call = request->user;
    if (!kube_review(call))
        kube_respond_no_such_resource(call);
}

static void too_large(struct http_request *request)
{
    kube_respond_status(request->user, 413, "RequestEntityTooLarge", "the request's body is larger than %d bytes",
                        LIMIT_API_BODY_SIZE);
}

static void route_resource(struct kube_call *call)
{
    const struct kube_target *target = &call->target;
    bool get = bytes_equal_string(call->request->head->method, "GET") ||
               bytes_equal_string(call->request->head->method, "HEAD");
    if (!target->kind || (target->name.size > 0 && target->kind->namespaced && target->namespace.size == 0) ||
        (target->namespace.size > 0 && !target->kind->namespaced)) {
        if (get && !kube_query_bool(call, "watch") && kube_custom_definitions(call))
            return;
        if (get)
            kube_respond_no_such_resource(call);
        else
            http_request_read_body(call->request, LIMIT_API_BODY_SIZE, review_with_body, too_large);
    } else if (!get) {
        http_request_read_body(call->request, LIMIT_API_BODY_SIZE, with_body, too_large);
    } else if (target->subresource.size > 0) {
        if (!kube_subresource(call, call->request->head->method))
            kube_respond_no_such_resource(call);
    } else if (kube_query_bool(call, "watch")) {
        kube_watch(call);
    } else if (target->name.size > 0) {
        kube_get(call);
    } else {
        kube_list(call);
    }
}

/* What is asked before anybody has credentials. */
static bool route_public(struct kube_call *call, struct bytes path)
{
    static const char *const health[] = {"/healthz", "/livez", "/readyz"};
    for (size_t i = 0; i < ARRAY_SIZE(health); i++) {
        if (bytes_equal_string(path, health[i])) {
            kube_respond_bytes(call, 200, "text/plain; charset=utf-8", BYTES_LITERAL("ok"));
            return true;
        }
    }
    if (!bytes_equal_string(path, "/version"))
        return false;
    struct json *json = json_new_object();
    json_set(json, "major", json_new_text(KUBERNETES_MAJOR));
    json_set(json, "minor", json_new_text(KUBERNETES_MINOR));
    json_set(json, "gitVersion", json_new_text(KUBERNETES_VERSION));
    json_set(json, "gitCommit", json_new_text(""));
    json_set(json, "gitTreeState", json_new_text("clean"));
    json_set(json, "buildDate", json_new_text("1970-01-01T00:00:00Z"));
    json_set(json, "goVersion", json_new_text("none"));
    json_set(json, "compiler", json_new_text(__VERSION__));
    json_set(json, "platform", json_new_text("linux/amd64"));
    kube_respond_json(call, 200, json);
    return true;
}

static void route(struct kube_call *call)
{
    struct bytes path = call->request->head->path, rest = path;
    struct error err;
    struct bytes first = segment(call, &rest);
    if (!kube_read_options(call, &err)) {
        kube_respond_error(call, &err);
        return;
    }
    if (bytes_equal_string(first, "openapi")) {
        kube_openapi(call, path);
        return;
    }
    if (bytes_equal_string(first, "apis"))
        call->target.group = segment(call, &rest);
    call->target.version = segment(call, &rest);
    bool resource = rest.size > 1 && (bytes_equal_string(first, "api") || bytes_equal_string(first, "apis"));
    if (!resource) {
        kube_discovery(call, path);
        return;
    }
    read_target(call, rest);
    route_resource(call);
}

/* --- Requests --- */

static void drop_warnings(void *ctx)
{
    warnings_deinit(ctx);
}

static void drop_answer(void *ctx)
{
    struct kube_call *call = ctx;
    object_unref(call->object);
    json_unref(call->json);
}

static void on_request(void *ctx, struct http_request *request)
{
    struct kube_door *door = ctx;
    struct kube_call *call = ARENA_NEW(request->arena, struct kube_call);
    struct warnings *warnings = ARENA_NEW(request->arena, struct warnings);
    if (!call || !warnings) {
        http_respond_text(request, 413, "the request is too large\n");
        return;
    }
    *call = (struct kube_call){
        .door = door, .api = door->api, .request = request, .arena = request->arena, .warnings = warnings};
    arena_add_cleanup(request->arena, drop_warnings, warnings);
    arena_add_cleanup(request->arena, drop_answer, call);
    request->user = call;
    door->request_count++;
    if (route_public(call, request->head->path))
        return;
    if (http_request_tls_subject(request, &call->user, &call->groups, &call->group_count))
        route(call);
    else
        kube_respond_status(call, 401, "Unauthorized", "Unauthorized");
}

/* --- The door --- */

static bool write_kubeconfig(struct kube_door *door, const struct kube_pki *pki, struct error *err)
{
    struct io_address address = http_server_address(door->server);
    return kube_pki_write_kubeconfig(door->io, door->directory, pki, &address, err) || error_wrap(err, "kubeconfig");
}

/* Takes `pki` over. */
static bool take_renewed(struct kube_door *door, struct kube_pki *pki, struct error *err)
{
    if (write_kubeconfig(door, pki, err)) {
        kube_pki_exchange(&door->pki, pki);
        return true;
    }
    kube_pki_deinit(pki);
    return false;
}

enum { RENEWAL_INTERVAL_MS = 24 * 3600 * 1000 };

/* What nears its end is made anew as at a start. Connections go on; clients that have a copy of the admin's old
 * certificate have as long as it lives to take the new one. */
static bool renew(void *ctx, struct error *err)
{
    struct kube_door *door = ctx;
    struct kube_pki pki;
    if (!kube_pki_load(door->io, door->directory, door->host_name, &pki, err))
        return false;
    retry_within(&door->renewal, RENEWAL_INTERVAL_MS);
    if (strcmp(pki.ca.certificate_pem, door->pki.ca.certificate_pem) != 0) {
        diag_warn("door", "%s/pki holds another CA: it is used from the next start on", door->directory);
        kube_pki_deinit(&pki);
        return true;
    }
    return take_renewed(door, &pki, err);
}

static bool listen_on(struct kube_door *door, const struct kube_door_options *options, struct error *err)
{
    struct http_server_options server = {.address = options->address,
                                         .tls = door->pki.tls,
                                         .name = "API door",
                                         .flag = "--listen-api",
                                         .on_request = on_request,
                                         .ctx = door};
    door->server = http_server_open(door->io, &server, err);
    return door->server && write_kubeconfig(door, &door->pki, err);
}

static bool take_certificates(struct kube_door *door, const struct kube_door_options *options, struct error *err)
{
    return options->pki ? kube_pki_finish(options->pki, &door->pki, err)
                        : kube_pki_load(door->io, door->directory, door->host_name, &door->pki, err);
}

struct kube_door *kube_door_open(struct api *api, const struct kube_door_options *options, struct error *err)
{
    struct kube_door *door = NEW(struct kube_door);
    door->api = api;
    door->io = api_io(api);
    list_init(&door->waiting);
    list_init(&door->streams);
    list_init(&door->log_streams);
    io_timer_init(door->io, &door->bookmarks, kube_watch_bookmarks, door);
    door->directory = memory_string(bytes_of_string(options->directory));
    door->host_name = options->host_name ? memory_string(bytes_of_string(options->host_name)) : NULL;
    retry_init(door->io, &door->renewal, "door", renew, door);
    if (!take_certificates(door, options, err) || !listen_on(door, options, err)) {
        kube_door_close(door);
        return NULL;
    }
    retry_within(&door->renewal, RENEWAL_INTERVAL_MS);
    return door;
}

/* Those who wait for the disk are told that nobody knows: evoke closes before it could say. */
static void end_waiting(struct kube_door *door)
{
    struct error err;
    error_set(&err, ERROR_UNAVAILABLE, "evoke is shutting down");
    list_each (struct kube_call, call, &door->waiting, link) {
        log_wait_cancel(&call->waiter);
        list_remove(&call->link);
        kube_respond_error(call, &err);
    }
}

void kube_door_close(struct kube_door *door)
{
    if (!door)
        return;
    end_waiting(door);
    kube_watch_close_all(door);
    kube_logs_close_all(door);
    io_timer_stop(&door->bookmarks);
    retry_stop(&door->renewal);
    http_server_close(door->server);
    kube_pki_deinit(&door->pki);
    free(door->directory);
    free(door->host_name);
    free(door);
}

struct io_address kube_door_address(const struct kube_door *door)
{
    return http_server_address(door->server);
}

void kube_door_set_pod_logs(struct kube_door *door, const struct kube_pod_logs *logs)
{
    if (!logs)
        kube_logs_close_all(door);
    door->logs = logs ? *logs : (struct kube_pod_logs){0};
}

const char *kube_door_ca(const struct kube_door *door)
{
    return door->pki.ca.certificate_pem;
}

void kube_door_metrics(const struct kube_door *door, struct kube_door_metrics *out)
{
    *out = (struct kube_door_metrics){
        .requests = door->request_count, .errors = door->error_count, .watches = door->watch_count};
    http_server_metrics(door->server, &out->http);
}
