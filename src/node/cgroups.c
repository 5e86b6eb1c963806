/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memory.h"
#include "monitor/kill.h"
#include "node/cgroups_priv.h"

/* --- Groups --- */

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

bool cgroups_hand_on_controllers(const char *directory)
{
    bool cpu = write_text(directory, "cgroup.subtree_control", "+cpu");
    bool memory = write_text(directory, "cgroup.subtree_control", "+memory");
    write_text(directory, "cgroup.subtree_control", "+pids");
    return cpu && memory;
}

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

static bool make_directory(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

/* One that holds groups: in v2 it hands its controllers on to them. */
static bool make_parent(const struct cgroups *cgroups, const char *path)
{
    if (!make_directory(path))
        return false;
    if (cgroups->unified)
        cgroups_hand_on_controllers(path);
    return true;
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
    /* The root comes with the first pod and goes with the last, perhaps in this moment and by the hand of another
     * evoke.
     */
    for (int tries = 0; tries < 3; tries++)
        if (make_parent(cgroups, root) && make_parent(cgroups, pod) && make_directory(path))
            return TAKE(path);
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

/* The last is the worst: what holds such a group cannot be removed either. */
enum removal { GONE, BUSY, NOT_OURS };

static enum removal remove_one(const char *path)
{
    if (rmdir(path) == 0 || errno == ENOENT)
        return GONE;
    if (errno == EBUSY || errno == ENOTEMPTY || errno == EEXIST)
        return BUSY;
    diag_warn("node", "control group %s stays: %s", path, strerror(errno));
    return NOT_OURS;
}

static enum removal worse(enum removal a, enum removal b)
{
    return a > b ? a : b;
}

static enum removal remove_tree(const char *path, int depth)
{
    DIR *dir = opendir(path);
    if (!dir)
        return remove_one(path);
    enum removal worst = GONE;
    for (struct dirent *entry; depth > 0 && (entry = readdir(dir));) {
        char child[PATH_SIZE];
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            (size_t)snprintf(child, sizeof child, "%s/%s", path, entry->d_name) < sizeof child)
            worst = worse(worst, remove_tree(child, depth - 1));
    }
    closedir(dir);
    return worst == GONE ? remove_one(path) : worst;
}

/* This path below a hierarchy's "evoke"; false: it is too long, so nothing of ours is there. */
static bool below_hierarchy(const struct cgroups *cgroups, size_t hierarchy, const char *below, char out[PATH_SIZE])
{
    return (size_t)snprintf(out, PATH_SIZE, "%s/%s", cgroups->hierarchies[hierarchy], below) < PATH_SIZE &&
           access(out, F_OK) == 0;
}

bool cgroups_remove(struct cgroups *cgroups, const char *pod_uid, struct error *err)
{
    char path[PATH_SIZE];
    bool ok = true;
    for (size_t i = 0; i < cgroups->hierarchy_count; i++) {
        if (!below_hierarchy(cgroups, i, pod_uid, path))
            continue;
        kill_cgroup(path);
        if (remove_tree(path, KILL_CGROUP_DEPTH_MAX) == BUSY)
            ok = error_set(err, ERROR_UNAVAILABLE, "control group %s is in use", path);
        rmdir(cgroups->hierarchies[i]); /* "evoke" itself, when it was the last pod */
    }
    return ok;
}

void cgroups_drop(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt)
{
    char run[RUN_SIZE], below[RUN_SIZE + 64], path[PATH_SIZE];
    run_name(container, attempt, run);
    snprintf(below, sizeof below, "%.36s/%s", pod_uid, run);
    for (size_t i = 0; i < cgroups->hierarchy_count; i++)
        if (below_hierarchy(cgroups, i, below, path))
            remove_tree(path, KILL_CGROUP_DEPTH_MAX);
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
