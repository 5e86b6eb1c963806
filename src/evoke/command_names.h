/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evoke topic and evoke group do with each of the names they are given, one behind the other over one connection.
 * The first that fails ends it, with its error.
 */
#ifndef EVOKE_COMMAND_NAMES_H
#define EVOKE_COMMAND_NAMES_H

#include "evoke/command.h"
#include "evoke/kafka_client.h"
#include "wire/json.h"

extern const struct flag names_describe_flags[], names_delete_flags[];

/* NULL: it failed. */
typedef struct json *names_describe_one(struct kafka_client *client, const char *name, struct error *err);

/* For struct command.run, with names_describe_flags: all of them as one array of JSON, or each as `print` likes it. */
int names_describe(const struct command *self, int argc, char **argv, names_describe_one *describe,
                   void (*print)(const struct json *described));

/* `lenient`: fine if it is not there. Says what it has done. */
typedef bool names_delete_one(struct kafka_client *client, const char *name, bool lenient, struct error *err);

/* For struct command.run, with names_delete_flags. */
int names_delete(const struct command *self, int argc, char **argv, names_delete_one *delete_one);

#endif
