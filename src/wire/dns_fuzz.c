/* SPDX-License-Identifier: Apache-2.0 */
/* DNS queries and resolv.conf on hostile input: what is taken as a query can be answered within its limit. */
#include "wire/dns.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct dns_query *query, size_t size_max)
{
    static const uint8_t ip[4] = {10, 96, 0, 10};
    struct dns_reply reply;
    AUTO_BUF out;
    buf_init(&out, DNS_MESSAGE_SIZE_MAX);
    dns_reply_begin(&reply, &out, query, size_max, DNS_OK);
    for (int i = 0; i < 100; i++)
        dns_reply_add_a(&reply, 5, ip);
    dns_reply_add_cname(&reply, 5, query->name);
    dns_reply_add_srv(&reply, 5, 80, query->name);
    dns_reply_add_soa(&reply, 5, query->name);
    dns_reply_end(&reply);
    if (out.size > size_max || out.size < DNS_HEADER_SIZE + query->question.size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_query query;
    struct dns_resolv_conf conf;
    struct error err;
    if (dns_query_parse(bytes_of(data, size), &query, &err)) {
        answer(&query, query.udp_size);
        answer(&query, DNS_MESSAGE_SIZE_MAX);
    } else if (err.kind != ERROR_CORRUPT && query.question.size > 0) {
        abort(); /* a reply to it says no question */
    }
    dns_resolv_conf_parse(bytes_of(data, size), &conf);
    return 0;
}
