/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation for pods by nftables, in netlink's own words. In the words of nft(8) it is
 *
 *     table ip evoke0-10.88.0.0 {
 *         chain postrouting {
 *             type nat hook postrouting priority srcnat; policy accept;
 *             ip saddr 10.88.0.0/16 oifname != "evoke0" masquerade
 *         }
 *     }
 *
 * A batch takes effect as a whole or not at all; it replaces the table, so it may be repeated.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/netlink.h"
#include "node/network.h"

enum { IP_SOURCE_OFFSET = 12, CHAIN_ACCEPTS = NF_ACCEPT };

struct table_name {
    char text[40];
};

static struct table_name table_name(const struct network *network)
{
    struct table_name name;
    char base[16];
    network_address(network, 0, base);
    snprintf(name.text, sizeof name.text, "%s-%s", network->bridge, base);
    return name;
}

/* --- Messages --- */

static struct nlmsghdr *add(struct netlink *netlink, const char *what, int type, uint16_t flags)
{
    struct nlmsghdr *message = netlink_add(netlink, what, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags);
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    header->nfgen_family = NFPROTO_IPV4;
    header->version = NFNETLINK_V0;
    return message;
}

static void add_bracket(struct netlink *netlink, uint16_t type)
{
    struct nlmsghdr *message = netlink_add(netlink, "change the translation of addresses", type, 0);
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    header->nfgen_family = AF_UNSPEC;
    header->version = NFNETLINK_V0;
    header->res_id = htons(NFNL_SUBSYS_NFTABLES);
    netlink_added(netlink, message);
}

static void add_table(struct netlink *netlink, const char *what, int type, const char *name)
{
    struct nlmsghdr *message = add(netlink, what, type, NLM_F_ACK | (type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0));
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, name);
    netlink_added(netlink, message);
}

static void add_chain(struct netlink *netlink, const char *table)
{
    struct nlmsghdr *message = add(netlink, "make a chain for pods", NFT_MSG_NEWCHAIN, NLM_F_ACK | NLM_F_CREATE);
    mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, table);
    mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "postrouting");
    struct nlattr *hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
    mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(NF_INET_POST_ROUTING));
    mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl(NF_IP_PRI_NAT_SRC));
    mnl_attr_nest_end(message, hook);
    mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(CHAIN_ACCEPTS));
    mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "nat");
    netlink_added(netlink, message);
}

/* --- The rule, an expression at a time: each works on register 1 --- */

struct expression {
    struct nlmsghdr *message;
    struct nlattr *element, *data;
};

static struct expression begin(struct nlmsghdr *message, const char *name)
{
    struct expression expression = {.message = message};
    expression.element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    mnl_attr_put_strz(message, NFTA_EXPR_NAME, name);
    expression.data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
    return expression;
}

static void end(const struct expression *expression)
{
    mnl_attr_nest_end(expression->message, expression->data);
    mnl_attr_nest_end(expression->message, expression->element);
}

static void put_value(struct nlmsghdr *message, uint16_t type, const void *value, size_t size)
{
    struct nlattr *data = mnl_attr_nest_start(message, type);
    mnl_attr_put(message, NFTA_DATA_VALUE, size, value);
    mnl_attr_nest_end(message, data);
}

static void load_source(struct nlmsghdr *message)
{
    struct expression expression = begin(message, "payload");
    mnl_attr_put_u32(message, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_PAYLOAD_BASE, htonl(NFT_PAYLOAD_NETWORK_HEADER));
    mnl_attr_put_u32(message, NFTA_PAYLOAD_OFFSET, htonl(IP_SOURCE_OFFSET));
    mnl_attr_put_u32(message, NFTA_PAYLOAD_LEN, htonl(sizeof(uint32_t)));
    end(&expression);
}

static void mask(struct nlmsghdr *message, uint32_t bits)
{
    const uint32_t network_order = htonl(bits), zero = 0;
    struct expression expression = begin(message, "bitwise");
    mnl_attr_put_u32(message, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_BITWISE_LEN, htonl(sizeof(uint32_t)));
    put_value(message, NFTA_BITWISE_MASK, &network_order, sizeof network_order);
    put_value(message, NFTA_BITWISE_XOR, &zero, sizeof zero);
    end(&expression);
}

static void load_output_name(struct nlmsghdr *message)
{
    struct expression expression = begin(message, "meta");
    mnl_attr_put_u32(message, NFTA_META_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_META_KEY, htonl(NFT_META_OIFNAME));
    end(&expression);
}

static void compare(struct nlmsghdr *message, uint32_t operation, const void *value, size_t size)
{
    struct expression expression = begin(message, "cmp");
    mnl_attr_put_u32(message, NFTA_CMP_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_CMP_OP, htonl(operation));
    put_value(message, NFTA_CMP_DATA, value, size);
    end(&expression);
}

static void masquerade(struct nlmsghdr *message)
{
    struct expression expression = begin(message, "masq");
    end(&expression);
}

static void add_rule(struct netlink *netlink, const char *table, const struct network *network)
{
    char bridge[IFNAMSIZ] = "";
    const uint32_t base = htonl(network->base);
    memcpy(bridge, network->bridge, strnlen(network->bridge, sizeof bridge - 1));
    struct nlmsghdr *message =
        add(netlink, "translate the pods' addresses", NFT_MSG_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND);
    mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
    mnl_attr_put_strz(message, NFTA_RULE_CHAIN, "postrouting");
    struct nlattr *expressions = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
    load_source(message);
    mask(message, ~(network_size(network) - 1));
    compare(message, NFT_CMP_EQ, &base, sizeof base);
    load_output_name(message);
    compare(message, NFT_CMP_NEQ, bridge, sizeof bridge);
    masquerade(message);
    mnl_attr_nest_end(message, expressions);
    netlink_added(netlink, message);
}

/* --- Forwarding --- */

static bool forward(struct error *err)
{
    static const char path[] = "/proc/sys/net/ipv4/ip_forward";
    char now = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool on = fd >= 0 && read(fd, &now, 1) == 1 && now != '0';
    if (fd >= 0)
        close(fd);
    if (on)
        return true;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, "1", 1) == 1;
    if (!ok)
        error_sys(err, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool network_translate(const struct network *network, struct error *err)
{
    AUTO_FREE(struct netlink) netlink = NEW(struct netlink);
    struct table_name name = table_name(network);
    bool ok = netlink_open(netlink, NETLINK_NETFILTER, err);
    if (ok) {
        add_bracket(netlink, NFNL_MSG_BATCH_BEGIN);
        add_table(netlink, "make a table for pods", NFT_MSG_NEWTABLE, name.text);
        add_table(netlink, "empty the pods' table", NFT_MSG_DELTABLE, name.text);
        add_table(netlink, "make a table for pods", NFT_MSG_NEWTABLE, name.text);
        add_chain(netlink, name.text);
        add_rule(netlink, name.text, network);
        add_bracket(netlink, NFNL_MSG_BATCH_END);
        ok = netlink_run(netlink, 0, err);
    }
    netlink_close(netlink);
    return ok && forward(err);
}

void network_untranslate(const struct network *network)
{
    AUTO_FREE(struct netlink) netlink = NEW(struct netlink);
    struct table_name name = table_name(network);
    struct error ignored;
    if (netlink_open(netlink, NETLINK_NETFILTER, &ignored)) {
        add_bracket(netlink, NFNL_MSG_BATCH_BEGIN);
        add_table(netlink, "remove the pods' table", NFT_MSG_DELTABLE, name.text);
        add_bracket(netlink, NFNL_MSG_BATCH_END);
        bool gone = netlink_run(netlink, ENOENT, &ignored);
        (void)gone;
    }
    netlink_close(netlink);
}
