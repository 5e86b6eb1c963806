/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of this folder: reconcilers over a real api, log and mesh, and a hand that plays node: it binds pods,
 * gives them addresses, makes them ready and lets them go.
 */
#ifndef CONTROL_FIXTURE_H
#define CONTROL_FIXTURE_H

#include "api/api.h"
#include "api/kind.h"
#include "control/control.h"
#include "test.h"

struct fixture {
    struct io *io;
    struct log *log;
    struct api *api;
    struct mesh *mesh;
    struct control *control;
    int pods_started;
};

void fixture_open(struct fixture *f); /* with the namespace shop */
void fixture_close(struct fixture *f);
void fixture_reopen(struct fixture *f); /* as a restart of evoke */
void fixture_settle(struct fixture *f); /* turns of the loop, until what was written is on disk and nothing moves */
void fixture_wait_ms(struct fixture *f, uint64_t ms);

/* A manifest in YAML, in the namespace shop; replaces what is there. */
void fixture_apply(struct fixture *f, const char *yaml, ...) PRINTF_LIKE(2, 3);
void fixture_delete(struct fixture *f, const char *kind, const char *name, const char *policy);
struct object *fixture_get(struct fixture *f, const char *kind, const char *name); /* NULL: there is none */
void fixture_set(struct fixture *f, const char *kind, const char *name, const char *path, struct json *value);

/* Plays node: all pods of shop that are new become ready, all that are to end are gone. Then settles. Until nothing
 * changes any more. */
void fixture_run_pods(struct fixture *f);
void fixture_run_pods_once(struct fixture *f);
/* Pods of shop whose name begins so, that are not being deleted. */
size_t fixture_count(struct fixture *f, const char *kind, const char *prefix);
/* The first of them; NULL: none. */
struct object *fixture_first(struct fixture *f, const char *kind, const char *prefix);
bool fixture_has_event(struct fixture *f, const char *about, const char *reason);

void fixture_publish(struct fixture *f, const char *topic, int count);
void fixture_commit(struct fixture *f, const char *group, const char *topic, int64_t offset);
void fixture_commit_with(struct fixture *f, const char *group, const char *topic, int64_t offset, const char *metadata);

#endif
