/* SPDX-License-Identifier: Apache-2.0 */
#include "handler.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/memory.h"
#include "http/http_server.h"

/* A drain waits for what is under way, and a request in the plan's Triggers has one second. */
enum { END_MS = 2, END_NS = END_MS * 1000000, DRAINED_NS = 800000000 };

struct handler {
    struct handlers *handlers;
    struct simulated_process *process;
    struct io *io;
    struct http_server *server;
    struct list link;    /* handlers->all */
    struct list calls;   /* that are not answered */
    struct io_timer end; /* it was told to end, and does so in a moment */
    char service[16], ip[48];
    bool condemned; /* its pod was deleted by evoke, which has drained it before */
};

/* A request that is under way. */
struct call {
    struct list link; /* handler->calls */
    struct handler *handler;
    struct http_request *request;
    uint64_t received_ns;
    int trigger;           /* -1: it is no Trigger's own */
    uint16_t changes;      /* of the Trigger, when it came */
    struct io_timer timer; /* of its answer */
};

static void call_free(struct call *call)
{
    list_remove(&call->link);
    io_timer_stop(&call->timer);
    free(call);
}

static bool chance(struct handler *handler, uint32_t ppm)
{
    return ppm > 0 && io_random_below(handler->io, 1000000) < ppm;
}

/* --- What comes of an event in the end --- */

static void reply(struct http_request *request, int trigger)
{
    struct bytes id = http_head_get(request->head, "ce-id");
    char reply_id[128];
    snprintf(reply_id, sizeof reply_id, "re-t%d-" BYTES_FORMAT, trigger, BYTES_ARGS(id));
    const struct http_field fields[] = {
        HTTP_FIELD("ce-specversion", BYTES_LITERAL("1.0")),      HTTP_FIELD("ce-id", bytes_of_string(reply_id)),
        HTTP_FIELD("ce-source", BYTES_LITERAL("handler")),       HTTP_FIELD("ce-type", BYTES_LITERAL("pong")),
        HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain")),
    };
    http_respond(request, 200, fields, ARRAY_SIZE(fields), BYTES_LITERAL("x"));
}

/* With a code that retries. What came before its Trigger was changed is delivered anew. */
static void note_refusal(const struct call *call)
{
    struct model *model = call->handler->handlers->model;
    struct plan_event event;
    if (call->trigger >= 0 && call->changes == model->changes[call->trigger] &&
        plan_event_parse(http_head_get(call->request->head, "ce-id"), "", &event))
        model_refused(model, call->trigger, event);
}

static void respond(struct call *call)
{
    struct http_request *request = call->request;
    struct handler *handler = call->handler;
    struct model *model = handler->handlers->model;
    struct plan_event event;
    int trigger = -1;
    char path[64];
    snprintf(path, sizeof path, BYTES_FORMAT, BYTES_ARGS(request->head->path));
    bool known = plan_event_parse(http_head_get(request->head, "ce-id"), "", &event);
    if (known && call->trigger >= 0 && plan_outcome(model->plan, call->trigger, event) == PLAN_NEVER_ACCEPTED)
        note_refusal(call);
    call_free(call);
    if (sscanf(path, "/dead-t%d", &trigger) == 1) {
        model_check_dead_letter(model, trigger, http_head_get(request->head, "ce-knativeerrorcode"),
                                http_head_get(request->head, "ce-knativeerrordata"));
        if (known)
            model_sunk(model, trigger, event);
        http_respond(request, 202, NULL, 0, BYTES_NULL);
        return;
    }
    if (sscanf(path, "/t%d", &trigger) != 1 || trigger < 0 || trigger >= model->plan->trigger_count ||
        atoi(handler->service + 1) != model->plan->triggers[trigger].service) {
        model_fail(model, "%s was called at %s", handler->service, path);
        trigger = 0;
    }
    switch (known ? plan_outcome(model->plan, trigger, event) : PLAN_NO_REPLY) {
    case PLAN_REPLY:
        reply(request, trigger);
        break;
    case PLAN_NO_REPLY:
        http_respond(request, 204, NULL, 0, BYTES_NULL);
        break;
    case PLAN_REFUSED:
        http_respond_text(request, 400, "never");
        break;
    case PLAN_NEVER_ACCEPTED:
        http_respond_text(request, 500, "not now, and never");
        break;
    }
}

static void respond_late(void *ctx)
{
    respond(ctx);
}

/* --- What comes between --- */

static void refuse_for_now(struct call *call)
{
    static const int codes[] = {404, 409, 429, 500, 503};
    struct http_request *request = call->request;
    int code = codes[io_random_below(call->handler->io, ARRAY_SIZE(codes))];
    note_refusal(call);
    call_free(call);
    http_respond_text(request, code, "not now");
}

static void answer_nonsense(struct call *call)
{
    struct http_request *request = call->request;
    call_free(call);
    const struct http_field fields[] = {HTTP_FIELD("ce-specversion", BYTES_LITERAL("1.0")),
                                        HTTP_FIELD("ce-type", BYTES_LITERAL("pong"))}; /* no id, no source */
    http_respond(request, 200, fields, ARRAY_SIZE(fields), BYTES_LITERAL("x"));
}

static void answer(struct call *call, bool to_sink)
{
    struct handler *handler = call->handler;
    const struct handler_faults *faults = &handler->handlers->faults;
    if (chance(handler, faults->die_ppm))
        simulated_process_exit(handler->process, 1);
    else if (chance(handler, faults->hang_ppm))
        return; /* never */
    else if (chance(handler, faults->refuse_ppm))
        refuse_for_now(call);
    else if (!to_sink && chance(handler, faults->nonsense_ppm)) /* a sink may answer what it likes */
        answer_nonsense(call);
    else if (chance(handler, faults->slow_ppm))
        io_timer_start(&call->timer, io_random_below(handler->io, 200));
    else
        respond(call);
}

static void on_body(struct http_request *request)
{
    struct call *call = request->user;
    struct plan_event event;
    int trigger;
    char path[64];
    snprintf(path, sizeof path, BYTES_FORMAT, BYTES_ARGS(request->head->path));
    bool to_sink = sscanf(path, "/t%d", &trigger) != 1;
    if (!to_sink && plan_event_parse(http_head_get(request->head, "ce-id"), "", &event))
        model_delivered(call->handler->handlers->model, trigger, event, io_wall_ms(call->handler->io));
    call->received_ns = io_now_ns(call->handler->io);
    call->trigger = to_sink ? -1 : trigger;
    call->changes = to_sink ? 0 : call->handler->handlers->model->changes[trigger];
    list_append(&call->handler->calls, &call->link);
    answer(call, to_sink);
}

static void on_request(void *ctx, struct http_request *request)
{
    struct handler *handler = ctx;
    struct call *call = NEW(struct call); /* ends with the process when the client goes away */
    *call = (struct call){.handler = handler, .request = request};
    io_timer_init(handler->io, &call->timer, respond_late, call);
    request->user = call;
    http_request_read_body(request, 1 << 20, on_body, NULL);
}

/* --- The end --- */

/* Whether somebody still waits for its answer: it is not that old that it was given up, and neither evoke nor the
 * Trigger nor the connection has ended meanwhile. */
static bool is_awaited(const struct call *call, uint64_t now_ns)
{
    const struct model *model = call->handler->handlers->model;
    uint64_t age_ns = now_ns - call->received_ns;
    return call->trigger >= 0 && call->changes == model->changes[call->trigger] && call->request->connection &&
           age_ns > END_NS && age_ns < DRAINED_NS;
}

static void end(void *ctx)
{
    struct handler *handler = ctx;
    uint64_t now_ns = io_now_ns(handler->io);
    list_each (struct call, call, &handler->calls, link)
        if (handler->condemned && is_awaited(call, now_ns))
            model_fail(handler->handlers->model, "a pod of %s is ended with a request under way that is %d ms old",
                       handler->service, (int)((now_ns - call->received_ns) / 1000000));
    simulated_process_exit(handler->process, 143);
}

/* What was broken or given up at the same moment is told to it in the moments that it takes. */
static void on_signal(void *ctx, int signal)
{
    struct handler *handler = ctx;
    (void)signal;
    if (!io_timer_active(&handler->end))
        io_timer_start(&handler->end, END_MS);
}

void handlers_condemn(struct handlers *handlers, const char *ip)
{
    list_each (struct handler, handler, &handlers->all, link)
        if (strcmp(handler->ip, ip) == 0)
            handler->condemned = true;
}

/* --- The process --- */

static const char *environment_of(struct simulated_process *process, const char *name)
{
    size_t size = strlen(name);
    for (const char *const *entry = simulated_process_environment(process); entry && *entry; entry++)
        if (strncmp(*entry, name, size) == 0 && (*entry)[size] == '=')
            return *entry + size + 1;
    return "";
}

static void start(void *ctx, struct simulated_process *process)
{
    struct error err;
    struct handler *handler = NEW(struct handler);
    struct http_server_options options = {.name = "handler", .flag = "none", .on_request = on_request, .ctx = handler};
    handler->handlers = ctx;
    handler->process = process;
    handler->io = simulated_process_io(process);
    snprintf(handler->service, sizeof handler->service, "%s", environment_of(process, "SERVICE"));
    simulated_process_set_state(process, handler);
    snprintf(handler->ip, sizeof handler->ip, "%s", environment_of(process, "POD_IP"));
    list_init(&handler->calls);
    list_append(&handler->handlers->all, &handler->link);
    io_timer_init(handler->io, &handler->end, end, handler);
    simulated_process_on_signal(process, on_signal, handler);
    handler->handlers->living++;
    if (!io_address_parse_ip(bytes_of_string(environment_of(process, "POD_IP")),
                             (uint16_t)atoi(environment_of(process, "PORT")), &options.address)) {
        model_fail(handler->handlers->model, "%s has no POD_IP and PORT", handler->service);
        simulated_process_exit(process, 2);
        return;
    }
    handler->server = http_server_open(handler->io, &options, &err);
    if (!handler->server) {
        model_fail(handler->handlers->model, "%s cannot listen: %s", handler->service, err.message);
        simulated_process_exit(process, 3);
    }
}

static void ended(void *ctx, struct simulated_process *process)
{
    struct handlers *handlers = ctx;
    struct handler *handler = simulated_process_state(process);
    list_remove(&handler->link); /* what it held ends with its io */
    handlers->living--;
    model_answers_lost(handlers->model);
}

void handlers_register(struct io *io, struct handlers *handlers)
{
    list_init(&handlers->all);
    io_simulated_program(io, "handler", &(struct simulated_program){.start = start, .ended = ended, .ctx = handlers});
}
