/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox under a monitor: what the process and the OCI engine have in common. The directory DIR/pods/<uid>:
 *     sandbox.json            what it is: pod, engine, address
 *     monitor.sock            how to reach its monitor
 *     monitor.log             what the monitor says when it cannot go on
 *     <container>/<n>.log     output of run n, in the CRI format; <n>.exit: how it ended; <n>.message: its last words
 *     _volumes/<name>/        volumes
 * (A container's name is a DNS label, so names with '.' and '_' are free for us.)
 *
 * This is the system's side of the seam in runtime.h, as io/ is of its own: system calls are made here, short ones on
 * the core thread, long ones (removing trees) as io_work().
 */
#ifndef NODE_MONITORED_H
#define NODE_MONITORED_H

#include <limits.h>

#include "io/file.h"
#include "io/io.h"
#include "io/process.h"
#include "io/stream.h"
#include "monitor/protocol.h"
#include "node/cgroups.h"
#include "node/runtime.h"
#include "wire/json.h"

struct monitored;
struct monitored_exec;
struct monitored_run;

/* What an engine adds. */
struct monitored_engine {
    struct runtime runtime; /* first */
    struct io *io;
    char *pods;    /* DIR/pods, absolute */
    char *monitor; /* path of evoke-monitor */
    struct cgroups *cgroups;
    const char *monitor_namespaces[4]; /* its arguments: "mounts", "network", "ipc"; NULL-terminated */
    struct runtime_ops runtime_ops;    /* what runtime.ops points to */
    const struct monitored_ops *ops;
    struct list sandboxes; /* of struct monitored */
};

struct monitored_ops {
    size_t size; /* of the engine's struct, whose first member is struct monitored */
    /* The directory is there and described; before the monitor starts. May add to monitored->description. */
    bool (*prepare)(struct monitored *monitored, const struct runtime_pod *pod, struct error *err);
    /* The monitor answers: make the network and so on, then call monitored_ready(). Not called when adopting. */
    void (*connected)(struct monitored *monitored);
    /* Starts a run: ends in monitored_start_task(), or in monitored_start_failed(). */
    void (*start)(struct monitored *monitored, const struct runtime_container *container);
    /* argv of a command that runs in a container beside its main process. Directory and environment are as of the
     * container's last start. */
    void (*exec)(struct monitored *monitored, struct monitored_exec *exec, const char *const *argv);
    /* Its monitor has not ended by itself: kills what it may have left outside of any group; true: there was nothing.
     * NULL: all is in groups. */
    bool (*kill)(struct monitored *monitored);
    void (*deinit)(struct monitored *monitored);
};

enum monitored_state { MONITORED_CONNECTING, MONITORED_ATTACHED, MONITORED_LOST, MONITORED_REMOVING };

struct monitored {
    struct sandbox sandbox; /* first */
    struct list link;
    struct list execs; /* of struct monitored_exec */
    struct list runs;  /* of struct monitored_run: what was started here or found */
    struct list failed_starts;
    enum monitored_state state;
    bool adopted;
    bool ended_well; /* the monitor, after all that was in its care */
    char uid[37];
    char *directory;          /* DIR/pods/<uid> */
    struct json *description; /* sandbox.json */
    struct io_connecting *connecting;
    struct io_stream *stream;
    struct io_process *process; /* the monitor */
    int pid;                    /* its */
    int directory_fd;           /* while connecting */
    struct buf in;
    struct buf early; /* frames about tasks of a sandbox that is being adopted */
    uint64_t exec_next;
    struct list mounts; /* of struct monitored_mount: asked for, in order, not answered yet */
    struct monitored_removal *removal;
    struct cgroups *cgroups; /* of an adopted sandbox, where an earlier evoke made them; NULL: the engine's */
    struct io_timer again;   /* to clean up */
    unsigned tries;
    struct io_deferred deferred;
    struct error failure; /* told by `deferred` */
};

struct monitored_run {
    struct list link;
    char container[RUNTIME_NAME_SIZE];
    unsigned attempt;
    bool told; /* on_started was called */
    bool running;
    char *image_id;
    int stop_signal; /* of its image; 0: none */
    int mount_error; /* errno of its root file system's mount */
    /* For commands beside it: */
    char **environment;
    char *working_directory;
    char **cgroups;
    uint32_t user, group; /* as in struct protocol_start */
    char **groups;
};

struct monitored_exec {
    struct list link;
    struct monitored *monitored;
    char name[96]; /* the task's */
    struct monitored_run *run;
    void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output, const struct error *err);
    void *ctx;
};

/* `engine` is zeroed but for `ops`. */
MUST_CHECK bool monitored_engine_init(struct monitored_engine *engine, struct io *io,
                                      const struct runtime_options *options, void (*close)(struct runtime *runtime),
                                      struct error *err);
void monitored_engine_deinit(struct monitored_engine *engine);

/* --- For the engines --- */
void monitored_ready(struct monitored *monitored, const char *ip, const struct error *err);
void monitored_notice(struct monitored *monitored, const char *reason, const char *message);
/* `start` lacks its name, which is given by the run. */
void monitored_start_task(struct monitored *monitored, struct monitored_run *run, struct protocol_start *start);
void monitored_start_failed(struct monitored *monitored, const char *container, unsigned attempt,
                            enum runtime_failure failure, const struct error *err);
void monitored_exec_task(struct monitored_exec *exec, struct protocol_start *start);
struct monitored_run *monitored_run_add(struct monitored *monitored, const struct runtime_container *container);
/* Makes the file for the run's last words, if it gets one, and says where that is. */
MUST_CHECK bool monitored_make_message(const struct monitored *monitored, const struct runtime_container *container,
                                       struct error *err);
void monitored_message_path(const struct monitored *monitored, const char *container, unsigned attempt,
                            char out[PATH_MAX]);
/* Asks the monitor to mount. A failure makes the start of `run` fail; without a run it is a notice. */
void monitored_mount(struct monitored *monitored, const struct protocol_mount *mount, const struct monitored_run *run);
/* Writes the description again. */
void monitored_describe(struct monitored *monitored);
const char *monitored_ip(const struct monitored *monitored); /* "" when it has none */

static inline struct monitored_engine *monitored_engine(const struct monitored *monitored)
{
    return (struct monitored_engine *)(void *)monitored->sandbox.runtime;
}

static inline struct cgroups *monitored_cgroups(const struct monitored *monitored)
{
    return monitored->cgroups ? monitored->cgroups : monitored_engine(monitored)->cgroups;
}

#endif
