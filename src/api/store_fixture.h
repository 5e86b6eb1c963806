/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this folder: a store over a real log in a directory of its own. */
#ifndef API_STORE_FIXTURE_H
#define API_STORE_FIXTURE_H

#include "api/api.h"
#include "api/kind.h"
#include "api/schema.h"
#include "test.h"

struct fixture {
    struct io *io;
    struct log *log;
    struct api *api;
};

void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture); /* as a restart of evoke */
void fixture_turn(struct fixture *fixture);   /* one turn of the loop: listeners run */
void fixture_sync(struct fixture *fixture);   /* until all that was written is on disk */

struct json *fixture_json(const char *text, size_t size);
/* In the namespace default, for kinds that have namespaces. */
struct object *fixture_create(struct fixture *fixture, const char *kind, const char *json);
void fixture_create_fails(struct fixture *fixture, const char *kind, const char *namespace, const char *json,
                          enum error_kind error, int sys);
/* Sets one field of an object in default and writes it back; takes over the value. */
void fixture_set(struct fixture *fixture, const char *kind, const char *name, const char *path, struct json *value,
                 int flags);
void fixture_delete(struct fixture *fixture, const char *kind, const char *namespace, const char *name);

#endif
