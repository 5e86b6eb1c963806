/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "event_producer.h"
#include "http/http_client.h"

enum { PAUSE_MS = 300, TIMEOUT_MS = 3000 };

struct event_poster {
    struct io *io;
    struct model *model;
    int index;
    struct http_client *client;
    struct io_timer timer;
    bool under_way; /* event attempted-1 is not acknowledged yet */
    bool stopping;
};

static void again_in(struct event_poster *poster, uint64_t ms)
{
    io_timer_start(&poster->timer, 1 + io_random_below(poster->io, ms));
}

static void on_answer(void *ctx, const struct http_response *response, const struct error *err)
{
    struct event_poster *poster = ctx;
    struct model_producer *self = &poster->model->producers[poster->index];
    (void)err;
    int status = response ? response->head->status : 0;
    if (status == 202) {
        self->acknowledged = self->attempted;
        poster->under_way = false;
    } else if (status >= 400 && status < 500 && status != 404 && status != 429) {
        model_fail(poster->model, "poster %d was answered with %d", poster->index, status);
    }
    again_in(poster, PAUSE_MS);
}

static void post(void *ctx)
{
    struct event_poster *poster = ctx;
    struct model_producer *self = &poster->model->producers[poster->index];
    char id[64], type[16], target[32];
    struct error err;
    if (event_poster_finished(poster))
        return;
    if (!poster->under_way)
        self->attempted++;
    assert(self->attempted < MODEL_RECORDS_MAX);
    poster->under_way = true;
    int64_t number = self->attempted - 1;
    snprintf(id, sizeof id, "p%d-%" PRId64, poster->index, number);
    snprintf(type, sizeof type, "ping-%c", plan_event_type((struct plan_event){poster->index, number}));
    snprintf(target, sizeof target, "/default/b%d", self->broker);
    const struct http_field fields[] = {
        HTTP_FIELD("ce-specversion", BYTES_LITERAL("1.0")),      HTTP_FIELD("ce-id", bytes_of_string(id)),
        HTTP_FIELD("ce-source", BYTES_LITERAL("sim")),           HTTP_FIELD("ce-type", bytes_of_string(type)),
        HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain")),
    };
    struct http_call_options options = {.method = BYTES_LITERAL("POST"),
                                        .target = bytes_of_string(target),
                                        .fields = fields,
                                        .field_count = ARRAY_SIZE(fields),
                                        .body = BYTES_LITERAL("x"),
                                        .timeout_ms = TIMEOUT_MS};
    bool ok = io_address_parse("127.0.0.1:8080", &options.address, &err);
    assert(ok);
    http_client_call(poster->client, &options, on_answer, poster);
}

struct event_poster *event_poster_start(struct io *io, struct model *model, int index)
{
    struct event_poster *poster = NEW(struct event_poster);
    *poster = (struct event_poster){.io = io, .model = model, .index = index, .client = http_client_new(io)};
    io_timer_init(io, &poster->timer, post, poster);
    again_in(poster, PAUSE_MS);
    return poster;
}

void event_poster_stop(struct event_poster *poster)
{
    poster->stopping = true;
}

bool event_poster_finished(const struct event_poster *poster)
{
    return poster->stopping && !poster->under_way;
}
