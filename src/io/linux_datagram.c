/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of the Linux engine. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/datagram_priv.h"
#include "io/linux_priv.h"

enum { READS_PER_TURN = 64 };

struct linux_datagram {
    struct io_datagram base;
    struct watch watch;
    bool closed;
};

static void datagram_ready(struct watch *watch, int events)
{
    struct linux_datagram *datagram = CONTAINER_OF(watch, struct linux_datagram, watch);
    struct linux_io *io = linux_io_of(datagram->base.io);
    (void)events;
    for (int i = 0; i < READS_PER_TURN && !datagram->closed; i++) {
        struct sockaddr_storage storage = {0};
        socklen_t size = sizeof storage;
        ssize_t got =
            recvfrom(watch->fd, io->receive, sizeof io->receive, MSG_DONTWAIT, (struct sockaddr *)&storage, &size);
        if (got >= 0) {
            struct io_address from = linux_address_from(&storage, size);
            datagram->base.received(datagram->base.ctx, &from, bytes_of(io->receive, (size_t)got));
        } else if (errno == EAGAIN) {
            break;
        } /* else: an earlier one could not be delivered (ICMP); that is no news of this one */
    }
    if (!datagram->closed)
        watch_want(watch, WATCH_READ); /* an error has stopped the watch */
}

static void datagram_dispose(struct watch *watch)
{
    free(CONTAINER_OF(watch, struct linux_datagram, watch));
}

bool linux_datagram_open(struct io *io, const struct io_address *address, struct io_datagram **out, struct error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    struct sockaddr_storage storage;
    io_address_format(address, text);
    if (address->family != IO_ADDRESS_IPV4 && address->family != IO_ADDRESS_IPV6)
        return error_set(err, ERROR_INVALID, "%s: datagrams need an IP address", text);
    socklen_t size = linux_address_to(address, &storage);
    int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    AUTO_FREE(struct linux_datagram) datagram = NEW(struct linux_datagram);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&storage, size) == 0;
    if (!ok)
        error_sys(err, errno, "datagrams at %s", text);
    else
        ok = watch_open(linux_io_of(io), &datagram->watch, fd, datagram_ready, datagram_dispose, err);
    if (!ok) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    datagram->base.address = linux_address_local(fd);
    watch_want(&datagram->watch, WATCH_READ);
    *out = &TAKE(datagram)->base;
    return true;
}

void linux_datagram_send(struct io_datagram *base, const struct io_address *to, struct bytes data)
{
    struct linux_datagram *datagram = (struct linux_datagram *)base;
    struct sockaddr_storage storage;
    socklen_t size = linux_address_to(to, &storage);
    ssize_t sent = sendto(datagram->watch.fd, data.data, data.size, MSG_DONTWAIT | MSG_NOSIGNAL,
                          (struct sockaddr *)&storage, size);
    (void)sent; /* as on the way, it may be lost */
}

void linux_datagram_close(struct io_datagram *base)
{
    struct linux_datagram *datagram = (struct linux_datagram *)base;
    datagram->closed = true;
    watch_close(&datagram->watch);
}
