/* SPDX-License-Identifier: Apache-2.0 */
#include "handler.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "http/http_server.h"

struct handler {
    struct handlers *handlers;
    struct simulated_process *process;
    struct io *io;
    struct http_server *server;
    char service[16];
};

struct answer {
    struct http_request *request;
    struct io_timer timer;
};

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

static void respond(struct http_request *request)
{
    struct handler *handler = request->user;
    struct model *model = handler->handlers->model;
    struct plan_event event;
    int trigger = -1;
    char path[64];
    snprintf(path, sizeof path, BYTES_FORMAT, BYTES_ARGS(request->head->path));
    bool known = plan_event_parse(http_head_get(request->head, "ce-id"), "", &event);
    if (sscanf(path, "/dead-t%d", &trigger) == 1) {
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
    struct answer *answer = ctx;
    respond(answer->request);
    free(answer);
}

/* --- What comes between --- */

static void refuse_for_now(struct handler *handler, struct http_request *request)
{
    static const int codes[] = {404, 409, 429, 500, 503};
    http_respond_text(request, codes[io_random_below(handler->io, ARRAY_SIZE(codes))], "not now");
}

static void answer_nonsense(struct http_request *request)
{
    const struct http_field fields[] = {HTTP_FIELD("ce-specversion", BYTES_LITERAL("1.0")),
                                        HTTP_FIELD("ce-type", BYTES_LITERAL("pong"))}; /* no id, no source */
    http_respond(request, 200, fields, ARRAY_SIZE(fields), BYTES_LITERAL("x"));
}

static void on_body(struct http_request *request)
{
    struct handler *handler = request->user;
    const struct handler_faults *faults = &handler->handlers->faults;
    struct plan_event event;
    int trigger;
    char path[64];
    snprintf(path, sizeof path, BYTES_FORMAT, BYTES_ARGS(request->head->path));
    bool to_sink = sscanf(path, "/t%d", &trigger) != 1;
    if (!to_sink && plan_event_parse(http_head_get(request->head, "ce-id"), "", &event))
        model_delivered(handler->handlers->model, trigger, event);
    if (chance(handler, faults->die_ppm)) {
        simulated_process_exit(handler->process, 1);
    } else if (chance(handler, faults->hang_ppm)) {
        return; /* never */
    } else if (chance(handler, faults->refuse_ppm)) {
        refuse_for_now(handler, request);
    } else if (!to_sink && chance(handler, faults->nonsense_ppm)) { /* a sink may answer what it likes */
        answer_nonsense(request);
    } else if (chance(handler, faults->slow_ppm)) {
        struct answer *answer = NEW(struct answer);
        answer->request = request;
        io_timer_init(handler->io, &answer->timer, respond_late, answer);
        io_timer_start(&answer->timer, io_random_below(handler->io, 200));
    } else {
        respond(request);
    }
}

static void on_request(void *ctx, struct http_request *request)
{
    request->user = ctx;
    http_request_read_body(request, 1 << 20, on_body, NULL);
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
    (void)process; /* what it held ends with its io */
    handlers->living--;
}

void handlers_register(struct io *io, struct handlers *handlers)
{
    io_simulated_program(io, "handler", &(struct simulated_program){.start = start, .ended = ended, .ctx = handlers});
}
