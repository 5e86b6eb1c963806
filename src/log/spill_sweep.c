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

/* The names of DIR/segments. */
struct names {
    char **at;
    size_t count;
};

static void add_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    names->at = memory_resize_array(names->at, names->count + 1, sizeof *names->at);
    names->at[names->count++] = memory_string(bytes_of_string(name));
}

static const struct spill_wanted *find_stream(const struct spill_sweep *sweep, uint64_t stream)
{
    const struct spill_wanted key = {.stream = stream};
    return sweep->count ? bsearch(&key, sweep->wanted, sweep->count, sizeof *sweep->wanted, compare) : NULL;
}

static bool sweep_all(const struct spill_sweep *sweep, const struct names *names, struct error *err)
{
    for (size_t i = 0; i < names->count; i++) {
        uint64_t stream;
        if (!bytes_to_u64(bytes_of_string(names->at[i]), &stream))
            continue; /* not ours */
        const struct spill_wanted *wanted = find_stream(sweep, stream);
        if (!segment_sweep(sweep->io, sweep->directory, stream, wanted ? wanted->segments.at : NULL,
                           wanted ? wanted->segments.count : 0, err))
            return false;
    }
    return spill_sync_segments(sweep->io, sweep->directory, err);
}

void spill_sweep(void *ctx)
{
    const struct spill_sweep *sweep = ctx;
    char path[SEGMENT_PATH_SIZE];
    struct names names = {0};
    struct error err;
    int size = snprintf(path, sizeof path, "%s/segments", sweep->directory);
    if ((size_t)size >= sizeof path || !io_path_exists(sweep->io, path))
        return;
    if (!io_dir_list(sweep->io, path, add_name, &names, &err) || !sweep_all(sweep, &names, &err))
        diag_warn("log", "what the last run left behind can not be removed: %s", err.message);
    for (size_t i = 0; i < names.count; i++)
        free(names.at[i]);
    free(names.at);
}
