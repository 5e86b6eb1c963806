/* SPDX-License-Identifier: Apache-2.0 */
#include "node/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/address.h"
#include "node/probe_grpc.h"

enum { MESSAGE_SIZE = 600, TARGET_MAX = 4096 };

/* --- One attempt --- */

struct probe_action {
    struct probe_target target;
    void (*done)(void *ctx, bool ok, const char *message);
    void *ctx;
    struct io_connecting *connecting;
    struct http_call *call;
    struct runtime_exec *exec;
    struct probe_grpc *grpc;
    struct io_timer timeout; /* of an exec; and runs what is known at once */
    bool over;
    char message[MESSAGE_SIZE]; /* when it failed before it began, or does not end */
    char url[400];              /* of an HTTP probe, as its message names it */
};

static void finish(struct probe_action *action, bool ok, const char *message)
{
    action->over = true;
    io_timer_stop(&action->timeout);
    action->done(action->ctx, ok, message); /* which may free it */
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct probe_action *action = ctx;
    action->connecting = NULL;
    io_stream_close(stream);
    finish(action, stream != NULL, stream ? "" : err->message);
}

static void on_response(void *ctx, const struct http_response *response, const struct error *err)
{
    struct probe_action *action = ctx;
    char message[MESSAGE_SIZE];
    action->call = NULL;
    if (!response) {
        snprintf(message, sizeof message, "Get \"%s\": %.190s", action->url, err->message);
        finish(action, false, message);
        return;
    }
    int status = response->head->status;
    snprintf(message, sizeof message, "HTTP probe failed with statuscode: %d", status);
    bool ok = status >= 200 && status < 400;
    finish(action, ok, ok ? "" : message);
}

static void on_health(void *ctx, bool serving, const char *message)
{
    struct probe_action *action = ctx;
    finish(action, serving, message);
}

static void on_executed(void *ctx, const struct runtime_exit *exit, struct bytes output, const struct error *err)
{
    struct probe_action *action = ctx;
    char message[MESSAGE_SIZE];
    action->exec = NULL;
    struct bytes said = bytes_trim(bytes_slice(output, 0, 400));
    if (err)
        snprintf(message, sizeof message, "%s", err->message);
    else
        snprintf(message, sizeof message, BYTES_FORMAT "%s(exit code %d)", BYTES_ARGS(said), said.size ? " " : "",
                 exit->signal ? 128 + exit->signal : exit->code);
    bool ok = !err && exit->code == 0;
    finish(action, ok, ok ? "" : message);
}

static void on_timeout(void *ctx)
{
    struct probe_action *action = ctx;
    if (action->exec) {
        action->target.sandbox->runtime->ops->exec_cancel(TAKE(action->exec));
        finish(action, false, action->message);
    } else {
        finish(action, !action->message[0], action->message);
    }
}

/* A number, or the name of one of the container's ports; 0: neither. */
static uint16_t find_port(const struct json *port, const struct json *ports)
{
    int64_t number = json_int(port, 0);
    uint64_t parsed;
    if (json_is_string(port) && bytes_to_u64(json_bytes(port), &parsed))
        number = (int64_t)(parsed & INT32_MAX);
    else if (json_is_string(port))
        json_array_each (i, known, ports)
            if (bytes_equal(json_bytes(json_get(known, "name")), json_bytes(port)))
                number = json_int_at(known, "containerPort", 0);
    return number > 0 && number < 65536 ? (uint16_t)number : 0;
}

static bool find_address(const struct probe_action *action, const struct json *spec, struct io_address *address)
{
    const char *host = json_text_at(spec, "host", "");
    uint16_t port = find_port(json_get(spec, "port"), action->target.ports);
    return port && io_address_parse_ip(bytes_of_string(host[0] ? host : action->target.ip), port, address);
}

static void start_http(struct probe_action *action, const struct json *spec, const struct io_address *address,
                       uint64_t timeout_ms)
{
    const struct json *headers = json_get(spec, "httpHeaders");
    const char *path = json_text_at(spec, "path", "/");
    char target[TARGET_MAX];
    /* A kept connection would make a server that ends gracefully wait for us. */
    struct http_field fields[32] = {HTTP_FIELD("Connection", BYTES_LITERAL("close"))};
    size_t count = 1;
    struct http_call_options options = {
        .address = *address, .timeout_ms = timeout_ms, .response_size_max = 10240, .fields = fields};
    if (strcmp(json_text_at(spec, "scheme", "HTTP"), "HTTPS") == 0)
        options.tls = action->target.tls;
    snprintf(target, sizeof target, "%s%s", path[0] == '/' ? "" : "/", path);
    char at[IO_ADDRESS_TEXT_SIZE];
    io_address_format(address, at);
    snprintf(action->url, sizeof action->url, "%s://%s%.200s", options.tls ? "https" : "http", at, target);
    json_array_each (i, header, headers) {
        struct bytes key = json_bytes(json_get(header, "name")), value = json_bytes(json_get(header, "value"));
        if (bytes_equal_ignore_case(key, BYTES_LITERAL("host")))
            options.host = value;
        else if (count < ARRAY_SIZE(fields))
            fields[count++] = (struct http_field){.name = key, .value = value};
    }
    AUTO_FREE(char) name = options.tls && options.host.size > 0 ? memory_string(options.host) : NULL;
    options.server_name = name;
    options.field_count = count;
    options.target = bytes_of_string(target);
    action->call = http_client_call(action->target.http, &options, on_response, action);
}

static const char **copy_argv(const struct json *command)
{
    const char **argv = memory_new_array(json_size(command) + 1, sizeof *argv);
    size_t count = 0;
    json_array_each (i, element, command)
        if (json_is_string(element))
            argv[count++] = json_text(element);
    return argv;
}

static void describe_timeout(struct probe_action *action, const char *const *argv, uint64_t timeout_ms)
{
    AUTO_BUF command;
    buf_init(&command, 4096);
    for (size_t i = 0; argv[i]; i++)
        buf_printf(&command, "%s%s", i ? " " : "", argv[i]);
    snprintf(action->message, sizeof action->message, "command timed out: \"%.200s\" timed out after %llus",
             buf_string(&command), (unsigned long long)(timeout_ms / 1000));
}

static void start_action(struct probe_action *action, const struct json *spec, uint64_t timeout_ms)
{
    const struct json *http = json_get(spec, "httpGet"), *tcp = json_get(spec, "tcpSocket"),
                      *exec = json_get(spec, "exec"), *grpc = json_get(spec, "grpc");
    const struct json *at = http ? http : tcp ? tcp : grpc;
    struct io_address address;
    if (json_get(spec, "sleep")) { /* a preStop hook may just wait */
        action->message[0] = 0;
        io_timer_start(&action->timeout, (uint64_t)json_int_at(spec, "sleep.seconds", 0) * 1000);
        return;
    }
    if (at && !find_address(action, at, &address)) {
        snprintf(action->message, sizeof action->message, "host or port of the probe is not valid");
    } else if (http) {
        start_http(action, http, &address, timeout_ms);
        return;
    } else if (tcp) {
        action->connecting = io_connect(action->target.io, &address, NULL, NULL, timeout_ms, on_connected, action);
        return;
    } else if (grpc) {
        action->grpc = probe_grpc_start(action->target.io, &address, json_bytes(json_get(grpc, "service")), timeout_ms,
                                        on_health, action);
        return;
    } else if (exec) {
        AUTO_FREE(const char *) argv = copy_argv(json_get(exec, "command"));
        action->exec = action->target.sandbox->runtime->ops->exec(action->target.sandbox, action->target.container,
                                                                  argv, on_executed, action);
        if (action->exec) {
            io_timer_start(&action->timeout, timeout_ms);
            describe_timeout(action, argv, timeout_ms);
            return;
        }
        snprintf(action->message, sizeof action->message, "the container does not run");
    }
    io_timer_start(&action->timeout, 0);
}

struct probe_action *probe_action_start(const struct json *spec, const struct probe_target *target, uint64_t timeout_ms,
                                        void (*done)(void *ctx, bool ok, const char *message), void *ctx)
{
    struct probe_action *action = NEW(struct probe_action);
    action->target = *target;
    action->done = done;
    action->ctx = ctx;
    io_timer_init(target->io, &action->timeout, on_timeout, action);
    snprintf(action->message, sizeof action->message, "the probe has no action that evoke knows");
    start_action(action, spec, timeout_ms);
    return action;
}

void probe_action_free(struct probe_action *action)
{
    if (!action)
        return;
    io_timer_stop(&action->timeout);
    if (action->connecting)
        io_connect_cancel(action->connecting);
    if (action->call)
        http_call_cancel(action->call);
    if (action->exec)
        action->target.sandbox->runtime->ops->exec_cancel(action->exec);
    probe_grpc_free(action->grpc);
    free(action);
}

/* --- Again and again --- */

struct probe {
    enum probe_kind kind;
    struct json *spec;
    struct probe_target target;
    char *container, *ip;
    const struct probe_events *events;
    void *ctx;
    struct probe_action *action;
    struct io_timer timer;
    uint64_t period_ns, timeout_ms;
    uint64_t regular_ns; /* when the next attempt that counts is due */
    uint64_t quick_ns;   /* what to wait before the next quick attempt; 0: no more of them */
    bool counts;         /* the attempt that runs is one of the regular ones */
    bool good, told;
    unsigned successes, failures, success_threshold, failure_threshold;
};

static void attempt(void *ctx);

static void schedule(struct probe *probe)
{
    uint64_t now = io_now_ns(probe->target.io);
    while (probe->regular_ns <= now)
        probe->regular_ns += probe->period_ns;
    uint64_t delay = probe->regular_ns - now;
    if (probe->quick_ns && probe->quick_ns < delay)
        delay = probe->quick_ns;
    if (probe->quick_ns)
        probe->quick_ns *= 2;
    io_timer_start_ns(&probe->timer, delay);
}

static void tell(struct probe *probe, bool good, const char *message)
{
    if (probe->told && probe->good == good)
        return;
    probe->good = good;
    probe->told = true;
    probe->events->on_change(probe->ctx, probe->kind, good, message);
}

static void on_success(struct probe *probe)
{
    probe->quick_ns = 0;
    probe->failures = 0;
    if (++probe->successes >= probe->success_threshold) {
        probe->successes = probe->success_threshold;
        if (probe->kind != PROBE_STARTUP)
            schedule(probe);
        tell(probe, true, "");
    } else {
        schedule(probe);
    }
}

static void on_failure(struct probe *probe, const char *message)
{
    char copy[MESSAGE_SIZE];
    snprintf(copy, sizeof copy, "%s", message);
    probe->successes = 0;
    schedule(probe);
    if (!probe->counts)
        return;
    bool bad = ++probe->failures >= probe->failure_threshold;
    if (bad)
        probe->failures = probe->kind == PROBE_READINESS ? probe->failure_threshold : 0;
    /* The second callback may free the probe, so the first one must not. */
    probe->events->on_failure(probe->ctx, probe->kind, copy);
    if (bad)
        tell(probe, false, copy);
}

static void attempted(void *ctx, bool ok, const char *message)
{
    struct probe *probe = ctx;
    char copy[MESSAGE_SIZE];
    snprintf(copy, sizeof copy, "%s", message);
    probe_action_free(TAKE(probe->action));
    if (ok)
        on_success(probe);
    else
        on_failure(probe, copy);
}

static void attempt(void *ctx)
{
    struct probe *probe = ctx;
    probe->counts = io_now_ns(probe->target.io) >= probe->regular_ns;
    probe->action = probe_action_start(probe->spec, &probe->target, probe->timeout_ms, attempted, probe);
}

struct probe *probe_new(enum probe_kind kind, const struct json *spec, const struct probe_target *target,
                        const struct probe_events *events, void *ctx, struct error *err)
{
    if (!json_get(spec, "httpGet") && !json_get(spec, "tcpSocket") && !json_get(spec, "exec") &&
        !json_get(spec, "grpc")) {
        error_set(err, ERROR_UNSUPPORTED, "%s probe: evoke has httpGet, tcpSocket, exec and grpc",
                  probe_kind_name(kind));
        return NULL;
    }
    struct probe *probe = NEW(struct probe);
    probe->kind = kind;
    probe->spec = json_ref(spec);
    probe->target = *target;
    probe->target.container = probe->container = memory_string(bytes_of_string(target->container));
    probe->target.ip = probe->ip = memory_string(bytes_of_string(target->ip));
    probe->target.ports = json_ref(target->ports);
    probe->events = events;
    probe->ctx = ctx;
    probe->period_ns = (uint64_t)json_int_at(spec, "periodSeconds", 10) * 1000000000;
    probe->timeout_ms = (uint64_t)json_int_at(spec, "timeoutSeconds", 1) * 1000;
    probe->success_threshold = (unsigned)json_int_at(spec, "successThreshold", 1);
    probe->failure_threshold = (unsigned)json_int_at(spec, "failureThreshold", 3);
    probe->good = kind == PROBE_LIVENESS;
    probe->told = true;
    probe->quick_ns = kind == PROBE_LIVENESS ? 0 : 1000000;
    uint64_t delay_ns = (uint64_t)json_int_at(spec, "initialDelaySeconds", 0) * 1000000000;
    probe->regular_ns = io_now_ns(target->io) + delay_ns;
    /* A process that has just been started is not there yet: what counts first is the attempt one period later. */
    if (kind != PROBE_LIVENESS && delay_ns == 0)
        probe->regular_ns += probe->period_ns;
    io_timer_init(target->io, &probe->timer, attempt, probe);
    io_timer_start_ns(&probe->timer, delay_ns);
    return probe;
}

void probe_free(struct probe *probe)
{
    if (!probe)
        return;
    io_timer_stop(&probe->timer);
    probe_action_free(probe->action);
    json_unref(probe->spec);
    json_unref((struct json *)(uintptr_t)probe->target.ports);
    free(probe->container);
    free(probe->ip);
    free(probe);
}

const char *probe_kind_name(enum probe_kind kind)
{
    static const char *const names[] = {"Startup", "Readiness", "Liveness"};
    return names[kind];
}
