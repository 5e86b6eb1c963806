/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void choose_service(struct plan_service *service, uint64_t (*below)(void *ctx, uint64_t limit), void *ctx)
{
    service->present = true;
    service->replicas = 1 + (int)below(ctx, 3);
    service->scaled = below(ctx, 2);
    service->scaled_by_demand = below(ctx, 3) == 0;
    service->replicas_max = 1 + (int)below(ctx, 4);
    service->cooldown_s = 1 + (int)below(ctx, 4);
    service->lag_threshold = 1 + (int)below(ctx, 10);
}

static void choose_trigger(struct plan *plan, struct plan_trigger *trigger,
                           uint64_t (*below)(void *ctx, uint64_t limit), void *ctx)
{
    trigger->present = true;
    trigger->broker = (int)below(ctx, (uint64_t)plan->broker_count);
    trigger->service = (int)below(ctx, (uint64_t)plan->service_count);
    trigger->type = "aab*"[below(ctx, 4)];
    trigger->ordered = below(ctx, 3) == 0;
    trigger->patient = below(ctx, 2);
    trigger->retry = (int)below(ctx, 4);
    trigger->dead_letters = (enum plan_dead_letters)below(ctx, 3);
    trigger->loose = below(ctx, 6) == 0;
    trigger->backoff_ms = 10 + (int)below(ctx, 20);
}

void plan_choose(struct plan *plan, uint64_t (*below)(void *ctx, uint64_t limit), void *ctx)
{
    *plan = (struct plan){.salt = below(ctx, UINT64_MAX)};
    plan->service_count = 1 + (int)below(ctx, PLAN_SERVICES_MAX);
    plan->broker_count = 1 + (int)below(ctx, PLAN_BROKERS_MAX);
    plan->trigger_count = 1 + (int)below(ctx, PLAN_TRIGGERS_MAX);
    for (int i = 0; i < plan->service_count; i++)
        choose_service(&plan->services[i], below, ctx);
    for (int i = 0; i < plan->trigger_count; i++)
        choose_trigger(plan, &plan->triggers[i], below, ctx);
}

/* --- Manifests --- */

void plan_deployment(const struct plan *plan, int service, char out[PLAN_TEXT_SIZE])
{
    const struct plan_service *self = &plan->services[service];
    char replicas[32] = "";
    if (!self->scaled)
        snprintf(replicas, sizeof replicas, "'replicas':%d,", self->replicas);
    snprintf(out, PLAN_TEXT_SIZE,
             "{'metadata':{'name':'s%d'},'spec':{%s'selector':{'matchLabels':{'app':'s%d'}},'template':{'metadata':{"
             "'labels':{'app':'s%d','version':'v%d'}},'spec':{'runtimeClassName':'process',"
             "'terminationGracePeriodSeconds':1,'containers':[{'name':'main','image':'none','command':['handler'],"
             "'env':[{'name':'SERVICE','value':'s%d'}],'ports':[{'containerPort':80}],'readinessProbe':{'tcpSocket':{"
             "'port':80},'periodSeconds':1}}]}}}}",
             service, replicas, service, service, self->version, service);
}

void plan_service_object(const struct plan *plan, int service, char out[PLAN_TEXT_SIZE])
{
    (void)plan;
    snprintf(out, PLAN_TEXT_SIZE, "{'metadata':{'name':'s%d'},'spec':{'selector':{'app':'s%d'},'ports':[{'port':80}]}}",
             service, service);
}

void plan_scaled_object(const struct plan *plan, int service, char out[PLAN_TEXT_SIZE])
{
    const struct plan_service *self = &plan->services[service];
    size_t used = (size_t)snprintf(out, PLAN_TEXT_SIZE,
                                   "{'metadata':{'name':'s%d'},'spec':{'scaleTargetRef':{'name':'s%d'},"
                                   "'minReplicaCount':0,'maxReplicaCount':%d,'cooldownPeriod':%d,'triggers':[",
                                   service, service, self->replicas_max, self->cooldown_s);
    bool first = true;
    for (int t = 0; !self->scaled_by_demand && t < plan->trigger_count; t++) {
        if (plan->triggers[t].service != service)
            continue;
        used +=
            (size_t)snprintf(out + used, PLAN_TEXT_SIZE - used,
                             "%s{'type':'kafka','metadata':{'topic':'default.b%d','consumerGroup':'trigger.default.t%"
                             "d','lagThreshold':'%d'}}",
                             first ? "" : ",", plan->triggers[t].broker, t, self->lag_threshold);
        first = false;
    }
    snprintf(out + used, PLAN_TEXT_SIZE - used, "]}}");
}

static void dead_letter_sink(const struct plan_trigger *self, int trigger, char *out, size_t size)
{
    out[0] = 0;
    if (self->dead_letters == PLAN_TO_BROKER)
        snprintf(out, size,
                 ",'deadLetterSink':{'ref':{'apiVersion':'eventing.knative.dev/v1','kind':'Broker','name':'dead'}}");
    else if (self->dead_letters == PLAN_TO_SERVICE)
        snprintf(out, size,
                 ",'deadLetterSink':{'ref':{'apiVersion':'v1','kind':'Service','name':'sink'},'uri':'/dead-t%d'}",
                 trigger);
}

void plan_trigger_object(const struct plan *plan, int trigger, char out[PLAN_TEXT_SIZE])
{
    const struct plan_trigger *self = &plan->triggers[trigger];
    char sink[256], filter[64] = "";
    dead_letter_sink(self, trigger, sink, sizeof sink);
    if (self->type != '*')
        snprintf(filter, sizeof filter, "'filter':{'attributes':{'type':'ping-%c'}},", self->type);
    snprintf(out, PLAN_TEXT_SIZE,
             "{'metadata':{'name':'t%d','annotations':{'kafka.eventing.knative.dev/delivery.order':'%s'}},'spec':{"
             "'broker':'b%d',%s'subscriber':{'ref':{'apiVersion':'v1','kind':'Service','name':'s%d'},'uri':'/t%d'},"
             "'delivery':{'retry':%d,'backoffPolicy':'linear','backoffDelay':'PT0.0%dS','timeout':'PT1S'%s}}}",
             trigger, self->ordered ? "ordered" : "unordered", self->broker, filter, self->service, trigger,
             self->patient ? 100000 : self->retry, self->backoff_ms, sink);
}

/* --- Events --- */

bool plan_event_parse(struct bytes id, const char *prefix, struct plan_event *out)
{
    char text[64];
    struct bytes start = bytes_of_string(prefix);
    if (!bytes_starts_with(id, start))
        return false;
    snprintf(text, sizeof text, BYTES_FORMAT, BYTES_ARGS(bytes_slice(id, start.size, SIZE_MAX)));
    return sscanf(text, "p%d-%" SCNd64, &out->producer, &out->number) == 2 && out->producer >= 0 &&
           out->producer < PLAN_PRODUCERS_MAX && out->number >= 0;
}

char plan_event_type(struct plan_event event)
{
    return event.number % 3 == 0 ? 'b' : 'a';
}

bool plan_trigger_takes(const struct plan *plan, int trigger, struct plan_event event)
{
    char type = plan->triggers[trigger].type;
    return type == '*' || type == plan_event_type(event);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

enum plan_outcome plan_outcome(const struct plan *plan, int trigger, struct plan_event event)
{
    uint64_t key = plan->salt ^ (uint64_t)trigger << 56 ^ (uint64_t)event.producer << 48 ^ (uint64_t)event.number;
    uint64_t choice = mix(mix(key)) % 20;
    if (choice == 0)
        return PLAN_REFUSED;
    if (choice == 1 && !plan->triggers[trigger].patient)
        return PLAN_NEVER_ACCEPTED;
    return choice < 7 ? PLAN_NO_REPLY : PLAN_REPLY;
}
