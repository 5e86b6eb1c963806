/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: how many bytes a second a client may write and read, and how much of the core thread's time its requests may
 * take (KIP-13, KIP-124). They are kept in log/settings.h under "quota"; a name there is an entity:
 *
 *     client-id=shop            user=<default>,client-id=shop            other signs than A-Z a-z 0-9 . _ - are %41
 *
 * A rate is measured over eleven windows of a second, ten of them whole. Who is above his quota is told so by
 * throttle_time_ms, which is how long the rate takes to come down to it, and is not read for so long (KIP-219).
 * Whoever connects without a password is the user ANONYMOUS, as in Kafka.
 */
#ifndef DOOR_KAFKA_QUOTA_H
#define DOOR_KAFKA_QUOTA_H

#include "base/arena.h"
#include "base/buf.h"
#include "log/log.h"

enum quota_kind { QUOTA_PRODUCE, QUOTA_FETCH, QUOTA_REQUEST, QUOTA_KINDS };

struct quota_key {
    const char *name;
    bool whole; /* its value is a whole number */
};
extern const struct quota_key quota_keys[QUOTA_KINDS]; /* "producer_byte_rate" ... */

/* --- Entities --- */
struct quota_entity {
    bool has_user, has_client;
    struct bytes user, client; /* null: the default */
};
void quota_entity_print(const struct quota_entity *entity, struct buf *out);
MUST_CHECK bool quota_entity_parse(struct bytes name, struct arena *arena, struct quota_entity *out);

/* --- Rates --- */
struct quotas;
struct quotas *quotas_new(struct io *io, struct log *log);
void quotas_free(struct quotas *quotas);
void quotas_changed(struct quotas *quotas); /* the settings were */
/* Counts `amount` (bytes; nanoseconds) for a client and returns for how many milliseconds it is to be silent. */
uint32_t quotas_charge(struct quotas *quotas, struct bytes client_id, enum quota_kind kind, uint64_t amount);
/* What fits a client's windows: an answer that is larger would silence it for long. UINT64_MAX: no quota. */
uint64_t quotas_burst(struct quotas *quotas, struct bytes client_id, enum quota_kind kind);

#endif
