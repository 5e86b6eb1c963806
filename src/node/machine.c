/* SPDX-License-Identifier: Apache-2.0 */
#include "node/machine.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    out[0] = 0;
    if (!file)
        return;
    if (fgets(out, (int)size, file))
        out[strcspn(out, "\n")] = 0;
    fclose(file);
}

static void read_os_image(char *out, size_t size)
{
    FILE *file = fopen("/etc/os-release", "re");
    char line[256];
    snprintf(out, size, "Linux");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "PRETTY_NAME=", 12) != 0)
            continue;
        char *value = line + 12 + (line[12] == '"');
        value[strcspn(value, "\"\n")] = 0;
        snprintf(out, size, "%s", value);
    }
    if (file)
        fclose(file);
}

/* The address from which this machine would speak to others: connecting a datagram socket sends nothing. */
static void read_ip(char *out, size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in own = {0};
    socklen_t own_size = sizeof own;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(out, size, "127.0.0.1");
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &own_size) == 0)
        inet_ntop(AF_INET, &own.sin_addr, out, (socklen_t)size);
    if (fd >= 0)
        close(fd);
}

static const char *architecture_of(const char *machine)
{
    if (strcmp(machine, "x86_64") == 0)
        return "amd64";
    return strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

void machine_read(struct machine *out)
{
    struct utsname name;
    struct sysinfo info;
    cpu_set_t cpus;
    *out = (struct machine){.cpus = 1};
    if (uname(&name) == 0) {
        snprintf(out->kernel, sizeof out->kernel, "%.63s", name.release);
        snprintf(out->architecture, sizeof out->architecture, "%.15s", architecture_of(name.machine));
        size_t at = 0;
        for (const char *c = name.nodename; *c && at < sizeof out->hostname - 1; c++)
            if (isalnum((unsigned char)*c) || ((*c == '-' || *c == '.') && at > 0))
                out->hostname[at++] = (char)tolower((unsigned char)*c);
        while (at > 0 && !isalnum((unsigned char)out->hostname[at - 1]))
            out->hostname[--at] = 0;
    }
    if (!out->hostname[0])
        snprintf(out->hostname, sizeof out->hostname, "evoke");
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        out->cpus = CPU_COUNT(&cpus);
    if (sysinfo(&info) == 0)
        out->memory = (int64_t)info.totalram * info.mem_unit;
    read_line("/etc/machine-id", out->machine_id, sizeof out->machine_id);
    read_line("/proc/sys/kernel/random/boot_id", out->boot_id, sizeof out->boot_id);
    read_os_image(out->os_image, sizeof out->os_image);
    read_ip(out->ip, sizeof out->ip);
}
