/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evoke-monitor: the small process that stands between evoke and the processes of one pod, so that a pod lives on while
 * evoke restarts. Started by evoke, never by hand:
 *     evoke-monitor POD [mounts] [network] [ipc]
 * in the pod's directory, with its listening socket (monitor.sock there) as descriptor 3. POD is for people who read
 * `ps`. The others give it namespaces of its own, in which the pod's mounts and interfaces are made and which
 * its containers share: they vanish with it, whatever happens to evoke.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "monitor/supervisor.h"

enum { LISTENER = 3 };

int main(int argc, char **argv)
{
    int namespaces = 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "mounts") == 0)
            namespaces |= CLONE_NEWNS;
        else if (strcmp(argv[i], "network") == 0)
            namespaces |= CLONE_NEWNET;
        else if (strcmp(argv[i], "ipc") == 0)
            namespaces |= CLONE_NEWIPC;
    }
    if (fcntl(LISTENER, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf(stderr, "evoke-monitor: descriptor 3 is not open: it is started by evoke, not by hand\n");
        return 2;
    }
    if (namespaces && unshare(namespaces) != 0) {
        perror("evoke-monitor: namespaces for the pod");
        return 1;
    }
    /* What the host mounts later is seen here; what is mounted here is not seen there. */
    if ((namespaces & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
        perror("evoke-monitor: own mounts");
        return 1;
    }
    return supervisor_run(LISTENER);
}
