/* SPDX-License-Identifier: Apache-2.0 */
#include "node/network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

/* --- The range --- */

bool network_parse(const char *bridge, const char *cidr, struct network *out, struct error *err)
{
    struct bytes rest = bytes_of_string(cidr), ip;
    uint64_t prefix;
    struct in_addr address;
    struct network network = {0};
    bool ok = bytes_split(&rest, '/', &ip) && rest.data && bytes_to_u64(rest, &prefix) && prefix >= 8 && prefix <= 28;
    AUTO_FREE(char) text = memory_string(ip);
    if (!ok || inet_pton(AF_INET, text, &address) != 1)
        return error_set(err, ERROR_INVALID, "\"%s\" is not a range of pod addresses (10.88.0.0/16; /8 to /28)", cidr);
    if (strlen(bridge) >= sizeof network.bridge || !bridge[0] || strchr(bridge, '/'))
        return error_set(err, ERROR_INVALID, "\"%s\" is not a name for an interface (1 to 15 characters)", bridge);
    network.prefix = (int)prefix;
    network.base = ntohl(address.s_addr) & ~(network_size(&network) - 1);
    snprintf(network.bridge, sizeof network.bridge, "%s", bridge);
    *out = network;
    return true;
}

uint32_t network_size(const struct network *network)
{
    return UINT32_C(1) << (32 - network->prefix);
}

void network_address(const struct network *network, uint32_t index, char out[16])
{
    struct in_addr address = {htonl(network->base + index)};
    inet_ntop(AF_INET, &address, out, 16);
}

bool network_contains(const struct network *network, const char *ip)
{
    struct in_addr address;
    return inet_pton(AF_INET, ip, &address) == 1 &&
           (ntohl(address.s_addr) & ~(network_size(network) - 1)) == network->base;
}

/* --- Netlink: messages are put behind each other and sent as one, each is acknowledged --- */

enum { BATCH_SIZE = 8192 };

struct batch {
    struct mnl_socket *socket;
    uint8_t buffer[BATCH_SIZE];
    size_t used;
    uint32_t sequence;
    const char *what[16]; /* for the error's message, by sequence number - 1 */
};

static bool batch_open(struct batch *batch, struct error *err)
{
    batch->used = 0;
    batch->sequence = 0;
    batch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!batch->socket || mnl_socket_bind(batch->socket, 0, MNL_SOCKET_AUTOPID) != 0)
        return error_sys(err, errno, "netlink");
    return true;
}

static void batch_close(struct batch *batch)
{
    if (batch->socket)
        mnl_socket_close(batch->socket);
}

static struct nlmsghdr *batch_add(struct batch *batch, const char *what, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(batch->buffer + batch->used);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    batch->what[batch->sequence++] = what;
    message->nlmsg_seq = batch->sequence;
    return message;
}

static void batch_added(struct batch *batch, const struct nlmsghdr *message)
{
    batch->used += MNL_ALIGN(message->nlmsg_len);
}

/* `ignored` is an errno that is as good as success; 0: none. */
static bool batch_run(struct batch *batch, int ignored, struct error *err)
{
    uint8_t answer[BATCH_SIZE];
    if (mnl_socket_sendto(batch->socket, batch->buffer, batch->used) < 0)
        return error_sys(err, errno, "netlink");
    uint32_t seen = 0;
    bool ok = true;
    while (seen < batch->sequence) {
        ssize_t size = mnl_socket_recvfrom(batch->socket, answer, sizeof answer);
        if (size < 0)
            return error_sys(err, errno, "netlink");
        int left = (int)size;
        for (const struct nlmsghdr *message = (void *)answer; mnl_nlmsg_ok(message, left);
             message = mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_type != NLMSG_ERROR)
                continue;
            const struct nlmsgerr *result = mnl_nlmsg_get_payload(message);
            seen = message->nlmsg_seq;
            if (result->error && -result->error != ignored && ok && seen >= 1 && seen <= batch->sequence)
                ok = error_sys(err, -result->error, "%s", batch->what[seen - 1]);
        }
    }
    return ok;
}

static void add_link_up(struct batch *batch, const char *what, const char *name)
{
    struct nlmsghdr *message = batch_add(batch, what, RTM_NEWLINK, 0);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ifi_flags = info->ifi_change = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    batch_added(batch, message);
}

static void add_address(struct batch *batch, const char *what, unsigned index, const char *ip, int prefix)
{
    struct nlmsghdr *message = batch_add(batch, what, RTM_NEWADDR, NLM_F_CREATE);
    struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    struct in_addr address;
    inet_pton(AF_INET, ip, &address);
    info->ifa_family = AF_INET;
    info->ifa_prefixlen = (uint8_t)prefix;
    info->ifa_index = index;
    mnl_attr_put_u32(message, IFA_LOCAL, address.s_addr);
    mnl_attr_put_u32(message, IFA_ADDRESS, address.s_addr);
    batch_added(batch, message);
}

/* --- The bridge --- */

bool network_ensure_bridge(const struct network *network, struct error *err)
{
    AUTO_FREE(struct batch) batch = memory_new(sizeof *batch);
    char ip[16];
    if (!batch_open(batch, err)) {
        batch_close(batch);
        return false;
    }
    struct nlmsghdr *message = batch_add(batch, "make the pods' bridge", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ifi_flags = info->ifi_change = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, network->bridge);
    struct nlattr *link = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(message, link);
    batch_added(batch, message);
    bool ok = batch_run(batch, EEXIST, err);
    unsigned index = ok ? if_nametoindex(network->bridge) : 0;
    if (ok && index == 0)
        ok = error_sys(err, errno, "bridge %s", network->bridge);
    if (ok) {
        batch->used = batch->sequence = 0;
        network_address(network, 1, ip);
        add_address(batch, "give the pods' bridge its address", index, ip, network->prefix);
        add_link_up(batch, "set the pods' bridge up", network->bridge);
        ok = batch_run(batch, EEXIST, err);
    }
    batch_close(batch);
    return ok;
}

static void delete_link(const char *name)
{
    AUTO_FREE(struct batch) batch = memory_new(sizeof *batch);
    struct error ignored;
    if (batch_open(batch, &ignored)) {
        struct nlmsghdr *message = batch_add(batch, "remove an interface", RTM_DELLINK, 0);
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        batch_added(batch, message);
        bool gone = batch_run(batch, ENODEV, &ignored);
        (void)gone;
    }
    batch_close(batch);
}

void network_disconnect(const char *host_name)
{
    delete_link(host_name);
}

void network_remove_bridge(const struct network *network)
{
    char path[64];
    snprintf(path, sizeof path, "/sys/class/net/%s/brif", network->bridge);
    DIR *ports = opendir(path);
    bool used = false;
    if (!ports)
        return;
    for (struct dirent *entry; (entry = readdir(ports));)
        used = used || entry->d_name[0] != '.';
    closedir(ports);
    if (!used)
        delete_link(network->bridge);
}

/* --- A pod's pair of interfaces --- */

static bool make_pair(const struct network *network, int pid, const char *host_name, struct error *err)
{
    AUTO_FREE(struct batch) batch = memory_new(sizeof *batch);
    unsigned bridge = if_nametoindex(network->bridge);
    bool ok = bridge ? batch_open(batch, err) : error_sys(err, errno, "bridge %s", network->bridge);
    if (ok) {
        struct nlmsghdr *message = batch_add(batch, "make the pod's interface", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
        info->ifi_flags = info->ifi_change = IFF_UP;
        mnl_attr_put_strz(message, IFLA_IFNAME, host_name);
        mnl_attr_put_u32(message, IFLA_MASTER, bridge);
        struct nlattr *link = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
        struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
        struct nlattr *peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(message, IFLA_IFNAME, "eth0");
        mnl_attr_put_u32(message, IFLA_NET_NS_PID, (uint32_t)pid);
        mnl_attr_nest_end(message, peer);
        mnl_attr_nest_end(message, data);
        mnl_attr_nest_end(message, link);
        batch_added(batch, message);
        ok = batch_run(batch, 0, err);
    }
    batch_close(batch);
    return ok;
}

static void add_default_route(struct batch *batch, unsigned index, const char *gateway)
{
    struct nlmsghdr *message = batch_add(batch, "set the pod's default route", RTM_NEWROUTE, NLM_F_CREATE);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof *route);
    struct in_addr address;
    inet_pton(AF_INET, gateway, &address);
    route->rtm_family = AF_INET;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = RT_SCOPE_UNIVERSE;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(message, RTA_GATEWAY, address.s_addr);
    mnl_attr_put_u32(message, RTA_OIF, index);
    batch_added(batch, message);
}

/* On a thread that is in the pod's network namespace. */
static bool configure_inside(const struct network *network, const char *ip, struct error *err)
{
    AUTO_FREE(struct batch) batch = memory_new(sizeof *batch);
    char gateway[16];
    unsigned index = if_nametoindex("eth0");
    bool ok = index ? batch_open(batch, err) : error_sys(err, errno, "the pod's interface");
    if (ok) {
        network_address(network, 1, gateway);
        add_link_up(batch, "set the pod's loopback up", "lo");
        add_address(batch, "give the pod its address", index, ip, network->prefix);
        add_link_up(batch, "set the pod's interface up", "eth0");
        add_default_route(batch, index, gateway);
        ok = batch_run(batch, 0, err);
    }
    batch_close(batch);
    return ok;
}

bool network_connect(const struct network *network, int pid, const char *host_name, const char *ip, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    if (!make_pair(network, pid, host_name, err))
        return false;
    int pods = open(path, O_RDONLY | O_CLOEXEC), ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    bool ok = pods >= 0 && ours >= 0 && setns(pods, CLONE_NEWNET) == 0;
    if (!ok) {
        error_sys(err, errno, "enter the pod's network");
    } else {
        ok = configure_inside(network, ip, err);
        /* A thread that stayed in the wrong namespace would break whatever it does next. */
        if (setns(ours, CLONE_NEWNET) != 0)
            abort();
    }
    if (pods >= 0)
        close(pods);
    if (ours >= 0)
        close(ours);
    if (!ok)
        network_disconnect(host_name);
    return ok;
}
