/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the Linux engine. Bytes are read into one buffer of the loop and written by sendmsg(), files by
 * sendfile(). */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/linux_priv.h"
#include "io/stream_priv.h"

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 64,
    READS_PER_TURN = 16,
    ACCEPT_RETRY_MS = 100,
};

struct linux_stream {
    struct io_stream base;
    struct watch watch;
};

struct linux_listener {
    struct io_listener base;
    struct watch watch;
    bool wanted;
    bool said; /* that descriptors are short, once per shortage */
    struct io_timer retry;
};

/* --- Addresses --- */

socklen_t linux_address_to(const struct io_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (address->family == IO_ADDRESS_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->ip, 4);
        return sizeof *in;
    }
    if (address->family == IO_ADDRESS_IPV6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)out;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(address->port);
        memcpy(&in->sin6_addr, address->ip, 16);
        return sizeof *in;
    }
    struct sockaddr_un *un = (struct sockaddr_un *)out;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, address->path, sizeof address->path);
    return sizeof *un;
}

struct io_address linux_address_from(const struct sockaddr_storage *in, socklen_t size)
{
    struct io_address address = {0};
    if (in->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)in;
        address.family = IO_ADDRESS_IPV4;
        address.port = ntohs(in4->sin_port);
        memcpy(address.ip, &in4->sin_addr, 4);
    } else if (in->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)in;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr); /* an IPv4 peer of a listener at [::] */
        address.family = mapped ? IO_ADDRESS_IPV4 : IO_ADDRESS_IPV6;
        address.port = ntohs(in6->sin6_port);
        memcpy(address.ip, in6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    } else if (in->ss_family == AF_UNIX) {
        address.family = IO_ADDRESS_UNIX;
        if (size > offsetof(struct sockaddr_un, sun_path)) {
            const struct sockaddr_un *un = (const struct sockaddr_un *)in;
            snprintf(address.path, sizeof address.path, "%.*s", (int)(size - offsetof(struct sockaddr_un, sun_path)),
                     un->sun_path);
        }
    }
    return address;
}

struct io_address linux_address_local(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof storage;
    getsockname(fd, (struct sockaddr *)&storage, &size);
    return linux_address_from(&storage, size);
}

static int family_of(const struct io_address *address)
{
    return address->family == IO_ADDRESS_IPV4 ? AF_INET : address->family == IO_ADDRESS_IPV6 ? AF_INET6 : AF_UNIX;
}

/* --- Streams --- */

static void fail_stream(struct io_stream *stream, int sys, const char *what)
{
    struct error err;
    char peer[IO_ADDRESS_TEXT_SIZE];
    io_address_format(&stream->peer, peer);
    error_sys(&err, sys, "%s %s", what, peer);
    stream_failed(stream, &err);
}

static void receive(struct linux_stream *stream)
{
    struct linux_io *io = linux_io_of(stream->base.io);
    for (int i = 0; i < READS_PER_TURN && stream_wants_read(&stream->base); i++) {
        ssize_t got = recv(stream->watch.fd, io->receive, sizeof io->receive, MSG_DONTWAIT);
        if (got > 0) {
            stream_received(&stream->base, bytes_of(io->receive, (size_t)got));
            if ((size_t)got < sizeof io->receive)
                return;
        } else if (got == 0) {
            stream_received_end(&stream->base);
        } else if (errno != EINTR) {
            if (errno != EAGAIN)
                fail_stream(&stream->base, errno, "receive from");
            return;
        }
    }
}

static void stream_ready(struct watch *watch, int events)
{
    struct linux_stream *stream = CONTAINER_OF(watch, struct linux_stream, watch);
    if (stream->base.state == STREAM_CONNECTING) {
        int sys = 0;
        socklen_t size = sizeof sys;
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &sys, &size);
        if (sys) {
            fail_stream(&stream->base, sys, "connect to");
        } else {
            stream->base.local = linux_address_local(watch->fd);
            stream_connected(&stream->base);
        }
        return;
    }
    if (events & WATCH_WRITE)
        stream_writable(&stream->base);
    if (events & WATCH_READ)
        receive(stream);
}

static void stream_dispose(struct watch *watch)
{
    struct linux_stream *stream = CONTAINER_OF(watch, struct linux_stream, watch);
    stream_deinit(&stream->base);
    free(stream);
}

static struct linux_stream *stream_new(struct io *io, int fd, struct error *err)
{
    struct linux_stream *stream = NEW(struct linux_stream);
    stream_init(&stream->base, io);
    if (!watch_open(linux_io_of(io), &stream->watch, fd, stream_ready, stream_dispose, err)) {
        free(stream);
        return NULL;
    }
    return stream;
}

static int64_t linux_send(struct io_stream *base, const struct iovec *parts, int count, bool more)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    struct linux_stream *stream = (struct linux_stream *)base;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    for (;;) {
        ssize_t sent = sendmsg(stream->watch.fd, &message, flags);
        if (sent >= 0)
            return sent;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

static int64_t linux_send_file(struct io_stream *stream, struct io_file *file, uint64_t at, size_t size)
{
    int fd = ((struct linux_stream *)stream)->watch.fd;
    size_t sent = 0;
    while (sent < size) {
        off_t offset = (off_t)(at + sent);
        ssize_t got = sendfile(fd, linux_file_fd(file), &offset, size - sent);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            break;
        if (got <= 0)
            return sent > 0 ? (int64_t)sent : got < 0 ? -errno : -EIO;
        sent += (size_t)got;
    }
    return (int64_t)sent;
}

static void linux_want(struct io_stream *base, bool read, bool write)
{
    struct linux_stream *stream = (struct linux_stream *)base;
    watch_want(&stream->watch, (read ? WATCH_READ : 0) | (write ? WATCH_WRITE : 0));
}

static void linux_shutdown(struct io_stream *stream)
{
    shutdown(((struct linux_stream *)stream)->watch.fd, SHUT_WR);
}

static void linux_stream_close(struct io_stream *base)
{
    watch_close(&((struct linux_stream *)base)->watch);
}

static bool linux_connect(struct io *io, const struct io_address *address, struct io_stream **out, struct error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_format(address, text);
    int fd = socket(family_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_sys(err, errno, "connect to %s", text);
    int one = 1;
    if (address->family != IO_ADDRESS_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_storage storage;
    socklen_t size = linux_address_to(address, &storage);
    struct linux_stream *stream = NULL;
    if (connect(fd, (struct sockaddr *)&storage, size) < 0 && errno != EINPROGRESS && errno != EINTR)
        error_sys(err, errno, "connect to %s", text);
    else
        stream = stream_new(io, fd, err);
    if (!stream) {
        close(fd);
        return false;
    }
    *out = &stream->base;
    return true;
}

/* --- Listeners --- */

static void accept_one(struct linux_listener *listener, int fd, const struct io_address *peer)
{
    int one = 1;
    if (peer->family != IO_ADDRESS_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct error err;
    struct linux_stream *stream = stream_new(listener->base.io, fd, &err);
    if (!stream) {
        diag_warn("io", "accept: %s", err.message);
        close(fd);
        return;
    }
    stream->base.peer = *peer;
    stream->base.local = linux_address_local(fd);
    listener_accepted(&listener->base, &stream->base);
}

static void update_listener(struct linux_listener *listener)
{
    watch_want(&listener->watch, listener->wanted && !io_timer_active(&listener->retry) ? WATCH_READ : 0);
}

/* Out of descriptors or memory: the connection stays in the backlog and the socket stays readable, so watching it would
 * spin. Look again in a moment. */
static void accept_refused(struct linux_listener *listener, int sys)
{
    if (!listener->said)
        diag_warn("io", "accept: %s: new connections wait", strerror(sys));
    listener->said = true;
    io_timer_start(&listener->retry, ACCEPT_RETRY_MS);
    update_listener(listener);
}

static void listener_ready(struct watch *watch, int events)
{
    struct linux_listener *listener = CONTAINER_OF(watch, struct linux_listener, watch);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && listener->wanted && !listener->base.closed; i++) {
        struct sockaddr_storage storage = {0};
        socklen_t size = sizeof storage;
        int fd = accept4(watch->fd, (struct sockaddr *)&storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct io_address peer = linux_address_from(&storage, size);
            listener->said = false;
            accept_one(listener, fd, &peer);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            accept_refused(listener, errno);
            break;
        }
    }
    if (!listener->base.closed)
        update_listener(listener); /* an error has stopped the watch */
}

static void retry_accept(void *ctx)
{
    update_listener(ctx);
}

static void listener_dispose(struct watch *watch)
{
    free(CONTAINER_OF(watch, struct linux_listener, watch));
}

/* A socket file whose owner is gone refuses connections. */
static void remove_stale_socket(const struct io_address *address, const struct sockaddr_storage *storage,
                                socklen_t size)
{
    struct stat status;
    if (lstat(address->path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)storage, size) < 0 && errno == ECONNREFUSED)
        unlink(address->path);
    close(fd);
}

static bool bind_and_listen(int fd, const struct io_address *address, struct error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_format(address, text);
    struct sockaddr_storage storage;
    socklen_t size = linux_address_to(address, &storage);
    int one = 1, failed;
    if (address->family == IO_ADDRESS_UNIX) {
        remove_stale_socket(address, &storage, size);
        mode_t mask = umask(0177);
        failed = bind(fd, (struct sockaddr *)&storage, size);
        umask(mask);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        failed = bind(fd, (struct sockaddr *)&storage, size);
    }
    if (failed < 0 || listen(fd, BACKLOG) < 0)
        return error_sys(err, errno, "listen on %s", text);
    return true;
}

static bool linux_listen(struct io *io, const struct io_address *address, struct io_listener **out, struct error *err)
{
    int fd = socket(family_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_sys(err, errno, "listen");
    AUTO_FREE(struct linux_listener) listener = NEW(struct linux_listener);
    if (!bind_and_listen(fd, address, err) ||
        !watch_open(linux_io_of(io), &listener->watch, fd, listener_ready, listener_dispose, err)) {
        close(fd);
        return false;
    }
    listener->base.address = address->family == IO_ADDRESS_UNIX ? *address : linux_address_local(fd);
    io_timer_init(io, &listener->retry, retry_accept, listener);
    *out = &TAKE(listener)->base;
    return true;
}

static void linux_listener_want(struct io_listener *base, bool accept)
{
    struct linux_listener *listener = (struct linux_listener *)base;
    listener->wanted = accept;
    update_listener(listener);
}

static void linux_listener_close(struct io_listener *base)
{
    struct linux_listener *listener = (struct linux_listener *)base;
    io_timer_stop(&listener->retry);
    if (base->address.family == IO_ADDRESS_UNIX)
        unlink(base->address.path);
    watch_close(&listener->watch);
}

/* --- Names --- */

struct resolving {
    uv_getaddrinfo_t request;
    char *host;
    uint16_t port;
    void (*done)(void *ctx, const struct io_address *address, const struct error *err);
    void *ctx;
    struct io_deferred refuse; /* when libuv says no at once */
    int status;
};

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolving *resolving = request->data;
    struct error err;
    if (linux_io_of(resolving->refuse.io)->ending) {
        /* nobody is there to be told */
    } else if (status == 0 && found) {
        struct sockaddr_storage storage = {0};
        memcpy(&storage, found->ai_addr, found->ai_addrlen);
        struct io_address address = linux_address_from(&storage, found->ai_addrlen);
        address.port = resolving->port;
        resolving->done(resolving->ctx, &address, NULL);
    } else {
        error_set(&err, status == UV_EAI_NONAME ? ERROR_NOT_FOUND : ERROR_UNAVAILABLE, "resolve %s: %s",
                  resolving->host, uv_strerror(status));
        resolving->done(resolving->ctx, NULL, &err);
    }
    uv_freeaddrinfo(found);
    free(resolving->host);
    free(resolving);
}

static void refused(void *ctx)
{
    struct resolving *resolving = ctx;
    resolved(&resolving->request, resolving->status, NULL);
}

static void linux_resolve(struct io *io, const char *host, uint16_t port,
                          void (*done)(void *ctx, const struct io_address *address, const struct error *err), void *ctx)
{
    struct resolving *resolving = NEW(struct resolving);
    *resolving = (struct resolving){.request.data = resolving, .port = port, .done = done, .ctx = ctx};
    resolving->host = memory_string(bytes_of_string(host));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    io_deferred_init(io, &resolving->refuse, refused, resolving);
    resolving->status = uv_getaddrinfo(&linux_io_of(io)->loop, &resolving->request, resolved, host, NULL, &hints);
    if (resolving->status < 0)
        io_defer(&resolving->refuse);
}

const struct net_engine linux_net_engine = {
    .listen = linux_listen,
    .listener_close = linux_listener_close,
    .listener_want = linux_listener_want,
    .connect = linux_connect,
    .send = linux_send,
    .send_file = linux_send_file,
    .want = linux_want,
    .shutdown = linux_shutdown,
    .close = linux_stream_close,
    .resolve = linux_resolve,
    .datagram_open = linux_datagram_open,
    .datagram_send = linux_datagram_send,
    .datagram_close = linux_datagram_close,
};
