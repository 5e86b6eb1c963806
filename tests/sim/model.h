/* SPDX-License-Identifier: Apache-2.0 */
/* What evoke has promised to those who publish events and write objects, and whether it is so. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "api/api.h"
#include "base/error.h"
#include "plan.h"

enum { MODEL_RECORDS_MAX = 20000, MODEL_OBJECTS = 5, MODEL_VERSIONS_MAX = 20000 };

struct model_producer {
    int broker;
    bool once;            /* idempotent: an event is there once, and in order; else at least once */
    int64_t attempted;    /* events 0 .. attempted-1 were sent at least once ... */
    int64_t acknowledged; /* ... and 0 .. acknowledged-1 were acknowledged */
};

struct model_service {
    int64_t delivered_ms; /* the last delivery came then */
    int64_t changed_ms;   /* evoke was started, or its manifests were changed */
};

struct model {
    const struct plan *plan;
    struct model_producer producers[PLAN_PRODUCERS_MAX];
    int producer_count;
    /* Of each object, versions 1 .. attempted were asked for; `gone` says which of them are deletions. */
    int64_t object_attempted[MODEL_OBJECTS], object_acknowledged[MODEL_OBJECTS];
    bool object_gone[MODEL_OBJECTS][MODEL_VERSIONS_MAX];
    bool object_told[MODEL_OBJECTS][MODEL_VERSIONS_MAX];  /* its writer was answered */
    bool object_shown[MODEL_OBJECTS][MODEL_VERSIONS_MAX]; /* a watch has shown it */
    char deleted_pod[64];                                 /* the last one that the gardener deleted */
    struct model_service services[PLAN_SERVICES_MAX];
    /* What handlers saw: the newest event of each producer at an ordered Trigger; what the dead letter Service took. */
    int64_t delivered[PLAN_TRIGGERS_MAX][PLAN_PRODUCERS_MAX];
    /* How often each event was refused in this turn of its Trigger: from a start of evoke, or a change of it, on. */
    bool answers_arrive; /* connections do not break, so that each refusal is heard */
    uint16_t turn[PLAN_TRIGGERS_MAX], changes[PLAN_TRIGGERS_MAX];
    uint16_t attempts_turn[PLAN_TRIGGERS_MAX][PLAN_PRODUCERS_MAX][MODEL_RECORDS_MAX];
    uint16_t attempts[PLAN_TRIGGERS_MAX][PLAN_PRODUCERS_MAX][MODEL_RECORDS_MAX];
    uint8_t sunk[PLAN_TRIGGERS_MAX][PLAN_PRODUCERS_MAX][MODEL_RECORDS_MAX];
    struct error failure; /* the first thing that handlers saw and should not have */
    bool failed;
};

struct model *model_new(const struct plan *plan);

/* --- What happens to evoke --- */
void model_started(struct model *model, int64_t now_ms);
void model_service_changed(struct model *model, int service, int64_t now_ms);
void model_trigger_changed(struct model *model, int trigger);
void model_answers_lost(struct model *model); /* a handler ended: what it said last may not have arrived */
/* A watch has shown this version: then it is not taken back. */
void model_object_shown(struct model *model, size_t index, int64_t version);

/* --- What handlers see --- */
void model_delivered(struct model *model, int trigger, struct plan_event event, int64_t now_ms);
void model_refused(struct model *model, int trigger, struct plan_event event); /* with a code that retries */
/* A dead letter says why it is one. */
void model_check_dead_letter(struct model *model, int trigger, struct bytes code, struct bytes data);
void model_sunk(struct model *model, int trigger, struct plan_event event);
void model_fail(struct model *model, const char *format, ...) PRINTF_LIKE(2, 3);

/* --- What is in the log --- */
struct model_counts {
    int64_t events, replies, dead_letters;
};
/* Reads the Brokers' topics and checks what must hold at any time: order, no doubles, nothing acknowledged missing, no
 * reply or dead letter twice or without its event. `complete`: also that everything has come of every event that is to
 * come of it; err then has ERROR_TIMEOUT when something is missing. */
MUST_CHECK bool model_check_events(struct model *model, struct log *log, bool complete, struct model_counts *out,
                                   struct error *err);
MUST_CHECK bool model_check_objects(const struct model *model, struct api *api, struct error *err);

#endif
