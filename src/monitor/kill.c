/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/kill.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool write_one(const char *directory, const char *file)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, file) >= sizeof path)
        return false;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, "1", 1) == 1;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool kill_listed(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return true;
    bool none = true;
    int pid;
    while (fscanf(file, "%d", &pid) == 1) {
        if (pid <= 0 || pid == getpid())
            continue;
        none = false;
        kill(pid, SIGKILL);
    }
    fclose(file);
    return none;
}

static bool kill_tree(const char *directory, int depth)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/cgroup.procs", directory) >= sizeof path)
        return true;
    bool none = kill_listed(path);
    DIR *dir = depth > 0 ? opendir(directory) : NULL;
    if (!dir)
        return none;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
            (size_t)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >= sizeof path)
            continue;
        none = kill_tree(path, depth - 1) && none;
    }
    closedir(dir);
    return none;
}

bool kill_cgroup(const char *directory)
{
    write_one(directory, "cgroup.kill"); /* v2, Linux 5.14; elsewhere there is no such file */
    return kill_tree(directory, KILL_CGROUP_DEPTH_MAX);
}

/* Calls each() for every process of the system with its parent and session. */
static bool each_process(bool (*each)(pid_t pid, pid_t parent, pid_t session, pid_t wanted), pid_t wanted)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return true;
    bool none = true;
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        char path[300], line[512];
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t size = read(fd, line, sizeof line - 1);
        close(fd);
        line[size > 0 ? size : 0] = 0;
        char *behind_name = strrchr(line, ')'), state; /* the name may hold anything, even ')' */
        int parent, group, session;
        if (behind_name && sscanf(behind_name + 1, " %c %d %d %d", &state, &parent, &group, &session) == 4 &&
            state != 'Z')
            none = each((pid_t)strtol(entry->d_name, NULL, 10), parent, session, wanted) && none;
    }
    closedir(proc);
    return none;
}

static bool kill_if_session(pid_t pid, pid_t parent, pid_t session, pid_t wanted)
{
    (void)parent;
    if (session != wanted || pid == getpid())
        return true;
    kill(pid, SIGKILL);
    return false;
}

static bool kill_if_child(pid_t pid, pid_t parent, pid_t session, pid_t wanted)
{
    (void)session;
    if (parent != wanted)
        return true;
    kill(pid, SIGKILL);
    return false;
}

bool kill_session(pid_t session)
{
    return each_process(kill_if_session, session);
}

bool kill_children(void)
{
    return each_process(kill_if_child, getpid());
}

/* --- By environment --- */

static bool has_variable(pid_t pid, const char *variable, char *space)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t size = 0, length = strlen(variable) + 1;
    for (ssize_t got = 1; got > 0 && size<KILL_ENVIRONMENT_MAX; size += got> 0 ? (size_t)got : 0)
        got = read(fd, space + size, KILL_ENVIRONMENT_MAX - size);
    close(fd);
    for (size_t at = 0; at + length <= size; at += strnlen(space + at, size - at) + 1)
        if (memcmp(space + at, variable, length) == 0) /* with its NUL */
            return true;
    return false;
}

bool kill_marked(const char *variable)
{
    DIR *proc = opendir("/proc");
    char *space = malloc(KILL_ENVIRONMENT_MAX);
    bool none = true;
    for (struct dirent *entry; proc && space && (entry = readdir(proc));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || pid == getpid())
            continue;
        /* Held first, then looked at: the number cannot become another's in between. */
        int held = (int)syscall(SYS_pidfd_open, pid, 0);
        if (held >= 0 && has_variable(pid, variable, space)) {
            syscall(SYS_pidfd_send_signal, held, SIGKILL, NULL, 0);
            none = false;
        }
        if (held >= 0)
            close(held);
    }
    free(space);
    if (proc)
        closedir(proc);
    return none;
}
