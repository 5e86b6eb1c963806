/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a sandbox's monitor: it is started, or found again, connected to, heard, and missed when it ends. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/monitored_priv.h"

enum { CONNECT_TIMEOUT_MS = 5000 };

/* --- What it says --- */

void monitored_send(struct monitored *monitored, struct buf *buf)
{
    if (monitored->stream && !buf->overflowed)
        io_stream_write(monitored->stream, buf_bytes(buf));
}

static bool obey(struct monitored *monitored, const struct protocol_frame *frame, struct arena *arena);
static void hello(struct monitored *monitored, int pid);

/* All that happened in a sandbox while no evoke was there is told at once. */
static bool adopted_all(struct monitored *monitored)
{
    if (monitored->state != MONITORED_CONNECTING)
        return true;
    monitored->state = MONITORED_ATTACHED;
    monitored_ready(monitored, monitored_ip(monitored), NULL);
    struct bytes rest = buf_bytes(&monitored->early);
    struct protocol_frame frame;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    bool ok = true;
    while (ok && protocol_next(&rest, &frame) > 0)
        ok = obey(monitored, &frame, &arena);
    buf_deinit(&monitored->early);
    return ok;
}

static bool obey(struct monitored *monitored, const struct protocol_frame *frame, struct arena *arena)
{
    struct bytes body = frame->body;
    struct protocol_task task;
    if (monitored->adopted && monitored->state == MONITORED_CONNECTING && frame->type == PROTOCOL_TASK) {
        buf_append_be32(&monitored->early, (uint32_t)body.size + 1);
        buf_append_byte(&monitored->early, frame->type);
        buf_append(&monitored->early, body);
        return true;
    }
    const char *name;
    uint32_t version, pid, sys;
    switch (frame->type) {
    case PROTOCOL_HELLO:
        if (!protocol_get_number(&body, &version) || !protocol_get_number(&body, &pid))
            return false;
        hello(monitored, (int)pid);
        return true;
    case PROTOCOL_READY:
        return !monitored->adopted || adopted_all(monitored);
    case PROTOCOL_TASK:
        if (!protocol_get_task(body, arena, &task))
            return false;
        monitored_task(monitored, &task);
        return true;
    case PROTOCOL_OUTPUT:
        if (!protocol_get_string(body, arena, &name))
            return false;
        monitored_output(monitored, name);
        return true;
    case PROTOCOL_MOUNTED:
        if (!protocol_get_number(&body, &sys))
            return false;
        monitored_mounted(monitored, (int)sys);
        return true;
    default:
        return true;
    }
}

static void lost_connection(struct monitored *monitored, const struct error *err)
{
    io_stream_close(TAKE(monitored->stream));
    if (monitored->process)
        io_process_signal(monitored->process, SIGKILL); /* of no use without its socket */
    if (monitored->state != MONITORED_REMOVING)
        monitored_fail_later(monitored, err);
    else if (!monitored->process)
        monitored_clean_up(monitored);
}

static void on_data(void *ctx, struct bytes data)
{
    struct monitored *monitored = ctx;
    buf_append(&monitored->in, data);
    struct bytes rest = buf_bytes(&monitored->in);
    struct protocol_frame frame;
    AUTO_ARENA arena;
    arena_init(&arena, PROTOCOL_FRAME_MAX * 2);
    int more = 1;
    while (monitored->stream && (more = protocol_next(&rest, &frame)) > 0 && obey(monitored, &frame, &arena))
        arena_reset(&arena);
    if (!monitored->stream)
        return;
    struct error err;
    if (more != 0 || monitored->in.overflowed) {
        error_set(&err, ERROR_CORRUPT, "the pod's monitor does not speak the protocol");
        lost_connection(monitored, &err);
        return;
    }
    buf_consume(&monitored->in, monitored->in.size - rest.size);
}

static void on_end(void *ctx, const struct error *cause)
{
    struct error err;
    error_set(&err, ERROR_UNAVAILABLE, "the pod's monitor is gone%s%s", cause ? ": " : "", cause ? cause->message : "");
    lost_connection(ctx, &err);
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct monitored *monitored = ctx;
    monitored->connecting = NULL;
    close(monitored->directory_fd);
    monitored->directory_fd = -1;
    if (!stream) {
        struct error gone = *err;
        if (monitored->adopted)
            error_set(&gone, ERROR_NOT_FOUND, "nothing is left of the pod's processes");
        monitored_fail_later(monitored, &gone);
        return;
    }
    monitored->stream = stream;
    io_stream_start(stream, &callbacks, monitored);
    if (monitored->state == MONITORED_REMOVING)
        monitored_tell_end(monitored);
}

/* Unix socket paths are short (108 bytes); /proc/self/fd makes any directory short. */
bool monitored_connect(struct monitored *monitored, struct error *err)
{
    monitored->directory_fd = open(monitored->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (monitored->directory_fd < 0)
        return error_sys(err, errno, "open %s", monitored->directory);
    struct io_address address = {.family = IO_ADDRESS_UNIX};
    snprintf(address.path, sizeof address.path, "/proc/self/fd/%d/monitor.sock", monitored->directory_fd);
    monitored->connecting =
        io_connect(monitored_engine(monitored)->io, &address, NULL, NULL, CONNECT_TIMEOUT_MS, on_connected, monitored);
    return true;
}

/* --- The monitor as a process --- */

static void monitor_ended(void *ctx, const struct io_process_exit *exit)
{
    struct monitored *monitored = ctx;
    monitored->ended_well = exit->code == 0;
    io_process_release(TAKE(monitored->process));
    if (monitored->state == MONITORED_REMOVING) {
        io_stream_close(TAKE(monitored->stream));
        monitored_clean_up(monitored);
        return;
    }
    char path[PATH_MAX];
    struct error err, ignored;
    AUTO_BUF said;
    buf_init(&said, 300);
    snprintf(path, sizeof path, "%s/monitor.log", monitored->directory);
    if (!io_path_read(monitored_engine(monitored)->io, path, &said, &ignored))
        buf_reset(&said);
    error_set(&err, ERROR_UNAVAILABLE, "the pod's monitor ended" BYTES_FORMAT "%s", said.size ? 2 : 0, ": ",
              buf_string(&said));
    if (monitored->connecting) {
        io_connect_cancel(TAKE(monitored->connecting));
        close(monitored->directory_fd);
        monitored->directory_fd = -1;
    }
    lost_connection(monitored, &err);
}

static void hello(struct monitored *monitored, int pid)
{
    struct monitored_engine *engine = monitored_engine(monitored);
    struct error err;
    bool removing =
        monitored->state == MONITORED_REMOVING && monitored->adopted; /* when it has ended is good to know */
    if (monitored->state != MONITORED_CONNECTING && !removing)
        return;
    monitored->pid = pid;
    if (monitored->adopted && !io_process_watch(engine->io, pid, monitor_ended, monitored, &monitored->process, &err)) {
        lost_connection(monitored, &err);
        return;
    }
    if (monitored->adopted)
        return; /* attached when its tasks are known */
    monitored->state = MONITORED_ATTACHED;
    engine->ops->connected(monitored);
}

static int make_listener(const char *directory, struct error *err)
{
    int directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/monitor.sock", directory_fd);
    bool ok = directory_fd >= 0 && fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(fd, 8) == 0;
    if (!ok) {
        error_sys(err, errno, "make %s/monitor.sock", directory);
        if (fd >= 0)
            close(fd);
    }
    if (directory_fd >= 0)
        close(directory_fd);
    return ok ? fd : -1;
}

static bool shares_with_host(const struct runtime_pod *pod, const char *namespace)
{
    return (pod->host_network && strcmp(namespace, "network") == 0) || (pod->host_ipc && strcmp(namespace, "ipc") == 0);
}

bool monitored_start_monitor(struct monitored *monitored, const struct runtime_pod *pod, struct error *err)
{
    struct monitored_engine *engine = monitored_engine(monitored);
    char path[PATH_MAX], title[300];
    snprintf(path, sizeof path, "%s/monitor.log", monitored->directory);
    snprintf(title, sizeof title, "%s/%s", pod->namespace, pod->name);
    int listener = make_listener(monitored->directory, err);
    if (listener < 0)
        return false;
    int said = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *argv[6] = {engine->monitor, title};
    for (size_t i = 0, at = 2; i < ARRAY_SIZE(engine->monitor_namespaces) && engine->monitor_namespaces[i]; i++)
        if (!shares_with_host(pod, engine->monitor_namespaces[i]))
            argv[at++] = engine->monitor_namespaces[i];
    const struct io_process_options options = {
        .argv = argv,
        .directory = monitored->directory,
        .new_session = true,
        .descriptors = (const int[]){-1, -1, said, listener},
        .descriptor_count = 4,
    };
    bool ok = io_process_spawn(engine->io, &options, monitor_ended, monitored, &monitored->process, err);
    close(listener);
    if (said >= 0)
        close(said);
    return ok && monitored_connect(monitored, err);
}
