/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "test.h"

#include "evoke/broker.h"

static void check(const char *text, const char *want)
{
    struct error err;
    struct io_address address;
    char got[IO_ADDRESS_TEXT_SIZE];
    CHECK_OK(broker_resolve(bytes_of_string(text), &address, &err), &err);
    io_address_format(&address, got);
    CHECK_STR(got, want);
}

TEST(a_broker_without_a_port_has_kafkas)
{
    check("127.0.0.1", "127.0.0.1:9092");
    check("127.0.0.1:19092", "127.0.0.1:19092");
    check("localhost", "127.0.0.1:9092");
    check("[::1]", "[::1]:9092");
    check("[::1]:7", "[::1]:7");
}

TEST(a_broker_is_split_as_it_is_written)
{
    static const struct {
        const char *text, *host;
        int32_t port;
    } good[] = {{"log.example:19092", "log.example", 19092},
                {"localhost", "localhost", 9092},
                {"10.1.2.3:7", "10.1.2.3", 7},
                {"[fd00::1]:7", "fd00::1", 7}};
    char host[BROKER_HOST_SIZE];
    int32_t port;
    struct error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_OK(broker_split(bytes_of_string(good[i].text), host, &port, &err), &err);
        CHECK_STR(host, good[i].host);
        CHECK_INT(port, good[i].port);
    }
    CHECK(!broker_split(BYTES_LITERAL("unix:/run/kafka"), host, &port, &err));
    CHECK(!broker_split(BYTES_LITERAL("host:"), host, &port, &err));
}

TEST(what_is_no_address_is_named)
{
    static const char *const wrong[] = {
        "",     ":",         ":9092", "localhost:",      "localhost:http", "localhost:0", "localhost:65536",
        "[::1", "[::1]9092", "[]:1",  "localhost:123456"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error err;
        struct io_address address;
        CHECK(!broker_resolve(bytes_of_string(wrong[i]), &address, &err));
        CHECK_INT(err.kind, ERROR_INVALID);
        CHECK(!broker_check_list(wrong[i], &err));
        CHECK(strstr(err.message, wrong[i]) != NULL);
    }
}

TEST(a_list_of_brokers_is_checked_without_asking_for_its_hosts)
{
    struct error err;
    CHECK_OK(broker_check_list("a.host.that.is.not.there,127.0.0.1:7,[::1]", &err), &err);
    static const char *const wrong[] = {"one,", ",one", "one,,two", "one,two:x", "a:b:c"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(!broker_check_list(wrong[i], &err));
        CHECK_INT(err.kind, ERROR_INVALID);
    }
}
