/* SPDX-License-Identifier: Apache-2.0 */
/* Between cgroups_find.c (what is there) and cgroups.c (what is made in it). */
#ifndef NODE_CGROUPS_PRIV_H
#define NODE_CGROUPS_PRIV_H

#include <limits.h>

#include "node/cgroups.h"

enum hierarchy_use { USE_CPU, USE_MEMORY, USE_PIDS, USE_V2, USES };

enum { PATH_SIZE = PATH_MAX, HIERARCHIES_MAX = 24 };

struct cgroups {
    char *roots[USES]; /* directory that holds the pods' groups, ".../evoke", while there are any; NULL: no such
                          hierarchy */
    char *hierarchies[HIERARCHIES_MAX]; /* the same, of all in which groups of pods may be; some not there */
    size_t hierarchy_count;
    char *runc_parent; /* v2 alone: the path of roots[USE_V2] below the mount point */
    bool unified;      /* v2 does everything */
};

bool cgroups_hand_on_controllers(const char *directory);

#endif
