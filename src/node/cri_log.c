/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cri_log.h"

#include <limits.h>
#include <stdio.h>

#include "io/file.h"

enum { HEADER_SIZE_MAX = 64 }; /* of a line: time, stream and tag take 40 */

bool cri_line_parse(struct bytes line, struct cri_line *out)
{
    struct bytes stream, tag;
    size_t space = bytes_find(line, 0, ' ');
    out->time = bytes_slice(line, 0, space);
    line = bytes_slice(line, space + 1, SIZE_MAX);
    space = bytes_find(line, 0, ' ');
    stream = bytes_slice(line, 0, space);
    line = bytes_slice(line, space + 1, SIZE_MAX);
    space = bytes_find(line, 0, ' ');
    tag = bytes_slice(line, 0, space);
    out->text = bytes_slice(line, space + 1, SIZE_MAX);
    out->partial = bytes_equal_string(tag, "P");
    return stream.size > 0 && tag.size == 1;
}

void cri_log_path(const char *path, int generation, char *out, size_t size)
{
    if (generation > 0)
        snprintf(out, size, "%.4000s.%d", path, generation);
    else
        snprintf(out, size, "%.4000s", path);
}

/* Appends the file's last bytes, as many as there is room for. True: that is all of it. */
static bool read_end(struct io *io, const char *path, struct buf *out)
{
    struct io_file *file;
    struct error ignored;
    uint64_t size = 0;
    size_t room = out->size_max - out->size, got = 0;
    if (!io_file_open(io, path, 0, &file, &ignored))
        return true;
    if (!io_file_size(file, &size, &ignored))
        size = 0;
    size_t wanted = size < room ? (size_t)size : room;
    uint8_t *to = wanted > 0 ? buf_reserve(out, wanted) : NULL;
    if (to && io_file_read(file, size - wanted, to, wanted, &got, &ignored))
        buf_commit(out, got);
    io_file_close(file);
    return wanted == size;
}

/* The end of a file and, when that has just been begun, of the one before it. True: their beginning is cut off. */
static bool read_files(struct io *io, const char *path, struct buf *out)
{
    char before[PATH_MAX];
    AUTO_BUF newest;
    buf_init(&newest, out->size_max);
    if (!read_end(io, path, &newest)) {
        buf_append(out, buf_bytes(&newest));
        return true;
    }
    size_t size_max = out->size_max;
    out->size_max -= newest.size;
    cri_log_path(path, 1, before, sizeof before);
    bool whole = read_end(io, before, out);
    out->size_max = size_max;
    buf_append(out, buf_bytes(&newest));
    return !whole;
}

/* The last `lines_max` lines of `data`. */
static struct bytes last_lines(struct bytes data, size_t lines_max)
{
    size_t at = data.size, lines = 0;
    while (at > 0) {
        bool ends = data.data[at - 1] == '\n';
        if (ends && at < data.size && ++lines == lines_max)
            break;
        at--;
    }
    return bytes_slice(data, at, SIZE_MAX);
}

void cri_log_tail(struct io *io, const char *path, size_t lines_max, size_t size_max, struct buf *out)
{
    AUTO_BUF raw, text;
    buf_init(&raw, size_max + lines_max * HEADER_SIZE_MAX);
    buf_init(&text, size_max + lines_max * HEADER_SIZE_MAX);
    bool cut = read_files(io, path, &raw);
    struct bytes rest = last_lines(buf_bytes(&raw), lines_max), line;
    cut = cut && rest.size == raw.size;
    while (rest.size > 0 && bytes_split(&rest, '\n', &line)) {
        struct cri_line parsed;
        /* A first line that is cut is so long that what is wanted of it lies behind its header, wherever that is. */
        if (cut)
            parsed = (struct cri_line){.text = line};
        else if (!cri_line_parse(line, &parsed))
            continue;
        cut = false;
        buf_append(&text, parsed.text);
        if (!parsed.partial)
            buf_append_byte(&text, '\n');
    }
    struct bytes all = buf_bytes(&text);
    buf_append(out, bytes_slice(all, all.size > size_max ? all.size - size_max : 0, SIZE_MAX));
}
