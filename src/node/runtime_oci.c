/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods as containers, by runc. The pod's monitor has mount, network and IPC namespaces of its own: the images' overlays
 * are mounted in the first, the pod's interface is put into the second, runc runs within them. Nothing of a pod is in
 * the host's own namespaces, so nothing can be left there.
 *
 * Beside what every sandbox has (monitored.h), its directory holds
 *     _etc/                 hosts, hostname, resolv.conf, bound into every container
 *     _runc/                runc's state
 *     <container>/<n>.bundle/config.json, <n>.root (mount point), <n>.upper and <n>.work (what the run writes),
 *     <n>.pid, <n>.err (what runc says when it fails)
 *
 * The order of a start is for speed: the monitor makes its namespaces while we write the pod's files, the interface is
 * connected on a helper thread, and mount and start leave in one message.
 */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "node/bundle.h"
#include "node/image.h"
#include "node/runtime_oci_priv.h"
#include "node/volumes.h"

enum { CAPABILITY_SYS_RESOURCE = 24, ETC_FILE_SIZE_MAX = 1 << 20 };

struct connecting;

struct oci_sandbox {
    struct monitored monitored; /* first */
    struct connecting *connecting;
};

/* --- Before the monitor starts: address and files --- */

static bool ip_in_use(const struct monitored *monitored, const char *ip)
{
    struct monitored_engine *engine = monitored_engine(monitored);
    list_each (struct monitored, other, &engine->sandboxes, link)
        if (other != monitored && strcmp(monitored_ip(other), ip) == 0)
            return true;
    return false;
}

/* From the uid, so that a pod keeps its address over a new sandbox; the next free one if that is taken. */
static bool choose_ip(const struct monitored *monitored, const char *before, char out[16], struct error *err)
{
    const struct network *network = &oci_runtime_of(monitored)->network;
    uint32_t usable = network_size(network) - 3; /* without network, bridge, broadcast */
    uint32_t at = crc32c(0, bytes_of_string(monitored->uid)) % usable;
    if (before && network_contains(network, before) && !ip_in_use(monitored, before)) {
        snprintf(out, 16, "%s", before);
        return true;
    }
    for (uint32_t tries = 0; tries < usable && tries < 100000; tries++) {
        network_address(network, 2 + (at + tries) % usable, out);
        if (!ip_in_use(monitored, out))
            return true;
    }
    return error_set(err, ERROR_LIMIT, "no address is free for the pod: all %u of the range are in use", usable);
}

static bool write_etc(struct monitored *monitored, const struct runtime_pod *pod, const char *ip, struct error *err)
{
    char path[PATH_MAX];
    AUTO_BUF text;
    buf_init(&text, ETC_FILE_SIZE_MAX);
    snprintf(path, sizeof path, "%.3900s/_etc", monitored->directory);
    if (mkdir(path, 0755) != 0)
        return error_sys(err, errno, "mkdir %s", path);
    snprintf(path, sizeof path, "%.3900s/_etc/hostname", monitored->directory);
    buf_printf(&text, "%s\n", pod->hostname);
    if (!volumes_write_file(path, buf_bytes(&text), 0644, err))
        return false;
    buf_reset(&text);
    buf_printf(&text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n%s", ip, pod->hostname,
               pod->hosts);
    snprintf(path, sizeof path, "%.3900s/_etc/hosts", monitored->directory);
    if (!volumes_write_file(path, buf_bytes(&text), 0644, err))
        return false;
    snprintf(path, sizeof path, "%.3900s/_etc/resolv.conf", monitored->directory);
    return volumes_write_file(path, bytes_of_string(pod->resolv_conf), 0644, err);
}

static void describe_tmpfs(struct json *description, const struct runtime_pod *pod)
{
    struct json *tmpfs = json_new_object(); /* name: options of its mount */
    for (size_t i = 0; i < pod->volume_count; i++) {
        const struct runtime_volume *volume = &pod->volumes[i];
        if (volume->type != RUNTIME_VOLUME_EMPTY || !volume->in_memory)
            continue;
        AUTO_BUF options;
        buf_init(&options, 256);
        buf_append_string(&options, volume->has_group ? "mode=2777" : "mode=1777");
        if (volume->has_group)
            buf_printf(&options, ",gid=%u", volume->group);
        if (volume->size_max > 0)
            buf_printf(&options, ",size=%llu", (unsigned long long)volume->size_max);
        json_set(tmpfs, volume->name, json_new_text(buf_string(&options)));
    }
    json_set(description, "tmpfs", tmpfs);
}

static bool prepare(struct monitored *monitored, const struct runtime_pod *pod, struct error *err)
{
    char ip[48], interface[16];
    if (pod->host_network)
        snprintf(ip, sizeof ip, "%s", oci_runtime_of(monitored)->host_ip);
    else if (!choose_ip(monitored, pod->ip, ip, err))
        return false;
    snprintf(interface, sizeof interface, "ev%.8s%.4s", pod->uid, pod->uid + 9);
    json_set(monitored->description, "ip", json_new_text(ip));
    json_set(monitored->description, "hostname", json_new_text(pod->hostname));
    json_set(monitored->description, "interface", json_new_text(interface));
    json_set(monitored->description, "hostNetwork", json_new_bool(pod->host_network));
    json_set(monitored->description, "hostPID", json_new_bool(pod->host_pid));
    describe_tmpfs(monitored->description, pod);
    return write_etc(monitored, pod, ip, err);
}

/* --- The monitor is there: its network, on a helper thread --- */

struct connecting {
    struct oci_runtime *runtime;
    struct oci_sandbox *sandbox; /* NULL: it is gone */
    struct network network;
    bool translate, translated, ok;
    int pid;
    char interface[16], ip[16];
    struct error err, no_translation;
};

static void connect_work(void *ctx)
{
    struct connecting *connecting = ctx;
    connecting->ok =
        network_ensure_bridge(&connecting->network, &connecting->err) &&
        network_connect(&connecting->network, connecting->pid, connecting->interface, connecting->ip, &connecting->err);
    connecting->translated =
        !connecting->translate || network_translate(&connecting->network, &connecting->no_translation);
}

static void say_no_translation(struct oci_sandbox *sandbox, const struct error *err)
{
    char message[600];
    snprintf(message, sizeof message, "pods reach this machine, each other and services, but nothing beyond: %s",
             err->message);
    monitored_notice(&sandbox->monitored, "NetworkNotTranslated", message);
}

static void connect_done(void *ctx)
{
    struct connecting *connecting = ctx;
    struct oci_sandbox *sandbox = connecting->sandbox;
    if (sandbox) {
        sandbox->connecting = NULL;
        connecting->runtime->translated |= connecting->translated;
        if (!connecting->translated)
            say_no_translation(sandbox, &connecting->no_translation);
        if (!connecting->ok)
            error_wrap(&connecting->err, "the pod's network");
        monitored_ready(&sandbox->monitored, connecting->ip, connecting->ok ? NULL : &connecting->err);
    }
    free(connecting);
}

static void mount_tmpfs(struct monitored *monitored)
{
    json_object_each (member, json_get(monitored->description, "tmpfs")) {
        char target[PATH_MAX];
        snprintf(target, sizeof target, "_volumes/%s", member.key);
        const struct protocol_mount mount = {.source = "tmpfs",
                                             .target = target,
                                             .type = "tmpfs",
                                             .data = json_text(member.value),
                                             .flags = MS_NOSUID | MS_NODEV};
        monitored_mount(monitored, &mount, NULL);
    }
}

static void connected(struct monitored *monitored)
{
    struct oci_runtime *runtime = oci_runtime_of(monitored);
    struct oci_sandbox *sandbox = (struct oci_sandbox *)(void *)monitored;
    mount_tmpfs(monitored);
    if (json_bool_at(monitored->description, "hostNetwork", false)) {
        monitored_ready(monitored, monitored_ip(monitored), NULL);
        return;
    }
    struct connecting *connecting = NEW(struct connecting);
    connecting->runtime = runtime;
    connecting->sandbox = sandbox;
    connecting->network = runtime->network;
    connecting->translate = !runtime->translated;
    connecting->pid = monitored->pid;
    snprintf(connecting->interface, sizeof connecting->interface, "%s",
             json_text_at(monitored->description, "interface", ""));
    snprintf(connecting->ip, sizeof connecting->ip, "%s", monitored_ip(monitored));
    sandbox->connecting = connecting;
    io_work(runtime->engine.io, connect_work, connect_done, connecting);
}

static void deinit(struct monitored *monitored)
{
    struct oci_sandbox *sandbox = (struct oci_sandbox *)(void *)monitored;
    if (sandbox->connecting)
        sandbox->connecting->sandbox = NULL;
}

/* --- Images --- */

static bool has_image(struct runtime *base, const char *name)
{
    const struct oci_runtime *runtime = (struct oci_runtime *)(void *)base;
    struct image image = {0};
    struct error ignored;
    bool found = image_find(runtime->directory, bytes_of_string(name), &image, &ignored);
    image_deinit(&image);
    return found;
}

/* An image is there when its name has been moved to where the names are. */
static void watch_images(struct runtime *base, void (*changed)(void *ctx), void *ctx)
{
    struct oci_runtime *runtime = (struct oci_runtime *)(void *)base;
    struct io *io = runtime->engine.io;
    char path[PATH_MAX];
    struct error err;
    io_dir_watch_close(TAKE(runtime->images));
    if (!changed)
        return;
    snprintf(path, sizeof path, "%.3900s/images/refs", runtime->directory);
    if (!io_dir_make(io, path, &err) || !io_dir_watch(io, path, changed, ctx, &runtime->images, &err))
        diag_warn("node", "%s: pods that wait for an image learn of it when they try again", err.message);
}

/* --- Open and close --- */

static const struct monitored_ops oci_ops = {
    .size = sizeof(struct oci_sandbox),
    .prepare = prepare,
    .connected = connected,
    .start = oci_start,
    .exec = oci_exec,
    .deinit = deinit,
};

static char *find_runc(void)
{
    const char *path = getenv("PATH");
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin", path ? path : "");
    struct bytes rest = bytes_of_string(whole), part;
    while (bytes_split(&rest, ':', &part)) {
        char candidate[PATH_MAX];
        if (part.size == 0 || part.size > 3000)
            continue;
        snprintf(candidate, sizeof candidate, BYTES_FORMAT "/runc", BYTES_ARGS(part));
        if (access(candidate, X_OK) == 0)
            return memory_string(bytes_of_string(candidate));
    }
    return NULL;
}

static int lowest_oom_score_adj(uint64_t capabilities)
{
    int own = 0;
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    if (file && fscanf(file, "%d", &own) != 1)
        own = 0;
    if (file)
        fclose(file);
    return capabilities & (UINT64_C(1) << CAPABILITY_SYS_RESOURCE) ? -1000 : own;
}

static void oci_close(struct runtime *closing)
{
    struct oci_runtime *runtime = (struct oci_runtime *)(void *)closing;
    bool empty = list_empty(&runtime->engine.sandboxes);
    io_dir_watch_close(TAKE(runtime->images));
    monitored_engine_deinit(&runtime->engine);
    if (empty && runtime->network.bridge[0])
        network_remove_bridge(&runtime->network);
    free(runtime->directory);
    free(runtime->runc);
    free(runtime);
}

/* A container's root is an overlay whose upper directory, where it writes, lies in the pod's directory; and the kernel
 * takes no overlay for that (evoke in a container without a volume has one). */
static void check_file_system(struct oci_runtime *runtime)
{
    struct statfs type;
    if (statfs(runtime->directory, &type) != 0 || type.f_type != OVERLAYFS_SUPER_MAGIC)
        return;
    snprintf(runtime->trouble, sizeof runtime->trouble,
             "the data directory %.300s is on overlayfs, which cannot hold what a container writes: put it on another "
             "file system (ext4, xfs, btrfs, tmpfs) with --data",
             runtime->directory);
    runtime->engine.runtime.trouble = runtime->trouble;
}

static bool open_runtime(struct oci_runtime *runtime, struct io *io, const struct runtime_options *options,
                         struct error *err)
{
    char absolute[PATH_MAX];
    if (!monitored_engine_init(&runtime->engine, io, options, oci_close, err))
        return false;
    runtime->engine.runtime_ops.has_image = has_image;
    runtime->engine.runtime_ops.watch_images = watch_images;
    if (geteuid() != 0)
        return error_set(err, ERROR_DENIED, "containers need root");
    runtime->runc = options->runc_path ? memory_string(bytes_of_string(options->runc_path)) : find_runc();
    if (!runtime->runc)
        return error_set(err, ERROR_NOT_FOUND, "runc is not installed: apt-get install runc, and start evoke again");
    if (access(runtime->runc, X_OK) != 0)
        return error_sys(err, errno, "%s", runtime->runc);
    if (!realpath(options->directory, absolute))
        return error_sys(err, errno, "%s", options->directory);
    runtime->directory = memory_string(bytes_of_string(absolute));
    check_file_system(runtime);
    return network_parse(options->bridge ? options->bridge : "evoke0",
                         options->pod_cidr ? options->pod_cidr : "10.88.0.0/16", &runtime->network, err);
}

bool runtime_oci_make_local(struct runtime *base, const char *cidr, struct error *err)
{
    struct oci_runtime *runtime = (struct oci_runtime *)(void *)base;
    struct network network = runtime->network;
    if (!network_set_local(&network, cidr, err) || !network_ensure_bridge(&network, err))
        return false;
    runtime->network = network;
    return true;
}

struct runtime *runtime_oci_open(struct io *io, const struct runtime_options *options, struct error *err)
{
    struct oci_runtime *runtime = NEW(struct oci_runtime);
    runtime->engine.runtime = (struct runtime){.name = "runc", .version = "1"};
    runtime->engine.ops = &oci_ops;
    runtime->engine.monitor_namespaces[0] = "mounts";
    runtime->engine.monitor_namespaces[1] = "network";
    runtime->engine.monitor_namespaces[2] = "ipc";
    runtime->capabilities = bundle_own_capabilities();
    runtime->oom_score_adj_min = lowest_oom_score_adj(runtime->capabilities);
    snprintf(runtime->host_ip, sizeof runtime->host_ip, "%s", options->host_ip ? options->host_ip : "127.0.0.1");
    if (!open_runtime(runtime, io, options, err)) {
        oci_close(&runtime->engine.runtime);
        return NULL;
    }
    return &runtime->engine.runtime;
}
