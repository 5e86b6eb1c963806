/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include "base/memory.h"
#include "test.h"

/* A query with id 0x1234, recursion desired, one question, class IN. */
#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define HEADER_OPT "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
#define OPT(size) "\x00\x00\x29" size "\x00\x00\x00\x00\x00\x00"
#define QUESTION                                                                                                       \
    "\x07"                                                                                                             \
    "Billing"                                                                                                          \
    "\x04"                                                                                                             \
    "shop"                                                                                                             \
    "\x00"                                                                                                             \
    "\x00\x01"                                                                                                         \
    "\x00\x01"

TEST(a_query_is_read)
{
    struct dns_query query;
    struct error err;
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER QUESTION), &query, &err), &err);
    CHECK_INT(query.id, 0x1234);
    CHECK_STR(query.name, "billing.shop");
    CHECK_INT(query.type, DNS_A);
    CHECK_INT(query.class, DNS_CLASS_IN);
    CHECK(query.recursion_desired && !query.edns);
    CHECK_INT(query.udp_size, 512);
    CHECK(bytes_equal(query.question, BYTES_LITERAL(QUESTION))); /* as it came, upper case too */
}

TEST(the_size_that_an_asker_takes_is_read_and_bounded)
{
    struct dns_query query;
    struct error err;
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER_OPT QUESTION OPT("\x04\x00")), &query, &err), &err);
    CHECK(query.edns);
    CHECK_INT(query.udp_size, 1024);
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER_OPT QUESTION OPT("\x00\x10")), &query, &err), &err);
    CHECK_INT(query.udp_size, 512);
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER_OPT QUESTION OPT("\xff\xff")), &query, &err), &err);
    CHECK_INT(query.udp_size, 1232);
}

TEST(a_query_cut_short_is_refused_and_what_is_no_query_gets_no_answer)
{
    struct bytes whole = BYTES_LITERAL(HEADER QUESTION);
    struct dns_query query;
    struct error err;
    for (size_t size = 0; size < whole.size; size++) {
        CHECK(!dns_query_parse(bytes_slice(whole, 0, size), &query, &err));
        CHECK_INT(err.kind, size < DNS_HEADER_SIZE ? ERROR_CORRUPT : ERROR_INVALID);
    }
    CHECK(!dns_query_parse(BYTES_LITERAL("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION), &query, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(!dns_query_parse(BYTES_LITERAL("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION), &query, &err));
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
    CHECK_INT(query.id, 0x1234);
    CHECK(!dns_query_parse(BYTES_LITERAL("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" QUESTION), &query, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
}

TEST(a_name_that_points_or_is_too_long_is_refused)
{
    struct dns_query query;
    struct error err;
    CHECK(!dns_query_parse(BYTES_LITERAL(HEADER "\xc0\x0c\x00\x01\x00\x01"), &query, &err));
    AUTO_BUF message;
    buf_init(&message, 1000);
    buf_append(&message, BYTES_LITERAL(HEADER));
    for (int i = 0; i < 128; i++)
        buf_append(&message, BYTES_LITERAL("\x01"
                                           "a"));
    buf_append(&message, BYTES_LITERAL("\x00\x00\x01\x00\x01"));
    CHECK(!dns_query_parse(buf_bytes(&message), &query, &err));
    CHECK(strstr(err.message, "too long") != NULL);
}

TEST(a_dot_or_a_control_character_within_a_label_matches_no_name)
{
    struct dns_query query;
    struct error err;
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER "\x03"
                                                  "a.b"
                                                  "\x01\n\x00\x00\x01\x00\x01"),
                             &query, &err),
             &err);
    CHECK_STR(query.name, "a?b.?");
}

TEST(a_reply_repeats_the_question_and_points_to_it)
{
    static const uint8_t ip[4] = {10, 96, 7, 8};
    struct dns_query query;
    struct dns_reply reply;
    struct error err;
    AUTO_BUF out;
    buf_init(&out, 1000);
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER QUESTION), &query, &err), &err);
    dns_reply_begin(&reply, &out, &query, query.udp_size, DNS_OK);
    dns_reply_add_a(&reply, 5, ip);
    dns_reply_add_srv(&reply, 6, 80, "x.y");
    dns_reply_end(&reply);
    CHECK(bytes_equal(buf_bytes(&out),
                      BYTES_LITERAL("\x12\x34\x85\x80\x00\x01\x00\x02\x00\x00\x00\x00" QUESTION
                                    "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x60\x07\x08"
                                    "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x06\x00\x0b\x00\x00\x00\x64\x00\x50"
                                    "\x01x\x01y\x00")));
}

TEST(what_does_not_fit_is_left_out_and_said)
{
    static const uint8_t ip[4] = {10, 96, 7, 8};
    struct dns_query query;
    struct dns_reply reply;
    struct error err;
    AUTO_BUF out;
    buf_init(&out, 100000);
    buf_append_be16(&out, 0); /* as before a message by TCP */
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER_OPT QUESTION OPT("\x02\x00")), &query, &err), &err);
    dns_reply_begin(&reply, &out, &query, query.udp_size, DNS_OK);
    for (int i = 0; i < 100; i++)
        dns_reply_add_a(&reply, 5, ip);
    dns_reply_end(&reply);
    CHECK(out.size - 2 <= 512 && out.size - 2 > 512 - 16);
    CHECK_INT(out.data[2 + 2] & 2, 2);
    CHECK_INT(out.data[2 + 7], (512 - 11 - 12 - 18) / 16);
    CHECK_INT(out.data[2 + 11], 1); /* and what the asker said about sizes is answered */
}

TEST(a_negative_reply_says_for_how_long)
{
    struct dns_query query;
    struct dns_reply reply;
    struct error err;
    AUTO_BUF out;
    buf_init(&out, 1000);
    CHECK_OK(dns_query_parse(BYTES_LITERAL(HEADER QUESTION), &query, &err), &err);
    dns_reply_begin(&reply, &out, &query, query.udp_size, DNS_NO_NAME);
    dns_reply_add_soa(&reply, 5, "cluster.local");
    dns_reply_end(&reply);
    struct bytes got = buf_bytes(&out);
    CHECK(bytes_starts_with(got, BYTES_LITERAL("\x12\x34\x85\x83\x00\x01\x00\x00\x00\x01\x00\x00" QUESTION "\x07"
                                               "cluster"
                                               "\x05"
                                               "local"
                                               "\x00\x00\x06\x00\x01\x00\x00\x00\x05")));
    CHECK(bytes_ends_with(got, BYTES_LITERAL("\x00\x00\x00\x05")));
}

TEST(resolv_conf_is_read)
{
    struct dns_resolv_conf conf;
    dns_resolv_conf_parse(
        BYTES_LITERAL("# ours\ndomain old.example\nnameserver 10.0.0.1 # first\n  nameserver\tfd00::1\r\n"
                      "search a.example  b.example ; no more\nnameserver\noptions ndots:1\n"
                      "nameserver 3.3.3.3\nnameserver 4.4.4.4"),
        &conf);
    CHECK_INT(conf.server_count, 3);
    CHECK_STR(conf.servers[0], "10.0.0.1");
    CHECK_STR(conf.servers[1], "fd00::1");
    CHECK_STR(conf.servers[2], "3.3.3.3");
    CHECK_STR(conf.search, "a.example b.example");
    dns_resolv_conf_parse(BYTES_NULL, &conf);
    CHECK_INT(conf.server_count, 0);
}
