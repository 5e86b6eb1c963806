/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event on its way, by Knative's data plane contract: a 2xx ends it, with a CloudEvent in the answer as the reply;
 * 404, 408, 409, 429, 5xx and no answer are tried again after a pause; everything else, and too many tries, go to the
 * dead letter sink with knativeerrordest, -code and -data. A dead letter sink is tried until it takes the event or
 * refuses it for good: nothing is given up because a sink is down for a while.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "dispatch/dispatch_priv.h"
#include "log/event.h"

enum {
    ERROR_DATA_SIZE_MAX = 1024, /* of an answer's body, in a dead letter */
    DEAD_LETTER_PAUSE_MAX_MS = 60000,
    STATUS_NO_ANSWER = 502, /* for knativeerrorcode, when there was no answer at all ... */
    STATUS_NO_TIME = 504,   /* ... or not in time */
    STATUS_NONSENSE = 502,  /* a 2xx whose content is not a CloudEvent */
};

const double dispatch_latency_bounds_s[DISPATCH_LATENCY_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                                    0.1,    0.25,  0.5,    1,     2.5,  10,    30};

static void attempt(struct delivery *delivery);

static struct trigger *trigger_of(const struct delivery *delivery)
{
    return delivery->feed->trigger;
}

static struct dispatch_metrics *metrics_of(const struct delivery *delivery)
{
    return &trigger_of(delivery)->dispatch->metrics;
}

static const struct destination *destination_of(const struct delivery *delivery)
{
    return delivery->stage == TO_SUBSCRIBER ? &trigger_of(delivery)->subscriber_at
                                            : &trigger_of(delivery)->dead_letter_at;
}

void event_copy(struct cloudevent *to, const struct cloudevent *from, struct arena *arena)
{
    to->attribute_count = from->attribute_count;
    for (size_t i = 0; i < from->attribute_count; i++) {
        to->attributes[i].name = arena_copy(arena, from->attributes[i].name);
        to->attributes[i].value = arena_copy(arena, from->attributes[i].value);
    }
    to->data_content_type = arena_copy(arena, from->data_content_type);
    to->data = arena_copy(arena, from->data);
}

/* --- How it ends --- */

static void set_attribute(struct delivery *delivery, struct cloudevent *event, const char *name, const char *value)
{
    struct error err;
    struct bytes copy = bytes_of_string(arena_string(&delivery->arena, bytes_of_string(value)));
    (void)!cloudevent_set(event, bytes_of_string(name), copy, &err); /* an event with 64 attributes goes without */
}

/* Events that follow from this one may be so many generations long; 0: this is the last one. */
static int64_t ttl_of(const struct cloudevent *event)
{
    int64_t ttl;
    struct bytes text = cloudevent_get(event, "knativebrokerttl");
    return text.data && bytes_to_i64(text, &ttl) && ttl < TTL_DEFAULT ? ttl : TTL_DEFAULT;
}

/* The event goes to a Broker with the commit. */
static void end_with_append(struct delivery *delivery, const struct cloudevent *event, const char *namespace,
                            const char *broker)
{
    int64_t ttl = ttl_of(&delivery->event) - 1;
    char text[24];
    if (ttl < 1) {
        metrics_of(delivery)->dropped++;
        trigger_event(trigger_of(delivery), "Warning", "LoopDetected",
                      "An event was given up: it has gone through %d Triggers already", TTL_DEFAULT);
        feed_delivery_done(delivery);
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)ttl);
    delivery->outcome = ARENA_NEW(&delivery->arena, struct cloudevent);
    delivery->outcome_namespace = namespace;
    delivery->outcome_broker = broker;
    event_copy(delivery->outcome, event, &delivery->arena);
    set_attribute(delivery, delivery->outcome, "knativebrokerttl", text);
    feed_delivery_done(delivery);
}

/* --- Failures --- */

static int64_t pause_ms(const struct delivery *delivery, const struct http_response *response)
{
    const struct delivery_options *options = &trigger_of(delivery)->options;
    struct io *io = trigger_of(delivery)->dispatch->context.io;
    int64_t pause = delivery_backoff_ms(options, delivery->attempts);
    int64_t asked = response ? delivery_retry_after_ms(options, response->head, io_wall_ns(io) / 1000000000) : 0;
    if (delivery->stage == TO_DEAD_LETTER && pause > DEAD_LETTER_PAUSE_MAX_MS)
        pause = DEAD_LETTER_PAUSE_MAX_MS;
    return asked > pause ? asked : pause;
}

static void on_pause_over(void *ctx)
{
    struct delivery *delivery = ctx;
    metrics_of(delivery)->waiting_retry--;
    metrics_of(delivery)->retries++;
    attempt(delivery);
}

/* An attribute's value must be text without control characters; what is no text at all becomes base64. */
static void set_error_data(struct delivery *delivery, struct bytes data)
{
    AUTO_BUF text;
    buf_init(&text, 2 * ERROR_DATA_SIZE_MAX);
    data = bytes_slice(bytes_trim(data), 0, ERROR_DATA_SIZE_MAX);
    while (data.size > 0 && data.size == ERROR_DATA_SIZE_MAX && (data.data[data.size - 1] & 0x80))
        data.size--; /* do not cut a character in two */
    for (size_t i = 0; i < data.size; i++)
        buf_append_byte(&text, data.data[i] < 0x20 || data.data[i] == 0x7f ? ' ' : data.data[i]);
    if (text.size == 0)
        return;
    set_attribute(delivery, &delivery->event, "knativeerrordata", buf_string(&text));
    struct error err;
    if (cloudevent_check(&delivery->event, &err))
        return;
    buf_reset(&text);
    text_append_base64(&text, data);
    set_attribute(delivery, &delivery->event, "knativeerrordata", buf_string(&text));
}

static void to_dead_letter(struct delivery *delivery, int status, struct bytes data)
{
    char code[16];
    snprintf(code, sizeof code, "%d", status);
    set_attribute(delivery, &delivery->event, "knativeerrordest", destination_of(delivery)->url);
    set_attribute(delivery, &delivery->event, "knativeerrorcode", code);
    set_error_data(delivery, data);
    metrics_of(delivery)->dead_letters++;
    trigger_event(trigger_of(delivery), "Warning", "DeadLettered", "An event went to the dead letter sink: %s: %d %.*s",
                  destination_of(delivery)->url, status, data.size > 200 ? 200 : (int)data.size,
                  data.data ? (const char *)data.data : "");
    delivery->stage = TO_DEAD_LETTER;
    delivery->attempts = 0;
    attempt(delivery);
}

static void give_up(struct delivery *delivery, int status, struct bytes data)
{
    metrics_of(delivery)->dropped++;
    trigger_event(trigger_of(delivery), "Warning", "EventDropped", "An event was given up: %s: %d %.*s",
                  destination_of(delivery)->url, status, data.size > 200 ? 200 : (int)data.size,
                  data.data ? (const char *)data.data : "");
    feed_delivery_done(delivery);
}

static void failed(struct delivery *delivery, bool retries, int status, struct bytes data,
                   const struct http_response *response)
{
    bool more = delivery->stage == TO_DEAD_LETTER || delivery->attempts <= trigger_of(delivery)->options.retry;
    sending_release(&delivery->sending);
    if (retries && more) {
        metrics_of(delivery)->waiting_retry++;
        io_timer_start(&delivery->backoff, (uint64_t)pause_ms(delivery, response));
    } else if (delivery->stage == TO_SUBSCRIBER && trigger_of(delivery)->dead_letter_at.kind != DESTINATION_NONE) {
        to_dead_letter(delivery, status, data);
    } else {
        give_up(delivery, status, data);
    }
}

void delivery_outcome_refused(struct delivery *delivery, const char *why)
{
    delivery->outcome = NULL;
    metrics_of(delivery)->refused++;
    failed(delivery, false, STATUS_NONSENSE, bytes_of_string(why), NULL);
}

/* --- Answers --- */

static void count_attempt(struct delivery *delivery)
{
    struct dispatch_metrics *metrics = metrics_of(delivery);
    struct io *io = trigger_of(delivery)->dispatch->context.io;
    double seconds = (double)(io_now_ns(io) - delivery->sending.started_ns) / 1e9;
    size_t bucket = 0;
    while (bucket < DISPATCH_LATENCY_BUCKETS && seconds > dispatch_latency_bounds_s[bucket])
        bucket++;
    metrics->deliveries++;
    metrics->latency[bucket]++;
    metrics->latency_sum_s += seconds;
}

/* A 2xx: nothing, or a CloudEvent, or nonsense. */
static void accepted(struct delivery *delivery, const struct http_response *response)
{
    struct trigger *trigger = trigger_of(delivery);
    struct cloudevent reply;
    struct error err;
    bool empty = response->body.size == 0 && cloudevent_http_mode(response->head) == CLOUDEVENT_NONE;
    if (delivery->stage == TO_DEAD_LETTER || empty) {
        metrics_of(delivery)->succeeded++;
        feed_delivery_done(delivery);
    } else if (cloudevent_from_http(response->head, response->body, &delivery->arena, &reply, &err)) {
        metrics_of(delivery)->succeeded++;
        metrics_of(delivery)->replies++;
        end_with_append(delivery, &reply, json_text_at(trigger->object->json, "metadata.namespace", ""),
                        json_text_at(trigger->spec, "broker", "default"));
    } else {
        metrics_of(delivery)->refused++;
        failed(delivery, true, STATUS_NONSENSE, bytes_of_string(err.message), response);
    }
}

static void on_answer(void *ctx, const struct http_response *response, const struct error *err)
{
    struct delivery *delivery = ctx;
    count_attempt(delivery);
    if (!response) {
        int status = err->kind == ERROR_TIMEOUT ? STATUS_NO_TIME : STATUS_NO_ANSWER;
        metrics_of(delivery)->failed++;
        failed(delivery, true, status, bytes_of_string(err->message), NULL);
    } else if (response->head->status >= 200 && response->head->status <= 299) {
        accepted(delivery, response);
    } else {
        int status = response->head->status;
        metrics_of(delivery)->refused++;
        failed(delivery, delivery_status_retries(status), status, response->body, response);
    }
}

/* --- Attempts --- */

static void send(struct delivery *delivery, struct outlet *outlet)
{
    /* Once for all attempts of a stage, and so that its memory does not grow with them. */
    if (delivery->attempts == 1) {
        struct http_field *fields = arena_alloc_array(&delivery->arena, CLOUDEVENT_FIELDS_MAX + 1, sizeof *fields);
        struct cloudevent bare = delivery->event;
        cloudevent_remove(&bare, "knativebrokerttl"); /* is ours */
        size_t count = cloudevent_to_http(&bare, &delivery->arena, fields);
        if (delivery->stage == TO_SUBSCRIBER)
            fields[count++] = HTTP_FIELD("Prefer", BYTES_LITERAL("reply"));
        delivery->sending.fields = fields;
        delivery->sending.field_count = count;
    }
    delivery->sending.body = delivery->event.data.data ? delivery->event.data : BYTES_LITERAL("");
    delivery->sending.timeout_ms = (uint64_t)trigger_of(delivery)->options.timeout_ms;
    delivery->sending.done = on_answer;
    delivery->sending.ctx = delivery;
    outlet_send(outlet, &delivery->sending);
}

static void attempt(struct delivery *delivery)
{
    struct trigger *trigger = trigger_of(delivery);
    const struct destination *destination = destination_of(delivery);
    delivery->attempts++;
    if (destination->kind == DESTINATION_URI || destination->kind == DESTINATION_SERVICE)
        send(delivery, delivery->stage == TO_SUBSCRIBER ? trigger->subscriber : trigger->dead_letter);
    else if (event_topic(trigger->dispatch->log, bytes_of_string(destination->namespace),
                         bytes_of_string(destination->name)))
        end_with_append(delivery, &delivery->event, destination->namespace, destination->name);
    else
        failed(delivery, true, STATUS_NO_ANSWER, BYTES_LITERAL("the broker has no topic"), NULL);
}

struct delivery *delivery_start(struct feed *feed, int64_t offset, const struct cloudevent *event)
{
    struct delivery *delivery = NEW(struct delivery);
    delivery->feed = feed;
    delivery->offset = offset;
    arena_init(&delivery->arena, 0);
    event_copy(&delivery->event, event, &delivery->arena);
    delivery->size = sizeof *delivery + delivery->arena.used;
    io_timer_init(feed->trigger->dispatch->context.io, &delivery->backoff, on_pause_over, delivery);
    list_append(&feed->open, &delivery->link);
    feed->trigger->open_count++;
    feed->trigger->open_size += delivery->size;
    attempt(delivery);
    return delivery;
}

void delivery_free(struct delivery *delivery)
{
    struct trigger *trigger = trigger_of(delivery);
    if (io_timer_active(&delivery->backoff))
        metrics_of(delivery)->waiting_retry--;
    io_timer_stop(&delivery->backoff);
    outlet_cancel(&delivery->sending);
    list_remove(&delivery->link);
    trigger->open_count--;
    trigger->open_size -= delivery->size;
    arena_deinit(&delivery->arena);
    free(delivery);
}
