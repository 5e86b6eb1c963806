/* SPDX-License-Identifier: Apache-2.0 */
#include "node/monitored.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memory.h"
#include "base/text.h"
#include "node/monitored_priv.h"
#include "node/volumes.h"

enum { CONNECT_TIMEOUT_MS = 5000, IN_MAX = PROTOCOL_FRAME_MAX + (1 << 20) };

/* --- Telling --- */

void monitored_ready(struct monitored *monitored, const char *ip, const struct error *err)
{
    if (monitored->state != MONITORED_REMOVING)
        monitored->sandbox.events->on_ready(monitored->sandbox.ctx, ip, err);
}

void monitored_notice(struct monitored *monitored, const char *reason, const char *message)
{
    monitored->sandbox.events->on_notice(monitored->sandbox.ctx, reason, message);
}

const char *monitored_ip(const struct monitored *monitored)
{
    return json_text_at(monitored->description, "ip", "");
}

static void tell_failure(void *ctx)
{
    struct monitored *monitored = ctx;
    if (monitored->state == MONITORED_REMOVING) {
        monitored_clean_up(monitored);
        return;
    }
    enum monitored_state before = monitored->state;
    monitored->state = MONITORED_LOST;
    if (before == MONITORED_CONNECTING)
        monitored_ready(monitored, "", &monitored->failure);
    else if (before == MONITORED_ATTACHED)
        monitored->sandbox.events->on_lost(monitored->sandbox.ctx, &monitored->failure);
}

/* From the loop, as every callback. */
static void fail_later(struct monitored *monitored, const struct error *err)
{
    monitored->failure = *err;
    io_defer(&monitored->deferred);
}

/* --- The monitor's end of the line --- */

void monitored_send(struct monitored *monitored, struct buf *buf)
{
    if (monitored->stream && !buf->overflowed)
        io_stream_write(monitored->stream, buf_bytes(buf));
}

static bool obey(struct monitored *monitored, const struct protocol_frame *frame, struct arena *arena);

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
        monitored_hello(monitored, (int)pid);
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
        fail_later(monitored, err);
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
        fail_later(monitored, &gone);
        return;
    }
    monitored->stream = stream;
    io_stream_start(stream, &callbacks, monitored);
    if (monitored->state == MONITORED_REMOVING)
        monitored_tell_end(monitored);
}

/* Unix socket paths are short (108 bytes); /proc/self/fd makes any directory short. */
static bool connect_monitor(struct monitored *monitored, struct error *err)
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

static bool start_monitor(struct monitored *monitored, const struct runtime_pod *pod, struct error *err)
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
        if (!(pod->host_network && strcmp(engine->monitor_namespaces[i], "network") == 0))
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
    return ok && connect_monitor(monitored, err);
}

/* --- Create, adopt --- */

static void volume_path(const struct monitored *monitored, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/_volumes/%s", monitored->directory, name);
}

static bool make_directories(struct monitored *monitored, const struct runtime_pod *pod, struct error *err)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/_volumes", monitored->directory) > PATH_MAX - 1024)
        return error_set(err, ERROR_LIMIT, "the path %s is too long", monitored->directory);
    if (mkdir(monitored->directory, 0755) != 0)
        return error_sys(err, errno, "mkdir %s", monitored->directory);
    if (pod->volume_count > 0 && mkdir(path, 0755) != 0)
        return error_sys(err, errno, "mkdir %s", path);
    for (size_t i = 0; i < pod->volume_count; i++) {
        volume_path(monitored, pod->volumes[i].name, path);
        if (!volumes_write(path, &pod->volumes[i], (uint64_t)io_wall_ns(monitored_engine(monitored)->io), err))
            return false;
    }
    return true;
}

void monitored_describe(struct monitored *monitored)
{
    char path[PATH_MAX];
    struct error err;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    json_print(monitored->description, &text);
    snprintf(path, sizeof path, "%s/sandbox.json", monitored->directory);
    if (!volumes_write_file(path, buf_bytes(&text), 0600, &err))
        diag_warn("node", "%s", err.message);
}

static void describe_host_paths(struct json *description, const struct runtime_pod *pod)
{
    struct json *hosts = json_new_object();
    for (size_t i = 0; i < pod->volume_count; i++) {
        const struct runtime_volume *volume = &pod->volumes[i];
        if (volume->type == RUNTIME_VOLUME_HOST)
            json_set(hosts, volume->name, json_new_text(volume->host_path));
    }
    json_set(description, "hostPaths", hosts);
}

static struct monitored *monitored_new(struct runtime *runtime, const char *uid, const struct sandbox_events *events,
                                       void *ctx)
{
    struct monitored_engine *engine = (struct monitored_engine *)(void *)runtime;
    struct monitored *monitored = memory_new(engine->ops->size);
    monitored->sandbox = (struct sandbox){.runtime = runtime, .events = events, .ctx = ctx};
    snprintf(monitored->uid, sizeof monitored->uid, "%s", uid);
    size_t size = strlen(engine->pods) + strlen(uid) + 2;
    monitored->directory = memory_new(size);
    snprintf(monitored->directory, size, "%s/%s", engine->pods, uid);
    monitored->directory_fd = -1;
    monitored->exec_next = (uint64_t)io_wall_ns(engine->io); /* no name is used twice, not by an evoke before us */
    buf_init(&monitored->in, IN_MAX);
    buf_init(&monitored->early, IN_MAX * 4);
    list_init(&monitored->execs);
    list_init(&monitored->runs);
    list_init(&monitored->failed_starts);
    list_init(&monitored->mounts);
    io_deferred_init(engine->io, &monitored->deferred, tell_failure, monitored);
    io_timer_init(engine->io, &monitored->again, monitored_clean_up, monitored);
    list_append(&engine->sandboxes, &monitored->link);
    return monitored;
}

static struct sandbox *create(struct runtime *runtime, const struct runtime_pod *pod,
                              const struct sandbox_events *events, void *ctx)
{
    struct monitored *monitored = monitored_new(runtime, pod->uid, events, ctx);
    struct error err;
    monitored->description = json_new_object();
    json_set(monitored->description, "namespace", json_new_text(pod->namespace));
    json_set(monitored->description, "name", json_new_text(pod->name));
    json_set(monitored->description, "runtime", json_new_text(runtime->name));
    json_set(monitored->description, "cgroups", cgroups_describe(monitored_engine(monitored)->cgroups));
    describe_host_paths(monitored->description, pod);
    if (!make_directories(monitored, pod, &err) || !monitored_engine(monitored)->ops->prepare(monitored, pod, &err)) {
        fail_later(monitored, &err);
        return &monitored->sandbox;
    }
    monitored_describe(monitored);
    if (!start_monitor(monitored, pod, &err))
        fail_later(monitored, &err);
    return &monitored->sandbox;
}

static struct json *read_description(struct monitored_engine *engine, const char *uid)
{
    char path[PATH_MAX];
    struct error err;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    snprintf(path, sizeof path, "%s/%s/sandbox.json", engine->pods, uid);
    return io_path_read(engine->io, path, &text, &err) ? json_parse(buf_bytes(&text), 0, &err) : NULL;
}

struct finding {
    struct monitored_engine *engine;
    void (*each)(void *ctx, const char *uid);
    void *ctx;
};

/* What does not say which engine it belongs to is rubbish, which the process engine sweeps up. */
static void found(void *ctx, const char *name)
{
    struct finding *finding = ctx;
    uint8_t uuid[16];
    if (!text_parse_uuid(bytes_of_string(name), uuid))
        return;
    AUTO_JSON *description = read_description(finding->engine, name);
    const char *mine = finding->engine->runtime.name;
    if (strcmp(json_text_at(description, "runtime", "process"), mine) == 0)
        finding->each(finding->ctx, name);
}

static void find(struct runtime *runtime, void (*each)(void *ctx, const char *uid), void *ctx)
{
    struct monitored_engine *engine = (struct monitored_engine *)(void *)runtime;
    struct finding finding = {engine, each, ctx};
    struct error err;
    if (!io_dir_list(engine->io, engine->pods, found, &finding, &err))
        diag_warn("node", "%s", err.message);
}

static struct sandbox *adopt(struct runtime *runtime, const char *uid, const struct sandbox_events *events, void *ctx)
{
    struct monitored *monitored = monitored_new(runtime, uid, events, ctx);
    struct error err;
    monitored->adopted = true;
    monitored->description = read_description(monitored_engine(monitored), uid);
    monitored->cgroups = cgroups_restore(json_get(monitored->description, "cgroups"));
    if (!monitored->description) {
        monitored->description = json_new_object();
        error_set(&err, ERROR_NOT_FOUND, "nothing is left of the pod");
        fail_later(monitored, &err);
    } else if (!connect_monitor(monitored, &err)) {
        fail_later(monitored, &err);
    }
    return &monitored->sandbox;
}

void monitored_hello(struct monitored *monitored, int pid)
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

static bool update_volume(struct sandbox *sandbox, const struct runtime_volume *volume, struct error *err)
{
    struct monitored *monitored = (struct monitored *)(void *)sandbox;
    char path[PATH_MAX];
    volume_path(monitored, volume->name, path);
    return volumes_write(path, volume, (uint64_t)io_wall_ns(monitored_engine(monitored)->io), err);
}

/* --- Engines --- */

/* `given`, or else where it is installed beside this program. */
static char *find_monitor(const char *given, struct error *err)
{
    static const char *const places[] = {"evoke-monitor", "../libexec/evoke/evoke-monitor"};
    char self[PATH_MAX - 64], path[PATH_MAX];
    if (given && access(given, X_OK) == 0)
        return memory_string(bytes_of_string(given));
    if (given) {
        error_sys(err, errno, "the pods' monitor %s", given);
        return NULL;
    }
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    self[size > 0 ? size : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        if (access(path, X_OK) == 0)
            return memory_string(bytes_of_string(path));
    }
    error_set(err, ERROR_NOT_FOUND,
              "the pods' monitor, evoke-monitor, is missing: it was built and installed with evoke, and is neither "
              "%s/%s nor %s/%s",
              self, places[0], self, places[1]);
    return NULL;
}

static const struct runtime_ops shared_ops = {
    .create = create,
    .find = find,
    .adopt = adopt,
    .start = monitored_start,
    .signal = monitored_signal,
    .exec = monitored_exec,
    .exec_cancel = monitored_exec_cancel,
    .update_volume = update_volume,
    .watch_output = monitored_watch_output,
    .output_path = monitored_output_path,
    .remove = monitored_remove,
    .release = monitored_release,
};

bool monitored_engine_init(struct monitored_engine *engine, struct io *io, const struct runtime_options *options,
                           void (*close)(struct runtime *runtime), struct error *err)
{
    char path[PATH_MAX], absolute[PATH_MAX];
    engine->runtime_ops = shared_ops;
    engine->runtime_ops.close = close;
    engine->runtime.ops = &engine->runtime_ops;
    engine->io = io;
    list_init(&engine->sandboxes);
    engine->monitor = find_monitor(options->monitor_path, err);
    if (!engine->monitor)
        return false;
    snprintf(path, sizeof path, "%.3900s/pods", options->directory);
    if (!io_dir_make(io, path, err))
        return false;
    if (!realpath(path, absolute))
        return error_sys(err, errno, "%s", path);
    engine->pods = memory_string(bytes_of_string(absolute));
    chmod(absolute, 0711); /* a pod's process may run as another user */
    engine->cgroups = cgroups_open(options->proc ? options->proc : "/proc/self");
    return true;
}

void monitored_engine_deinit(struct monitored_engine *engine)
{
    list_each (struct monitored, monitored, &engine->sandboxes, link)
        monitored_release(&monitored->sandbox);
    cgroups_close(engine->cgroups);
    free(engine->pods);
    free(engine->monitor);
}
