/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine is, for the Node object. Read once at start, from the system itself: these are facts of the
 * environment, which evoke/ hands to the node (a simulated world has others). */
#ifndef NODE_MACHINE_H
#define NODE_MACHINE_H

#include <stdint.h>

struct machine {
    char hostname[64];     /* in lower case, a DNS label or name */
    char ip[48];           /* the address of the interface with the default route; 127.0.0.1 when there is none */
    char kernel[64];       /* "6.1.0-18-amd64" */
    char os_image[96];     /* "Debian GNU/Linux 12 (bookworm)" */
    char architecture[16]; /* "amd64" */
    char machine_id[40];
    char boot_id[40];
    int64_t cpus;
    int64_t memory; /* bytes */
};

void machine_read(struct machine *out);

#endif
