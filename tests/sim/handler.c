/* SPDX-License-Identifier: Apache-2.0 */
#include "handler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "http/http_server.h"

struct handler {
    struct simulated_process *process;
    struct io *io;
    struct http_server *server;
    const struct handler_faults *faults;
};

struct answer {
    struct http_request *request;
    struct io_timer timer;
};

static bool chance(struct handler *handler, uint32_t ppm)
{
    return ppm > 0 && io_random_below(handler->io, 1000000) < ppm;
}

static void respond(struct http_request *request)
{
    struct bytes id = http_head_get(request->head, "ce-id");
    char reply_id[128];
    snprintf(reply_id, sizeof reply_id, "re-" BYTES_FORMAT, BYTES_ARGS(id));
    const struct http_field fields[] = {
        HTTP_FIELD("ce-specversion", BYTES_LITERAL("1.0")),      HTTP_FIELD("ce-id", bytes_of_string(reply_id)),
        HTTP_FIELD("ce-source", BYTES_LITERAL("handler")),       HTTP_FIELD("ce-type", BYTES_LITERAL("pong")),
        HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain")),
    };
    http_respond(request, 200, fields, ARRAY_SIZE(fields), BYTES_LITERAL("x"));
}

static void respond_late(void *ctx)
{
    struct answer *answer = ctx;
    respond(answer->request);
    free(answer);
}

static void on_body(struct http_request *request)
{
    struct handler *handler = request->user;
    if (chance(handler, handler->faults->die_ppm)) {
        simulated_process_exit(handler->process, 1);
    } else if (chance(handler, handler->faults->hang_ppm)) {
        return; /* never */
    } else if (chance(handler, handler->faults->refuse_ppm)) {
        http_respond_text(request, 503, "not now");
    } else if (chance(handler, handler->faults->slow_ppm)) {
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

static const char *environment_of(struct simulated_process *process, const char *name)
{
    size_t size = strlen(name);
    for (const char *const *entry = simulated_process_environment(process); entry && *entry; entry++)
        if (strncmp(*entry, name, size) == 0 && (*entry)[size] == '=')
            return *entry + size + 1;
    return NULL;
}

static void start(void *ctx, struct simulated_process *process)
{
    struct error err;
    struct handler *handler = NEW(struct handler);
    const char *ip = environment_of(process, "POD_IP"), *port = environment_of(process, "PORT");
    struct http_server_options options = {.name = "handler", .flag = "none", .on_request = on_request, .ctx = handler};
    handler->process = process;
    handler->io = simulated_process_io(process);
    handler->faults = ctx;
    simulated_process_set_state(process, handler);
    if (!ip || !port || !io_address_parse_ip(bytes_of_string(ip), (uint16_t)atoi(port), &options.address)) {
        fprintf(stderr, "handler: no POD_IP and PORT\n");
        simulated_process_exit(process, 2);
        return;
    }
    handler->server = http_server_open(handler->io, &options, &err);
    if (!handler->server)
        simulated_process_exit(process, 3);
}

void handler_register(struct io *io, const struct handler_faults *faults)
{
    io_simulated_program(io, HANDLER_COMMAND,
                         &(struct simulated_program){.start = start, .ctx = (void *)(uintptr_t)faults});
}
