/* SPDX-License-Identifier: Apache-2.0 */
/* What evoke has promised, and whether it is so. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "api/api.h"
#include "base/error.h"

enum { MODEL_PRODUCERS_MAX = 4, MODEL_RECORDS_MAX = 20000, MODEL_OBJECTS = 5 };

struct model {
    /* Of producer p, records 0 .. attempted-1 were sent at least once, 0 .. acknowledged-1 were acknowledged. */
    int64_t attempted[MODEL_PRODUCERS_MAX], acknowledged[MODEL_PRODUCERS_MAX];
    /* Versions of the objects that are written. */
    int64_t object_attempted[MODEL_OBJECTS], object_acknowledged[MODEL_OBJECTS];
};

/* The topic that producers write to and replies come to; what is in it, read from the log itself. */
struct model_topic {
    int64_t events, replies;               /* seen */
    int64_t next[MODEL_PRODUCERS_MAX];     /* the number that comes next, per producer */
    uint8_t *replied[MODEL_PRODUCERS_MAX]; /* how many replies each record has */
};
void model_topic_deinit(struct model_topic *topic);

/* Reads the topic and checks all that must hold at any time: order, no doubles, nothing acknowledged missing, no reply
 * twice, no reply without its event. */
MUST_CHECK bool model_check_topic(const struct model *model, struct log *log, struct model_topic *out,
                                  struct error *err);
/* Whether every event has its reply; if not, err names the first that has none. */
MUST_CHECK bool model_all_replied(const struct model_topic *topic, struct error *err);
MUST_CHECK bool model_check_objects(const struct model *model, struct api *api, struct error *err);

#endif
