/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods as plain host processes: no image, no namespaces, no root. What a pod gets is a loopback address of its own
 * (127.x.y.z, outside of 127.0.0.0/24, chosen from its uid so that it keeps it), a control group where that is
 * possible, and evoke's working directory and PATH unless the manifest says otherwise.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "monitor/kill.h"
#include "node/monitored.h"

struct process_runtime {
    struct monitored_engine engine; /* first */
    char working_directory[PATH_MAX];
};

/* --- Addresses --- */

static bool ip_in_use(const struct monitored *monitored, const char *ip)
{
    struct monitored_engine *engine = monitored_engine(monitored);
    list_each (struct monitored, other, &engine->sandboxes, link)
        if (other != monitored && strcmp(monitored_ip(other), ip) == 0)
            return true;
    return false;
}

static void choose_ip(const struct monitored *monitored, char out[16])
{
    uint32_t hash = crc32c(0, bytes_of_string(monitored->uid));
    do {
        /* 127.1.0.1 .. 127.254.255.254: never 127.0.x.x, nor what looks like a network or broadcast address. */
        snprintf(out, 16, "127.%u.%u.%u", 1 + hash % 254, hash / 254 % 256, 1 + hash / 254 / 256 % 254);
        hash++;
    } while (ip_in_use(monitored, out));
}

static bool prepare(struct monitored *monitored, const struct runtime_pod *pod, struct error *err)
{
    (void)err;
    char ip[16];
    if (pod->ip && strncmp(pod->ip, "127.", 4) == 0 && !ip_in_use(monitored, pod->ip))
        snprintf(ip, sizeof ip, "%s", pod->ip);
    else
        choose_ip(monitored, ip);
    json_set(monitored->description, "ip", json_new_text(ip));
    return true;
}

static void connected(struct monitored *monitored)
{
    monitored_ready(monitored, monitored_ip(monitored), NULL);
}

/* --- Containers --- */

static bool in_environment(const char *const *environment, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; environment && environment[i]; i++)
        if (strncmp(environment[i], name, size) == 0 && environment[i][size] == '=')
            return true;
    return false;
}

/* What tells a pod's processes from others when there are no control groups and their monitor was killed. */
static char *mark(struct arena *arena, const struct monitored *monitored)
{
    return arena_printf(arena, "EVOKE_POD_UID=%s", monitored->uid);
}

static bool kill_processes(struct monitored *monitored)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    return kill_marked(mark(&arena, monitored));
}

/* What a program needs to find its way on this machine, and nothing else of evoke's own environment. */
static const char **whole_environment(struct arena *arena, struct monitored *monitored,
                                      const struct runtime_container *container)
{
    static const char *const inherited[] = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"};
    size_t count = 0, at = 0;
    while (container->environment && container->environment[count])
        count++;
    const char **environment =
        arena_alloc_array(arena, count + ARRAY_SIZE(inherited) + container->mount_count + 3, sizeof *environment);
    environment[at++] = mark(arena, monitored);
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        const char *value = getenv(inherited[i]);
        if (!value && strcmp(inherited[i], "PATH") == 0)
            value = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        if (value && !in_environment(container->environment, inherited[i]))
            environment[at++] = arena_printf(arena, "%s=%s", inherited[i], value);
    }
    /* There is no file system of its own to mount a volume in: the process is told where it lies. */
    for (size_t i = 0; i < container->mount_count; i++) {
        const struct runtime_mount *mount = &container->mounts[i];
        const char *host = json_text(json_get(json_get(monitored->description, "hostPaths"), mount->volume));
        char *name = arena_printf(arena, "VOLUME_%s", mount->volume);
        for (char *c = name; *c; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c == '-' ? '_' : *c;
        const char *sub_path = mount->sub_path ? mount->sub_path : "";
        if (host)
            environment[at++] = arena_printf(arena, "%s=%s/%s", name, host, sub_path);
        else
            environment[at++] = arena_printf(arena, "%s=%s/_volumes/%s%s%s", name, monitored->directory, mount->volume,
                                             sub_path[0] ? "/" : "", sub_path);
    }
    if (container->message_path && !in_environment(container->environment, "TERMINATION_MESSAGE_PATH")) {
        char path[PATH_MAX];
        monitored_message_path(monitored, container->name, container->attempt, path);
        environment[at++] = arena_printf(arena, "TERMINATION_MESSAGE_PATH=%s", path);
    }
    for (size_t i = 0; i < count; i++)
        environment[at++] = container->environment[i];
    return environment;
}

static const char **whole_command(struct arena *arena, const struct runtime_container *container)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; container->command && container->command[i]; i++)
        count++;
    for (size_t i = 0; container->args && container->args[i]; i++)
        count++;
    const char **argv = arena_alloc_array(arena, count + 1, sizeof *argv);
    for (size_t i = 0; container->command && container->command[i]; i++)
        argv[at++] = container->command[i];
    for (size_t i = 0; container->args && container->args[i]; i++)
        argv[at++] = container->args[i];
    return argv;
}

/* What a manifest that does not care has: not worth a word. */
static const char default_message_path[] = "/dev/termination-log";

static void notice_mounts(struct monitored *monitored, const struct runtime_container *container)
{
    char message[400];
    for (size_t i = 0; i < container->mount_count; i++) {
        snprintf(
            message, sizeof message,
            "volume %.63s is not at %.200s: a process pod has no file system of its own; its path is in the variable "
            "VOLUME_<NAME>",
            container->mounts[i].volume, container->mounts[i].path);
        monitored_notice(monitored, "VolumeNotMounted", message);
    }
    if (container->message_path && strcmp(container->message_path, default_message_path) != 0) {
        snprintf(message, sizeof message,
                 "the termination message is not at %.200s: a process pod has no file system of its own; its path is "
                 "in the variable TERMINATION_MESSAGE_PATH",
                 container->message_path);
        monitored_notice(monitored, "TerminationMessageNotMounted", message);
    }
}

/* The data directory is made for its owner alone; who else may pass through it is for the machine's owner to say, for
 * then the files of all pods are protected by their own modes alone. */
static void notice_directory(struct monitored *monitored, const struct runtime_container *container)
{
    char parent[PATH_MAX], message[PATH_MAX + 200];
    struct stat found;
    snprintf(parent, sizeof parent, "%.4000s/..", monitored_engine(monitored)->pods);
    if (container->run_as_user <= 0 || container->mount_count == 0 || geteuid() != 0 || stat(parent, &found) != 0 ||
        found.st_mode & S_IXOTH)
        return;
    snprintf(
        message, sizeof message,
        "user %lld cannot reach the pod's volumes: only root may enter the data directory above %s; `chmod o+x` it "
        "if all users of this machine may",
        (long long)container->run_as_user, monitored_engine(monitored)->pods);
    monitored_notice(monitored, "VolumeNotReachable", message);
}

static void notice_security(struct monitored *monitored, const struct runtime_container *container)
{
    const struct {
        bool asked;
        const char *field;
    } fields[] = {
        {container->privileged, "privileged"},
        {container->read_only_root, "readOnlyRootFilesystem"},
        {container->no_new_privileges, "allowPrivilegeEscalation"},
        {container->capabilities_add || container->capabilities_drop, "capabilities"},
        {container->seccomp, "seccompProfile"},
        {container->run_as_user >= 0 && geteuid() != 0, "runAsUser"},
        {container->run_as_group >= 0 && geteuid() != 0, "runAsGroup"},
        {container->group_count > 0 && geteuid() != 0, "supplementalGroups, fsGroup"},
    };
    char message[400] = "";
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        size_t used = strlen(message);
        if (fields[i].asked)
            snprintf(message + used, sizeof message - used, "%s%s", used ? ", " : "", fields[i].field);
    }
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, ": a process of this machine is started without");
    if (used > 0)
        monitored_notice(monitored, "SecurityContextReduced", message);
}

/* Who is not root has those that it has. */
static const char *const *groups_of(struct arena *arena, const struct runtime_container *container)
{
    size_t count = geteuid() == 0 ? container->group_count : 0;
    const char **groups = arena_alloc_array(arena, count + 1, sizeof *groups);
    for (size_t i = 0; i < count; i++)
        groups[i] = arena_printf(arena, "%u", container->groups[i]);
    return groups;
}

static void start(struct monitored *monitored, const struct runtime_container *container)
{
    struct process_runtime *runtime = (struct process_runtime *)(void *)monitored->sandbox.runtime;
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const char **argv = whole_command(&arena, container);
    if (!argv[0]) {
        error_set(&err, ERROR_INVALID,
                  "container %s has no command: a process has no image to take one from, set `command`",
                  container->name);
        monitored_start_failed(monitored, container->name, container->attempt, RUNTIME_FAILED_CONFIG, &err);
        return;
    }
    if (container->run_as_non_root && geteuid() == 0 && container->run_as_user <= 0) {
        error_set(&err, ERROR_INVALID, "container %s has runAsNonRoot and would run as root: set runAsUser",
                  container->name);
        monitored_start_failed(monitored, container->name, container->attempt, RUNTIME_FAILED_CONFIG, &err);
        return;
    }
    if (!monitored_make_message(monitored, container, &err)) {
        monitored_start_failed(monitored, container->name, container->attempt, RUNTIME_FAILED_CREATE, &err);
        return;
    }
    struct cgroups_group group;
    if (!cgroups_make(monitored_cgroups(monitored), monitored->uid, container->name, container->attempt,
                      &container->resources, &group, &err))
        monitored_notice(monitored, "ResourcesNotApplied", err.message);
    if (container->attempt == 0) {
        notice_mounts(monitored, container);
        notice_directory(monitored, container);
        notice_security(monitored, container);
    }
    struct runtime_container whole = *container;
    whole.environment = whole_environment(&arena, monitored, container);
    if (!whole.working_directory)
        whole.working_directory = runtime->working_directory;
    struct protocol_start message = {
        .directory = whole.working_directory,
        .pid_file = "",
        .error_file = "",
        .user = geteuid() == 0 && container->run_as_user >= 0 ? (uint32_t)container->run_as_user : UINT32_MAX,
        .group = geteuid() == 0 && container->run_as_group >= 0 ? (uint32_t)container->run_as_group : UINT32_MAX,
        .oom_score_adj = (uint32_t)(container->oom_score_adj + 1000),
        .argv = argv,
        .environment = whole.environment,
        .cgroups = (const char *const *)group.directories,
        .groups = groups_of(&arena, container),
    };
    monitored_start_task(monitored, monitored_run_add(monitored, &whole), &message);
    cgroups_group_deinit(&group);
}

static void exec(struct monitored *monitored, struct monitored_exec *exec, const char *const *argv)
{
    (void)monitored;
    struct protocol_start message = {
        .directory = exec->run->working_directory,
        .pid_file = "",
        .error_file = "",
        .user = exec->run->user,
        .group = exec->run->group,
        .groups = (const char *const *)exec->run->groups,
        .oom_score_adj = UINT32_MAX,
        .argv = argv,
        .environment = (const char *const *)exec->run->environment,
        .cgroups = (const char *const *)exec->run->cgroups,
    };
    monitored_exec_task(exec, &message);
}

static const struct monitored_ops process_ops = {
    .size = sizeof(struct monitored),
    .prepare = prepare,
    .connected = connected,
    .start = start,
    .exec = exec,
    .kill = kill_processes,
};

static void process_close(struct runtime *runtime)
{
    monitored_engine_deinit((struct monitored_engine *)(void *)runtime);
    free(runtime);
}

struct runtime *runtime_process_open(struct io *io, const struct runtime_options *options, struct error *err)
{
    struct process_runtime *runtime = NEW(struct process_runtime);
    runtime->engine.runtime = (struct runtime){.name = "process", .version = EVOKE_VERSION};
    runtime->engine.ops = &process_ops;
    if (!getcwd(runtime->working_directory, sizeof runtime->working_directory))
        snprintf(runtime->working_directory, sizeof runtime->working_directory, "/");
    if (!monitored_engine_init(&runtime->engine, io, options, process_close, err)) {
        process_close(&runtime->engine.runtime);
        return NULL;
    }
    return &runtime->engine.runtime;
}
