/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/input.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"

enum { READ_SIZE = 64 << 10 };

static bool more_waits(void)
{
    struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

/* All whole lines of what was read. */
static bool take_lines(struct buf *read, bool (*each)(void *ctx, struct bytes line, struct error *err), void *ctx,
                       struct error *err)
{
    size_t taken = 0;
    for (size_t end; (end = bytes_find(buf_bytes(read), taken, '\n')) < read->size; taken = end + 1)
        if (!each(ctx, bytes_slice(buf_bytes(read), taken, end - taken), err))
            return false;
    buf_consume(read, taken);
    return true;
}

bool input_each_line(bool (*each)(void *ctx, struct bytes line, struct error *err),
                     bool (*pause)(void *ctx, struct error *err), void *ctx, struct error *err)
{
    AUTO_BUF input;
    buf_init(&input, INPUT_LINE_MAX + READ_SIZE);
    for (;;) {
        if (!more_waits() && !pause(ctx, err))
            return false;
        uint8_t *room = buf_reserve(&input, READ_SIZE);
        if (!room)
            return error_set(err, ERROR_LIMIT, "a line of standard input is longer than %d bytes", INPUT_LINE_MAX);
        ssize_t got = read(STDIN_FILENO, room, READ_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read standard input");
        if (got == 0)
            return input.size == 0 || each(ctx, buf_bytes(&input), err);
        buf_commit(&input, (size_t)got);
        if (!take_lines(&input, each, ctx, err))
            return false;
    }
}
