/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages (RFC 1035, EDNS by RFC 6891), as far as a small server needs them: one question is read, an answer to it
 * is written. What a question means is the server's business (mesh/names.h).
 */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

enum {
    DNS_HEADER_SIZE = 12,
    DNS_NAME_SIZE = 256,          /* as text, with its NUL */
    DNS_MESSAGE_SIZE_MAX = 65535, /* by TCP */
    DNS_UDP_SIZE = 512,           /* of who says nothing else */
    DNS_UDP_SIZE_MAX = 1232,      /* that passes every network unfragmented */
};

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_OPT = 41,
    DNS_ANY = 255,
};
enum { DNS_CLASS_IN = 1 };

enum dns_code { DNS_OK = 0, DNS_FORMAT_ERROR = 1, DNS_SERVER_FAILURE = 2, DNS_NO_NAME = 3, DNS_NOT_IMPLEMENTED = 4 };

struct dns_query {
    uint16_t id, type, class;
    bool recursion_desired;
    bool edns;
    uint16_t udp_size;        /* what the asker takes by UDP: DNS_UDP_SIZE .. DNS_UDP_SIZE_MAX */
    char name[DNS_NAME_SIZE]; /* "billing.shop.svc.cluster.local": lower case, without the last dot; "": the root */
    struct bytes question;    /* as it came; points into the message */
};

/*
 * ERROR_INVALID: it deserves DNS_FORMAT_ERROR; ERROR_UNSUPPORTED: DNS_NOT_IMPLEMENTED; in both cases id is set.
 * ERROR_CORRUPT: it is no query at all, and gets no answer.
 */
MUST_CHECK bool dns_query_parse(struct bytes message, struct dns_query *out, struct error *err);

/* --- An answer --- */
struct dns_reply {
    struct buf *out; /* the message begins at `start` */
    size_t start;
    size_t size_max; /* a record that does not fit any more is left out, and the message says so */
    bool full, edns;
    uint16_t answers, authorities;
};
/* The header and the question. */
void dns_reply_begin(struct dns_reply *reply, struct buf *out, const struct dns_query *query, size_t size_max,
                     enum dns_code code);
/* Records about the name of the question; ttl in seconds. */
void dns_reply_add_a(struct dns_reply *reply, uint32_t ttl, const uint8_t ip[4]);
void dns_reply_add_cname(struct dns_reply *reply, uint32_t ttl, const char *target);
void dns_reply_add_srv(struct dns_reply *reply, uint32_t ttl, uint16_t port, const char *target);
/* Who answers with authority for `zone`; makes a negative answer one that may be kept for `ttl`. */
void dns_reply_add_soa(struct dns_reply *reply, uint32_t ttl, const char *zone);
void dns_reply_end(struct dns_reply *reply);

/* --- /etc/resolv.conf (resolv.conf(5)) --- */
enum { DNS_SERVERS_MAX = 3, DNS_SERVER_SIZE = 64, DNS_SEARCH_SIZE = 2048 };
struct dns_resolv_conf {
    char servers[DNS_SERVERS_MAX][DNS_SERVER_SIZE]; /* as they are written */
    size_t server_count;
    char search[DNS_SEARCH_SIZE]; /* domains, separated by spaces; "" when there are none or too many */
};
void dns_resolv_conf_parse(struct bytes text, struct dns_resolv_conf *out);

#endif
