/* SPDX-License-Identifier: Apache-2.0 */
/* After a crash: what is in DIR/segments and in no record is removed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "log/spill_priv.h"

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct spill_wanted *)a)->stream, y = ((const struct spill_wanted *)b)->stream;
    return (x > y) - (x < y);
}

static void want(struct spill_sweep *sweep, const struct partition *partition)
{
    size_t count = partition->segments.count;
    sweep->wanted = memory_resize_array(sweep->wanted, sweep->count + 1, sizeof *sweep->wanted);
    struct spill_wanted *wanted = &sweep->wanted[sweep->count++];
    *wanted = (struct spill_wanted){.stream = partition->stream};
    wanted->segments.at = memory_new_array(count, sizeof *wanted->segments.at);
    wanted->segments.count = count;
    memcpy(wanted->segments.at, partition->segments.at, count * sizeof *wanted->segments.at);
}

struct spill_sweep *spill_sweep_new(struct spill *spill, struct log *log)
{
    struct spill_sweep *sweep = NEW(struct spill_sweep);
    *sweep = (struct spill_sweep){.spill = spill, .io = log->io, .directory = log->options.directory};
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++)
            if (topic->partitions[i]->segments.count > 0)
                want(sweep, topic->partitions[i]);
    if (sweep->count > 0)
        qsort(sweep->wanted, sweep->count, sizeof *sweep->wanted, compare);
    return sweep;
}

void spill_sweep_free(struct spill_sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++)
        free(sweep->wanted[i].segments.at);
    free(sweep->wanted);
    free(sweep);
}

/* Names that are to go, gathered while a directory is listed. */
struct leftovers {
    const struct spill_sweep *sweep;
    const struct spill_wanted *within; /* NULL: DIR/segments itself */
    char **names;
    size_t count;
    char **kept; /* of DIR/segments: to be looked into */
    size_t kept_count;
};

static void add_name(char ***names, size_t *count, const char *name)
{
    *names = memory_resize_array(*names, *count + 1, sizeof **names);
    (*names)[(*count)++] = memory_string(bytes_of_string(name));
}

static const struct spill_wanted *find_stream(const struct spill_sweep *sweep, const char *name)
{
    struct spill_wanted key;
    if (!bytes_to_u64(bytes_of_string(name), &key.stream) || sweep->count == 0)
        return NULL;
    return bsearch(&key, sweep->wanted, sweep->count, sizeof *sweep->wanted, compare);
}

static bool is_wanted(const struct spill_wanted *wanted, const char *name)
{
    for (size_t i = 0; i < wanted->segments.count; i++) {
        char prefix[40];
        snprintf(prefix, sizeof prefix, "%020" PRId64 "-%" PRIu32 ".", wanted->segments.at[i].base_offset,
                 wanted->segments.at[i].generation);
        if (bytes_starts_with(bytes_of_string(name), bytes_of_string(prefix)))
            return true;
    }
    return false;
}

static void look_at(void *ctx, const char *name)
{
    struct leftovers *leftovers = ctx;
    const struct spill_wanted *stream = leftovers->within ? NULL : find_stream(leftovers->sweep, name);
    if (stream)
        add_name(&leftovers->kept, &leftovers->kept_count, name);
    else if (!leftovers->within || !is_wanted(leftovers->within, name))
        add_name(&leftovers->names, &leftovers->count, name);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void sweep_directory(const struct spill_sweep *sweep, const struct spill_wanted *within, const char *path)
{
    struct leftovers leftovers = {.sweep = sweep, .within = within};
    struct error err = {.message = "its path is too long"};
    char below[SPILL_PATH_SIZE];
    bool ok = io_dir_list(sweep->io, path, look_at, &leftovers, &err);
    for (size_t i = 0; ok && i < leftovers.count; i++)
        ok = snprintf(below, sizeof below, "%s/%s", path, leftovers.names[i]) < (int)sizeof below &&
             io_path_remove_all(sweep->io, below, &err);
    for (size_t i = 0; ok && i < leftovers.kept_count; i++)
        if (snprintf(below, sizeof below, "%s/%s", path, leftovers.kept[i]) < (int)sizeof below)
            sweep_directory(sweep, find_stream(sweep, leftovers.kept[i]), below);
    if (!ok)
        diag_warn("log", "what the last run left behind can not be removed: %s", err.message);
    free_names(leftovers.names, leftovers.count);
    free_names(leftovers.kept, leftovers.kept_count);
}

void spill_sweep(void *ctx)
{
    const struct spill_sweep *sweep = ctx;
    char path[SPILL_PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/segments", sweep->directory) < (int)sizeof path &&
        io_path_exists(sweep->io, path))
        sweep_directory(sweep, NULL, path);
}
