/* SPDX-License-Identifier: Apache-2.0 */
#include "node/netlink.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { ANSWER_TIMEOUT_S = 5 };

bool netlink_open(struct netlink *netlink, int protocol, struct error *err)
{
    const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    netlink->used = 0;
    netlink->sequence = netlink->last_acknowledged = 0;
    netlink->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
    if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) != 0)
        return error_sys(err, errno, "netlink");
    setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return true;
}

void netlink_close(struct netlink *netlink)
{
    if (netlink->socket)
        mnl_socket_close(netlink->socket);
}

struct nlmsghdr *netlink_add(struct netlink *netlink, const char *what, uint16_t type, uint16_t flags)
{
    assert(netlink->sequence < NETLINK_MESSAGES_MAX);
    struct nlmsghdr *message = mnl_nlmsg_put_header(netlink->buffer + netlink->used);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    netlink->what[netlink->sequence++] = what;
    message->nlmsg_seq = netlink->sequence;
    if (flags & NLM_F_ACK)
        netlink->last_acknowledged = netlink->sequence;
    return message;
}

void netlink_added(struct netlink *netlink, const struct nlmsghdr *message)
{
    netlink->used += MNL_ALIGN(message->nlmsg_len);
    assert(netlink->used <= sizeof netlink->buffer);
}

/* Takes the acknowledgements of one piece; *seen is the last message that one was for. */
static bool take_answers(struct netlink *netlink, const uint8_t *answer, int left, int ignored, uint32_t *seen,
                         struct error *err)
{
    for (const struct nlmsghdr *message = (const void *)answer; mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_type != NLMSG_ERROR || message->nlmsg_seq < 1 || message->nlmsg_seq > netlink->sequence)
            continue;
        const struct nlmsgerr *result = mnl_nlmsg_get_payload(message);
        *seen = message->nlmsg_seq;
        if (result->error && -result->error != ignored)
            return error_sys(err, -result->error, "%s", netlink->what[*seen - 1]);
    }
    return true;
}

static bool exchange(struct netlink *netlink, int ignored, struct error *err)
{
    uint8_t answer[NETLINK_BATCH_SIZE];
    if (mnl_socket_sendto(netlink->socket, netlink->buffer, netlink->used) < 0)
        return error_sys(err, errno, "netlink");
    for (uint32_t seen = 0; seen < netlink->last_acknowledged;) {
        ssize_t size = mnl_socket_recvfrom(netlink->socket, answer, sizeof answer);
        if (size < 0)
            return error_sys(err, errno == EAGAIN ? ETIMEDOUT : errno, "netlink");
        if (!take_answers(netlink, answer, (int)size, ignored, &seen, err))
            return false;
    }
    return true;
}

bool netlink_run(struct netlink *netlink, int ignored, struct error *err)
{
    bool ok = exchange(netlink, ignored, err);
    netlink->used = 0;
    netlink->sequence = netlink->last_acknowledged = 0;
    return ok;
}
