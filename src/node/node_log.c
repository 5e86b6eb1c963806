/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/log: a container's output from its files in the CRI log format, oldest first (NAME.log.4 ... NAME.log). The
 * whole lines that are asked for are sent without their header; parts (P) are joined by leaving the newline out.
 * --tail reads once to count, from the newest file backwards, and then from where the wanted lines begin.
 *
 * Following is by the monitor's word, not by polling: when it has written, it says so.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "node/cri_log.h"
#include "node/node_priv.h"

enum { CHUNK_SIZE = 64 << 10, LINE_MAX_SIZE = 64 << 10 };

struct node_log {
    struct list link; /* of pod->logs */
    struct pod *pod;  /* NULL: it is gone */
    struct io *io;
    char container[RUNTIME_NAME_SIZE];
    unsigned attempt;
    struct node_log_options options;
    struct node_log_callbacks callbacks;
    void *ctx;
    struct io_deferred read;
    struct io_file *file;
    char path[PATH_MAX];
    int generation;      /* which file is read: 4 (oldest) to 0 (current) */
    uint64_t offset;     /* in it */
    uint64_t skip_lines; /* still to be passed over for --tail */
    int64_t bytes_left;  /* -1: no limit */
    struct buf pending;  /* the beginning of a line whose end was not read yet */
    bool in_line;        /* the last line sent was a part: the next one goes on */
    bool paused, ended, over;
};

/* --- Lines --- */

static void send_bytes(struct node_log *log, struct bytes data)
{
    if (log->bytes_left >= 0 && data.size > (uint64_t)log->bytes_left)
        data.size = (size_t)log->bytes_left;
    if (log->bytes_left >= 0)
        log->bytes_left -= (int64_t)data.size;
    if (data.size > 0)
        log->callbacks.on_data(log->ctx, data);
}

static void format_line(struct node_log *log, struct bytes line, struct buf *out)
{
    struct cri_line parsed;
    int64_t time_ns;
    if (!cri_line_parse(line, &parsed))
        return;
    bool starts = !log->in_line;
    log->in_line = parsed.partial;
    if (log->skip_lines > 0) {
        log->skip_lines -= !parsed.partial;
        return;
    }
    if (log->options.since_ns && text_parse_time_ns(parsed.time, &time_ns) && time_ns < log->options.since_ns)
        return;
    if (log->options.timestamps && starts) {
        buf_append(out, parsed.time);
        buf_append_byte(out, ' ');
    }
    buf_append(out, parsed.text);
    if (!parsed.partial)
        buf_append_byte(out, '\n');
}

static void take_chunk(struct node_log *log, struct bytes chunk)
{
    AUTO_BUF out;
    buf_init(&out, CHUNK_SIZE * 4);
    while (chunk.size > 0) {
        size_t newline = bytes_find(chunk, 0, '\n');
        bool whole = newline < chunk.size;
        buf_append(&log->pending, bytes_slice(chunk, 0, newline));
        chunk = bytes_slice(chunk, newline + whole, SIZE_MAX);
        if (!whole)
            break;
        format_line(log, buf_bytes(&log->pending), &out);
        buf_reset(&log->pending);
    }
    send_bytes(log, buf_bytes(&out));
}

/* --- Files --- */

static bool open_generation(struct node_log *log, int generation)
{
    char path[PATH_MAX];
    struct error err;
    io_file_close(TAKE(log->file));
    cri_log_path(log->path, generation, path, sizeof path);
    log->generation = generation;
    log->offset = 0;
    return io_file_open(log->io, path, 0, &log->file, &err);
}

static uint64_t count_lines(struct node_log *log, int generation)
{
    AUTO_FREE(uint8_t) chunk = memory_new(CHUNK_SIZE);
    uint64_t lines = 0;
    size_t got;
    struct error err;
    if (!open_generation(log, generation))
        return 0;
    while (io_file_read(log->file, log->offset, chunk, CHUNK_SIZE, &got, &err) && got > 0) {
        struct bytes rest = bytes_of(chunk, got);
        for (size_t at = 0; (at = bytes_find(rest, at, '\n')) < rest.size; at++)
            lines++;
        log->offset += got;
    }
    return lines;
}

/* Parts make this count too high: then a little less is shown than was asked for. */
static void find_start(struct node_log *log)
{
    int first = 0;
    char path[PATH_MAX];
    for (int generation = CRI_LOG_FILES - 1; generation > 0 && first == 0; generation--) {
        cri_log_path(log->path, generation, path, sizeof path);
        if (io_path_exists(log->io, path))
            first = generation;
    }
    if (log->options.tail_lines >= 0) {
        uint64_t wanted = (uint64_t)log->options.tail_lines, have = 0;
        int generation = 0;
        for (;; generation++) {
            have += count_lines(log, generation);
            if (have >= wanted || generation == first)
                break;
        }
        first = generation;
        log->skip_lines = have > wanted ? have - wanted : 0;
    }
    open_generation(log, first);
}

/* --- Reading --- */

static struct container *log_container(const struct node_log *log)
{
    return log->pod ? pod_container(log->pod, log->container) : NULL;
}

/* Whether more may come: the run goes on. */
static bool run_goes_on(const struct node_log *log)
{
    const struct container *container = log_container(log);
    return container && container->attempt == log->attempt && container_is_up(container);
}

static void watch_output(struct node_log *log, bool on)
{
    struct container *container = log_container(log);
    if (!container || !log->pod->sandbox || log->pod->stage != POD_LIVE || container->following == on)
        return;
    container->following = on;
    log->pod->runtime->ops->watch_output(log->pod->sandbox, log->container, on);
}

static void end(struct node_log *log)
{
    if (log->over)
        return;
    log->over = true;
    log->callbacks.on_end(log->ctx, NULL); /* which may close it */
}

/* While we followed, the file may have become NAME.1: what we have open is read to its end, then the new one. */
static bool rotated(struct node_log *log)
{
    char path[PATH_MAX];
    struct error err;
    struct io_file *current;
    uint64_t size;
    if (log->generation > 0)
        return open_generation(log, log->generation - 1) || log->generation > 0;
    cri_log_path(log->path, 0, path, sizeof path);
    if (!io_file_open(log->io, path, 0, &current, &err))
        return false;
    bool smaller = io_file_size(current, &size, &err) && size < log->offset;
    if (smaller) {
        io_file_close(log->file);
        log->file = current;
        log->offset = 0;
    } else {
        io_file_close(current);
    }
    return smaller;
}

static void read_more(void *ctx)
{
    struct node_log *log = ctx;
    AUTO_FREE(uint8_t) chunk = memory_new(CHUNK_SIZE);
    size_t got = 0;
    struct error err;
    if (log->paused || log->over)
        return;
    bool going_on = run_goes_on(log); /* asked before reading: what is written until its end is read */
    if (log->file && (!io_file_read(log->file, log->offset, chunk, CHUNK_SIZE, &got, &err)))
        got = 0;
    log->offset += got;
    if (got > 0) {
        take_chunk(log, bytes_of(chunk, got));
    } else if (!rotated(log)) {
        if (!log->options.follow || !going_on)
            end(log);
        else
            watch_output(log, true);
        return;
    }
    if (log->bytes_left == 0)
        end(log);
    else
        io_defer(&log->read);
}

void node_logs_changed(struct pod *pod, const struct container *container)
{
    list_each (struct node_log, log, &pod->logs, link)
        if (strcmp(log->container, container->name) == 0)
            io_defer(&log->read);
}

void node_logs_end(struct pod *pod)
{
    list_each (struct node_log, log, &pod->logs, link) {
        list_remove(&log->link);
        log->pod = NULL;
        io_defer(&log->read);
    }
}

/* --- Open and close --- */

static struct container *choose_container(struct pod *pod, struct bytes name, struct error *err)
{
    if (name.size == 0 && pod->container_count - pod->init_count == 1)
        return &pod->containers[pod->init_count];
    if (name.size == 0) {
        const struct json *annotated =
            json_get(json_at(pod->object->json, "metadata.annotations"), "kubectl.kubernetes.io/default-container");
        name = json_bytes(annotated);
    }
    if (name.size == 0) {
        error_set(err, ERROR_INVALID, "a container name must be specified for pod %s", pod->name);
        return NULL;
    }
    AUTO_FREE(char) text = memory_string(name);
    struct container *container = pod_container(pod, text);
    if (!container)
        error_set(err, ERROR_INVALID, "container %s is not valid for pod %s", text, pod->name);
    return container;
}

/* Which run is meant. */
static bool choose_attempt(const struct container *container, bool previous, unsigned *out, struct error *err)
{
    const struct pod *pod = container->pod;
    unsigned attempt = container->attempt;
    bool started = container->has_run;
    if (previous) {
        if (attempt == 0 || (started && attempt < 1))
            return error_set(err, ERROR_INVALID, "previous terminated container \"%s\" in pod \"%s\" not found",
                             container->name, pod->name);
        *out = attempt - 1;
        return true;
    }
    if (!started && attempt == 0)
        return error_set(err, ERROR_INVALID, "container \"%s\" in pod \"%s\" is waiting to start: %s", container->name,
                         pod->name, container->reason[0] ? container->reason : "ContainerCreating");
    *out = started ? attempt : attempt - 1;
    return true;
}

struct node_log *node_log_open(struct node *node, struct bytes namespace, struct bytes pod_name,
                               const struct node_log_options *options, const struct node_log_callbacks *callbacks,
                               void *ctx, struct error *err)
{
    struct pod *pod = node_pod(node, namespace, pod_name);
    unsigned attempt = 0;
    if (!pod) {
        bool known = api_get(node->api, kind_by_name("Pod"), namespace, pod_name) != NULL;
        error_set(err, known ? ERROR_INVALID : ERROR_NOT_FOUND,
                  known ? "pod \"" BYTES_FORMAT "\" is not scheduled to a node yet"
                        : "pods \"" BYTES_FORMAT "\" not found",
                  BYTES_ARGS(pod_name));
        return NULL;
    }
    struct container *container = choose_container(pod, options->container, err);
    if (!container || !choose_attempt(container, options->previous, &attempt, err))
        return NULL;
    if (!pod->sandbox) {
        error_set(err, ERROR_NOT_FOUND, "the output of pod %s is not kept any more", pod->name);
        return NULL;
    }
    struct node_log *log = NEW(struct node_log);
    log->pod = pod;
    log->io = node->io;
    snprintf(log->container, sizeof log->container, "%s", container->name);
    log->attempt = attempt;
    log->options = *options;
    log->options.container = BYTES_NULL;
    log->callbacks = *callbacks;
    log->ctx = ctx;
    log->bytes_left = options->limit_bytes;
    buf_init(&log->pending, LINE_MAX_SIZE);
    pod->runtime->ops->output_path(pod->sandbox, log->container, attempt, log->path, sizeof log->path);
    list_append(&pod->logs, &log->link);
    io_deferred_init(node->io, &log->read, read_more, log);
    find_start(log);
    io_defer(&log->read);
    return log;
}

void node_log_pause(struct node_log *log)
{
    log->paused = true;
}

void node_log_resume(struct node_log *log)
{
    log->paused = false;
    io_defer(&log->read);
}

void node_log_close(struct node_log *log)
{
    io_deferred_cancel(&log->read);
    list_remove(&log->link);
    io_file_close(log->file);
    buf_deinit(&log->pending);
    free(log);
}
