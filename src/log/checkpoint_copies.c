/* SPDX-License-Identifier: Apache-2.0 */
#include "log/checkpoint_copies.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "journal/bad_sectors.h"
#include "log/checkpoint_sums.h"

static const char *const names[CHECKPOINT_COPIES] = {"checkpoint", "checkpoint.copy"};

static bool path_of(const char *directory, size_t i, char out[CHECKPOINT_PATH_SIZE], struct error *err)
{
    return snprintf(out, CHECKPOINT_PATH_SIZE, "%s/%s", directory, names[i]) < CHECKPOINT_PATH_SIZE ||
           error_set(err, ERROR_INVALID, "the path of the data directory is too long");
}

/* --- Reading --- */

/* The disk does not give it all. */
static void blame_disk(struct checkpoint_copy *copy, const struct bad_sectors *bad)
{
    const struct bad_range *range = bad_sectors_find(bad, 0, UINT64_MAX);
    if (range)
        error_sys(&copy->why, range->sys, "the disk does not give position %" PRIu64, range->at);
    copy->why.kind = ERROR_CORRUPT;
}

static bool read_copy(struct io *io, struct checkpoint_copy *copy, struct error *err)
{
    struct bad_sectors bad = {0};
    buf_init(&copy->content, CHECKPOINT_SIZE_MAX);
    copy->there = io_path_exists(io, copy->path);
    if (!copy->there) {
        error_set(&copy->why, ERROR_NOT_FOUND, "missing");
        return true;
    }
    bool ok = bad_sectors_read_path(io, copy->path, &copy->content, &bad, err);
    if (ok) {
        copy->good = checkpoint_verify(buf_bytes(&copy->content), &copy->start, &copy->why);
        if (!copy->good && copy->why.kind == ERROR_UNSUPPORTED) {
            *err = copy->why;
            ok = error_wrap(err, "%s", copy->path);
        } else if (!copy->good) {
            blame_disk(copy, &bad);
        }
    }
    bad_sectors_deinit(&bad);
    return ok;
}

static bool is_newer(const struct journal_start *a, const struct journal_start *b)
{
    return a->synced_lsn != b->synced_lsn ? a->synced_lsn > b->synced_lsn : a->first_lsn > b->first_lsn;
}

static void choose(struct checkpoint_copies *copies)
{
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        if (copies->at[i].good && (!copies->best || is_newer(&copies->at[i].start, &copies->best->start)))
            copies->best = &copies->at[i];
}

bool checkpoint_copies_read(struct io *io, const char *directory, struct checkpoint_copies *out, struct error *err)
{
    *out = (struct checkpoint_copies){0};
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        if (!path_of(directory, i, out->at[i].path, err) || !read_copy(io, &out->at[i], err)) {
            checkpoint_copies_free(out);
            return false;
        }
    choose(out);
    return true;
}

void checkpoint_copies_free(struct checkpoint_copies *copies)
{
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        buf_deinit(&copies->at[i].content);
    copies->best = NULL;
}

bool checkpoint_copies_is_current(const struct checkpoint_copies *copies, const struct checkpoint_copy *copy)
{
    return copies->best && bytes_equal(buf_bytes(&copy->content), buf_bytes(&copies->best->content));
}

bool checkpoint_copies_missing(const struct checkpoint_copies *copies)
{
    return !copies->at[0].there && !copies->at[1].there;
}

bool checkpoint_copies_refuse(const struct checkpoint_copies *copies, struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "%s: %s; %s: %s (evoke check tells more, and --repair mends what can be mended)",
                     copies->at[0].path, copies->at[0].why.message, copies->at[1].path, copies->at[1].why.message);
}

/* --- Mending --- */

bool checkpoint_copies_merge(struct checkpoint_copies *copies)
{
    struct checkpoint_copy *first = &copies->at[0];
    struct error ignored;
    struct buf merged;
    buf_init(&merged, CHECKPOINT_SIZE_MAX);
    if (!checkpoint_sums_merge(buf_bytes(&first->content), buf_bytes(&copies->at[1].content), &merged) ||
        !checkpoint_verify(buf_bytes(&merged), &first->start, &ignored)) {
        buf_deinit(&merged);
        return false;
    }
    buf_deinit(&first->content);
    first->content = merged;
    copies->best = first;
    return true;
}

bool checkpoint_copies_restore(struct io *io, const struct checkpoint_copies *copies, struct checkpoint_copy *copy,
                               struct error *err)
{
    return io_path_write(io, copy->path, buf_bytes(&copies->best->content), 0600, err);
}

bool checkpoint_copies_write(struct io *io, const char *directory, struct bytes content, struct error *err)
{
    char path[CHECKPOINT_PATH_SIZE];
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        if (!path_of(directory, i, path, err) || !io_path_write(io, path, content, 0600, err))
            return false;
    return true;
}

/* --- A start --- */

/* What can not be written now will be with the next checkpoint; that is no reason not to start. An older one is as a
 * death between the two leaves it, and a missing second one as an evoke leaves it that knew of none. */
static void keep_current(struct io *io, const struct checkpoint_copies *copies, struct checkpoint_copy *copy)
{
    struct error err;
    if (checkpoint_copies_is_current(copies, copy))
        return;
    bool ok = checkpoint_copies_restore(io, copies, copy, &err);
    if (!copy->good && (copy->there || copy == &copies->at[0]))
        diag_warn("log", "%s: %s; %s is used in its place%s", copy->path, copy->why.message, copies->best->path,
                  ok ? ", and it is written again" : "");
    if (!ok)
        diag_warn("log", "%s is not written again yet: %s", copy->path, err.message);
}

static bool load(struct log *log, struct checkpoint_copies *copies, struct journal_start *out, struct error *err)
{
    if (checkpoint_copies_missing(copies))
        return true;
    if (!copies->best)
        return checkpoint_copies_refuse(copies, err);
    if (!checkpoint_parse(log, buf_bytes(&copies->best->content), out, err))
        return error_wrap(err, "%s", copies->best->path);
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        keep_current(log->io, copies, &copies->at[i]);
    return true;
}

bool checkpoint_load(struct log *log, struct journal_start *out, struct error *err)
{
    AUTO_FREE(struct checkpoint_copies) copies = NEW(struct checkpoint_copies);
    *out = (struct journal_start){0};
    if (!checkpoint_copies_read(log->io, log->options.directory, copies, err))
        return false;
    bool ok = load(log, copies, out, err);
    checkpoint_copies_free(copies);
    return ok;
}
