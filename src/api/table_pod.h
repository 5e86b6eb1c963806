/* SPDX-License-Identifier: Apache-2.0 */
/* What kubectl shows of a pod: READY, STATUS and RESTARTS, computed from the states of its containers. */
#ifndef API_TABLE_POD_H
#define API_TABLE_POD_H

#include "wire/json.h"

struct pod_summary {
    int ready, total; /* containers, with init containers that go on running */
    int64_t restarts;
    int64_t last_restart_s; /* when the last one that was restarted had ended; 0: unknown */
    char status[128];       /* "Running", "Init:0/1", "CrashLoopBackOff", "Terminating" ... */
};

void pod_summarize(const struct json *pod, struct pod_summary *summary);

#endif
