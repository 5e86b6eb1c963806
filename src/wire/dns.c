/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include <ctype.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/memory.h"

/* Bits of the header's second field (RFC 1035 4.1.1). */
enum {
    FLAG_RESPONSE = 0x8000,
    FLAG_OPCODE = 0x7800,
    FLAG_AUTHORITATIVE = 0x0400,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSION_DESIRED = 0x0100,
    FLAG_RECURSION_AVAILABLE = 0x0080,
};

enum {
    LABEL_SIZE_MAX = 63,
    NAME_LENGTH_MAX = 253,                       /* as text: 255 octets on the wire */
    NAME_OF_QUESTION = 0xc000 | DNS_HEADER_SIZE, /* a pointer to where it stands in every reply */
    OPT_RECORD_SIZE = 11,
    SERIAL = 1,
};

/* --- A question --- */

static bool invalid(struct error *err, const char *what)
{
    return error_set(err, ERROR_INVALID, "a DNS query with %s", what);
}

/* Labels of a question are written out (RFC 1035 4.1.4 lets it point nowhere sensible). A dot within a label, or a
 * byte that does not print, cannot be part of a name that anybody here has. */
static bool parse_name(struct bytes message, size_t *at, char out[DNS_NAME_SIZE], struct error *err)
{
    size_t used = 0;
    for (;;) {
        if (*at >= message.size)
            return invalid(err, "a name cut short");
        size_t size = message.data[(*at)++];
        if (size == 0)
            break;
        if (size > LABEL_SIZE_MAX || size > message.size - *at)
            return invalid(err, "a label too long");
        if (used + (used > 0) + size > NAME_LENGTH_MAX)
            return invalid(err, "a name too long");
        if (used > 0)
            out[used++] = '.';
        for (size_t i = 0; i < size; i++) {
            uint8_t c = message.data[*at + i];
            out[used++] = c == '.' || c <= ' ' || c > '~' ? '?' : (char)tolower(c);
        }
        *at += size;
    }
    out[used] = 0;
    return true;
}

/* Of the records behind the question only OPT is of interest; with compression in names of others, they are skipped by
 * not looking any further: OPT is the only one in what resolvers send. */
static void parse_opt(struct bytes message, size_t at, struct dns_query *out)
{
    if (message.size < OPT_RECORD_SIZE || at > message.size - OPT_RECORD_SIZE || message.data[at] != 0 ||
        get_be16(message.data + at + 1) != DNS_OPT)
        return;
    uint16_t size = get_be16(message.data + at + 3);
    out->edns = true;
    out->udp_size = size < DNS_UDP_SIZE ? DNS_UDP_SIZE : size > DNS_UDP_SIZE_MAX ? DNS_UDP_SIZE_MAX : size;
}

bool dns_query_parse(struct bytes message, struct dns_query *out, struct error *err)
{
    *out = (struct dns_query){.udp_size = DNS_UDP_SIZE};
    if (message.size < DNS_HEADER_SIZE || get_be16(message.data + 2) & FLAG_RESPONSE)
        return error_set(err, ERROR_CORRUPT, "not a DNS query");
    out->id = get_be16(message.data + 0);
    out->recursion_desired = get_be16(message.data + 2) & FLAG_RECURSION_DESIRED;
    if (get_be16(message.data + 2) & FLAG_OPCODE)
        return error_set(err, ERROR_UNSUPPORTED, "a DNS operation that is not a query");
    if (get_be16(message.data + 4) != 1)
        return invalid(err, "other than one question");
    size_t at = DNS_HEADER_SIZE;
    struct dns_query query = *out;
    if (!parse_name(message, &at, query.name, err))
        return false;
    if (message.size - at < 4)
        return invalid(err, "a question cut short");
    query.type = get_be16(message.data + at);
    query.class = get_be16(message.data + at + 2);
    at += 4;
    query.question = bytes_slice(message, DNS_HEADER_SIZE, at - DNS_HEADER_SIZE);
    if (get_be16(message.data + 6) == 0 && get_be16(message.data + 8) == 0 && get_be16(message.data + 10) > 0)
        parse_opt(message, at, &query);
    *out = query;
    return true;
}

/* --- A reply --- */

static void set_be16(struct dns_reply *reply, size_t at, uint16_t value)
{
    put_be16(reply->out->data + reply->start + at, value);
}

void dns_reply_begin(struct dns_reply *reply, struct buf *out, const struct dns_query *query, size_t size_max,
                     enum dns_code code)
{
    *reply = (struct dns_reply){.out = out, .start = out->size, .size_max = size_max, .edns = query->edns};
    uint16_t flags = FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | (query->recursion_desired ? FLAG_RECURSION_DESIRED : 0);
    if (code == DNS_OK || code == DNS_NO_NAME)
        flags |= FLAG_AUTHORITATIVE;
    buf_append_be16(out, query->id);
    buf_append_be16(out, (uint16_t)(flags | code));
    buf_append_be16(out, query->question.size > 0);
    buf_append_be16(out, 0);
    buf_append_be32(out, 0);
    buf_append(out, query->question);
    if (reply->edns)
        reply->size_max -= OPT_RECORD_SIZE;
}

/* Each label, its size in front; what is longer than a label can be is cut (nobody has such a name). */
static void append_name(struct buf *out, const char *name)
{
    struct bytes rest = bytes_of_string(name), label;
    while (rest.size > 0 && bytes_split(&rest, '.', &label)) {
        label = bytes_slice(label, 0, LABEL_SIZE_MAX);
        if (label.size == 0)
            continue;
        buf_append_byte(out, (uint8_t)label.size);
        buf_append(out, label);
    }
    buf_append_byte(out, 0);
}

/* A record of the question's name; its data follows, then end_record(). Returns where it began. */
static size_t begin_record(struct dns_reply *reply, enum dns_type type, uint32_t ttl)
{
    size_t start = reply->out->size;
    buf_append_be16(reply->out, NAME_OF_QUESTION);
    buf_append_be16(reply->out, (uint16_t)type);
    buf_append_be16(reply->out, DNS_CLASS_IN);
    buf_append_be32(reply->out, ttl);
    buf_append_be16(reply->out, 0);
    return start;
}

/* `data` is where the record's data begins. Takes back a record that does not fit. */
static void end_record(struct dns_reply *reply, size_t start, size_t data, uint16_t *count)
{
    struct buf *out = reply->out;
    if (reply->full || out->overflowed || out->size - reply->start > reply->size_max) {
        reply->full = true;
        out->size = start < out->size ? start : out->size;
        return;
    }
    set_be16(reply, data - 2 - reply->start, (uint16_t)(out->size - data));
    (*count)++;
}

void dns_reply_add_a(struct dns_reply *reply, uint32_t ttl, const uint8_t ip[4])
{
    size_t start = begin_record(reply, DNS_A, ttl), data = reply->out->size;
    buf_append(reply->out, bytes_of(ip, 4));
    end_record(reply, start, data, &reply->answers);
}

void dns_reply_add_cname(struct dns_reply *reply, uint32_t ttl, const char *target)
{
    size_t start = begin_record(reply, DNS_CNAME, ttl), data = reply->out->size;
    append_name(reply->out, target);
    end_record(reply, start, data, &reply->answers);
}

void dns_reply_add_srv(struct dns_reply *reply, uint32_t ttl, uint16_t port, const char *target)
{
    size_t start = begin_record(reply, DNS_SRV, ttl), data = reply->out->size;
    buf_append_be16(reply->out, 0);   /* priority */
    buf_append_be16(reply->out, 100); /* weight: all alike */
    buf_append_be16(reply->out, port);
    append_name(reply->out, target);
    end_record(reply, start, data, &reply->answers);
}

void dns_reply_add_soa(struct dns_reply *reply, uint32_t ttl, const char *zone)
{
    char name[DNS_NAME_SIZE + 16];
    struct buf *out = reply->out;
    size_t start = out->size;
    append_name(out, zone);
    buf_append_be16(out, DNS_SOA);
    buf_append_be16(out, DNS_CLASS_IN);
    buf_append_be32(out, ttl);
    buf_append_be16(out, 0);
    size_t data = out->size;
    snprintf(name, sizeof name, "ns.dns.%s", zone);
    append_name(out, name);
    snprintf(name, sizeof name, "hostmaster.%s", zone);
    append_name(out, name);
    buf_append_be32(out, SERIAL);
    buf_append_be32(out, 7200); /* refresh, retry, expire: there is no secondary server */
    buf_append_be32(out, 1800);
    buf_append_be32(out, 86400);
    buf_append_be32(out, ttl); /* how long a "no" is kept (RFC 2308) */
    end_record(reply, start, data, &reply->authorities);
}

void dns_reply_end(struct dns_reply *reply)
{
    struct buf *out = reply->out;
    if (out->overflowed || out->size < reply->start + DNS_HEADER_SIZE)
        return;
    if (reply->full)
        out->data[reply->start + 2] |= FLAG_TRUNCATED >> 8;
    set_be16(reply, 6, reply->answers);
    set_be16(reply, 8, reply->authorities);
    if (!reply->edns)
        return;
    set_be16(reply, 10, 1);
    buf_append_byte(out, 0);
    buf_append_be16(out, DNS_OPT);
    buf_append_be16(out, DNS_UDP_SIZE_MAX);
    buf_append_be32(out, 0);
    buf_append_be16(out, 0);
}

/* --- resolv.conf --- */

static bool next_word(struct bytes *rest, struct bytes *word)
{
    size_t at = 0, end;
    while (at < rest->size && (rest->data[at] == ' ' || rest->data[at] == '\t'))
        at++;
    for (end = at; end < rest->size && rest->data[end] != ' ' && rest->data[end] != '\t';)
        end++;
    *word = bytes_slice(*rest, at, end - at);
    *rest = bytes_slice(*rest, end, rest->size);
    return word->size > 0;
}

/* The last search line counts. */
static void take_search(struct bytes rest, struct dns_resolv_conf *out)
{
    struct bytes domain;
    size_t used = 0;
    out->search[0] = 0;
    while (next_word(&rest, &domain) && used + domain.size + 2 < sizeof out->search)
        used += (size_t)snprintf(out->search + used, sizeof out->search - used, "%s" BYTES_FORMAT, used ? " " : "",
                                 BYTES_ARGS(domain));
}

void dns_resolv_conf_parse(struct bytes text, struct dns_resolv_conf *out)
{
    struct bytes line, word;
    *out = (struct dns_resolv_conf){0};
    while (bytes_split(&text, '\n', &line)) {
        struct bytes rest = bytes_slice(line, 0, bytes_find(line, 0, '#'));
        rest = bytes_slice(rest, 0, bytes_find(rest, 0, ';'));
        rest = bytes_slice(rest, 0, bytes_find(rest, 0, '\r'));
        if (!next_word(&rest, &word))
            continue;
        if (bytes_equal_string(word, "search") || bytes_equal_string(word, "domain"))
            take_search(rest, out);
        else if (bytes_equal_string(word, "nameserver") && out->server_count < DNS_SERVERS_MAX &&
                 next_word(&rest, &word) && word.size < DNS_SERVER_SIZE)
            snprintf(out->servers[out->server_count++], DNS_SERVER_SIZE, BYTES_FORMAT, BYTES_ARGS(word));
    }
}
