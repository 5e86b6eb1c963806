/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should be: objects of the Kubernetes API, in one store. Every object is a record in the internal topic
 * __objects (key: its path, value: its JSON; a delete is a tombstone), so metadata.resourceVersion is the LSN of the
 * write, a watch is a read from an LSN, and a restart reads the objects back. Nothing else stores objects.
 *
 * All parts of evoke meet here: doors write what users want, controllers and node read it and write what is. A write
 * takes effect in memory at once; api_wait() tells when it is durable (only answers to the outside need that).
 *
 * Objects are immutable values, counted by reference: hold one as long as you like, copy its JSON to change it.
 */
#ifndef API_API_H
#define API_API_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "io/io.h"
#include "log/log.h"
#include "wire/json.h"

struct api;
struct kind; /* api/kind.h: the table that describes a kind. Where a call takes one it may be a view (api/view.h): what
              * is written is then in its shape; what is given out is what is stored. Listeners hear of stored kinds
              * alone. */

struct object {
    const struct kind *kind;
    struct bytes namespace; /* empty for kinds without one */
    struct bytes name;
    char uid[37];
    uint64_t resource_version; /* LSN of its last write */
    int64_t generation;
    bool deleting;           /* metadata.deletionTimestamp is set */
    const struct json *json; /* the whole object, with apiVersion, kind and metadata.resourceVersion */
    unsigned references;     /* object_ref, object_unref */
};

struct object *object_ref(const struct object *object);
void object_unref(struct object *object); /* NULL is allowed */
static inline void object_auto_unref(struct object **object)
{
    object_unref(*object);
}
#define AUTO_OBJECT __attribute__((cleanup(object_auto_unref), unused)) struct object

/* Its JSON as bytes, compact: what an answer sends. Good as long as the object. */
struct bytes object_text(const struct object *object);

/* Reads the objects back from the log and makes the namespaces default, kube-system and so on if they are not there. */
struct api *api_open(struct io *io, struct log *log, struct error *err);
void api_close(struct api *api);

struct log *api_log(struct api *api);
struct io *api_io(struct api *api);
uint64_t api_revision(const struct api *api); /* resourceVersion of the newest change */

/* --- Reading. Borrowed: good until the next write; object_ref() to keep. --- */
struct object *api_get(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name);
/* By kind name, for code that is about one kind: api_find(api, "Deployment", "shop", "billing"). The name is unique
 * among evoke's kinds; a name that no kind has is a bug. */
struct object *api_find(struct api *api, const char *kind, const char *namespace, const char *name);
size_t api_count(struct api *api, const struct kind *kind);

/* Over the objects of a kind in the order of namespace and name; null namespace: all. The loop may write. */
struct api_iterator {
    struct api *api;
    const struct kind *kind;
    struct bytes namespace;
    struct object *object; /* the current one, held */
};
void api_iterate(struct api *api, const struct kind *kind, struct bytes namespace, struct api_iterator *iterator);
struct object *api_iterator_next(struct api_iterator *iterator); /* NULL at the end, and then nothing is held */
void api_iterator_end(struct api_iterator *iterator);            /* when left early */

/* --- Writing --- */
/*
 * The object's JSON goes through the same path for every writer: defaults, validation, immutable fields, generation,
 * uid, timestamps, finalizers. *out (may be NULL) is the stored object, with a reference for the caller.
 * Errors, with their Kubernetes codes: ERROR_INVALID (400 when err->sys is EBADMSG: it cannot be decoded; else 422:
 * it is not valid; when err->sys is EINVAL api_field_errors() has the fields one by one), ERROR_EXISTS (409),
 * ERROR_NOT_FOUND (404), ERROR_CONFLICT (409: resourceVersion or uid given and not the current one), ERROR_DENIED (403;
 * err->sys is ESHUTDOWN when the namespace is terminating), ERROR_LIMIT (413 when err->sys is EMSGSIZE).
 */
enum api_write_flags {
    API_STATUS = 1,   /* update: the status subresource, only status changes; without: status does not change.
                         create: the status that is given is kept */
    API_DRY_RUN = 2,  /* all but the write */
    API_FINALIZE = 4, /* update: the finalize subresource of a Namespace: only spec.finalizers changes */
    API_DECODED = 8,  /* json comes from schema_decode_json(): it need not go through it again */
};
MUST_CHECK bool api_create(struct api *api, const struct kind *kind, struct bytes namespace, const struct json *json,
                           int flags, struct object **out, struct error *err);
/* json's metadata.resourceVersion, if set, must be the current one. An update that changes nothing writes nothing. */
MUST_CHECK bool api_update(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name,
                           const struct json *json, int flags, struct object **out, struct error *err);

struct api_delete_options {
    int64_t grace_period_s;         /* -1: the kind's default (Pod: spec.terminationGracePeriodSeconds) */
    const char *uid;                /* precondition, or NULL */
    uint64_t resource_version;      /* precondition, or 0 */
    const char *propagation_policy; /* "Background", "Foreground", "Orphan", or NULL: Background */
    bool dry_run;
};
/* Removes it, or, with finalizers or a grace period, marks it as deleting. */
MUST_CHECK bool api_delete(struct api *api, const struct kind *kind, struct bytes namespace, struct bytes name,
                           const struct api_delete_options *options, struct object **out, struct error *err);

/*
 * Who has a word about a kind before it is stored, after it was found valid: it may fill in what only it knows (the
 * address of a Service), or say what is wrong. `old` is NULL for a create. What it decides is final only with the
 * write, which may still fail, or be a dry run. At most one for a kind; embedded in its owner.
 */
struct field_errors; /* api/schema.h */
struct api_admission {
    void (*run)(void *ctx, struct json *object, const struct json *old, struct field_errors *errors);
    void *ctx;
    const struct kind *kind;
    struct list link;
};
void api_admit(struct api *api, struct api_admission *admission);
void api_unadmit(struct api_admission *admission);

/* What was wrong, field by field, with the write that failed last with ERROR_INVALID (422); good until the next write.
 */
const struct field_errors *api_field_errors(const struct api *api); /* api/schema.h */

/* Embedded in its owner; as log_wait for everything written so far. */
void api_wait(struct api *api, struct log_waiter *waiter);

/* --- Watching, inside the program --- */
enum api_event_type { API_ADDED, API_MODIFIED, API_DELETED };

/* Called for every write of the kind, from the loop, in order, after the write took effect. For DELETED: the last
 * state. `before` is the object as it was (NULL for ADDED). A listener may write. Embedded in its owner. */
struct api_listener {
    void (*run)(void *ctx, enum api_event_type type, struct object *object, struct object *before);
    void *ctx;
    const struct kind *kind; /* NULL: all kinds */
    struct list link;
    struct api *api;   /* the api's */
    uint64_t sequence; /* the api's: of the newest change that it knows */
    bool started;      /* the api's */
};
/* First calls run(API_ADDED) for what is there (from the loop), then for what changes. */
void api_listen(struct api *api, struct api_listener *listener);
void api_unlisten(struct api_listener *listener);

/* --- Small helpers that every controller needs --- */
/* Sets status.conditions[type] (status "True", "False", "Unknown"), keeping lastTransitionTime unless status changes.
 */
void object_set_condition(struct api *api, struct json *object, const char *type, const char *status,
                          const char *reason, const char *message);
/* Records a v1 Event about an object, counting repeats into one. `type` is "Normal" or "Warning". Never fails the
 * caller; Events are dropped beyond a limit. */
void api_record_event(struct api *api, const struct object *about, const char *type, const char *reason,
                      const char *component, const char *format, ...) PRINTF_LIKE(6, 7);
/* metadata.ownerReferences with controller: true; NULL: none. */
const struct json *object_controller_of(const struct object *object);
/* Label selectors: a LabelSelector (matchLabels, matchExpressions), or a plain map as in Service.spec.selector. */
bool object_matches_selector(const struct json *label_selector, const struct json *object);
bool object_matches_labels(const struct json *map, const struct json *object);

#endif
