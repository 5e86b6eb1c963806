/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of pods: v1, v2, or both mounted side by side (hybrid). They do two things: they hold a container's
 * processes together, so that all of them can be ended, and they apply requests and limits.
 *
 * Groups lie below evoke's own group in each hierarchy, so what limits evoke limits its pods too:
 *     <hierarchy>/<evoke's own>/evoke/<pod uid>/<container>.<attempt>
 * Every run of a container has a group of its own: a kernel may kill what is born in a group that was killed before.
 * In v2 a group with processes in it cannot hand controllers on; where that stands in the way, pods go below the root.
 *
 * Figures: cpu.shares = max(2, m * 1024 / 1000); quota = m * 100 us in a period of 100 ms, at least 1 ms; cpu.weight =
 * 1 + (shares - 2) * 9999 / 262142; memory limit as it is.
 */
#ifndef NODE_CGROUPS_H
#define NODE_CGROUPS_H

#include "base/error.h"
#include "node/runtime.h"
#include "wire/json.h"

struct cgroups;

/* Looks at what is mounted and may be written. Never fails: where there is nothing, every group is empty. `proc` is
 * "/proc/self": a directory with the files mountinfo and cgroup. */
struct cgroups *cgroups_open(const char *proc);
void cgroups_close(struct cgroups *cgroups);
/* Where groups are, for the disk, and back; NULL: this is no such description. A later evoke may run in another group
 * than the one that made a pod, and the pod's groups stay where they were made. */
struct json *cgroups_describe(const struct cgroups *cgroups);
struct cgroups *cgroups_restore(const struct json *json);

enum { CGROUPS_DIRECTORIES_MAX = 4 };
struct cgroups_group {
    char *directories[CGROUPS_DIRECTORIES_MAX + 1]; /* NULL-terminated, absolute; a process enters all of them */
};
void cgroups_group_deinit(struct cgroups_group *group);

/* Makes the group of a container's run with its limits, and takes the group of the run before away. False: something
 * asked for could not be had (err says what, for an Event); the group is usable nonetheless, perhaps empty. */
bool cgroups_make(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt,
                  const struct runtime_resources *resources, struct cgroups_group *out, struct error *err);
/* How many times the kernel has killed in this run's group for want of memory. */
uint64_t cgroups_out_of_memory(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt);
/* Kills what is in the pod's groups and removes them, in all hierarchies. False: one is not empty yet or cannot be
 * removed for now, try again later; what we have no right to remove is warned of and left. */
MUST_CHECK bool cgroups_remove(struct cgroups *cgroups, const char *pod_uid, struct error *err);
/* Whether cgroup v2 does everything (not v1, not both). */
bool cgroups_unified(const struct cgroups *cgroups);
/* What runc takes as cgroupsPath for this run; "" when it should not be told. */
void cgroups_runc_path(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt, char *out,
                       size_t size);
/* Takes the groups of a run that has ended away, where they are empty. */
void cgroups_drop(struct cgroups *cgroups, const char *pod_uid, const char *container, unsigned attempt);

#endif
