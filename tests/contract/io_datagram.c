/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of datagram.h. */
#include "io/datagram.h"

#include <errno.h>

#include "base/buf.h"
#include "base/memory.h"
#include "test.h"
#include "world.h"

struct correspondent {
    struct io *io;
    struct io_datagram *datagram;
    struct io_address from;
    struct buf got;
    bool echo;
};

static void received(void *ctx, const struct io_address *from, struct bytes data)
{
    struct correspondent *correspondent = ctx;
    correspondent->from = *from;
    buf_reset(&correspondent->got);
    buf_append(&correspondent->got, data);
    if (correspondent->echo)
        io_datagram_send(correspondent->datagram, from, data);
    else
        io_stop(correspondent->io);
}

static void open_one(struct correspondent *correspondent, struct io *io)
{
    struct io_address address;
    struct error err;
    *correspondent = (struct correspondent){.io = io};
    buf_init(&correspondent->got, 1 << 16);
    CHECK_OK(io_address_parse("127.0.0.1:0", &address, &err), &err);
    CHECK_OK(io_datagram_open(io, &address, received, correspondent, &correspondent->datagram, &err), &err);
}

static void close_one(struct correspondent *correspondent)
{
    io_datagram_close(correspondent->datagram);
    buf_deinit(&correspondent->got);
}

TEST(a_datagram_arrives_whole_and_says_where_to_answer)
{
    struct io *io = world_new();
    struct correspondent caller, called;
    open_one(&caller, io);
    open_one(&called, io);
    called.echo = true;
    struct io_address at = io_datagram_address(called.datagram), mine = io_datagram_address(caller.datagram);
    CHECK(at.port != 0 && at.port != mine.port);
    io_datagram_send(caller.datagram, &at, BYTES_LITERAL("question"));
    io_run(io);
    CHECK(bytes_equal_string(buf_bytes(&caller.got), "question"));
    CHECK(io_address_equal(&caller.from, &at));
    CHECK(io_address_equal(&called.from, &mine));
    close_one(&caller);
    close_one(&called);
    io_free(io);
}

TEST(an_empty_datagram_arrives_too)
{
    struct io *io = world_new();
    struct correspondent caller, called;
    open_one(&caller, io);
    open_one(&called, io);
    buf_append_string(&called.got, "before");
    struct io_address at = io_datagram_address(called.datagram);
    io_datagram_send(caller.datagram, &at, BYTES_LITERAL(""));
    io_run(io);
    CHECK_INT(called.got.size, 0);
    close_one(&caller);
    close_one(&called);
    io_free(io);
}

TEST(what_nobody_receives_is_lost_and_hurts_nobody)
{
    struct io *io = world_new();
    struct correspondent caller, gone, called;
    open_one(&caller, io);
    open_one(&gone, io);
    open_one(&called, io);
    struct io_address nobody = io_datagram_address(gone.datagram), at = io_datagram_address(called.datagram);
    close_one(&gone);
    io_datagram_send(caller.datagram, &nobody, BYTES_LITERAL("hello?"));
    io_datagram_send(caller.datagram, &at, BYTES_LITERAL("hello"));
    io_run(io);
    CHECK(bytes_equal_string(buf_bytes(&called.got), "hello"));
    called.echo = true; /* the caller has had an error from the kernel by now, and still receives */
    io_datagram_send(caller.datagram, &at, BYTES_LITERAL("again"));
    io_run(io);
    CHECK(bytes_equal_string(buf_bytes(&caller.got), "again"));
    close_one(&caller);
    close_one(&called);
    io_free(io);
}

TEST(an_address_that_has_datagrams_already_is_refused)
{
    struct io *io = world_new();
    struct correspondent first;
    struct io_datagram *second;
    struct error err;
    open_one(&first, io);
    struct io_address at = io_datagram_address(first.datagram);
    CHECK(!io_datagram_open(io, &at, received, &first, &second, &err));
    CHECK_INT(err.sys, EADDRINUSE);
    struct io_address path = {.family = IO_ADDRESS_UNIX, .path = "/tmp/x"};
    CHECK(!io_datagram_open(io, &path, received, &first, &second, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    close_one(&first);
    io_free(io);
}
