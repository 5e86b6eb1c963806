/* SPDX-License-Identifier: Apache-2.0 */
/* Names of segments, and their end. */
#include "log/segment.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"

void segment_list_append(struct segment_list *list, struct segment segment)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 1;
        list->at = memory_resize_array(list->at, list->capacity, sizeof *list->at);
    }
    list->at[list->count++] = segment;
}

void segment_list_deinit(struct segment_list *list)
{
    free(list->at);
    *list = (struct segment_list){0};
}

struct segment *segment_list_find(const struct segment_list *list, const struct segment *segment)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].base_offset == segment->base_offset && list->at[i].generation == segment->generation)
            return &list->at[i];
    return NULL;
}

static bool too_long(struct error *err)
{
    return error_set(err, ERROR_INVALID, "the path of the data directory is too long");
}

bool segment_directory(char out[SEGMENT_PATH_SIZE], const char *directory, uint64_t stream, struct error *err)
{
    int size = snprintf(out, SEGMENT_PATH_SIZE, "%s/segments/%" PRIu64, directory, stream);
    return size < SEGMENT_PATH_SIZE || too_long(err);
}

static int print_name(char *out, size_t size, const struct segment *segment, const char *suffix)
{
    return snprintf(out, size, "%020" PRId64 "-%" PRIu32 ".%s", segment->base_offset, segment->generation, suffix);
}

bool segment_path(char out[SEGMENT_PATH_SIZE], const char *directory, uint64_t stream, const struct segment *segment,
                  const char *suffix, struct error *err)
{
    if (!segment_directory(out, directory, stream, err))
        return false;
    size_t at = strlen(out);
    out[at++] = '/';
    int size = print_name(out + at, SEGMENT_PATH_SIZE - at, segment, suffix);
    return (size_t)size < SEGMENT_PATH_SIZE - at || too_long(err);
}

static const char *const suffixes[] = {"log", "index"};

bool segment_remove(struct io *io, const char *directory, uint64_t stream, const struct segment *segment,
                    struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char path[SEGMENT_PATH_SIZE];
        if (!segment_path(path, directory, stream, segment, suffixes[i], err) || !io_path_remove_all(io, path, err))
            return false;
    }
    return true;
}

struct sweep {
    struct io *io;
    const char *path;
    const struct segment *segments;
    size_t count;
    bool failed;
    struct error *err;
};

static bool is_of(const struct segment *segment, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char expected[64];
        print_name(expected, sizeof expected, segment, suffixes[i]);
        if (strcmp(expected, name) == 0)
            return true;
    }
    return false;
}

/* The one whose base offset a name begins with: a partition may have tens of thousands. */
static const struct segment *find_named(const struct sweep *sweep, const char *name)
{
    const char *dash = strchr(name, '-');
    uint64_t base_offset;
    if (!dash || !bytes_to_u64(bytes_of(name, (size_t)(dash - name)), &base_offset))
        return NULL;
    size_t low = 0, high = sweep->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uint64_t)sweep->segments[middle].base_offset < base_offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sweep->count ? &sweep->segments[low] : NULL;
}

static void sweep_one(void *ctx, const char *name)
{
    struct sweep *sweep = ctx;
    char path[SEGMENT_PATH_SIZE];
    const struct segment *segment = find_named(sweep, name);
    if (segment && is_of(segment, name))
        return;
    if (sweep->failed || snprintf(path, sizeof path, "%s/%s", sweep->path, name) >= (int)sizeof path)
        return;
    sweep->failed = !io_path_remove_all(sweep->io, path, sweep->err);
}

bool segment_sweep(struct io *io, const char *directory, uint64_t stream, const struct segment *segments, size_t count,
                   struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    if (!segment_directory(path, directory, stream, err))
        return false;
    if (!segments || count == 0)
        return io_path_remove_all(io, path, err);
    struct sweep sweep = {.io = io, .path = path, .segments = segments, .count = count, .err = err};
    return io_dir_list(io, path, sweep_one, &sweep, err) && !sweep.failed;
}

bool segment_cut(struct io *io, const char *directory, uint64_t stream, const struct segment *segment,
                 struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    uint64_t size;
    if (!segment_path(path, directory, stream, segment, "log", err))
        return false;
    if (!io_path_exists(io, path))
        return true;
    if (!io_file_open(io, path, IO_FILE_WRITE, &file, err))
        return false;
    bool ok = io_file_size(file, &size, err) && (size <= segment->size || io_file_truncate(file, segment->size, err));
    io_file_close(file);
    return ok;
}
