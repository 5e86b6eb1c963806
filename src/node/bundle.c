/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bundle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/bundle_priv.h"
#include "node/image_priv.h"

/* By number, linux/capability.h. */
static const char *const capability_names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

/* What containers get elsewhere too, when nothing else is said. */
static const char *const default_capabilities[] = {
    "CHOWN",   "DAC_OVERRIDE", "FSETID", "FOWNER",           "MKNOD",      "NET_RAW",     "SETGID", "SETUID",
    "SETFCAP", "SETPCAP",      "KILL",   "NET_BIND_SERVICE", "SYS_CHROOT", "AUDIT_WRITE",
};

uint64_t bundle_capability(const char *name)
{
    if (strncmp(name, "CAP_", 4) == 0)
        name += 4;
    for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
        if (strcmp(name, capability_names[i]) == 0)
            return UINT64_C(1) << i;
    return strcmp(name, "ALL") == 0 ? (UINT64_C(1) << ARRAY_SIZE(capability_names)) - 1 : 0;
}

uint64_t bundle_own_capabilities(void)
{
    char line[256];
    uint64_t bounding = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "CapBnd: %" SCNx64, &bounding) == 1)
            break;
    if (file)
        fclose(file);
    return bounding;
}

static void leave_out(char notice[300], const char *what)
{
    size_t used = strlen(notice);
    snprintf(notice + used, 300 - used, "%s%s", used ? "; " : "", what);
}

static uint64_t choose_capabilities(const struct runtime_container *container, const struct bundle_place *place,
                                    char notice[300])
{
    uint64_t chosen = container->privileged ? bundle_capability("ALL") : 0;
    for (size_t i = 0; i < ARRAY_SIZE(default_capabilities); i++)
        chosen |= bundle_capability(default_capabilities[i]);
    for (size_t i = 0; container->capabilities_drop && container->capabilities_drop[i]; i++)
        chosen &= ~bundle_capability(container->capabilities_drop[i]);
    for (size_t i = 0; container->capabilities_add && container->capabilities_add[i]; i++)
        chosen |= bundle_capability(container->capabilities_add[i]);
    for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
        if (chosen & ~place->capabilities & (UINT64_C(1) << i)) {
            char text[64];
            snprintf(text, sizeof text, "capability %s is not ours to give", capability_names[i]);
            if (!container->privileged)
                leave_out(notice, text);
        }
    return chosen & place->capabilities;
}

static struct json *capability_list(uint64_t set)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
        if (set & (UINT64_C(1) << i))
            json_append(list, json_new_format("CAP_%s", capability_names[i]));
    return list;
}

/* --- The process --- */

static void append_texts(struct json *array, const char *const *list)
{
    for (size_t i = 0; list && list[i]; i++)
        json_append(array, json_new_string(bytes_of_string(list[i])));
}

static void append_all(struct json *array, const struct json *list)
{
    json_array_each (i, element, list)
        if (json_is_string(element))
            json_append(array, json_ref(element));
}

/* As Kubernetes combines them: command replaces the entry point and, with it, the image's arguments. */
static struct json *command_line(const struct runtime_container *container, const struct json *image)
{
    struct json *argv = json_new_array();
    if (container->command)
        append_texts(argv, container->command);
    else
        append_all(argv, json_get(image, "Entrypoint"));
    if (container->args)
        append_texts(argv, container->args);
    else if (!container->command)
        append_all(argv, json_get(image, "Cmd"));
    return argv;
}

static bool defines(const struct json *list, const char *variable)
{
    size_t size = strcspn(variable, "=") + 1;
    bool found = false;
    json_array_each (i, element, list)
        found = found || strncmp(json_text(element), variable, size) == 0;
    return found;
}

static struct json *environment(const struct runtime_container *container, const struct json *image,
                                const struct bundle_place *place)
{
    struct json *list = json_new_array();
    append_texts(list, container->environment);
    json_array_each (i, variable, json_get(image, "Env"))
        if (json_text(variable) && !defines(list, json_text(variable)))
            json_append(list, json_ref(variable));
    if (!defines(list, "PATH="))
        json_append(list, json_new_text("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    if (!defines(list, "HOME="))
        json_append(list, json_new_format("HOME=%s", place->home ? place->home : "/"));
    if (!defines(list, "HOSTNAME="))
        json_append(list, json_new_format("HOSTNAME=%s", place->hostname));
    return list;
}

static struct json *numbers(const uint32_t *list, size_t count)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < count; i++)
        json_append(array, json_new_int(list[i]));
    return array;
}

static struct json *process_json(const struct runtime_container *container, const struct json *image,
                                 const struct bundle_place *place, uint64_t capabilities, char notice[300])
{
    struct json *process = json_new_object();
    const char *directory = json_text_at(image, "WorkingDir", "");
    int score = container->oom_score_adj;
    if (container->working_directory)
        directory = container->working_directory;
    json_set(process, "terminal", json_new_bool(false));
    json_set_at(process, "user.uid", json_new_int(place->user));
    json_set_at(process, "user.gid", json_new_int(place->group));
    if (container->group_count > 0)
        json_set_at(process, "user.additionalGids", numbers(container->groups, container->group_count));
    json_set(process, "args", command_line(container, image));
    json_set(process, "env", environment(container, image, place));
    json_set(process, "cwd", json_new_text(directory[0] ? directory : "/"));
    static const char *const sets[] = {"capabilities.bounding", "capabilities.effective", "capabilities.permitted"};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        json_set_at(process, sets[i], capability_list(capabilities));
    json_set(process, "noNewPrivileges", json_new_bool(container->no_new_privileges));
    if (score < place->oom_score_adj_min) {
        leave_out(notice, "oom_score_adj may not be lowered without CAP_SYS_RESOURCE");
        score = place->oom_score_adj_min;
    }
    json_set(process, "oomScoreAdj", json_new_int(score));
    return process;
}

/* --- Mounts --- */

static void add_mount(struct json *mounts, const char *destination, const char *type, const char *source,
                      const char *options)
{
    struct json *mount = json_new_object(), *list = json_new_array();
    struct bytes rest = bytes_of_string(options), option;
    json_set(mount, "destination", json_new_text(destination));
    json_set(mount, "type", json_new_text(type));
    json_set(mount, "source", json_new_text(source));
    while (bytes_split(&rest, ',', &option))
        json_append(list, json_new_string(option));
    json_set(mount, "options", list);
    json_append(mounts, mount);
}

static void add_standard_mounts(struct json *mounts, const struct bundle_place *place)
{
    static const struct {
        const char *destination, *type, *source, *options;
    } standard[] = {
        {"/proc", "proc", "proc", "nosuid,noexec,nodev"},
        {"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
        {"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
        {"/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"},
        {"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
        {"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
    };
    static const char *const files[] = {"hosts", "hostname", "resolv.conf"};
    for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
        add_mount(mounts, standard[i].destination, standard[i].type, standard[i].source, standard[i].options);
    if (place->unified_cgroups) /* each v1 hierarchy would be a mount of its own, and few programs look */
        add_mount(mounts, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro");
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char source[PATH_MAX], destination[64];
        snprintf(source, sizeof source, "%.4000s/_etc/%s", place->directory, files[i]);
        snprintf(destination, sizeof destination, "/etc/%s", files[i]);
        add_mount(mounts, destination, "bind", source, "rbind,rprivate");
    }
}

/* A subPath is a path that the container's own processes may have filled with links: resolved below its volume, and
 * made if it is not there. */
static bool resolve_sub_path(const char *volume, const char *sub_path, char out[PATH_MAX], struct error *err)
{
    int root = open(volume, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int found = root >= 0 ? image_open_below(root, sub_path, O_PATH, 0) : -1;
    if (found < 0 && root >= 0 && !strchr(sub_path, '/') && mkdirat(root, sub_path, 0755) == 0)
        found = image_open_below(root, sub_path, O_PATH, 0);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", found);
    ssize_t size = found >= 0 ? readlink(link, out, PATH_MAX - 1) : -1;
    if (size >= 0)
        out[size] = 0;
    if (found >= 0)
        close(found);
    if (root >= 0)
        close(root);
    if (size < 0 || strncmp(out, volume, strlen(volume)) != 0)
        return error_set(err, ERROR_INVALID, "subPath %s is not in its volume", sub_path);
    return true;
}

static bool add_volume(struct json *mounts, const struct runtime_mount *mount, const struct bundle_place *place,
                       struct error *err)
{
    const char *host = json_text(json_get(place->host_paths, mount->volume));
    char volume[PATH_MAX], source[PATH_MAX];
    if (host)
        snprintf(volume, sizeof volume, "%.4000s", host);
    else
        snprintf(volume, sizeof volume, "%.3900s/_volumes/%s", place->directory, mount->volume);
    snprintf(source, sizeof source, "%s", volume);
    if (mount->path[0] != '/')
        return error_set(err, ERROR_INVALID, "mountPath %s: must be absolute", mount->path);
    if (mount->sub_path && !resolve_sub_path(volume, mount->sub_path, source, err))
        return false;
    add_mount(mounts, mount->path, "bind", source, mount->read_only ? "rbind,rprivate,ro" : "rbind,rprivate,rw");
    return true;
}

static bool add_message(struct json *mounts, const struct runtime_container *container,
                        const struct bundle_place *place, struct error *err)
{
    char source[PATH_MAX];
    if (!container->message_path)
        return true;
    if (container->message_path[0] != '/')
        return error_set(err, ERROR_INVALID, "terminationMessagePath %s: must be absolute", container->message_path);
    snprintf(source, sizeof source, "%.3800s/%s/%u.message", place->directory, container->name, container->attempt);
    add_mount(mounts, container->message_path, "bind", source, "rbind,rprivate,rw");
    return true;
}

/* --- linux --- */

static void add_namespace(struct json *list, const char *type, const char *path)
{
    struct json *entry = json_new_object();
    json_set(entry, "type", json_new_text(type));
    if (path)
        json_set(entry, "path", json_new_text(path));
    json_append(list, entry);
}

static struct json *namespaces(const struct bundle_place *place)
{
    struct json *list = json_new_array();
    char path[64];
    if (!place->host_pid)
        add_namespace(list, "pid", NULL);
    add_namespace(list, "uts", NULL);
    add_namespace(list, "mount", NULL);
    snprintf(path, sizeof path, "/proc/%d/ns/ipc", place->monitor_pid);
    add_namespace(list, "ipc", path);
    snprintf(path, sizeof path, "/proc/%d/ns/net", place->monitor_pid);
    if (!place->host_network)
        add_namespace(list, "network", path);
    if (place->unified_cgroups)
        add_namespace(list, "cgroup", NULL);
    return list;
}

static struct json *resources_json(const struct runtime_resources *resources)
{
    struct json *json = json_new_object();
    struct json *devices = json_new_array(), *deny = json_new_object();
    json_set(deny, "allow", json_new_bool(false));
    json_set(deny, "access", json_new_text("rwm"));
    json_append(devices, deny);
    json_set(json, "devices", devices);
    int64_t shares = resources->cpu_request_m * 1024 / 1000;
    json_set_at(json, "cpu.shares", json_new_int(shares < 2 ? 2 : shares > 262144 ? 262144 : shares));
    if (resources->cpu_limit_m > 0) {
        json_set_at(json, "cpu.period", json_new_int(100000));
        json_set_at(json, "cpu.quota",
                    json_new_int(resources->cpu_limit_m * 100 < 1000 ? 1000 : resources->cpu_limit_m * 100));
    }
    if (resources->memory_limit > 0)
        json_set_at(json, "memory.limit", json_new_int(resources->memory_limit));
    return json;
}

static struct json *paths(const char *const *list, size_t count)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < count; i++)
        json_append(array, json_new_text(list[i]));
    return array;
}

static struct json *linux_json(const struct runtime_container *container, const struct bundle_place *place,
                               uint64_t capabilities)
{
    static const char *const masked[] = {"/proc/acpi",          "/proc/kcore",      "/proc/keys",
                                         "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                                         "/proc/sched_debug",   "/proc/scsi",       "/sys/firmware"};
    static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    struct json *json = json_new_object();
    json_set(json, "namespaces", namespaces(place));
    json_set(json, "resources", resources_json(&container->resources));
    if (place->cgroups_path[0])
        json_set(json, "cgroupsPath", json_new_text(place->cgroups_path));
    if (!container->privileged) {
        json_set(json, "maskedPaths", paths(masked, ARRAY_SIZE(masked)));
        json_set(json, "readonlyPaths", paths(readonly, ARRAY_SIZE(readonly)));
        if (container->seccomp)
            json_set(json, "seccomp", bundle_seccomp(capabilities));
    }
    return json;
}

struct json *bundle_make(const struct runtime_container *container, const struct json *image_config,
                         const struct bundle_place *place, char notice[300], struct error *err)
{
    const struct json *image = json_get(image_config, "config");
    struct json *mounts = json_new_array();
    AUTO_JSON *json = json_new_object();
    notice[0] = 0;
    uint64_t capabilities = choose_capabilities(container, place, notice);
    json_set(json, "ociVersion", json_new_text("1.0.2"));
    json_set(json, "process", process_json(container, image, place, capabilities, notice));
    json_set_at(json, "root.path", json_new_text(place->root));
    json_set_at(json, "root.readonly", json_new_bool(container->read_only_root));
    json_set(json, "hostname", json_new_text(place->hostname));
    json_set(json, "mounts", mounts);
    json_set(json, "linux", linux_json(container, place, capabilities));
    if (json_size(json_at(json, "process.args")) == 0) {
        error_set(err, ERROR_INVALID, "container %s has no command, and neither has its image", container->name);
        return NULL;
    }
    add_standard_mounts(mounts, place);
    for (size_t i = 0; i < container->mount_count; i++)
        if (!add_volume(mounts, &container->mounts[i], place, err))
            return NULL;
    return add_message(mounts, container, place, err) ? json_ref(json) : NULL;
}
