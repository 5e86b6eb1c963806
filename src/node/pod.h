/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod on this node and its containers: what is known of them, and the one function that takes them on, reconcile()
 * in pod.c, which runs at the end of any turn in which something changed. It compares what the object wants with what
 * is, and starts what can be started next; every event (a container ended, a probe answered, the object changed, a
 * timer ran) only notes its fact and defers it.
 *
 * Shared by pod*.c of this folder.
 */
#ifndef NODE_POD_H
#define NODE_POD_H

#include "api/api.h"
#include "api/retry.h"
#include "base/list.h"
#include "http/http_client.h"
#include "node/environment.h"
#include "node/node.h"
#include "node/probe.h"
#include "node/runtime.h"

enum {
    POD_BACK_OFF_FIRST_MS = 10000,
    POD_BACK_OFF_MAX_MS = 300000,
    POD_BACK_OFF_RESET_MS = 600000, /* a run this long makes the next failure the first one again */
    POD_STATUS_DELAY_MS = 20,       /* how long a change that nobody waits for may wait to be written with the next */
};

/* STARTING: until it runs and its postStart hook has ended. */
enum container_state { CONTAINER_WAITING, CONTAINER_STARTING, CONTAINER_RUNNING, CONTAINER_ENDED };

struct pod;

enum { CONTAINER_ID_SIZE = 192 };

struct container_end {
    bool known;
    struct runtime_exit exit;
    char reason[32];
    char id[CONTAINER_ID_SIZE]; /* of the run: container_id() */
    char *message;              /* NULL or "": none */
};

struct container {
    struct pod *pod;
    const char *name; /* these two borrowed from pod->manifest */
    const struct json *spec;
    char *image;  /* the one part of a spec that may change */
    bool init;    /* runs before the others */
    bool sidecar; /* an init container that goes on running (restartPolicy: Always) */
    enum container_state state;
    unsigned attempt; /* number of the current run, which is also the number of restarts */
    bool has_run;     /* this attempt was started once: the next one is a restart */
    char reason[48];  /* while waiting */
    char message[500];
    int64_t started_ns; /* wall time, while running */
    char *image_id;
    int stop_signal;                     /* 0: SIGTERM */
    struct container_end last, previous; /* of the newest runs that have ended */
    uint64_t back_off_ms;                /* before the next restart; 0: none yet */
    uint64_t start_back_off_ms;          /* before what could not begin is tried again; 0: it has not failed to */
    struct io_timer restart;             /* ends either of them */
    struct probe *probes[3];             /* by enum probe_kind */
    bool startup_done, ready;
    struct probe_action *hook; /* postStart while it starts, preStop while it is stopped */
    struct io_timer stop;      /* SIGKILL when the grace period is over */
    bool stopping;             /* it was told to end */
    bool replaced;             /* by one with another image, whatever the policy: it was told to end for that */
    bool blocked;              /* waits for a ConfigMap or Secret that it refers to, or for good */
    bool lacks_image;          /* waits for it to be imported */
    bool following;            /* someone follows its output */
};

static inline bool container_is_up(const struct container *container)
{
    return container->state == CONTAINER_RUNNING || container->state == CONTAINER_STARTING;
}

enum pod_stage {
    POD_PENDING,  /* no sandbox: not yet, or its volumes cannot be made */
    POD_CREATING, /* the sandbox is being made */
    POD_LIVE,     /* containers run, wait, or have ended for good */
    POD_REMOVING, /* the sandbox is being taken away */
    POD_GONE,     /* no sandbox any more */
};

struct pod {
    struct node *node;
    struct list link;
    char uid[37];
    char *namespace, *name;
    struct object *object;   /* the newest state */
    struct object *manifest; /* the state in which it was first seen: its containers */
    struct runtime *runtime;
    struct sandbox *sandbox;
    enum pod_stage stage;
    bool adopted;  /* its sandbox was there before us */
    bool lost;     /* the sandbox broke; it is made anew */
    bool deleted;  /* the object is gone already */
    bool ending;   /* the object is being deleted: containers are told to end */
    bool finished; /* Succeeded or Failed */
    bool failed;
    bool overdue; /* its activeDeadlineSeconds are over */
    char ip[48];
    char reason[48], message[500]; /* of the pod itself: why it has no sandbox, why it failed */
    int64_t start_ns;
    int64_t grace_until_ns;       /* wall time */
    struct container *containers; /* init containers first */
    size_t init_count, container_count;
    uint64_t sandbox_back_off_ms; /* what the next new sandbox has to wait */
    uint64_t volumes_back_off_ms; /* before volumes that could not be made are tried again */
    int64_t sandbox_ready_ns;     /* when the last one was there; 0: it never was */
    bool status_changed;
    struct io_deferred reconcile;
    struct retry status; /* writes it */
    struct retry end;    /* deletes the object, and the pod is off this node */
    struct io_timer retry;
    struct io_timer deadline;
    struct list logs; /* of struct node_log */
};

/* --- pod.c --- */
struct pod *pod_new(struct node *node, struct object *object, struct runtime *runtime, bool adopt);
void pod_free(struct pod *pod); /* lets go of its sandbox */
void pod_object_changed(struct pod *pod, struct object *object);
void pod_object_deleted(struct pod *pod);
void pod_config_changed(struct pod *pod); /* a ConfigMap or Secret that it refers to */
void pod_images_changed(struct pod *pod); /* more of them may be on this machine */
/* Something changed: reconcile at the end of this turn; write the status now, or soon with whatever else changes. */
void pod_touch(struct pod *pod, bool now);
void pod_event(const struct pod *pod, const char *type, const char *reason, const char *format, ...) PRINTF_LIKE(4, 5);
struct environment_source pod_source(const struct pod *pod);
uint64_t pod_grace_ms(const struct pod *pod); /* what its manifest gives a container to end */
struct container *pod_container(struct pod *pod, const char *name);
/* Whether its policy lets it run again after the way in which it ended. */
bool pod_restarts(const struct container *container);

/* Its containers have ended for good, but for sidecars, or have to. */
void pod_finish(struct pod *pod, bool failed);

/* --- pod_stop.c --- */
/* A step of it, as far as it goes now: containers are told to end, the sandbox is removed, the object deleted. */
void pod_go_towards_the_end(struct pod *pod);
MUST_CHECK bool pod_delete_object(void *pod, struct error *err); /* pod->end runs it */
bool pod_over_deadline(struct pod *pod);                         /* and when it will be, `deadline` tells */
void pod_run_out(struct pod *pod);                               /* a step, as above: it fails with DeadlineExceeded */

/* --- pod_sandbox.c --- */
void pod_create_sandbox(struct pod *pod);
void pod_adopt_sandbox(struct pod *pod); /* what an earlier evoke made */
void pod_remove_sandbox(struct pod *pod);
void pod_start_over(struct pod *pod); /* it needs a new one: nothing of it has run yet */

/* --- pod_container.c --- */
void container_init(struct container *container, struct pod *pod, const struct json *spec, bool init);
void container_deinit(struct container *container);
/* The object names another image: what runs is replaced, what waits is tried with it at once. */
void container_set_image(struct container *container, const char *image);
void container_start(struct container *container);
void container_started(struct container *container, unsigned attempt, const struct runtime_started *started,
                       const struct error *err);
/* It has started, and its postStart hook has ended: it counts as running, and is probed. */
void container_runs(struct container *container);
struct probe_target container_target(const struct container *container); /* of its probes and hooks */
void container_stop_probes(struct container *container);
/* What to wait before it runs again, in ms; counts as one more failure. */
uint64_t container_back_off(struct container *container);
uint64_t pod_next_back_off(uint64_t delay_ms); /* after one of delay_ms */
/* What the machine had to do before it ran: its image was there. Nothing for a process. */
void container_tell_created(const struct container *container, const struct runtime_started *started);
void container_wait(struct container *container, const char *reason, const char *format, ...) PRINTF_LIKE(3, 4);

/* --- pod_end.c --- */
void container_ended(struct container *container, unsigned attempt, const struct runtime_exit *exit);
/* It ended while nobody looked. */
void container_lost(struct container *container);
/* How its current run has ended. */
void container_keep_end(struct container *container, const struct runtime_exit *exit, const char *reason,
                        struct bytes message);
/* Takes over what the object's status says of it: an earlier evoke wrote that. */
void container_restore(struct container *container, const struct json *status);
bool container_end_well(const struct container_end *end);
void container_end_deinit(struct container_end *end);
/* "runc://UID-NAME-ATTEMPT" */
void container_id(const struct container *container, unsigned attempt, char out[CONTAINER_ID_SIZE]);

/* --- pod_start_failed.c --- */
void container_start_failed(struct container *container, const struct runtime_started *started,
                            const struct error *err);

/* --- pod_hooks.c --- */
/* preStop, then SIGTERM; SIGKILL when `grace_ms` have passed. */
void container_stop(struct container *container, uint64_t grace_ms);
void container_kill(struct container *container);
/* False: there is no postStart hook to wait for. A hook that fails stops the container. */
bool container_post_start(struct container *container);

/* --- pod_status.c --- */
/* pod->status runs it. */
MUST_CHECK bool pod_status_write(void *pod, struct error *err);
const char *pod_phase(const struct pod *pod);
const char *pod_quality(const struct json *pod); /* "Guaranteed", "Burstable", "BestEffort" */
/* cpu and memory of one container's requests and limits. */
struct runtime_resources pod_resources(const struct json *container);

/* --- Of the node, for these --- */
struct node_machine {
    char ip[48];
    int64_t cpu_m;
    int64_t memory;
};
struct node_machine *node_machine(struct node *node);
struct io *node_io(struct node *node);
struct api *node_api(struct node *node);
struct http_client *node_http(struct node *node);
struct io_tls *node_probe_tls(struct node *node);
struct node_counts *node_counters(struct node *node);
const char *node_name(const struct node *node);
struct runtime *node_containers(const struct node *node); /* NULL: processes run all pods */
const char *node_no_containers(const struct node *node);  /* why not; "" */
const char *node_cluster_dns(const struct node *node);    /* NULL: there is none */
/* The pod is off this node, sandbox and all: forget it. */
void node_pod_gone(struct node *node, struct pod *pod);
void node_logs_changed(struct pod *pod, const struct container *container); /* more output, or its end */

#endif
