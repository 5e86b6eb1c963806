/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between what a pod should do (node) and how it is done. Engines:
 *     runtime_process_open()    plain host processes under a monitor
 *     runtime_oci_open()        containers by runc under a monitor, with a network namespace of their own
 *     and in tests/sim one over the simulated processes of io, for the whole daemon under a seed
 *
 * A *sandbox* is what one pod holds on this machine: a directory, an address, volumes, and its containers' processes.
 * Its life: create (or adopt, after a restart of evoke) -> on_ready -> start containers, as often as needed -> remove
 * -> on_removed, after which it does not exist any more. A container's run is named by its container and its attempt
 * (0 for the first run); at most one run of a container exists at a time, and a run ends with exactly one on_exited
 * (or on_started with an error).
 *
 * Calls return at once, callbacks come from the loop, all strings are copied. Decisions (restart, back-off, what is
 * ready) are node's; an engine decides nothing.
 */
#ifndef NODE_RUNTIME_H
#define NODE_RUNTIME_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"

struct runtime;
struct sandbox;

enum {
    RUNTIME_NAME_SIZE = 64,          /* a container's name is a DNS label */
    RUNTIME_EXEC_OUTPUT_MAX = 10240, /* as much of a probe's output as is kept */
    RUNTIME_GROUPS_MAX = 256,        /* of a container */
};

enum runtime_volume_type {
    RUNTIME_VOLUME_EMPTY, /* an empty directory, which lives as long as the pod */
    RUNTIME_VOLUME_FILES, /* these files (configMap, secret, downwardAPI), changed all at once */
    RUNTIME_VOLUME_HOST,  /* a path of this machine */
};

struct runtime_file {
    const char *path; /* relative, without ".." */
    struct bytes content;
    int mode;
};

struct runtime_volume {
    const char *name;
    enum runtime_volume_type type;
    bool in_memory;        /* EMPTY: a tmpfs */
    uint64_t size_max;     /* EMPTY in memory: bytes; 0: none */
    const char *host_path; /* HOST */
    const char *host_type; /* "DirectoryOrCreate" and so on, as Kubernetes has them; NULL or "": any */
    const struct runtime_file *files;
    size_t file_count;
    bool has_group; /* EMPTY, FILES: they belong to `group` (fsGroup), which may write, or read */
    uint32_t group;
};

struct runtime_resources {                /* 0: not given */
    int64_t cpu_request_m, cpu_limit_m;   /* thousandths of a CPU */
    int64_t memory_request, memory_limit; /* bytes */
};

struct runtime_pod {
    const char *uid;
    const char *namespace;
    const char *name;
    const char *hostname;
    const char *ip;                        /* the address it had before, to be kept if possible; NULL: none */
    bool host_network, host_pid, host_ipc; /* has them in common with the machine */
    const char *resolv_conf;               /* content of the containers' /etc/resolv.conf */
    const char *hosts;                     /* lines that are added to their /etc/hosts */
    struct runtime_resources resources;    /* of all containers together */
    const struct runtime_volume *volumes;
    size_t volume_count;
};

struct runtime_mount {
    const char *volume;
    const char *path;     /* in the container */
    const char *sub_path; /* NULL: the whole volume */
    bool read_only;
};

struct runtime_container {
    const char *name;
    unsigned attempt;
    const char *image;
    const char *const *command;     /* NULL-terminated; NULL: the image's entry point */
    const char *const *args;        /* NULL-terminated; NULL: the image's, unless command is given */
    const char *const *environment; /* "NAME=value", NULL-terminated */
    const char *working_directory;  /* NULL: the image's, or the engine's default */
    const struct runtime_mount *mounts;
    size_t mount_count;
    struct runtime_resources resources;
    int oom_score_adj;
    int64_t run_as_user, run_as_group; /* -1: the image's, or evoke's */
    const uint32_t *groups;            /* beside that: supplementalGroups and fsGroup */
    size_t group_count;
    bool run_as_non_root;
    bool privileged;
    bool read_only_root;
    bool no_new_privileges;
    bool seccomp;                         /* RuntimeDefault: the engine's own choice of system calls */
    const char *const *capabilities_add;  /* NULL-terminated, "NET_ADMIN"; NULL: none */
    const char *const *capabilities_drop; /* may hold "ALL" */
    bool tty;
    /* Where in its file system it finds an empty file to leave its last words in ("": it gets none). An engine whose
     * containers have no file system of their own says in TERMINATION_MESSAGE_PATH where that file is. */
    const char *message_path;
};

struct runtime_exit {
    int code;   /* exit code, or -1 when a signal ended it or it is unknown */
    int signal; /* 0: none */
    bool out_of_memory;
    bool unknown;                    /* it ended while nobody looked */
    int64_t started_ns, finished_ns; /* wall time */
};

enum runtime_failure {                               /* of on_started: which of Kubernetes' reasons the error is */
                       RUNTIME_FAILED_IMAGE_MISSING, /* ErrImagePull, ErrImageNeverPull; it may come: has_image() */
                       RUNTIME_FAILED_IMAGE_NAME,    /* InvalidImageName */
                       RUNTIME_FAILED_CONFIG,        /* CreateContainerConfigError */
                       RUNTIME_FAILED_CREATE,        /* CreateContainerError */
                       RUNTIME_FAILED_RUN,           /* RunContainerError: the command does not exist, for example */
};

struct runtime_started {
    int64_t started_ns;
    const char *image_id;         /* "" for an engine without images */
    int stop_signal;              /* that its image wants in place of SIGTERM; 0: none */
    enum runtime_failure failure; /* with an error */
};

struct sandbox_events {
    /* The sandbox is there and has this address; or why not. After an error only remove makes sense. For an adopted
     * sandbox on_started and on_exited follow, in the same turn, for every run whose end was not acknowledged by a
     * later start. */
    void (*on_ready)(void *ctx, const char *ip, const struct error *err);
    void (*on_started)(void *ctx, const char *container, unsigned attempt, const struct runtime_started *started,
                       const struct error *err);
    void (*on_exited)(void *ctx, const char *container, unsigned attempt, const struct runtime_exit *exit);
    /* The sandbox broke (its monitor was killed): nothing in it runs any more. Only remove makes sense. */
    void (*on_lost)(void *ctx, const struct error *err);
    void (*on_removed)(void *ctx);
    /* Something asked for could not be had and was left out: `reason` as of an Event ("ResourceLimitsNotApplied"). */
    void (*on_notice)(void *ctx, const char *reason, const char *message);
    /* More output was written; only while ops->watch_output() has it on. */
    void (*on_output)(void *ctx, const char *container);
};

struct runtime_exec; /* a command that runs in a container beside its main process */

struct runtime_ops {
    struct sandbox *(*create)(struct runtime *runtime, const struct runtime_pod *pod,
                              const struct sandbox_events *events, void *ctx);
    /* Calls each(uid) for every sandbox that is on the disk; for those of an earlier evoke, before any is opened. */
    void (*find)(struct runtime *runtime, void (*each)(void *ctx, const char *uid), void *ctx);
    /* A sandbox that an earlier evoke created; on_ready with ERROR_NOT_FOUND when nothing is left of it but rubbish. */
    struct sandbox *(*adopt)(struct runtime *runtime, const char *uid, const struct sandbox_events *events, void *ctx);
    void (*start)(struct sandbox *sandbox, const struct runtime_container *container);
    /* Both NULL for an engine without images. `changed` is called when more images may be there than before; NULL ends
     * that. */
    bool (*has_image)(struct runtime *runtime, const char *image);
    void (*watch_images)(struct runtime *runtime, void (*changed)(void *ctx), void *ctx);
    /* To the main process; SIGKILL to every process of the container. */
    void (*signal)(struct sandbox *sandbox, const char *container, int signal);
    /* done(exit, output): exit.code -1 and err set when it could not run. Exactly once, unless cancelled. */
    struct runtime_exec *(*exec)(struct sandbox *sandbox, const char *container, const char *const *argv,
                                 void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output,
                                              const struct error *err),
                                 void *ctx);
    void (*exec_cancel)(struct runtime_exec *exec); /* kills it */
    MUST_CHECK bool (*update_volume)(struct sandbox *sandbox, const struct runtime_volume *volume, struct error *err);
    void (*watch_output)(struct sandbox *sandbox, const char *container, bool on);
    /* The file that a run's output goes to, in the CRI format; rotated ones have .1 to .4 behind. */
    void (*output_path)(struct sandbox *sandbox, const char *container, unsigned attempt, char *out, size_t size);
    /* Appends what a run that has ended left in its message file: its end, where that is more than `out` takes. NULL
     * for an engine without. */
    void (*read_message)(struct sandbox *sandbox, const char *container, unsigned attempt, struct buf *out);
    /* Kills what runs, takes everything away, then on_removed and no callback after it. */
    void (*remove)(struct sandbox *sandbox);
    /* Lets go without touching the pod: no callback any more. */
    void (*release)(struct sandbox *sandbox);
    void (*close)(struct runtime *runtime);
};

struct runtime { /* first member of an engine's own struct */
    const struct runtime_ops *ops;
    const char *name;    /* "process", "runc" */
    const char *version; /* for the Node object */
    const char *trouble; /* why pods will not run on it as things stand, and what helps; NULL: nothing is known */
};

struct sandbox { /* first member of an engine's own struct */
    struct runtime *runtime;
    const struct sandbox_events *events;
    void *ctx;
};

/* --- The engines --- */
struct runtime_options {
    const char *directory;    /* DIR: pods/ and images/ are made below it */
    const char *monitor_path; /* evoke-monitor; NULL: beside this program, then in ../libexec/evoke */
    const char *runc_path;    /* NULL: from PATH */
    const char *pod_cidr;     /* NULL: "10.88.0.0/16" */
    const char *bridge;       /* NULL: "evoke0" */
    const char *host_ip;      /* of pods with hostNetwork; NULL: 127.0.0.1 */
    const char *proc;         /* NULL: "/proc/self", which says where control groups are */
};
struct runtime *runtime_process_open(struct io *io, const struct runtime_options *options, struct error *err);
/* Fails with ERROR_DENIED when evoke is not root, ERROR_NOT_FOUND when there is no runc. */
struct runtime *runtime_oci_open(struct io *io, const struct runtime_options *options, struct error *err);
/* Makes every address of a range ("10.96.0.0/16") one of this machine's own, so that Services can have them and
 * containers reach them; for as long as this evoke runs, or a container of it. ERROR_DENIED: we may not. */
MUST_CHECK bool runtime_oci_make_local(struct runtime *runtime, const char *cidr, struct error *err);
static inline void runtime_close(struct runtime *runtime) /* NULL is allowed */
{
    if (runtime)
        runtime->ops->close(runtime);
}

#endif
