/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending every process of a group, whatever it has done to get away: by cgroup where there is one (nothing leaves a
 * cgroup by itself), else by session and by ancestry, which a process escapes only by setsid() and an exit of all its
 * parents, and then not from kill_children() of a subreaper. Where there is neither a cgroup nor a monitor any more, by
 * what stands in its environment, which it escapes only by starting a program with another one.
 */
#ifndef MONITOR_KILL_H
#define MONITOR_KILL_H

#include <stdbool.h>
#include <sys/types.h>

/* A container may make cgroups in its own, some levels deep; deeper than this is nothing that anyone does. */
enum { KILL_CGROUP_DEPTH_MAX = 32 };
/* Sends SIGKILL to all processes in the cgroup directory and below; true when none was left to be killed. cgroup v2
 * with cgroup.kill does it at once, otherwise the caller repeats until true. */
bool kill_cgroup(const char *directory);
/* Sends SIGKILL to all processes of the session, except ourselves; true when there was none. */
bool kill_session(pid_t session);
/* Sends SIGKILL to all children of this process; true when there was none. */
bool kill_children(void);

/* Sends SIGKILL to all processes that we may look at and that were started with this variable ("NAME=value") among the
 * first KILL_ENVIRONMENT_MAX bytes of their environment; true when there was none. */
enum { KILL_ENVIRONMENT_MAX = 256 << 10 };
bool kill_marked(const char *variable);

#endif
