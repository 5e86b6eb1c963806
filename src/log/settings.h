/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of what is no topic: of the node, of groups, of clients. The log keeps them in its catalog by kind and name
 * and does not know what they mean; who sets them has checked them.
 *
 *     kind     name                                   set by
 *     broker   "0"; "": of all nodes                  the Kafka door (AlterConfigs)
 *     group    a group's id                           the Kafka door (AlterConfigs)
 *     quota    a client, as door/kafka_quota.h says   the Kafka door (AlterClientQuotas)
 */
#ifndef LOG_SETTINGS_H
#define LOG_SETTINGS_H

#include "log/log.h"

enum {
    SETTINGS_SETS_MAX = 10000,  /* of all kinds */
    SETTINGS_ENTRIES_MAX = 100, /* of one name */
    SETTINGS_NAME_SIZE_MAX = 1024,
    SETTINGS_VALUE_SIZE_MAX = 4096,
};

struct settings;

/* Replaces all settings of that name; with none the name is gone. Takes effect at once; wait for *lsn before telling
 * anybody. ERROR_INVALID: not UTF-8; ERROR_LIMIT: too many or too long; else as topic_create(). */
MUST_CHECK bool log_set_settings(struct log *log, const char *kind, struct bytes name,
                                 const struct topic_config_entry *entries, size_t count, uint64_t *lsn,
                                 struct error *err);

/* NULL: nothing is set for that name. Good until settings are set again. */
const struct settings *settings_find(const struct log *log, const char *kind, struct bytes name);
/* In order of names; NULL: no more. */
const struct settings *settings_first(const struct log *log, const char *kind);
const struct settings *settings_next(const struct log *log, const struct settings *settings);

struct bytes settings_name(const struct settings *settings);
size_t settings_count(const struct settings *settings);
struct bytes settings_get(const struct settings *settings, struct bytes key); /* null: not set; NULL is allowed */
/* In order of keys: for (struct map_entry *e = settings_first_entry(s); e; e = map_next(e)), the value is a C string.
 */
struct map_entry *settings_first_entry(const struct settings *settings);

#endif
