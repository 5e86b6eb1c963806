/* SPDX-License-Identifier: Apache-2.0 */
#include "node/network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/netlink.h"

/* --- The range --- */

static bool parse_range(const char *cidr, uint32_t *base, int *prefix)
{
    struct bytes rest = bytes_of_string(cidr), ip;
    uint64_t bits;
    struct in_addr address;
    if (!bytes_split(&rest, '/', &ip) || !rest.data || !bytes_to_u64(rest, &bits) || bits < 8 || bits > 28)
        return false;
    AUTO_FREE(char) text = memory_string(ip);
    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    *prefix = (int)bits;
    *base = ntohl(address.s_addr) & ~((UINT32_C(1) << (32 - bits)) - 1);
    return true;
}

bool network_parse(const char *bridge, const char *cidr, struct network *out, struct error *err)
{
    struct network network = {0};
    if (!parse_range(cidr, &network.base, &network.prefix))
        return error_set(err, ERROR_INVALID, "\"%s\" is not a range of pod addresses (10.88.0.0/16; /8 to /28)", cidr);
    if (strlen(bridge) >= sizeof network.bridge || !bridge[0] || strchr(bridge, '/'))
        return error_set(err, ERROR_INVALID, "\"%s\" is not a name for an interface (1 to 15 characters)", bridge);
    snprintf(network.bridge, sizeof network.bridge, "%s", bridge);
    *out = network;
    return true;
}

bool network_set_local(struct network *network, const char *cidr, struct error *err)
{
    if (!parse_range(cidr, &network->local_base, &network->local_prefix))
        return error_set(err, ERROR_INVALID, "\"%s\" is not a range of addresses (10.96.0.0/16; /8 to /28)", cidr);
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

static void add_link_up(struct netlink *batch, const char *what, const char *name)
{
    struct nlmsghdr *message = netlink_add(batch, what, RTM_NEWLINK, NLM_F_ACK);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ifi_flags = info->ifi_change = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    netlink_added(batch, message);
}

static void add_address(struct netlink *batch, const char *what, unsigned index, const char *ip, int prefix)
{
    struct nlmsghdr *message = netlink_add(batch, what, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE);
    struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    struct in_addr address;
    inet_pton(AF_INET, ip, &address);
    info->ifa_family = AF_INET;
    info->ifa_prefixlen = (uint8_t)prefix;
    info->ifa_index = index;
    mnl_attr_put_u32(message, IFA_LOCAL, address.s_addr);
    mnl_attr_put_u32(message, IFA_ADDRESS, address.s_addr);
    netlink_added(batch, message);
}

/* --- The bridge --- */

/* All of a range is this machine's own, as 127.0.0.0/8 is. It goes with the bridge. */
static void add_local_route(struct netlink *batch, unsigned index, const struct network *network)
{
    struct nlmsghdr *message =
        netlink_add(batch, "make the services' range local", RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof *route);
    route->rtm_family = AF_INET;
    route->rtm_dst_len = (uint8_t)network->local_prefix;
    route->rtm_table = RT_TABLE_LOCAL;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = RT_SCOPE_HOST;
    route->rtm_type = RTN_LOCAL;
    mnl_attr_put_u32(message, RTA_DST, htonl(network->local_base));
    mnl_attr_put_u32(message, RTA_OIF, index);
    netlink_added(batch, message);
}

bool network_ensure_bridge(const struct network *network, struct error *err)
{
    AUTO_FREE(struct netlink) batch = memory_new(sizeof *batch);
    char ip[16];
    if (!netlink_open(batch, NETLINK_ROUTE, err)) {
        netlink_close(batch);
        return false;
    }
    struct nlmsghdr *message =
        netlink_add(batch, "make the pods' bridge", RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ifi_flags = info->ifi_change = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, network->bridge);
    struct nlattr *link = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(message, link);
    netlink_added(batch, message);
    bool ok = netlink_run(batch, EEXIST, err);
    unsigned index = ok ? if_nametoindex(network->bridge) : 0;
    if (ok && index == 0)
        ok = error_sys(err, errno, "bridge %s", network->bridge);
    if (ok) {
        network_address(network, 1, ip);
        add_address(batch, "give the pods' bridge its address", index, ip, network->prefix);
        add_link_up(batch, "set the pods' bridge up", network->bridge);
        if (network->local_prefix)
            add_local_route(batch, index, network);
        ok = netlink_run(batch, EEXIST, err);
    }
    netlink_close(batch);
    return ok;
}

static void delete_link(const char *name)
{
    AUTO_FREE(struct netlink) batch = memory_new(sizeof *batch);
    struct error ignored;
    if (netlink_open(batch, NETLINK_ROUTE, &ignored)) {
        struct nlmsghdr *message = netlink_add(batch, "remove an interface", RTM_DELLINK, NLM_F_ACK);
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        netlink_added(batch, message);
        bool gone = netlink_run(batch, ENODEV, &ignored);
        (void)gone;
    }
    netlink_close(batch);
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
    if (used)
        return;
    delete_link(network->bridge);
    network_untranslate(network);
}

/* --- A pod's pair of interfaces --- */

static bool make_pair(const struct network *network, int pid, const char *host_name, struct error *err)
{
    AUTO_FREE(struct netlink) batch = memory_new(sizeof *batch);
    unsigned bridge = if_nametoindex(network->bridge);
    bool ok = bridge ? netlink_open(batch, NETLINK_ROUTE, err) : error_sys(err, errno, "bridge %s", network->bridge);
    if (ok) {
        struct nlmsghdr *message =
            netlink_add(batch, "make the pod's interface", RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
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
        netlink_added(batch, message);
        ok = netlink_run(batch, 0, err);
    }
    netlink_close(batch);
    return ok;
}

/* The pair of a sandbox before this one, whose monitor was killed, may be there yet: the kernel takes a namespace apart
 * when it comes to it. */
static bool make_pair_anew(const struct network *network, int pid, const char *host_name, struct error *err)
{
    if (make_pair(network, pid, host_name, err))
        return true;
    if (err->sys != EEXIST)
        return false;
    network_disconnect(host_name);
    return make_pair(network, pid, host_name, err);
}

static void add_default_route(struct netlink *batch, unsigned index, const char *gateway)
{
    struct nlmsghdr *message =
        netlink_add(batch, "set the pod's default route", RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE);
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
    netlink_added(batch, message);
}

/* On a thread that is in the pod's network namespace. */
static bool configure_inside(const struct network *network, const char *ip, struct error *err)
{
    AUTO_FREE(struct netlink) batch = memory_new(sizeof *batch);
    char gateway[16];
    unsigned index = if_nametoindex("eth0");
    bool ok = index ? netlink_open(batch, NETLINK_ROUTE, err) : error_sys(err, errno, "the pod's interface");
    if (ok) {
        network_address(network, 1, gateway);
        add_link_up(batch, "set the pod's loopback up", "lo");
        add_address(batch, "give the pod its address", index, ip, network->prefix);
        add_link_up(batch, "set the pod's interface up", "eth0");
        add_default_route(batch, index, gateway);
        ok = netlink_run(batch, 0, err);
    }
    netlink_close(batch);
    return ok;
}

bool network_connect(const struct network *network, int pid, const char *host_name, const char *ip, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    if (!make_pair_anew(network, pid, host_name, err))
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
