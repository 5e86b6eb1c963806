/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files. The journal's hot path (write, sync) is asynchronous; the rest is synchronous: for start-up, for small local
 * files, and for helper threads. Within the `work` of io_work() the synchronous calls may be made, on files that this
 * work alone uses (it opens and closes them) and on whole paths. Paths are absolute or relative to the working
 * directory, UTF-8, NUL-terminated.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"

struct io_file;

enum io_file_flags {
    IO_FILE_WRITE = 1,     /* otherwise read-only */
    IO_FILE_CREATE = 2,    /* make it if it is not there, mode 0600 */
    IO_FILE_EXCLUSIVE = 4, /* with CREATE: fail if it is there */
    IO_FILE_CACHED = 8,    /* alone: ERROR_UNAVAILABLE with EAGAIN if the disk had to be asked where the path leads */
};

MUST_CHECK bool io_file_open(struct io *io, const char *path, int flags, struct io_file **out, struct error *err);
/* Waits for writes and syncs in flight (blocks shortly); their `done` still runs, from the loop. NULL is allowed. */
void io_file_close(struct io_file *file);
MUST_CHECK bool io_file_size(struct io_file *file, uint64_t *out, struct error *err);
/* Where what was ever written ends: from here to the file's size there are only zeros. Known without reading where the
 * file system tells holes and preallocated parts; else, and in doubt, the file's size. */
MUST_CHECK bool io_file_data_end(struct io_file *file, uint64_t *out, struct error *err);
/* Preallocates (fallocate) up to `size`, so that a later write changes no metadata; the new part reads as zeros. */
MUST_CHECK bool io_file_allocate(struct io_file *file, uint64_t size, struct error *err);
MUST_CHECK bool io_file_truncate(struct io_file *file, uint64_t size, struct error *err);
/* Exactly out.size bytes at `offset`, or as many as there are before the end: *got. */
MUST_CHECK bool io_file_read(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got,
                             struct error *err);
MUST_CHECK bool io_file_write_now(struct io_file *file, uint64_t offset, struct bytes data, struct error *err);
/* All parts, in order, from `offset` on. */
MUST_CHECK bool io_file_write_parts_now(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                                        struct error *err);
MUST_CHECK bool io_file_sync_now(struct io_file *file, struct error *err);
/* A shared read-only mapping of the first `size` bytes. Writes of this process are seen at once. Reading a cold page
 * blocks: fine for the recent past, which is in the page cache. Unmapped at io_file_close(). */
MUST_CHECK bool io_file_map(struct io_file *file, uint64_t size, struct bytes *out, struct error *err);

/* The pages of a mapping that have been read count as this process's memory; this gives them back. What is read again
 * comes from the page cache. Also within io_work(). */
void io_file_map_forget(struct io_file *file, struct bytes mapping);

/* To be asked before a part of a mapping is relied on: reads it. False: from *bad_at on the disk does not give it (a
 * bad sector, or somebody else cut the file); the page reads as zeros from then on, until the file is closed, whatever
 * is written to it. Also within io_work(), while the file is open. */
MUST_CHECK bool io_map_check(struct io *io, struct bytes part, size_t *bad_at);

/*
 * Reading what is not in memory waits for the disk, and so does sending it. Who must not wait reads what is cached, and
 * has the rest brought in: it will be cached then, unless it was thrown out again at once (who has waited once may
 * therefore read without asking the next time, so that it goes on whatever happens).
 */
/* *cold true: not all of it is in memory; nothing of *out and *got counts. Engines that can not tell read it. */
MUST_CHECK bool io_file_read_cached(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got,
                                    bool *cold, struct error *err);
/* A guess, by its first and last byte. */
bool io_file_is_cached(struct io_file *file, uint64_t at, size_t size);
/* How many bytes in front of a part of a mapping are in memory, in whole pages. Engines that can not tell say all. */
size_t io_map_cached(struct io *io, struct bytes part);

struct io_range {
    uint64_t at;
    size_t size;
};
/* On a helper thread (io_work_reading()); the file may be closed meanwhile. `done` from the loop, also when it could
 * not be read, but not after io_file_warm_cancel() (NULL is allowed). The array need not stay. */
struct io_warming *io_file_warm(struct io_file *file, const struct io_range *ranges, size_t count,
                                void (*done)(void *ctx), void *ctx);
void io_file_warm_cancel(struct io_warming *warming);

/*
 * Writes and syncs of one file take effect in the order of the calls, and their `done` runs in that order. So a write
 * and the sync that covers it may be asked for together, which saves a round trip to the thread that does them.
 */
typedef void io_file_done(void *ctx, const struct error *err); /* err == NULL: success */
/* Writes all parts, in order, from `offset` on. What the parts point to stays until `done`; the array need not. */
void io_file_write(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count, io_file_done *done,
                   void *ctx);
/* The same, but `done` may run as late as that of the next operation on the file: for who waits for the sync behind it
 * alone. The loop is not woken in between. */
void io_file_write_quietly(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                           io_file_done *done, void *ctx);
/* fdatasync: every write asked for before this call, if it succeeded, is on disk when its `done` runs without error.
 * After a failed sync nothing written since the last good one can be trusted: the owner stops writing. */
void io_file_sync(struct io_file *file, io_file_done *done, void *ctx);

/* --- Directories and whole files, synchronous --- */
MUST_CHECK bool io_dir_make(struct io *io, const char *path, struct error *err); /* with parents, 0700; fine if there */
/* Calls `each` with every name but . and .., in order. */
MUST_CHECK bool io_dir_list(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                            struct error *err);
MUST_CHECK bool io_dir_sync(struct io *io, const char *path, struct error *err);
/* All that was written so far to the file system of that directory, content and names: one call for very many files. It
 * waits for what others have written too. */
MUST_CHECK bool io_fs_sync(struct io *io, const char *path, struct error *err);
/* Holds an exclusive lock on the directory until io_free() or the end of the process; ERROR_UNAVAILABLE when another
 * one has it. */
MUST_CHECK bool io_dir_lock(struct io *io, const char *path, struct error *err);
/* Bytes of the file system that the directory is on, and those that a file may still take. */
MUST_CHECK bool io_dir_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err);
MUST_CHECK bool io_path_remove(struct io *io, const char *path, struct error *err);     /* file or empty directory */
MUST_CHECK bool io_path_remove_all(struct io *io, const char *path, struct error *err); /* fine if it is not there */
MUST_CHECK bool io_path_rename(struct io *io, const char *from, const char *to, struct error *err);
bool io_path_exists(struct io *io, const char *path);
/* All of a file or of a pipe ("/dev/stdin"), up to out->size_max. */
MUST_CHECK bool io_path_read(struct io *io, const char *path, struct buf *out, struct error *err);
/* Calls `changed` when a name was moved into the directory (io_path_rename(), by whichever program), which is how what
 * others read should appear; several may be told as one. A directory that is itself removed tells nothing any more. */
struct io_dir_watch;
MUST_CHECK bool io_dir_watch(struct io *io, const char *path, void (*changed)(void *ctx), void *ctx,
                             struct io_dir_watch **out, struct error *err);
void io_dir_watch_close(struct io_dir_watch *watch); /* NULL is allowed */
/* By a temporary file, sync, rename and sync of the directory: the old or the new content, never a mixture. */
MUST_CHECK bool io_path_write(struct io *io, const char *path, struct bytes content, int mode, struct error *err);
/* The same without waiting for the disk: other processes see the old or the new content, but after a power loss the
 * file may be missing or empty. For what its reader checks and can make again. */
MUST_CHECK bool io_path_write_unsynced(struct io *io, const char *path, struct bytes content, int mode,
                                       struct error *err);

#endif
