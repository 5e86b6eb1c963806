/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service that the benchmark and the end-to-end tests run, as a process and (linked statically) in a container: a
 * small HTTP server on $PORT (8080), one thread, keep-alive. What it answers to a delivered event:
 *
 *     MODE=accept   202 and nothing more
 *     MODE=latency  200 and a reply event "bench.latency" whose data is the time in ns from the event's extension
 *                   `sentns` (CLOCK_MONOTONIC of the sender) to the first byte that arrived here
 *     MODE=echo     200 and a reply event "echo" with the id of the event and its data
 *     MODE=fail     500
 * GET is answered by 200, for probes. WORK_MS: sleep so long before each answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 1024, SIZE = 1 << 16 };

struct connection {
    int fd;
    uint64_t first_byte_ns;
    size_t size;
    char data[SIZE + 1];
};

static struct connection *connections[CONNECTIONS];
static const char *mode = "accept";
static long work_ms;

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The value of a header field, copied to `out`; false when it is not there. */
static int field(const char *head, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) != 0 || line[2 + length] != ':')
            continue;
        const char *value = line + 2 + length + 1;
        while (*value == ' ')
            value++;
        size_t end = strcspn(value, "\r");
        snprintf(out, size, "%.*s", (int)(end < size ? end : size - 1), value);
        return 1;
    }
    return 0;
}

static void answer(const struct connection *connection, const char *body, size_t body_size)
{
    char out[SIZE + 1024], id[300] = "", sent[64] = "0", data[64];
    const char *status = "202 Accepted", *type = NULL, *reply = "";
    size_t reply_size = 0;
    field(connection->data, "ce-id", id, sizeof id);
    if (work_ms > 0)
        usleep((useconds_t)work_ms * 1000);
    if (strncmp(connection->data, "GET ", 4) == 0) {
        status = "200 OK";
    } else if (strcmp(mode, "fail") == 0) {
        status = "500 Internal Server Error";
    } else if (strcmp(mode, "latency") == 0) {
        field(connection->data, "ce-sentns", sent, sizeof sent);
        snprintf(data, sizeof data, "%lld", (long long)(connection->first_byte_ns - strtoull(sent, NULL, 10)));
        status = "200 OK", type = "bench.latency", reply = data, reply_size = strlen(data);
    } else if (strcmp(mode, "echo") == 0) {
        status = "200 OK", type = "echo", reply = body, reply_size = body_size;
    }
    int size = type ? snprintf(out, sizeof out,
                               "HTTP/1.1 %s\r\nce-specversion: 1.0\r\nce-id: re-%s\r\nce-source: handler\r\nce-type: "
                               "%s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                               status, id, type, reply_size)
                    : snprintf(out, sizeof out, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
    memcpy(out + size, reply, reply_size);
    if (write(connection->fd, out, (size_t)size + reply_size) < 0)
        perror("write");
}

/* Answers every whole request that is there; 0: the connection has to go. */
static int serve(struct connection *connection)
{
    ssize_t got = read(connection->fd, connection->data + connection->size, SIZE - connection->size);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    if (connection->size == 0)
        connection->first_byte_ns = now_ns();
    connection->size += (size_t)got;
    connection->data[connection->size] = 0;
    for (char *end; (end = strstr(connection->data, "\r\n\r\n"));) {
        char length[32] = "0";
        field(connection->data, "Content-Length", length, sizeof length);
        size_t head = (size_t)(end + 4 - connection->data), body = strtoul(length, NULL, 10);
        if (head + body > SIZE)
            return 0;
        if (connection->size < head + body)
            return 1;
        answer(connection, connection->data + head, body);
        connection->size -= head + body;
        memmove(connection->data, connection->data + head + body, connection->size + 1);
    }
    return connection->size < SIZE;
}

static void accept_one(int listener, int epoll)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (fd >= CONNECTIONS) {
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections[fd] = calloc(1, sizeof **connections);
    if (!connections[fd])
        exit(1);
    connections[fd]->fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

int main(void)
{
    const char *port = getenv("PORT"), *ip = getenv("POD_IP");
    mode = getenv("MODE") ? getenv("MODE") : mode;
    work_ms = getenv("WORK_MS") ? atol(getenv("WORK_MS")) : 0;
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port ? port : "8080"))};
    address.sin_addr.s_addr = ip ? inet_addr(ip) : INADDR_ANY;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 512) < 0) {
        perror("listen");
        return 1;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_one(listener, epoll);
            } else if (!serve(connections[fd])) {
                close(fd);
                free(connections[fd]);
                connections[fd] = NULL;
            }
        }
    }
}
