/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evoke and a pod's monitor say to each other, over a Unix stream socket. A message is a frame: its size (32 bits,
 * big-endian, of what follows), its type (1 byte), its fields in the order of the struct. Strings and lists have a
 * 32-bit count in front. Both ends are this program, but perhaps of different builds (a pod outlives an upgrade of
 * evoke), so a decoder ignores what stands behind the fields it knows, and fields are only ever added at the end.
 *
 * A *task* is one process that the monitor starts and watches: a run of a container, or a command beside it. Its name
 * is its path in the pod's directory without an ending: "web/0", and is never used twice.
 */
#ifndef MONITOR_PROTOCOL_H
#define MONITOR_PROTOCOL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"

enum { PROTOCOL_VERSION = 1, PROTOCOL_FRAME_MAX = 8 << 20, PROTOCOL_STRINGS_MAX = 100000, PROTOCOL_GROUPS_MAX = 256 };

enum protocol_type {
    /* from evoke */
    PROTOCOL_START = 1, /* struct protocol_start */
    PROTOCOL_SIGNAL,    /* struct protocol_signal */
    PROTOCOL_FORGET,    /* string: the task's end is known, it needs not be told again */
    PROTOCOL_WATCH,     /* struct protocol_watch */
    PROTOCOL_MOUNT,     /* struct protocol_mount */
    PROTOCOL_END,       /* nothing: kill all and exit */
    /* from the monitor */
    PROTOCOL_HELLO = 32, /* u32 version, u32 pid; then PROTOCOL_TASK for every task, then PROTOCOL_READY */
    PROTOCOL_READY,      /* nothing */
    PROTOCOL_TASK,       /* struct protocol_task: it was started, or changed its state */
    PROTOCOL_OUTPUT,     /* string: this watched task has written something */
    PROTOCOL_MOUNTED,    /* u32 errno: the answer to a PROTOCOL_MOUNT, in order */
};

enum protocol_start_flags {
    PROTOCOL_START_DETACHED = 1, /* argv is a launcher: when it has ended well, pid_file names the task's process */
    PROTOCOL_START_CAPTURE = 2,  /* what it writes comes with PROTOCOL_TASK at its end, instead of going to a file */
};

struct protocol_start {
    const char *name;
    uint32_t flags;
    const char *directory;          /* working directory; "": the pod's */
    const char *pid_file;           /* DETACHED */
    const char *error_file;         /* DETACHED: what the launcher says when it fails; "": its standard error */
    uint32_t user, group;           /* UINT32_MAX: the monitor's own */
    uint32_t oom_score_adj;         /* biased by 1000: 0 .. 2000; UINT32_MAX: unchanged */
    const char *const *argv;        /* NULL-terminated */
    const char *const *environment; /* NULL-terminated */
    const char *const *cgroups;     /* NULL-terminated: directories that the process enters before it runs */
    const char *const *groups; /* NULL-terminated: numbers of further groups, of which PROTOCOL_GROUPS_MAX count; NULL:
                                  none, as from an evoke that does not know of them */
};

struct protocol_signal {
    const char *name;
    uint32_t signal;
    uint32_t everything; /* not 0: every process that belongs to the task, not only its main one */
};

struct protocol_watch {
    const char *name;
    uint32_t on;
};

struct protocol_mount {
    const char *source, *target, *type, *data;
    uint32_t flags; /* of mount(2); PROTOCOL_MOUNT_DETACH in it: umount2(target) instead */
};
#define PROTOCOL_MOUNT_DETACH UINT32_C(0x80000000)

enum protocol_task_state { PROTOCOL_TASK_STARTING, PROTOCOL_TASK_RUNNING, PROTOCOL_TASK_EXITED, PROTOCOL_TASK_FAILED };

/* Of a process whose launcher has reaped it: what containerd says in such a case. */
enum { PROTOCOL_CODE_UNKNOWN = 255 };

struct protocol_task {
    const char *name;
    uint32_t state;
    uint32_t pid;
    uint64_t started_ns, finished_ns; /* wall time, 0: not yet */
    uint32_t code;                    /* EXITED: exit code; PROTOCOL_CODE_UNKNOWN when nobody could tell */
    uint32_t signal;                  /* EXITED: the signal that ended it, or 0 */
    uint32_t sys;                     /* FAILED: errno, or 0 */
    struct bytes text;                /* FAILED: why. EXITED with CAPTURE: what it wrote */
};

void protocol_put_start(struct buf *out, const struct protocol_start *message);
void protocol_put_signal(struct buf *out, const struct protocol_signal *message);
void protocol_put_watch(struct buf *out, const struct protocol_watch *message);
void protocol_put_mount(struct buf *out, const struct protocol_mount *message);
void protocol_put_task(struct buf *out, const struct protocol_task *message);
void protocol_put_string(struct buf *out, enum protocol_type type, const char *text);
void protocol_put_numbers(struct buf *out, enum protocol_type type, const uint32_t *numbers, size_t count);

struct protocol_frame {
    uint8_t type;
    struct bytes body;
};
/* Takes the first whole frame off *input. 1: there is one; 0: more bytes are needed; -1: this is not the protocol. */
int protocol_next(struct bytes *input, struct protocol_frame *frame);

/* False when the body is cut short or has a string with a NUL in it. Strings live in the arena. */
bool protocol_get_start(struct bytes body, struct arena *arena, struct protocol_start *message);
bool protocol_get_signal(struct bytes body, struct arena *arena, struct protocol_signal *message);
bool protocol_get_watch(struct bytes body, struct arena *arena, struct protocol_watch *message);
bool protocol_get_mount(struct bytes body, struct arena *arena, struct protocol_mount *message);
bool protocol_get_task(struct bytes body, struct arena *arena, struct protocol_task *message);
bool protocol_get_string(struct bytes body, struct arena *arena, const char **text);
bool protocol_get_number(struct bytes *body, uint32_t *number);

#endif
