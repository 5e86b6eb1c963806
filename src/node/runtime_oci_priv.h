/* SPDX-License-Identifier: Apache-2.0 */
/* Between runtime_oci.c (the engine, a sandbox's files and network) and runtime_oci_start.c (containers in it). */
#ifndef NODE_RUNTIME_OCI_PRIV_H
#define NODE_RUNTIME_OCI_PRIV_H

#include "node/monitored.h"
#include "node/network.h"

struct oci_runtime {
    struct monitored_engine engine; /* first */
    char *directory;                /* DIR, absolute */
    char *runc;
    struct io_dir_watch *images; /* NULL: nobody wants to know of new ones */
    char host_ip[48];
    struct network network;
    bool translated; /* addresses of what goes beyond this machine */
    char trouble[600];
    uint64_t capabilities;
    int oom_score_adj_min;
};

static inline struct oci_runtime *oci_runtime_of(const struct monitored *monitored)
{
    return (struct oci_runtime *)(void *)monitored->sandbox.runtime;
}

/* monitored_ops.start and .exec */
void oci_start(struct monitored *monitored, const struct runtime_container *container);
void oci_exec(struct monitored *monitored, struct monitored_exec *exec, const char *const *argv);

#endif
