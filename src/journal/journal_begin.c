/* SPDX-License-Identifier: Apache-2.0 */
/* A file that was added gets its header and its name, both on disk, before the first frame. */
#include "base/memory.h"
#include "io/file.h"
#include "journal/journal_priv.h"

struct journal_begin {
    struct journal *journal;
    struct journal_file *file; /* nobody else uses it meanwhile */
    char *spare, *path, *directory;
    uint8_t header[JOURNAL_FILE_HEADER_SIZE];
    bool ok;
    struct error err; /* if not */
};

static struct journal_begin *begin_new(struct journal *journal, struct journal_file *file)
{
    struct journal_begin *begin = NEW(struct journal_begin);
    *begin = (struct journal_begin){.journal = journal,
                                    .file = file,
                                    .spare = journal_spare_path(journal, file->spare),
                                    .path = journal_file_path(journal, file->header.first_lsn),
                                    .directory = memory_string(bytes_of_string(journal->path))};
    journal_file_encode(&file->header, begin->header);
    return begin;
}

void journal_begin_free(struct journal_begin *begin)
{
    if (!begin)
        return;
    free(begin->spare);
    free(begin->path);
    free(begin->directory);
    free(begin);
}

/* The header is on disk before the name: a file with a name and without a header would be a damaged one. */
static void work(void *ctx)
{
    struct journal_begin *begin = ctx;
    struct io *io = begin->journal->io;
    begin->ok = io_file_write_now(begin->file->file, 0, bytes_of(begin->header, sizeof begin->header), &begin->err) &&
                io_file_sync_now(begin->file->file, &begin->err) &&
                io_path_rename(io, begin->spare, begin->path, &begin->err) &&
                io_dir_sync(io, begin->directory, &begin->err);
}

static void done(void *ctx)
{
    struct journal_begin *begin = ctx;
    struct journal *journal = begin->journal;
    journal->begin = NULL;
    begin->file->begun = begin->ok;
    if (!begin->ok)
        journal_fail(journal, &begin->err);
    journal_begin_free(begin);
    journal_kick(journal);
}

void journal_begin_files(struct journal *journal)
{
    if (journal->begin || journal->failed)
        return;
    size_t next = journal->file_count;
    while (next > 0 && !journal->files[next - 1]->begun)
        next--;
    if (next == journal->file_count)
        return;
    journal->begin = begin_new(journal, journal->files[next]);
    io_work(journal->io, work, done, journal->begin);
}

bool journal_begin_now(struct journal *journal, struct journal_file *file, struct error *err)
{
    struct journal_begin *begin = begin_new(journal, file);
    work(begin);
    file->begun = begin->ok;
    if (!begin->ok)
        *err = begin->err;
    journal_begin_free(begin);
    return file->begun;
}
