/* SPDX-License-Identifier: Apache-2.0 */
/* A container of a pod: its root is mounted, its bundle written, and runc told to run it, or a command beside it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/memory.h"
#include "node/bundle.h"
#include "node/image.h"
#include "node/runtime_oci_priv.h"
#include "node/volumes.h"

struct removal {
    char path[PATH_MAX];
};

static void remove_work(void *ctx)
{
    struct removal *removal = ctx;
    struct error err;
    if (!volumes_remove_tree(removal->path, &err))
        diag_debug("node", "%s", err.message); /* goes with the pod's directory */
}

static void remove_later(struct io *io, const char *path)
{
    struct removal *removal = NEW(struct removal);
    snprintf(removal->path, sizeof removal->path, "%s", path);
    io_work(io, remove_work, free, removal);
}

/* What the run before wrote is not seen by the next one. */
static void drop_last_run(struct monitored *monitored, const char *container, unsigned attempt)
{
    static const char *const parts[] = {"upper", "work", "bundle"};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%u.root", container, attempt);
    cgroups_drop(monitored_cgroups(monitored), monitored->uid, container, attempt);
    const struct protocol_mount unmount = {
        .source = "", .target = path, .type = "", .data = "", .flags = PROTOCOL_MOUNT_DETACH};
    monitored_mount(monitored, &unmount, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        snprintf(path, sizeof path, "%.3800s/%s/%u.%s", monitored->directory, container, attempt, parts[i]);
        remove_later(monitored_engine(monitored)->io, path);
    }
}

static bool make_run_directories(struct monitored *monitored, const struct runtime_container *container,
                                 struct error *err)
{
    static const char *const parts[] = {"upper", "work", "root", "bundle"};
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        snprintf(path, sizeof path, "%.3800s/%s/%u.%s", monitored->directory, container->name, container->attempt,
                 parts[i]);
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return error_sys(err, errno, "mkdir %s", path);
    }
    return true;
}

/* Relative to the pod's directory, where the monitor is: short, and free of the characters that have a meaning. */
static void mount_root(struct monitored *monitored, const struct image *image, const struct monitored_run *run)
{
    char target[128];
    AUTO_BUF options;
    buf_init(&options, 4000); /* mount(2) takes a page */
    buf_append_string(&options, "lowerdir=");
    for (size_t i = image->layer_count; i-- > 0;)
        buf_printf(&options, "../../images/l/%s%s", strrchr(image->layers[i], '/') + 1, i ? ":" : "");
    buf_printf(&options, ",upperdir=%s/%u.upper,workdir=%s/%u.work", run->container, run->attempt, run->container,
               run->attempt);
    snprintf(target, sizeof target, "%s/%u.root", run->container, run->attempt);
    const struct protocol_mount mount = {
        .source = "overlay", .target = target, .type = "overlay", .data = buf_string(&options)};
    monitored_mount(monitored, &mount, run);
}

static bool resolve_user(const struct runtime_container *container, const struct image *image,
                         struct bundle_place *place, char home[256], struct error *err)
{
    char user[300];
    snprintf(user, sizeof user, "%s", json_text_at(image->config, "config.User", ""));
    if (container->run_as_user >= 0)
        snprintf(user, sizeof user, "%lld", (long long)container->run_as_user);
    if (!bundle_resolve_user(image->layers, image->layer_count, user, &place->user, &place->group, home, err))
        return false;
    if (container->run_as_group >= 0)
        place->group = (uint32_t)container->run_as_group;
    if (container->run_as_non_root && place->user == 0)
        return error_set(err, ERROR_INVALID, "container has runAsNonRoot and image will run as root");
    place->home = home;
    return true;
}

static bool write_bundle(struct monitored *monitored, const struct runtime_container *container,
                         const struct image *image, struct error *err)
{
    struct oci_runtime *runtime = oci_runtime_of(monitored);
    char root[PATH_MAX], path[PATH_MAX], cgroups_path[PATH_MAX], home[256], notice[300];
    snprintf(root, sizeof root, "%.3800s/%s/%u.root", monitored->directory, container->name, container->attempt);
    cgroups_runc_path(monitored_cgroups(monitored), monitored->uid, container->name, container->attempt, cgroups_path,
                      sizeof cgroups_path);
    struct bundle_place place = {
        .root = root,
        .directory = monitored->directory,
        .hostname = json_text_at(monitored->description, "hostname", ""),
        .cgroups_path = cgroups_path,
        .monitor_pid = monitored->pid,
        .host_network = json_bool_at(monitored->description, "hostNetwork", false),
        .host_pid = json_bool_at(monitored->description, "hostPID", false),
        .unified_cgroups = cgroups_unified(monitored_cgroups(monitored)),
        .host_paths = json_get(monitored->description, "hostPaths"),
        .capabilities = runtime->capabilities,
        .oom_score_adj_min = runtime->oom_score_adj_min,
    };
    if (!resolve_user(container, image, &place, home, err))
        return false;
    AUTO_JSON *config = bundle_make(container, image->config, &place, notice, err);
    if (!config)
        return false;
    if (notice[0])
        monitored_notice(monitored, "SecurityContextReduced", notice);
    AUTO_BUF text;
    buf_init(&text, PROTOCOL_FRAME_MAX);
    json_print(config, &text);
    snprintf(path, sizeof path, "%.3800s/%s/%u.bundle/config.json", monitored->directory, container->name,
             container->attempt);
    return volumes_write_file(path, buf_bytes(&text), 0600, err);
}

/* runc itself runs as the monitor does: whom its process runs as, and where, is in the bundle. */
static struct protocol_start launched_by_runc(const char *const *argv, const char *pid_file, const char *error_file)
{
    static const char *const none[] = {NULL};
    return (struct protocol_start){
        .flags = PROTOCOL_START_DETACHED,
        .directory = "",
        .pid_file = pid_file,
        .error_file = error_file,
        .user = UINT32_MAX,
        .group = UINT32_MAX,
        .oom_score_adj = UINT32_MAX,
        .argv = argv,
        .environment = none,
        .cgroups = none,
    };
}

static void run_container(struct monitored *monitored, const struct runtime_container *container,
                          const struct image *image)
{
    struct oci_runtime *runtime = oci_runtime_of(monitored);
    char state[PATH_MAX], id[96], pid_file[128], error_file[128], bundle[128];
    snprintf(state, sizeof state, "%.3900s/_runc", monitored->directory);
    snprintf(id, sizeof id, "%s-%u", container->name, container->attempt);
    snprintf(pid_file, sizeof pid_file, "%s/%u.pid", container->name, container->attempt);
    snprintf(error_file, sizeof error_file, "%s/%u.err", container->name, container->attempt);
    snprintf(bundle, sizeof bundle, "%s/%u.bundle", container->name, container->attempt);
    const char *const argv[] = {
        runtime->runc, "--root",           state,        "--log",  error_file, "--log-format", "json", "run",
        "--detach",    "--no-new-keyring", "--pid-file", pid_file, "--bundle", bundle,         id,     NULL,
    };
    struct protocol_start message = launched_by_runc(argv, pid_file, error_file);
    message.environment = (const char *const[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                                "GOMAXPROCS=2", "GOGC=off", NULL};
    struct monitored_run *run = monitored_run_add(monitored, container);
    free(run->image_id);
    run->image_id = memory_string(bytes_of_string(image->id));
    run->stop_signal = bundle_signal(json_text_at(image->config, "config.StopSignal", ""));
    mount_root(monitored, image, run);
    monitored_start_task(monitored, run, &message);
}

void oci_start(struct monitored *monitored, const struct runtime_container *container)
{
    struct oci_runtime *runtime = oci_runtime_of(monitored);
    struct image image = {0};
    struct error err;
    enum runtime_failure failure = RUNTIME_FAILED_CREATE;
    if (container->attempt > 0)
        drop_last_run(monitored, container->name, container->attempt - 1);
    bool ok = image_find(runtime->directory, bytes_of_string(container->image), &image, &err);
    if (!ok)
        failure = err.kind == ERROR_INVALID ? RUNTIME_FAILED_IMAGE_NAME : RUNTIME_FAILED_IMAGE_MISSING;
    if (ok) {
        ok = make_run_directories(monitored, container, &err) && monitored_make_message(monitored, container, &err) &&
             write_bundle(monitored, container, &image, &err);
        if (!ok && err.kind == ERROR_INVALID)
            failure = RUNTIME_FAILED_CONFIG;
    }
    if (ok)
        run_container(monitored, container, &image);
    else
        monitored_start_failed(monitored, container->name, container->attempt, failure, &err);
    image_deinit(&image);
}

void oci_exec(struct monitored *monitored, struct monitored_exec *exec, const char *const *argv)
{
    struct oci_runtime *runtime = oci_runtime_of(monitored);
    char state[PATH_MAX], id[96], pid_file[128], error_file[128];
    size_t count = 0, at = 0;
    while (argv[count])
        count++;
    AUTO_FREE(const char *) command = memory_new_array(count + 16, sizeof *command);
    snprintf(state, sizeof state, "%.3900s/_runc", monitored->directory);
    snprintf(id, sizeof id, "%s-%u", exec->run->container, exec->run->attempt);
    snprintf(pid_file, sizeof pid_file, "%s.pid", exec->name);
    snprintf(error_file, sizeof error_file, "%s.err", exec->name);
    const char *const before[] = {runtime->runc, "--root", state,      "--log",      error_file, "--log-format",
                                  "json",        "exec",   "--detach", "--pid-file", pid_file,   id};
    for (size_t i = 0; i < ARRAY_SIZE(before); i++)
        command[at++] = before[i];
    for (size_t i = 0; i < count; i++)
        command[at++] = argv[i];
    struct protocol_start message = launched_by_runc(command, pid_file, error_file);
    message.environment = (const char *const[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=2", NULL};
    monitored_exec_task(exec, &message);
}
