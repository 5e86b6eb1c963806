/* SPDX-License-Identifier: Apache-2.0 */
#include "node/monitored.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memory.h"
#include "base/text.h"
#include "node/monitored_priv.h"
#include "node/volumes.h"

enum { IN_MAX = PROTOCOL_FRAME_MAX + (1 << 20) };

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
void monitored_fail_later(struct monitored *monitored, const struct error *err)
{
    monitored->failure = *err;
    io_defer(&monitored->deferred);
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
        if (pod->volumes[i].type == RUNTIME_VOLUME_HOST && !volumes_check_host(&pod->volumes[i], err))
            return false;
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
        monitored_fail_later(monitored, &err);
        return &monitored->sandbox;
    }
    monitored_describe(monitored);
    if (!monitored_start_monitor(monitored, pod, &err))
        monitored_fail_later(monitored, &err);
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
        monitored_fail_later(monitored, &err);
    } else if (!monitored_connect(monitored, &err)) {
        monitored_fail_later(monitored, &err);
    }
    return &monitored->sandbox;
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
    .read_message = monitored_read_message,
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
