/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that have no engine: addresses, queues of bytes. */
#include <stdio.h>
#include <sys/uio.h>

#include "base/memory.h"
#include "io/address.h"
#include "io/queue.h"
#include "test.h"

static void check_round_trip(const char *text)
{
    struct io_address address;
    struct error err;
    char out[IO_ADDRESS_TEXT_SIZE];
    CHECK_OK(io_address_parse(text, &address, &err), &err);
    io_address_format(&address, out);
    CHECK_STR(out, text);
}

TEST(addresses_are_read_and_written_alike)
{
    check_round_trip("127.0.0.1:9092");
    check_round_trip("0.0.0.0:0");
    check_round_trip("[::1]:65535");
    check_round_trip("[fe80::1:2]:80");
    check_round_trip("unix:/run/evoke.sock");
    check_round_trip("unix:relative");
}

TEST(what_is_no_address_is_refused)
{
    static const char *const wrong[] = {
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:1x",
        "localhost:9092",
        ":9092",
        "::1:9092",
        "[::1]",
        "[::1]9092",
        "[::1:9092",
        "[127.0.0.1]:80",
        "256.0.0.1:1",
        "127.0.0.1:000080",
        "unix:",
        "1.2.3:4",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct io_address address = {.port = 7};
        struct error err;
        if (io_address_parse(wrong[i], &address, &err))
            test_fail(__FILE__, __LINE__, "\"%s\" was taken", wrong[i]);
        CHECK_INT(err.kind, ERROR_INVALID);
        CHECK_INT(address.port, 7);
    }
    char longest[200] = "unix:";
    memset(longest + 5, 'x', 104);
    struct io_address address;
    struct error err;
    CHECK(!io_address_parse(longest, &address, &err));
    longest[5 + 103] = 0;
    CHECK_OK(io_address_parse(longest, &address, &err), &err);
}

TEST(an_ip_alone_is_parsed_and_compared)
{
    struct io_address a, b;
    CHECK(io_address_parse_ip(BYTES_LITERAL("10.1.2.3"), 80, &a));
    CHECK(io_address_parse_ip(BYTES_LITERAL("10.1.2.3"), 80, &b));
    CHECK(io_address_equal(&a, &b));
    b.port = 81;
    CHECK(!io_address_equal(&a, &b));
    CHECK(!io_address_parse_ip(BYTES_LITERAL("10.1.2"), 80, &a));
    CHECK(!io_address_parse_ip(bytes_of("10.1.2.3\0x", 10), 80, &a));
    CHECK(!io_address_parse_ip(BYTES_NULL, 80, &a));
    CHECK(io_address_parse_ip(BYTES_LITERAL("::ffff:1.2.3.4"), 80, &a));
    CHECK_INT(a.family, IO_ADDRESS_IPV6);
}

static void count(void *owner)
{
    ++*(int *)owner;
}

static size_t peek_size(const struct queue *queue, int max)
{
    struct iovec parts[16];
    size_t size = 0;
    int n = queue_peek(queue, parts, max);
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    return size;
}

TEST(small_copies_share_a_chunk_and_borrowed_ones_do_not)
{
    struct queue queue;
    struct iovec parts[16];
    int released = 0;
    queue_init(&queue);
    for (int i = 0; i < 100; i++)
        queue_copy(&queue, BYTES_LITERAL("ten bytes!"));
    CHECK_INT(queue_peek(&queue, parts, 16), 1);
    queue_borrow(&queue, BYTES_LITERAL("borrowed"), count, &released);
    queue_copy(&queue, BYTES_LITERAL("after"));
    CHECK_INT(queue_peek(&queue, parts, 16), 3);
    CHECK_INT(queue.size, 1013);
    CHECK_INT(peek_size(&queue, 2), 1008);
    queue_consume(&queue, 1007);
    CHECK_INT(released, 0);
    queue_consume(&queue, 1);
    CHECK_INT(released, 1);
    CHECK_BYTES(queue_first(&queue), BYTES_LITERAL("after"));
    queue_borrow(&queue, BYTES_LITERAL("never sent"), count, &released);
    queue_deinit(&queue);
    CHECK_INT(released, 2);
    CHECK_INT(queue.size, 0);
}

TEST(a_queue_gives_back_what_was_put_in_whatever_the_sizes)
{
    enum { SIZE = 100000 };
    uint8_t *in = memory_new(SIZE), *out = memory_new(SIZE);
    struct queue queue;
    size_t put = 0, got = 0, step = 1;
    queue_init(&queue);
    for (size_t i = 0; i < SIZE; i++)
        in[i] = (uint8_t)(i ^ i >> 8);
    while (got < SIZE) {
        step = step * 7 % 9973;
        struct bytes next = bytes_slice(bytes_of(in, SIZE), put, step);
        queue_copy(&queue, next);
        put += next.size;
        struct bytes first = bytes_slice(queue_first(&queue), 0, step * 2 / 3 + 1);
        memcpy(out + got, first.data, first.size);
        got += first.size;
        queue_consume(&queue, first.size);
    }
    CHECK(memcmp(in, out, SIZE) == 0);
    CHECK_INT(queue.size, 0);
    queue_deinit(&queue);
    free(in);
    free(out);
}

TEST(borrowed_nothing_is_released_too)
{
    struct queue queue;
    int released = 0;
    queue_init(&queue);
    queue_borrow(&queue, BYTES_NULL, count, &released);
    queue_consume(&queue, 0);
    CHECK_INT(released, 1);
    queue_deinit(&queue);
}
