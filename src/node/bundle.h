/* SPDX-License-Identifier: Apache-2.0 */
/* The config.json of an OCI bundle (runtime-spec 1.0), from an image's configuration and what the pod wants. */
#ifndef NODE_BUNDLE_H
#define NODE_BUNDLE_H

#include "node/runtime.h"
#include "wire/json.h"

/* What the machine and the sandbox contribute. */
struct bundle_place {
    const char *root;      /* the root file system's directory */
    const char *directory; /* the pod's: _etc/ and _volumes/ lie there */
    const char *hostname;
    const char *cgroups_path; /* "" : none */
    int monitor_pid;          /* whose network and IPC namespaces the container joins */
    bool host_network, host_pid;
    bool unified_cgroups;          /* cgroup v2: the container gets a cgroup namespace */
    const struct json *host_paths; /* volume name: path */
    uint64_t capabilities;         /* that we may hand on, by number */
    int oom_score_adj_min;         /* lower than this is not allowed to us */
    uint32_t user, group;          /* resolved */
    const char *home;              /* of the user; NULL: unknown */
};

/* NULL: the container cannot be described, err (ERROR_INVALID: it has no command; a mount is not possible).
 * `notice` (300 bytes, "" if nothing) says what was asked for and is left out. */
struct json *bundle_make(const struct runtime_container *container, const struct json *image_config,
                         const struct bundle_place *place, char notice[300], struct error *err);

/* The signal of a name in an image ("SIGQUIT", "QUIT", "3", "SIGRTMIN+3"), or 0. */
int bundle_signal(const char *name);
/* The capabilities in our own bounding set, by number. */
uint64_t bundle_own_capabilities(void);
/* Resolves "name", "uid", "name:group", "uid:gid" with etc/passwd and etc/group of the image, whose layers are
 * directories, lowest first. */
MUST_CHECK bool bundle_resolve_user(char *const *layers, size_t layer_count, const char *user, uint32_t *uid,
                                    uint32_t *gid, char home[256], struct error *err);

#endif
