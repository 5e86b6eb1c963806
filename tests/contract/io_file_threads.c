/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of file.h: what helper threads do with files. */
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io_file_new.h"
#include "test.h"
#include "world.h"

enum { JOBS = 8, ROUNDS = 50 };

struct job {
    struct io *io;
    struct crowd *crowd;
    char directory[300], path[300], moved[300];
    int i, names;
    bool worked; /* by the helper thread alone, until `done` */
    struct error err;
};

struct crowd {
    struct job jobs[JOBS];
    struct io_file *journal;
    int left, writes;
};

static void count_name(void *ctx, const char *name)
{
    struct job *job = ctx;
    job->names += strcmp(name, "b") == 0;
}

static bool write_and_read(struct job *job, struct error *err)
{
    struct io_file *file;
    uint64_t size, end;
    uint8_t data[8];
    size_t got = 0;
    if (!io_file_open(job->io, job->path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &file, err))
        return false;
    const struct bytes parts[] = {BYTES_LITERAL("seg"), BYTES_LITERAL("ment")};
    bool ok = io_file_allocate(file, 100, err) && io_file_write_parts_now(file, 50, parts, 2, err) &&
              io_file_write_now(file, 57, BYTES_LITERAL("!"), err) && io_file_sync_now(file, err) &&
              io_file_truncate(file, 58, err) && io_file_size(file, &size, err) && io_file_data_end(file, &end, err) &&
              io_file_read(file, 50, data, sizeof data, &got, err);
    io_file_close(file);
    return ok && (size == 58 && end == 58 && bytes_equal(bytes_of(data, got), BYTES_LITERAL("segment!"))
                      ? true
                      : error_set(err, ERROR_CORRUPT, "not what was written"));
}

static bool work_on_files(struct job *job, struct error *err)
{
    AUTO_BUF content;
    buf_init(&content, 100);
    for (int round = 0; round < ROUNDS; round++)
        if (!io_dir_make(job->io, job->directory, err) || !write_and_read(job, err) ||
            !io_path_rename(job->io, job->path, job->moved, err) || io_path_exists(job->io, job->path) ||
            !io_dir_list(job->io, job->directory, count_name, job, err) ||
            !io_path_write(job->io, job->path, BYTES_LITERAL("x"), 0600, err) ||
            !io_path_read(job->io, job->path, &content, err) || !io_dir_sync(job->io, job->directory, err) ||
            !io_path_remove(job->io, job->moved, err) || !io_path_remove_all(job->io, job->directory, err))
            return false;
    return content.size == ROUNDS && job->names == ROUNDS;
}

static void work(void *ctx)
{
    struct job *job = ctx;
    job->worked = work_on_files(job, &job->err);
}

static void worked(void *ctx)
{
    struct job *job = ctx;
    CHECK_OK(job->worked, &job->err);
    if (--job->crowd->left == 0)
        io_stop(job->io);
}

/* The core goes on with files of its own meanwhile. */
static void written(void *ctx, const struct error *err)
{
    struct crowd *crowd = ctx;
    CHECK(!err);
    if (crowd->left > 0) {
        struct bytes part = BYTES_LITERAL("y");
        io_file_write(crowd->journal, (uint64_t)crowd->writes++, &part, 1, NULL, NULL);
        io_file_sync(crowd->journal, written, crowd);
    }
}

TEST(helper_threads_use_files_of_their_own_while_the_core_writes_others)
{
    struct io *io = world_new();
    struct crowd crowd = {.left = JOBS};
    struct error err;
    crowd.journal = file_new(io, "journal");
    for (int i = 0; i < JOBS; i++) {
        struct job *job = &crowd.jobs[i];
        *job = (struct job){.io = io, .crowd = &crowd, .i = i, .err = {.message = "a count is wrong"}};
        snprintf(job->directory, sizeof job->directory, "%s/job-%d", world_path(""), i);
        snprintf(job->path, sizeof job->path, "%s/a", job->directory);
        snprintf(job->moved, sizeof job->moved, "%s/b", job->directory);
        io_work(io, work, worked, job);
    }
    written(&crowd, NULL);
    io_run(io);
    CHECK_INT(crowd.left, 0);
    uint64_t size;
    CHECK_OK(io_file_size(crowd.journal, &size, &err), &err);
    CHECK(size >= 1);
    io_file_close(crowd.journal);
    io_free(io);
}
