/* SPDX-License-Identifier: Apache-2.0 */
/* The Linux engine, shared by linux_*.c. */
#ifndef IO_LINUX_PRIV_H
#define IO_LINUX_PRIV_H

#include <pthread.h>
#include <sys/socket.h>
#include <uv.h>

#include "io/io_priv.h"

struct flusher;

struct linux_io {
    struct io base;
    uv_loop_t loop;
    uv_async_t wake;   /* the flusher has results; also keeps the loop alive */
    uv_timer_t timer;  /* for the first of io.timers */
    uint64_t armed_ms; /* what it waits for; UINT64_MAX: nothing */
    bool now_valid;    /* read the clock once per turn */
    uint64_t now_ns;
    int64_t wall_ns;
    uv_signal_t signals[3];
    void (*on_signal)(void *ctx, int signal);
    void *signal_ctx;
    struct flusher *flusher; /* NULL until the first write */
    int locks[4];            /* descriptors of locked directories */
    size_t lock_count;
    bool ending; /* work that finishes during io_free() calls nobody */
    uint8_t receive[64 << 10];
};

static inline struct linux_io *linux_io_of(struct io *io)
{
    return (struct linux_io *)io;
}

/*
 * A descriptor in the loop, embedded in its owner. `ready` learns what it is ready for; `dispose` frees the owner once
 * the loop has let go, some time after watch_close().
 */
enum { WATCH_READ = 1, WATCH_WRITE = 2 };

struct watch {
    uv_poll_t poll;
    int fd;
    int wanted;
    void (*ready)(struct watch *watch, int events);
    void (*dispose)(struct watch *watch);
};

/* Takes the descriptor over only on success. */
MUST_CHECK bool watch_open(struct linux_io *io, struct watch *watch, int fd, void (*ready)(struct watch *, int events),
                           void (*dispose)(struct watch *), struct error *err);
void watch_want(struct watch *watch, int events);
void watch_close(struct watch *watch); /* closes the descriptor now */

/* --- linux_mapping.c --- */
void linux_mapping_init(void); /* once or more */
enum { LINUX_MAPPINGS_MAX = 4096 };
MUST_CHECK bool linux_mapping_add(struct bytes mapping); /* false: there are LINUX_MAPPINGS_MAX */
void linux_mapping_remove(struct bytes mapping);         /* before it is unmapped */
MUST_CHECK bool linux_mapping_check(struct io *io, struct bytes part, size_t *bad_at); /* io_map_check() */
size_t linux_mapping_cached(struct io *io, struct bytes part);                         /* io_map_cached() */

extern const struct file_engine linux_file_engine;
extern const struct net_engine linux_net_engine;
extern const struct process_engine linux_process_engine;

/* linux_net.c: addresses as the kernel has them */
socklen_t linux_address_to(const struct io_address *address, struct sockaddr_storage *out);
struct io_address linux_address_from(const struct sockaddr_storage *in, socklen_t size);
struct io_address linux_address_local(int fd); /* that a socket is bound to */

/* linux_datagram.c */
bool linux_datagram_open(struct io *io, const struct io_address *address, struct io_datagram **out, struct error *err);
void linux_datagram_send(struct io_datagram *datagram, const struct io_address *to, struct bytes data);
void linux_datagram_close(struct io_datagram *datagram);

void linux_read_clocks(struct linux_io *io); /* unless this turn has */

/* linux_thread.c */
MUST_CHECK int linux_thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx); /* 0, or what is wrong */
struct io_task *linux_task_begin(struct io *io, void (*work)(void *ctx), void *ctx);
void linux_task_join(struct io_task *task);

/* linux_flusher.c: the thread that writes and syncs. */
struct flusher *flusher_new(uv_async_t *wake);
void flusher_free(struct flusher *flusher);    /* finishes what was asked for */
void flusher_deliver(struct flusher *flusher); /* calls `done` of what is finished */
void flusher_write(struct flusher *flusher, int fd, uint64_t offset, const struct bytes *parts, size_t count,
                   bool quiet, io_file_done *done, void *ctx);
void flusher_sync(struct flusher *flusher, int fd, io_file_done *done, void *ctx);
int linux_file_fd(const struct io_file *file);                                   /* linux_file.c */
int linux_write_all(int fd, uint64_t offset, struct iovec *parts, size_t count); /* errno, 0: good; changes `parts` */
void flusher_wait(struct flusher *flusher); /* until all that was asked for is finished; blocks */

/* linux_path.c */
bool linux_dir_make(struct io *io, const char *path, struct error *err);
bool linux_dir_list(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                    struct error *err);
bool linux_fs_sync(struct io *io, const char *path, struct error *err);
bool linux_dir_sync(struct io *io, const char *path, struct error *err);
bool linux_dir_lock(struct io *io, const char *path, struct error *err);
bool linux_dir_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err);
bool linux_remove(struct io *io, const char *path, struct error *err);
bool linux_remove_all(struct io *io, const char *path, struct error *err);
bool linux_rename(struct io *io, const char *from, const char *to, struct error *err);
bool linux_exists(struct io *io, const char *path);

/* linux_dir_watch.c */
bool linux_dir_watch(struct io *io, const char *path, struct io_dir_watch **out, struct error *err);
void linux_dir_watch_close(struct io_dir_watch *watch);

#endif
