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
    CODE_NO_ANSWER = 502, /* for knativeerrorcode, when there was no answer at all ... */
    CODE_NO_TIME = 504,   /* ... or not in time */
    CODE_NONSENSE = 502,  /* a 2xx whose content is not a CloudEvent */
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

/* All of it, into an arena without a maximum. */
static void copy_event(struct cloudevent *to, const struct cloudevent *from, struct arena *arena)
{
    to->attribute_count = from->attribute_count;
    for (size_t i = 0; i < from->attribute_count; i++) {
        to->attributes[i].name = arena_copy(arena, from->attributes[i].name);
        to->attributes[i].value = arena_copy(arena, from->attributes[i].value);
    }
    to->data_content_type = arena_copy(arena, from->data_content_type);
    to->data = arena_copy(arena, from->data);
}

/* --- Observers --- */

/* `status` and `error` are of the attempt at the subscriber that the step is about. */
static void observe(const struct delivery *delivery, enum dispatch_step_type type, struct bytes reply_type,
                    int64_t pause_ms)
{
    struct trigger *trigger = delivery->feed->trigger;
    const struct dispatch *dispatch = trigger->dispatch;
    if (!dispatch->observe)
        return;
    int64_t age_us = io_wall_ns(dispatch->context.io) / 1000 - delivery->timestamp_ms * 1000;
    const struct mesh_lease *lease = delivery->sending.lease;
    struct dispatch_step step = {
        .type = type,
        .namespace = trigger->object->namespace,
        .trigger = trigger->object->name,
        .event_id = cloudevent_get(&delivery->event, "id"),
        .event_type = cloudevent_get(&delivery->event, "type"),
        .reply_type = reply_type,
        .pod = lease && delivery->stage == TO_SUBSCRIBER ? lease->pod : "",
        .attempt = (int)delivery->subscriber_attempts,
        .status = delivery->last_status,
        .error = delivery->last_error ? delivery->last_error : "",
        .delay_ms = (uint64_t)pause_ms,
        .latency_us = age_us > 0 ? (uint64_t)age_us : 0,
    };
    dispatch->observe(dispatch->observe_ctx, &step);
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
                      "A reply was given up: %d others came before it in its chain", TTL_DEFAULT - 1);
        feed_delivery_done(delivery);
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)ttl);
    delivery->outcome = ARENA_NEW(&delivery->arena, struct cloudevent);
    delivery->outcome_namespace = namespace;
    delivery->outcome_broker = broker;
    copy_event(delivery->outcome, event, &delivery->arena);
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

/* Why an attempt failed. */
struct failure {
    bool retries;
    int code;          /* for knativeerrorcode */
    int status;        /* of the response; 0: there was none, or it was nonsense: then `data` says so */
    struct bytes data; /* for knativeerrordata */
    const struct http_response *response; /* may be NULL */
};

static void warn(struct delivery *delivery, const char *reason, const char *what, const struct failure *failure)
{
    struct bytes data = bytes_slice(failure->data, 0, 200);
    char answered[32] = "";
    if (failure->status)
        snprintf(answered, sizeof answered, " answered %d", failure->status);
    trigger_event(trigger_of(delivery), "Warning", reason, "An event %s: %s%s%s" BYTES_FORMAT, what,
                  destination_of(delivery)->url, answered, data.size ? ": " : "", BYTES_ARGS(data));
}

static void to_dead_letter(struct delivery *delivery, const struct failure *failure)
{
    char code[16];
    snprintf(code, sizeof code, "%d", failure->code);
    set_attribute(delivery, &delivery->event, "knativeerrordest", destination_of(delivery)->url);
    set_attribute(delivery, &delivery->event, "knativeerrorcode", code);
    set_error_data(delivery, failure->data);
    metrics_of(delivery)->dead_letters++;
    warn(delivery, "DeadLettered", "goes to the dead letter sink", failure);
    delivery->stage = TO_DEAD_LETTER;
    delivery->attempts = 0;
    attempt(delivery);
}

static void give_up(struct delivery *delivery, const struct failure *failure)
{
    metrics_of(delivery)->dropped++;
    warn(delivery, "EventDropped", "was given up", failure);
    observe(delivery, DISPATCH_DROPPED, BYTES_NULL, 0);
    feed_delivery_done(delivery);
}

static void remember(struct delivery *delivery, const struct failure *failure)
{
    if (delivery->stage != TO_SUBSCRIBER)
        return;
    delivery->last_status = failure->status;
    delivery->last_error =
        failure->status ? NULL : arena_string(&delivery->arena, bytes_slice(failure->data, 0, ERROR_DATA_SIZE_MAX));
}

static void failed(struct delivery *delivery, const struct failure *failure)
{
    bool to_sink = delivery->stage == TO_DEAD_LETTER;
    bool more = to_sink || delivery->attempts <= trigger_of(delivery)->options.retry;
    remember(delivery, failure);
    if (failure->retries && more) {
        int64_t pause = pause_ms(delivery, failure->response);
        metrics_of(delivery)->waiting_retry++;
        io_timer_start(&delivery->backoff, (uint64_t)pause);
        if (to_sink)
            warn(delivery, "DeadLetterWaits", "waits for the dead letter sink", failure);
        else
            observe(delivery, DISPATCH_RETRY, BYTES_NULL, pause);
        sending_release(&delivery->sending);
        return;
    }
    sending_release(&delivery->sending);
    if (!to_sink && trigger_of(delivery)->dead_letter_at.kind != DESTINATION_NONE)
        to_dead_letter(delivery, failure);
    else
        give_up(delivery, failure);
}

static void answered_nonsense(struct delivery *delivery, bool retries, const char *why,
                              const struct http_response *response)
{
    struct failure failure = {
        .retries = retries, .code = CODE_NONSENSE, .data = bytes_of_string(why), .response = response};
    metrics_of(delivery)->refused++;
    failed(delivery, &failure);
}

void delivery_outcome_refused(struct delivery *delivery, const char *why)
{
    delivery->outcome = NULL;
    answered_nonsense(delivery, false, why, NULL);
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
    bool to_sink = delivery->stage == TO_DEAD_LETTER;
    if (!to_sink && !empty && !cloudevent_from_http(response->head, response->body, &delivery->arena, &reply, &err)) {
        answered_nonsense(delivery, true, err.message, response);
        return;
    }
    metrics_of(delivery)->succeeded++;
    if (!to_sink) {
        delivery->last_status = response->head->status;
        delivery->last_error = NULL;
    }
    observe(delivery, to_sink ? DISPATCH_DEAD_LETTERED : DISPATCH_DELIVERED,
            to_sink || empty ? BYTES_NULL : cloudevent_get(&reply, "type"), 0);
    if (to_sink || empty) {
        feed_delivery_done(delivery);
        return;
    }
    metrics_of(delivery)->replies++;
    end_with_append(delivery, &reply, json_text_at(trigger->object->json, "metadata.namespace", ""),
                    json_text_at(trigger->spec, "broker", "default"));
}

static void on_answer(void *ctx, const struct http_response *response, const struct error *err)
{
    struct delivery *delivery = ctx;
    struct failure failure = {.retries = true, .response = response};
    count_attempt(delivery);
    if (!response) {
        failure.code = err->kind == ERROR_TIMEOUT ? CODE_NO_TIME : CODE_NO_ANSWER;
        failure.data = bytes_of_string(err->message);
        metrics_of(delivery)->failed++;
    } else if (response->head->status >= 200 && response->head->status <= 299) {
        accepted(delivery, response);
        return;
    } else {
        failure.code = failure.status = response->head->status;
        failure.retries = delivery_status_retries(failure.status);
        failure.data = response->body;
        metrics_of(delivery)->refused++;
    }
    failed(delivery, &failure);
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

/* Without HTTP: the event is appended there with the commit. */
static void to_broker(struct delivery *delivery, const struct destination *broker)
{
    struct failure failure = {
        .retries = true, .code = CODE_NO_ANSWER, .data = BYTES_LITERAL("the broker has no topic")};
    if (!event_topic(trigger_of(delivery)->dispatch->log, bytes_of_string(broker->namespace),
                     bytes_of_string(broker->name))) {
        failed(delivery, &failure);
        return;
    }
    observe(delivery, delivery->stage == TO_SUBSCRIBER ? DISPATCH_DELIVERED : DISPATCH_DEAD_LETTERED, BYTES_NULL, 0);
    end_with_append(delivery, &delivery->event, broker->namespace, broker->name);
}

static void attempt(struct delivery *delivery)
{
    struct trigger *trigger = trigger_of(delivery);
    const struct destination *destination = destination_of(delivery);
    delivery->attempts++;
    if (delivery->stage == TO_SUBSCRIBER)
        delivery->subscriber_attempts++;
    if (destination->kind == DESTINATION_BROKER)
        to_broker(delivery, destination);
    else
        send(delivery, delivery->stage == TO_SUBSCRIBER ? trigger->subscriber : trigger->dead_letter);
}

struct delivery *delivery_start(struct feed *feed, const struct kafka_record *record, const struct cloudevent *event)
{
    struct delivery *delivery = NEW(struct delivery);
    delivery->feed = feed;
    delivery->offset = record->offset;
    delivery->timestamp_ms = record->timestamp_ms;
    arena_init(&delivery->arena, 0);
    copy_event(&delivery->event, event, &delivery->arena);
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
