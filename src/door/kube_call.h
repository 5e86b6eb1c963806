/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the API door on its way, for the kube_*.c files alone. It lives in the request's arena: from the
 * request's head until the answer.
 *
 *     kube_door.c       listening, who may ask, which file answers
 *     kube_call.c       path, query, Accept and body of a request; answers that wait for the disk
 *     kube_status.c     errors as Status objects
 *     kube_pki.c        CA, certificates, kubeconfig
 *     kube_discovery.c  /api, /apis: what there is
 *     kube_read.c       get, list
 *     kube_watch.c      watch
 *     kube_write.c      create, update, delete, deletecollection
 *     kube_patch.c      patch
 *     kube_sub.c        subresources: scale, eviction, binding
 *     kube_logs.c       pods/log
 *     kube_review.c     who am I, what may I do
 *     kube_openapi.c    /openapi
 */
#ifndef DOOR_KUBE_CALL_H
#define DOOR_KUBE_CALL_H

#include "api/api.h"
#include "api/kind.h"
#include "api/retry.h"
#include "api/schema.h"
#include "api/table.h"
#include "api/view.h"
#include "api/watcher.h"
#include "door/kube_door.h"
#include "door/kube_pki.h"
#include "http/http_server.h"

struct kube_door {
    struct api *api;
    struct io *io;
    struct http_server *server;
    struct kube_pki pki;
    char *directory, *host_name; /* where they are, whom they name; the latter may be NULL */
    struct retry renewal;        /* of certificates, every day */
    struct kube_pod_logs logs;   /* open == NULL: not set */
    struct list waiting;         /* struct kube_call: answered when the disk has it */
    struct list streams;         /* struct stream of kube_watch.c */
    struct list log_streams;     /* struct log_stream */
    struct io_timer bookmarks;
    size_t watch_count;
    uint64_t request_count, error_count;
};

/* In what dress a client wants an object. */
enum kube_form { KUBE_PLAIN, KUBE_TABLE, KUBE_PARTIAL };

/* What a resource path names: /apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE */
struct kube_target {
    struct bytes group, version, plural;
    struct bytes namespace, name, subresource; /* empty: not given */
    const struct kind *kind;
};

struct kube_call {
    struct kube_door *door;
    struct api *api;
    struct http_request *request;
    struct arena *arena;
    const char *user;
    const char *const *groups;
    size_t group_count;
    struct kube_target target;
    enum kube_form form;
    enum table_include include;
    enum schema_mode validation;
    bool dry_run;
    int write_flags; /* API_STATUS, API_FINALIZE: set by the subresource */
    struct warnings *warnings;

    /* An answer that waits. */
    struct log_waiter waiter;
    void (*then)(struct kube_call *call);
    struct list link;
    int status;
    struct object *object;
    struct json *json;
    struct listing *listing;       /* kube_read.c */
    struct stream *stream;         /* kube_watch.c */
    struct log_stream *log_stream; /* kube_logs.c */
};

/* --- kube_call.c --- */
/* The query parameter, decoded; null bytes: not given. */
struct bytes kube_query(struct kube_call *call, const char *name);
bool kube_query_bool(struct kube_call *call, const char *name); /* 1, t, T, TRUE, true, True, and given without value */
/* *out stays as it is when the parameter is not given. ERROR_INVALID. */
MUST_CHECK bool kube_query_int(struct kube_call *call, const char *name, int64_t *out, struct error *err);
/* Reads dryRun, fieldValidation, includeObject and Accept into the call. */
MUST_CHECK bool kube_read_options(struct kube_call *call, struct error *err);
/* Whether Accept asks for a media type with this parameter, as in "as=APIGroupDiscoveryList"; *version gets `v`. */
bool kube_accepts(struct kube_call *call, const char *as, struct bytes *version);

/* The request's content as JSON of `kind` in normal form, whatever it was sent as. */
struct json *kube_body(struct kube_call *call, const struct kind *kind, struct error *err);
/* As above before it is decoded by the kind: for DeleteOptions and patches. NULL and no error: no content. */
struct json *kube_body_raw(struct kube_call *call, const struct kind *expected, struct error *err);

/* The object in the form that the client wants. Takes over the reference. With `durable`: when it is on disk. */
void kube_respond_object(struct kube_call *call, int status, struct object *object);
void kube_respond_durable(struct kube_call *call, int status, struct object *object);
/* Its JSON, in the shape of the kind that was asked for. */
void kube_print_object(struct kube_call *call, const struct object *object, struct buf *out);
/* A JSON value; takes it over. */
void kube_respond_json(struct kube_call *call, int status, struct json *json);
void kube_respond_json_durable(struct kube_call *call, int status, struct json *json);
void kube_respond_bytes(struct kube_call *call, int status, const char *content_type, struct bytes body);
/* Runs `then` when everything up to `revision` is on disk: at once if it is. */
void kube_when_durable(struct kube_call *call, uint64_t revision, void (*then)(struct kube_call *call));

/* --- kube_status.c --- */
struct json *kube_status_new(int code, const char *reason, const char *message);
/* As a Status, with details of what the call is about. */
struct json *kube_status_of(struct kube_call *call, const struct error *err, int *code);
void kube_respond_error(struct kube_call *call, const struct error *err);
void kube_respond_status(struct kube_call *call, int code, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
void kube_respond_no_such_resource(struct kube_call *call);
void kube_respond_method_not_allowed(struct kube_call *call);

/* --- What answers --- */
void kube_discovery(struct kube_call *call, struct bytes path);
/* Whether the call lists the CustomResourceDefinitions; then it is answered: there are none. */
bool kube_custom_definitions(struct kube_call *call);
void kube_openapi(struct kube_call *call, struct bytes path);
void kube_get(struct kube_call *call);
void kube_list(struct kube_call *call);
void kube_watch(struct kube_call *call);
void kube_watch_close_all(struct kube_door *door);
void kube_watch_bookmarks(void *door);
void kube_create(struct kube_call *call);
void kube_update(struct kube_call *call);
void kube_delete(struct kube_call *call);
void kube_delete_collection(struct kube_call *call);
void kube_patch(struct kube_call *call);
/* False: not a subresource that this method has. */
bool kube_subresource(struct kube_call *call, struct bytes method);
void kube_logs(struct kube_call *call);
void kube_logs_close_all(struct kube_door *door);
/* SelfSubjectReview and its like. False: the path is none of theirs. */
bool kube_review(struct kube_call *call);
/* Applies a patch body of the request's content type. NULL on error. */
struct json *kube_patch_apply(struct kube_call *call, const struct kind *kind, const struct json *current,
                              struct error *err);

/* --- Shared by list, watch and deletecollection --- */
struct kube_selection {
    struct label_selector *labels;
    struct field_selector *fields;
    struct watcher_options options;
};
/* labelSelector, fieldSelector, namespace and, in the path, a name. */
MUST_CHECK bool kube_selection_init(struct kube_call *call, struct kube_selection *selection, struct error *err);
void kube_selection_deinit(struct kube_selection *selection);

#endif
