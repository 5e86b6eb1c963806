/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "log/log.h"
#include "wire/kafka_batch.h"

enum { READ_SIZE = 1 << 20 };

struct model *model_new(const struct plan *plan)
{
    struct model *model = NEW(struct model);
    model->plan = plan;
    for (int t = 0; t < PLAN_TRIGGERS_MAX; t++)
        for (int p = 0; p < PLAN_PRODUCERS_MAX; p++)
            model->delivered[t][p] = -1;
    return model;
}

void model_fail(struct model *model, const char *format, ...)
{
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (!model->failed)
        error_set(&model->failure, ERROR_CORRUPT, "%s", message);
    model->failed = true;
}

/* --- What happens to evoke --- */

void model_started(struct model *model, int64_t now_ms)
{
    for (int t = 0; t < PLAN_TRIGGERS_MAX; t++)
        model_trigger_changed(model, t);
    for (int s = 0; s < PLAN_SERVICES_MAX; s++)
        model_service_changed(model, s, now_ms);
}

void model_service_changed(struct model *model, int service, int64_t now_ms)
{
    model->services[service].changed_ms = now_ms;
}

void model_trigger_changed(struct model *model, int trigger)
{
    model->turn[trigger]++;
    model->changes[trigger]++;
}

void model_answers_lost(struct model *model)
{
    for (int t = 0; t < PLAN_TRIGGERS_MAX; t++)
        model->turn[t]++;
}

void model_object_shown(struct model *model, size_t index, int64_t version)
{
    if (version <= 0 || version > model->object_attempted[index]) {
        model_fail(model, "a watch shows version %" PRId64 " of object-%zu, which nobody wrote", version, index);
        return;
    }
    model->object_shown[index][version] = true;
    if (version > model->object_acknowledged[index])
        model->object_acknowledged[index] = version;
}

/* --- What handlers see --- */

/* As many as the Trigger says, and not one more. What a producer sent twice is two events of one name. */
void model_refused(struct model *model, int trigger, struct plan_event event)
{
    if (event.number >= MODEL_RECORDS_MAX)
        return;
    const struct plan_trigger *self = &model->plan->triggers[trigger];
    uint16_t *count = &model->attempts[trigger][event.producer][event.number];
    uint16_t *turn = &model->attempts_turn[trigger][event.producer][event.number];
    if (*turn != model->turn[trigger])
        *count = 0;
    *turn = model->turn[trigger];
    ++*count;
    if (model->answers_arrive && !self->patient && model->producers[event.producer].once && *count > self->retry + 1)
        model_fail(model, "t%d was refused p%d-%" PRId64 " %d times; its retry is %d", trigger, event.producer,
                   event.number, *count, self->retry);
}

/* The event of this producer that a Trigger takes before this one; -1: none. */
static int64_t taken_before(const struct model *model, int trigger, struct plan_event event)
{
    do
        event.number--;
    while (event.number >= 0 && !plan_trigger_takes(model->plan, trigger, event));
    return event.number;
}

void model_delivered(struct model *model, int trigger, struct plan_event event, int64_t now_ms)
{
    model->services[model->plan->triggers[trigger].service].delivered_ms = now_ms;
    int64_t *newest = &model->delivered[trigger][event.producer];
    if (event.number <= *newest) /* again: what evoke did not get to record */
        return;
    const struct plan_trigger *self = &model->plan->triggers[trigger];
    int64_t before = taken_before(model, trigger, event);
    if (self->ordered && self->patient && !self->loose && model->producers[event.producer].once && *newest != before)
        model_fail(model, "the ordered trigger t%d delivers p%d-%" PRId64 " before p%d-%" PRId64, trigger,
                   event.producer, event.number, event.producer, before);
    *newest = event.number;
}

/* Of a refusal, what the handler says with it; when nobody answered, or nothing that makes sense, something about that.
 */
void model_check_dead_letter(struct model *model, int trigger, struct bytes code, struct bytes data)
{
    static const char *const refusals[] = {"404", "409", "429", "500", "503"};
    bool told = bytes_equal_string(code, "400") && bytes_equal_string(data, "never");
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
        told = told || (bytes_equal_string(code, refusals[i]) && bytes_starts_with(data, BYTES_LITERAL("not")));
    if (!told && (data.size == 0 || (!bytes_equal_string(code, "502") && !bytes_equal_string(code, "504"))))
        model_fail(model, "a dead letter of t%d has the code \"" BYTES_FORMAT "\" and the data \"" BYTES_FORMAT "\"",
                   trigger, BYTES_ARGS(code), BYTES_ARGS(data));
}

void model_sunk(struct model *model, int trigger, struct plan_event event)
{
    if (event.number < MODEL_RECORDS_MAX)
        model->sunk[trigger][event.producer][event.number] = 1;
}

/* --- Reading topics --- */

struct contents {
    struct model *model;
    struct log *log;
    int broker; /* whose topic is read; -1: that of dead letters */
    int64_t next[PLAN_PRODUCERS_MAX];
    uint8_t events[PLAN_PRODUCERS_MAX][MODEL_RECORDS_MAX];
    uint8_t replies[PLAN_TRIGGERS_MAX][PLAN_PRODUCERS_MAX][MODEL_RECORDS_MAX];
    uint8_t dead[PLAN_TRIGGERS_MAX][PLAN_PRODUCERS_MAX][MODEL_RECORDS_MAX];
    struct model_counts *counts;
};

static bool note_event(struct contents *contents, struct bytes id, struct error *err)
{
    struct plan_event event;
    if (!plan_event_parse(id, "", &event))
        return error_set(err, ERROR_CORRUPT, "\"" BYTES_FORMAT "\" was never sent", BYTES_ARGS(id));
    const struct model_producer *producer = &contents->model->producers[event.producer];
    int64_t *next = &contents->next[event.producer];
    if (event.number >= producer->attempted || producer->broker != contents->broker)
        return error_set(err, ERROR_CORRUPT, "\"" BYTES_FORMAT "\" was never sent there", BYTES_ARGS(id));
    if (producer->once && event.number != *next)
        return error_set(err, ERROR_CORRUPT, "\"" BYTES_FORMAT "\" where number %" PRId64 " comes next", BYTES_ARGS(id),
                         *next);
    ++*next;
    contents->events[event.producer][event.number]++;
    contents->counts->events++;
    return true;
}

static bool note_reply(struct contents *contents, struct bytes id, struct error *err)
{
    char prefix[16];
    struct plan_event event;
    for (int t = 0; t < contents->model->plan->trigger_count; t++) {
        snprintf(prefix, sizeof prefix, "re-t%d-", t);
        if (!plan_event_parse(id, prefix, &event) || event.number >= MODEL_RECORDS_MAX)
            continue;
        contents->replies[t][event.producer][event.number]++;
        contents->counts->replies++;
        return contents->model->plan->triggers[t].broker == contents->broker ||
               error_set(err, ERROR_CORRUPT, "\"" BYTES_FORMAT "\" is in the wrong broker", BYTES_ARGS(id));
    }
    return error_set(err, ERROR_CORRUPT, "\"" BYTES_FORMAT "\" is a reply to nothing", BYTES_ARGS(id));
}

/* Who gave it up is in the last part of knativeerrordest, which is the path of the Trigger. */
static bool note_dead(struct contents *contents, const struct kafka_record *record, struct bytes id, struct error *err)
{
    struct bytes destination;
    struct plan_event event;
    int trigger = -1;
    char text[200];
    if (!kafka_record_find_header(record, "ce_knativeerrordest", &destination))
        return error_set(err, ERROR_CORRUPT, "the dead letter \"" BYTES_FORMAT "\" does not say who gave it up",
                         BYTES_ARGS(id));
    snprintf(text, sizeof text, BYTES_FORMAT, BYTES_ARGS(destination));
    const char *path = strrchr(text, '/');
    if (!path || sscanf(path, "/t%d", &trigger) != 1 || trigger < 0 || trigger >= PLAN_TRIGGERS_MAX)
        return error_set(err, ERROR_CORRUPT, "a dead letter of \"%s\"", text);
    struct bytes code = BYTES_NULL, data = BYTES_NULL;
    (void)kafka_record_find_header(record, "ce_knativeerrorcode", &code);
    (void)kafka_record_find_header(record, "ce_knativeerrordata", &data);
    model_check_dead_letter(contents->model, trigger, code, data);
    contents->counts->dead_letters++;
    if (plan_event_parse(id, "", &event) && event.number < MODEL_RECORDS_MAX) /* else it is a reply, that '*' took */
        contents->dead[trigger][event.producer][event.number]++;
    return true;
}

static bool note_record(struct contents *contents, const struct kafka_record *record, struct error *err)
{
    struct bytes type, id;
    if (!kafka_record_find_header(record, "ce_type", &type) || !kafka_record_find_header(record, "ce_id", &id))
        return error_set(err, ERROR_CORRUPT, "no event");
    if (contents->broker < 0)
        return note_dead(contents, record, id, err);
    return bytes_equal_string(type, "pong") ? note_reply(contents, id, err) : note_event(contents, id, err);
}

static bool note_batch(struct contents *contents, struct bytes *rest, int64_t *offset, struct error *err)
{
    struct kafka_batch batch;
    struct kafka_record record;
    AUTO_KAFKA_RECORDS records = {0};
    if (!kafka_batch_parse(rest, &batch, err) || !kafka_batch_verify(&batch, err) ||
        !kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record)) {
        if (record.offset != (*offset)++)
            return error_set(err, ERROR_CORRUPT, "offset %" PRId64 " where %" PRId64 " comes next", record.offset,
                             *offset - 1);
        if (!note_record(contents, &record, err))
            return error_wrap(err, "offset %" PRId64, record.offset);
    }
    return true;
}

static bool read_partition(struct contents *contents, struct partition *partition, struct error *err)
{
    int64_t offset = 0;
    while (offset < partition_high_watermark(partition)) {
        struct log_slice slice;
        if (!partition_read(partition, offset, READ_SIZE, &slice, err))
            return false;
        bool ok = true;
        for (size_t i = 0; ok && i < slice.count; i++)
            for (struct bytes rest = slice.parts[i]; ok && rest.size > 0;)
                ok = note_batch(contents, &rest, &offset, err);
        log_slice_release(&slice);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_topic(struct contents *contents, const char *name, int broker, struct error *err)
{
    struct topic *topic = topic_find(contents->log, bytes_of_string(name));
    contents->broker = broker;
    for (int32_t i = 0; topic && i < topic_partition_count(topic); i++)
        if (!read_partition(contents, topic_partition(topic, i), err))
            return error_wrap(err, "%s-%d", name, i);
    return true;
}

static bool read_all(struct contents *contents, struct error *err)
{
    char name[32];
    for (int b = 0; b < contents->model->plan->broker_count; b++) {
        snprintf(name, sizeof name, "default.b%d", b);
        if (!read_topic(contents, name, b, err))
            return false;
    }
    return read_topic(contents, "default.dead", -1, err);
}

/* --- What should be there --- */

static bool check_acknowledged(const struct contents *contents, struct error *err)
{
    for (int p = 0; p < contents->model->producer_count; p++)
        for (int64_t n = 0; n < contents->model->producers[p].acknowledged; n++)
            if (contents->events[p][n] == 0)
                return error_set(err, ERROR_CORRUPT, "p%d-%" PRId64 " was acknowledged and is not there", p, n);
    return true;
}

/* What came of one event at one Trigger. */
struct fate {
    enum plan_outcome outcome;
    const struct plan_trigger *trigger;
    int copies, replies, dead, sunk;
};

/* At any time. */
static bool fate_is_possible(const struct fate *fate)
{
    int replies_max = fate->outcome == PLAN_REPLY ? fate->copies : 0;
    bool may_die = !fate->trigger->patient || fate->outcome == PLAN_REFUSED;
    bool dead_possible = fate->trigger->dead_letters == PLAN_TO_BROKER && may_die;
    return fate->replies <= replies_max && (fate->dead == 0 || dead_possible) &&
           fate->replies + fate->dead <= fate->copies;
}

/* When everything has been delivered. */
static bool fate_is_complete(const struct fate *fate)
{
    bool dies = fate->outcome == PLAN_REFUSED || fate->outcome == PLAN_NEVER_ACCEPTED;
    int expected = fate->outcome == PLAN_NO_REPLY ? 0 : fate->copies;
    if (!dies && fate->trigger->patient)
        return fate->replies == expected;
    switch (fate->trigger->dead_letters) {
    case PLAN_TO_BROKER:
        return fate->outcome == PLAN_NO_REPLY || fate->replies + fate->dead == fate->copies;
    case PLAN_TO_SERVICE:
        return fate->outcome == PLAN_NO_REPLY || fate->replies == expected || fate->sunk > 0;
    default:
        return true;
    }
}

static bool check_fate(const struct contents *contents, int trigger, struct plan_event event, bool complete,
                       struct error *err)
{
    const struct plan *plan = contents->model->plan;
    const struct fate fate = {.outcome = plan_outcome(plan, trigger, event),
                              .trigger = &plan->triggers[trigger],
                              .copies = contents->events[event.producer][event.number],
                              .replies = contents->replies[trigger][event.producer][event.number],
                              .dead = contents->dead[trigger][event.producer][event.number],
                              .sunk = contents->model->sunk[trigger][event.producer][event.number]};
    if (fate_is_possible(&fate) && (!complete || fate_is_complete(&fate)))
        return true;
    return error_set(err, fate_is_possible(&fate) ? ERROR_TIMEOUT : ERROR_CORRUPT,
                     "p%d-%" PRId64 " is there %d times; of the trigger t%d (outcome %d): %d replies, %d dead letters "
                     "in the broker, %d in the service",
                     event.producer, event.number, fate.copies, trigger, (int)fate.outcome, fate.replies, fate.dead,
                     fate.sunk);
}

static bool check_fates(const struct contents *contents, int trigger, bool complete, struct error *err)
{
    const struct model *model = contents->model;
    const struct plan_trigger *self = &model->plan->triggers[trigger];
    for (int p = 0; p < model->producer_count; p++) {
        if (model->producers[p].broker != self->broker)
            continue;
        for (int64_t n = 0; n < model->producers[p].attempted; n++) {
            const struct plan_event event = {p, n};
            if (plan_trigger_takes(model->plan, trigger, event) && !check_fate(contents, trigger, event, complete, err))
                return false;
        }
    }
    return true;
}

bool model_check_events(struct model *model, struct log *log, bool complete, struct model_counts *out,
                        struct error *err)
{
    AUTO_FREE(struct contents) contents = NEW(struct contents);
    *out = (struct model_counts){0};
    contents->model = model;
    contents->log = log;
    contents->counts = out;
    if (model->failed) {
        *err = model->failure;
        return false;
    }
    if (!read_all(contents, err) || !check_acknowledged(contents, err))
        return false;
    for (int t = 0; t < model->plan->trigger_count; t++)
        if (!model->plan->triggers[t].loose && !check_fates(contents, t, complete, err))
            return false;
    if (model->failed)
        *err = model->failure;
    return !model->failed;
}

/* --- Objects --- */

/* The state of some version from the last acknowledged one to the last that was asked for. */
bool model_check_objects(const struct model *model, struct api *api, struct error *err)
{
    for (size_t i = 0; i < MODEL_OBJECTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "object-%zu", i);
        const struct object *object = api_find(api, "ConfigMap", "default", name);
        int64_t version = object ? atoll(json_text_at(object->json, "data.version", "0")) : 0;
        int64_t least = model->object_acknowledged[i], most = model->object_attempted[i];
        bool possible = object ? version >= least && version <= most : least == 0;
        for (int64_t v = least; !object && !possible && v <= most; v++)
            possible = model->object_gone[i][v];
        if (!possible)
            return error_set(err, ERROR_CORRUPT,
                             "%s has version %" PRId64 " (0: it is gone); %" PRId64 " was acknowledged, %" PRId64
                             " attempted",
                             name, version, least, most);
    }
    return true;
}
