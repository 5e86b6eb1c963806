/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

enum { SCREEN_PENDING_MAX = 1 << 20, SCREEN_SETTLE_MS = 300, INDENT = 25 /* where the text of a line begins */ };

struct screen {
    struct io *io;
    int fd;
    bool terminal;
    struct buf lines;    /* not drawn yet */
    size_t block_height; /* lines of the block that is on the terminal now */
    void (*draw)(void *ctx, struct buf *out);
    void *draw_ctx;
    struct io_deferred flush;
    struct io_timer settle; /* draws the block once more: numbers that nobody tells us of follow the last line */
};

static void write_all(int fd, struct bytes data)
{
    while (data.size > 0) {
        ssize_t done = write(fd, data.data, data.size);
        if (done <= 0)
            return; /* nobody looks any more: the program goes on */
        data = bytes_slice(data, (size_t)done, SIZE_MAX);
    }
}

static struct winsize terminal_size(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    return size;
}

size_t screen_width(const struct screen *screen)
{
    return terminal_size(screen->fd).ws_col;
}

/* A line that wraps or scrolls away would spoil the count of lines: the block is cut at the terminal's size. */
static size_t append_block(struct screen *screen, struct buf *out)
{
    AUTO_BUF block;
    buf_init(&block, 1 << 16);
    screen->draw(screen->draw_ctx, &block);
    struct winsize size = terminal_size(screen->fd);
    struct bytes rest = buf_bytes(&block), line;
    size_t height = 0, height_max = size.ws_row > 4 ? size.ws_row - 3u : 1, left_out = 0;
    while (bytes_split(&rest, '\n', &line) && rest.data) {
        if (height == height_max) {
            left_out++;
            continue;
        }
        buf_append(out, bytes_slice(line, 0, size.ws_col));
        buf_append_byte(out, '\n');
        height++;
    }
    if (left_out > 0)
        buf_printf(out, "  and %zu more\n", left_out);
    return height + (left_out > 0);
}

static void show(struct screen *screen)
{
    AUTO_BUF out;
    buf_init(&out, 4 * SCREEN_PENDING_MAX);
    if (screen->block_height > 0)
        buf_printf(&out, "\033[%zuA\033[J", screen->block_height); /* up to the block's first line; clear to the end */
    buf_append(&out, buf_bytes(&screen->lines));
    screen->block_height = screen->terminal && screen->draw ? append_block(screen, &out) : 0;
    buf_reset(&screen->lines);
    write_all(screen->fd, buf_bytes(&out));
}

static void flush(void *ctx)
{
    struct screen *screen = ctx;
    show(screen);
    if (screen->terminal && screen->draw)
        io_timer_start(&screen->settle, SCREEN_SETTLE_MS);
}

static void settle(void *ctx)
{
    show(ctx);
}

struct screen *screen_open(struct io *io, int fd)
{
    struct screen *screen = NEW(struct screen);
    screen->io = io;
    screen->fd = fd;
    screen->terminal = isatty(fd);
    buf_init(&screen->lines, SCREEN_PENDING_MAX);
    io_deferred_init(io, &screen->flush, flush, screen);
    io_timer_init(io, &screen->settle, settle, screen);
    return screen;
}

void screen_close(struct screen *screen)
{
    if (!screen)
        return;
    io_deferred_cancel(&screen->flush);
    io_timer_stop(&screen->settle);
    screen->draw = NULL;
    show(screen);
    buf_deinit(&screen->lines);
    free(screen);
}

static void append_time(struct screen *screen)
{
    int64_t ms = io_wall_ms(screen->io);
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&s, &tm);
    buf_printf(&screen->lines, "%02d:%02d:%02d.%03d  ", tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms % 1000));
}

/* Breaks between words; a word that is longer than the terminal is left to it. */
static void append_wrapped(struct screen *screen, struct bytes text)
{
    size_t width = screen_width(screen), room = width > 2 * INDENT ? width - INDENT : width;
    while (text.size > room) {
        size_t end = room;
        while (end > 0 && text.data[end] != ' ')
            end--;
        if (end == 0)
            break;
        buf_append(&screen->lines, bytes_slice(text, 0, end));
        buf_printf(&screen->lines, "\n%*s", INDENT, "");
        text = bytes_slice(text, end + 1, SIZE_MAX);
    }
    buf_append(&screen->lines, text);
    buf_append_byte(&screen->lines, '\n');
}

void screen_line(struct screen *screen, enum screen_color color, const char *what, const char *format, ...)
{
    static const char *const codes[] = {[SCREEN_PLAIN] = "0",   [SCREEN_DIM] = "2",  [SCREEN_GREEN] = "32",
                                        [SCREEN_YELLOW] = "33", [SCREEN_RED] = "31", [SCREEN_BLUE] = "34"};
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    append_time(screen);
    if (screen->terminal) {
        buf_printf(&screen->lines, "\033[%sm%-10s\033[0m ", codes[color], what);
        append_wrapped(screen, bytes_of_string(text));
    } else {
        buf_printf(&screen->lines, "%-10s %s\n", what, text);
    }
    io_defer(&screen->flush);
}

void screen_text(struct screen *screen, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_append_string(&screen->lines, text);
    buf_append_byte(&screen->lines, '\n');
    io_defer(&screen->flush);
}

void screen_set_block(struct screen *screen, void (*draw)(void *ctx, struct buf *out), void *ctx)
{
    screen->draw = draw;
    screen->draw_ctx = ctx;
    screen_touch(screen);
}

void screen_touch(struct screen *screen)
{
    if (screen->terminal)
        io_defer(&screen->flush);
}
