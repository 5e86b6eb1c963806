/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor itself: its tasks, its socket, its loop. One thread, one epoll, no timers: it sleeps until a task writes
 * or ends or evoke says something. One client at a time; the newest wins, because the older one is an evoke that died.
 */
#ifndef MONITOR_SUPERVISOR_H
#define MONITOR_SUPERVISOR_H

/* Runs in the pod's directory until told to end (or until the directory is taken away), with `listener` as its
 * listening socket. Returns the exit code of the program. */
int supervisor_run(int listener);

#endif
