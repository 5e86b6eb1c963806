/* SPDX-License-Identifier: Apache-2.0 */
/* One write(2) per chunk that a process writes, straight to the file: nothing is held back, so a log can be followed.
 */
#include "monitor/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

bool output_open(struct output *output, const char *path)
{
    *output = (struct output){.fd = -1, .size_max = OUTPUT_FILE_MAX, .path = memory_string(bytes_of_string(path))};
    for (size_t i = 0; i < ARRAY_SIZE(output->pending); i++)
        buf_init(&output->pending[i], OUTPUT_LINE_MAX);
    buf_init(&output->formatted, 16 << 20);
    output->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    struct stat stat;
    if (output->fd >= 0 && fstat(output->fd, &stat) == 0)
        output->size = (uint64_t)stat.st_size;
    return output->fd >= 0;
}

void output_close(struct output *output)
{
    for (size_t i = 0; i < ARRAY_SIZE(output->pending); i++)
        buf_deinit(&output->pending[i]);
    buf_deinit(&output->formatted);
    if (output->fd >= 0)
        close(output->fd);
    output->fd = -1;
    free(TAKE(output->path));
}

static void rotate(struct output *output)
{
    size_t size = strlen(output->path) + 16;
    AUTO_FREE(char) from = memory_new(size);
    AUTO_FREE(char) to = memory_new(size);
    for (int i = OUTPUT_FILES - 1; i > 0; i--) {
        if (i > 1)
            snprintf(from, size, "%s.%d", output->path, i - 1);
        else
            snprintf(from, size, "%s", output->path);
        snprintf(to, size, "%s.%d", output->path, i);
        rename(from, to); /* fails for those that are not there yet */
    }
    int fd = open(output->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return; /* go on in the old file: too long is better than lost */
    close(output->fd);
    output->fd = fd;
    output->size = 0;
}

static void write_out(struct output *output)
{
    struct bytes rest = buf_bytes(&output->formatted);
    if (output->size > 0 && output->size + rest.size > output->size_max)
        rotate(output);
    while (rest.size > 0) {
        ssize_t n = write(output->fd, rest.data, rest.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        output->size += (uint64_t)n;
        rest = bytes_slice(rest, (size_t)n, SIZE_MAX);
    }
    output->lost += rest.size;
    buf_reset(&output->formatted);
}

static void format_line(struct output *output, const char *prefix, char tag, struct bytes line)
{
    buf_append_string(&output->formatted, prefix);
    buf_append_byte(&output->formatted, (uint8_t)tag);
    buf_append_byte(&output->formatted, ' ');
    buf_append(&output->formatted, line);
    buf_append_byte(&output->formatted, '\n');
}

static void format_prefix(enum output_source source, int64_t now_ns, char out[64])
{
    char time[TEXT_TIME_SIZE];
    text_format_time_ns(now_ns, time);
    snprintf(out, 64, "%s %s ", time, source == OUTPUT_STDOUT ? "stdout" : "stderr");
}

void output_write(struct output *output, enum output_source source, struct bytes data, int64_t now_ns)
{
    struct buf *pending = &output->pending[source];
    char prefix[64];
    format_prefix(source, now_ns, prefix);
    while (data.size > 0) {
        size_t newline = bytes_find(data, 0, '\n');
        size_t take = newline < OUTPUT_LINE_MAX - pending->size ? newline : OUTPUT_LINE_MAX - pending->size;
        buf_append(pending, bytes_slice(data, 0, take));
        data = bytes_slice(data, take, SIZE_MAX);
        bool whole = data.size > 0 && data.data[0] == '\n';
        if (!whole && pending->size < OUTPUT_LINE_MAX)
            break; /* all taken, the line goes on */
        if (whole)
            data = bytes_slice(data, 1, SIZE_MAX);
        format_line(output, prefix, whole ? 'F' : 'P', buf_bytes(pending));
        buf_reset(pending);
    }
    if (output->formatted.size > 0)
        write_out(output);
}

void output_flush(struct output *output, enum output_source source, int64_t now_ns)
{
    struct buf *pending = &output->pending[source];
    if (pending->size == 0)
        return;
    char prefix[64];
    format_prefix(source, now_ns, prefix);
    format_line(output, prefix, 'P', buf_bytes(pending));
    buf_reset(pending);
    write_out(output);
}
