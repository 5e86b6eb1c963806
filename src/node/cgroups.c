/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/kill.h"

enum hierarchy_use { USE_CPU, USE_MEMORY, USE_PIDS, USE_V2, USES };

enum { PATH_SIZE = PATH_MAX };

struct cgroups {
    char *roots[USES]; /* directory that holds the pods' groups, ".../evoke"; NULL: no such hierarchy */
    char *runc_parent; /* v2 alone: the path of roots[USE_V2] below the mount point */
    bool unified;      /* v2 does everything */
};

/* --- What is there --- */

/* mountinfo: "36 35 0:31 ROOT MOUNTPOINT options... - TYPE source SUPEROPTIONS" */
static bool find_mount(const char *type, const char *controller, char *mount, char *root)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file)
        return false;
    char line[8192], options[1024], kind[64];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(dash, " - %63s %*s %1023s", kind, options) != 2 || strcmp(kind, type) != 0 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) != 2)
            continue;
        if (!controller) {
            found = true;
            break;
        }
        struct bytes rest = bytes_of_string(options), part;
        while (bytes_split(&rest, ',', &part))
            found = found || bytes_equal_string(part, controller);
    }
    fclose(file);
    return found;
}

/* /proc/self/cgroup: "ID:CONTROLLERS:PATH"; v2 is "0::PATH". */
static bool find_own(const char *controller, char *own)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return false;
    char line[8192];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        struct bytes rest = bytes_trim(bytes_of_string(line)), id, controllers, part;
        if (!bytes_split(&rest, ':', &id) || !bytes_split(&rest, ':', &controllers))
            continue;
        if (controller)
            while (bytes_split(&controllers, ',', &part))
                found = found || bytes_equal_string(part, controller);
        else
            found = controllers.size == 0;
        if (found)
            snprintf(own, PATH_SIZE, BYTES_FORMAT, BYTES_ARGS(rest));
    }
    fclose(file);
    return found;
}

/* The directory of our own group in this hierarchy. */
static char *own_directory(const char *type, const char *controller)
{
    AUTO_FREE(char) mount = memory_new(PATH_SIZE);
    AUTO_FREE(char) root = memory_new(PATH_SIZE);
    AUTO_FREE(char) own = memory_new(PATH_SIZE);
    if (!find_mount(type, controller, mount, root) || !find_own(controller, own))
        return NULL;
    const char *below = own;
    if (strcmp(root, "/") != 0 && strncmp(own, root, strlen(root)) == 0)
        below = own + strlen(root);
    char *path = memory_new(PATH_SIZE);
    if (strcmp(below, "/") == 0)
        below = "";
    if ((size_t)snprintf(path, PATH_SIZE, "%s%s", mount, below) >= PATH_SIZE)
        path[0] = 0;
    return path;
}

static bool write_text(const char *directory, const char *file, const char *text)
{
    char path[PATH_SIZE];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, file) >= sizeof path)
        return false;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, text, strlen(text));
    int sys = errno;
    close(fd);
    errno = sys;
    return written == (ssize_t)strlen(text);
}

static bool make_directory(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

/* own/evoke, if we may make groups there; else NULL. Takes `own`. */
static char *make_root(char *own_taken)
{
    AUTO_FREE(char) own = own_taken;
    if (!own || !own[0])
        return NULL;
    size_t size = strlen(own) + sizeof "/evoke";
    AUTO_FREE(char) path = memory_new(size);
    snprintf(path, size, "%s/evoke", own);
    return make_directory(path) && access(path, W_OK) == 0 ? TAKE(path) : NULL;
}

static bool hand_on_controllers(const char *directory)
{
    bool cpu = write_text(directory, "cgroup.subtree_control", "+cpu");
    bool memory = write_text(directory, "cgroup.subtree_control", "+memory");
    write_text(directory, "cgroup.subtree_control", "+pids");
    return cpu && memory;
}

static void open_unified(struct cgroups *cgroups)
{
    AUTO_FREE(char) own = own_directory("cgroup2", NULL);
    AUTO_FREE(char) mount = memory_new(PATH_SIZE);
    AUTO_FREE(char) root = memory_new(PATH_SIZE);
    if (!own || !find_mount("cgroup2", NULL, mount, root))
        return;
    char *below_own = make_root(memory_string(bytes_of_string(own)));
    if (below_own && !hand_on_controllers(own) && strcmp(own, mount) != 0) {
        char *below_root = make_root(memory_string(bytes_of_string(mount)));
        if (below_root && hand_on_controllers(mount)) {
            rmdir(below_own);
            free(below_own);
            below_own = below_root;
        } else {
            free(below_root);
        }
    }
    cgroups->roots[USE_V2] = below_own;
    if (below_own) {
        hand_on_controllers(below_own);
        cgroups->runc_parent = memory_string(bytes_of_string(below_own + strlen(mount)));
    }
}

struct cgroups *cgroups_open(void)
{
    struct cgroups *cgroups = NEW(struct cgroups);
    cgroups->roots[USE_CPU] = make_root(own_directory("cgroup", "cpu"));
    cgroups->roots[USE_MEMORY] = make_root(own_directory("cgroup", "memory"));
    cgroups->roots[USE_PIDS] = make_root(own_directory("cgroup", "pids"));
    AUTO_FREE(char) any_v1 = own_directory("cgroup", "memory");
    if (any_v1)
        cgroups->roots[USE_V2] = make_root(own_directory("cgroup2", NULL)); /* hybrid: only to hold and to kill */
    else
        open_unified(cgroups);
    cgroups->unified = !any_v1 && cgroups->roots[USE_V2];
    return cgroups;
}

void cgroups_close(struct cgroups *cgroups)
{
    if (!cgroups)
        return;
    for (size_t i = 0; i < USES; i++) {
        if (cgroups->roots[i])
            rmdir(cgroups->roots[i]); /* only when no pod is in it */
        free(cgroups->roots[i]);
    }
    free(cgroups->runc_parent);
    free(cgroups);
}

/* --- Groups --- */

void cgroups_group_deinit(struct cgroups_group *group)
{
    for (size_t i = 0; i < ARRAY_SIZE(group->directories); i++)
        free(TAKE(group->directories[i]));
}

static int64_t shares_of(int64_t cpu_m)
{
    int64_t shares = cpu_m / 1000 * 1024 + cpu_m % 1000 * 1024 / 1000;
    return shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
}

static int64_t quota_of(int64_t cpu_m)
{
    return cpu_m * 100 < 1000 ? 1000 : cpu_m * 100;
}

struct limit {
    enum hierarchy_use use;
    const char *file;
    char value[64];
};

static size_t limits_of(const struct cgroups *cgroups, const struct runtime_resources *resources,
                        struct limit limits[4])
{
    size_t count = 0;
    int64_t shares = shares_of(resources->cpu_request_m);
#define LIMIT(in, name, ...)                                                                                           \
    do {                                                                                                               \
        limits[count].use = in;                                                                                        \
        limits[count].file = name;                                                                                     \
        snprintf(limits[count++].value, sizeof limits[0].value, __VA_ARGS__);                                          \
    } while (0)
    if (resources->cpu_request_m > 0 && cgroups->unified)
        LIMIT(USE_V2, "cpu.weight", "%" PRId64, 1 + (shares - 2) * 9999 / 262142);
    else if (resources->cpu_request_m > 0)
        LIMIT(USE_CPU, "cpu.shares", "%" PRId64, shares);
    if (resources->cpu_limit_m > 0 && cgroups->unified) {
        LIMIT(USE_V2, "cpu.max", "%" PRId64 " 100000", quota_of(resources->cpu_limit_m));
    } else if (resources->cpu_limit_m > 0) {
        LIMIT(USE_CPU, "cpu.cfs_period_us", "100000");
        LIMIT(USE_CPU, "cpu.cfs_quota_us", "%" PRId64, quota_of(resources->cpu_limit_m));
    }
    if (resources->memory_limit > 0)
        LIMIT(cgroups->unified ? USE_V2 : USE_MEMORY, cgroups->unified ? "memory.max" : "memory.limit_in_bytes",
              "%" PRId64, resources->memory_limit);
#undef LIMIT
    return count;
}

static char *make_group(struct cgroups *cgroups, enum hierarchy_use use, const char *pod_uid, const char *run)
{
    const char *root = cgroups->roots[use];
    if (!root)
        return NULL;
    size_t size = strlen(root) + strlen(pod_uid) + strlen(run) + 3;
    AUTO_FREE(char) pod = memory_new(size);
    AUTO_FREE(char) path = memory_new(size);
    snprintf(pod, size, "%s/%s", root, pod_uid);
    snprintf(path, size, "%s/%s/%s", root, pod_uid, run);
    /* The root goes with its last pod, perhaps in this moment and by the hand of another evoke. */
    for (int tries = 0; tries < 3; tries++)
        if (make_directory(root) && make_directory(pod) && make_directory(path)) {
            if (cgroups->unified)
                hand_on_controllers(pod);
            return TAKE(path);
        }
    return NULL;
}

enum { RUN_SIZE = RUNTIME_NAME_SIZE + 16 };

static void run_name(const char *container, unsigned attempt, char out[RUN_SIZE])
{
    snprintf(out, RUN_SIZE, "%.63s.%u", container, attempt);
}

bool cgroups_make(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt,
                  const struct runtime_resources *resources, struct cgroups_group *out, struct error *err)
{
    *out = (struct cgroups_group){0};
    struct limit limits[4];
    char run[RUN_SIZE];
    run_name(container, attempt, run);
    if (attempt > 0)
        cgroups_drop(cgroups, pod_uid, container, attempt - 1);
    size_t limit_count = limits_of(cgroups, resources, limits), made = 0;
    char *of_use[USES] = {0};
    /* One to hold the processes: v2 kills a whole group at once, any v1 hierarchy will do otherwise. */
    const enum hierarchy_use holders[] = {USE_V2, USE_PIDS, USE_CPU, USE_MEMORY};
    for (size_t i = 0; i < ARRAY_SIZE(holders) && made == 0; i++) {
        of_use[holders[i]] = make_group(cgroups, holders[i], pod_uid, run);
        if (of_use[holders[i]])
            out->directories[made++] = of_use[holders[i]];
    }
    bool ok = true;
    for (size_t i = 0; i < limit_count; i++) {
        enum hierarchy_use use = limits[i].use;
        if (!of_use[use] && (of_use[use] = make_group(cgroups, use, pod_uid, run)))
            out->directories[made++] = of_use[use];
        if (!of_use[use])
            ok = error_set(err, ERROR_UNAVAILABLE, "%s of container %s is not applied: no cgroup for it can be made",
                           limits[i].file, container);
        else if (!write_text(of_use[use], limits[i].file, limits[i].value))
            ok = error_sys(err, errno, "%s of container %s is not applied", limits[i].file, container);
    }
    return ok;
}

uint64_t cgroups_out_of_memory(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt)
{
    char run[RUN_SIZE];
    run_name(container, attempt, run);
    const char *root = cgroups->roots[cgroups->unified ? USE_V2 : USE_MEMORY];
    char path[PATH_SIZE], word[64];
    uint64_t number, count = 0;
    if (!root || (size_t)snprintf(path, sizeof path, "%s/%s/%s/%s", root, pod_uid, run,
                                  cgroups->unified ? "memory.events" : "memory.oom_control") >= sizeof path)
        return 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (fscanf(file, "%63s %" SCNu64, word, &number) == 2)
        if (strcmp(word, "oom_kill") == 0)
            count = number;
    fclose(file);
    return count;
}

static bool remove_tree(const char *path, int depth)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT;
    bool ok = true;
    for (struct dirent *entry; depth > 0 && (entry = readdir(dir));) {
        char child[PATH_SIZE];
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            (size_t)snprintf(child, sizeof child, "%s/%s", path, entry->d_name) < sizeof child)
            ok = remove_tree(child, depth - 1) && ok;
    }
    closedir(dir);
    return (rmdir(path) == 0 || errno == ENOENT) && ok;
}

/* Calls each() with this path below every hierarchy's "evoke": runc makes groups in those that we do not use, too. */
static bool each_hierarchy(struct cgroups *cgroups, const char *below, bool (*each)(const char *path))
{
    char path[PATH_SIZE], line[8192];
    bool ok = true;
    if (cgroups->roots[USE_V2] &&
        (size_t)snprintf(path, sizeof path, "%s/%s", cgroups->roots[USE_V2], below) < sizeof path)
        ok = each(path);
    FILE *file = cgroups->unified ? NULL : fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        struct bytes rest = bytes_of_string(line), id, controllers, controller;
        if (!bytes_split(&rest, ':', &id) || !bytes_split(&rest, ':', &controllers) || controllers.size == 0 ||
            !bytes_split(&controllers, ',', &controller))
            continue;
        AUTO_FREE(char) name = memory_string(controller);
        AUTO_FREE(char) own = own_directory("cgroup", name);
        if (own && (size_t)snprintf(path, sizeof path, "%s/evoke/%s", own, below) < sizeof path)
            ok = each(path) && ok;
    }
    if (file)
        fclose(file);
    return ok;
}

static bool kill_and_remove(const char *path)
{
    if (access(path, F_OK) != 0)
        return true;
    kill_cgroup(path);
    bool ok = remove_tree(path, 8);
    char root[PATH_SIZE];
    snprintf(root, sizeof root, "%s", path);
    *strrchr(root, '/') = 0;
    rmdir(root); /* "evoke" itself, when it was the last pod */
    return ok;
}

static bool remove_group(const char *path)
{
    return access(path, F_OK) != 0 || remove_tree(path, 8);
}

bool cgroups_remove(struct cgroups *cgroups, const char *pod_uid)
{
    return each_hierarchy(cgroups, pod_uid, kill_and_remove);
}

void cgroups_drop(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt)
{
    char run[RUN_SIZE], below[RUN_SIZE + 64];
    run_name(container, attempt, run);
    snprintf(below, sizeof below, "%.36s/%s", pod_uid, run);
    each_hierarchy(cgroups, below, remove_group);
}

bool cgroups_unified(const struct cgroups *cgroups)
{
    return cgroups->unified;
}

void cgroups_runc_path(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt, char *out,
                       size_t size)
{
    /* v1: a relative path is below runc's own group, which is ours, in every hierarchy. v2: from the mount point. */
    char run[RUN_SIZE];
    run_name(container, attempt, run);
    if (cgroups->unified)
        snprintf(out, size, "%s/%s/%s", cgroups->runc_parent, pod_uid, run);
    else
        snprintf(out, size, "evoke/%s/%s", pod_uid, run);
}
