/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in DIR/segments that no record knows. A crash leaves some, and the next start removes them. But where records
 * of the catalog are lost, these may be what they told of: segments that a cleaning had just put in the place of
 * others, or those of a topic whose own record is gone. Then a repair moves them out of the way of that start.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "log/check_priv.h"

struct unknown {
    struct check *check;
    char directory[SEGMENT_PATH_SIZE];
    const struct partition *partition; /* whose segments are there; NULL: nobody's */
    const char *stream;
};

static bool is_of(struct unknown *unknown, const char *path)
{
    static const char *const suffixes[] = {"log", "index"};
    char known[SEGMENT_PATH_SIZE];
    struct error ignored;
    for (size_t i = 0; unknown->partition && i < unknown->partition->segments.count; i++)
        for (size_t k = 0; k < ARRAY_SIZE(suffixes); k++)
            if (segment_path(known, unknown->check->log->options.directory, unknown->partition->stream,
                             &unknown->partition->segments.at[i], suffixes[k], &ignored) &&
                strcmp(known, path) == 0)
                return true;
    return false;
}

static void look_at(void *ctx, const char *name)
{
    struct unknown *unknown = ctx;
    struct check *check = unknown->check;
    char path[SEGMENT_PATH_SIZE + 300], kept_name[600];
    struct error err;
    snprintf(path, sizeof path, "%s/%s", unknown->directory, name);
    if (is_of(unknown, path))
        return;
    if (!check->repair) {
        check_say(check, "%s: no record that is left knows it", path);
        return;
    }
    snprintf(kept_name, sizeof kept_name, "%s-%s", unknown->stream, name);
    if (repair_keep_file(check->repair, path, kept_name, &err))
        check_say(check, "%s: no record that is left knows it; it is in %s", path, check->repair->side);
    else
        check_say(check, "%s: no record that is left knows it, and it can not be kept: %s", path, err.message);
}

static void look_in(void *ctx, const char *name)
{
    struct check *check = ctx;
    struct unknown unknown = {.check = check, .stream = name};
    uint64_t stream;
    struct error err;
    if (!bytes_to_u64(bytes_of_string(name), &stream))
        return; /* not ours */
    unknown.partition = stream < check->log->stream_count ? check->log->streams[stream] : NULL;
    if (snprintf(unknown.directory, sizeof unknown.directory, "%s/segments/%s", check->log->options.directory, name) >=
        (int)sizeof unknown.directory)
        return;
    if (!io_dir_list(check->io, unknown.directory, look_at, &unknown, &err))
        check_say(check, "%s", err.message);
}

void check_unknown_segments(struct check *check)
{
    char path[SEGMENT_PATH_SIZE];
    struct error err;
    snprintf(path, sizeof path, "%s/segments", check->log->options.directory);
    if (check->catalog_lost && io_path_exists(check->io, path) && !io_dir_list(check->io, path, look_in, check, &err))
        check_say(check, "%s", err.message);
}
