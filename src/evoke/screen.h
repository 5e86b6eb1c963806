/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines that scroll, and on a terminal a block below them that stays. Not a terminal: the lines alone, plain.
 *
 * Everything that is put on the screen in one turn of the loop is drawn at its end, in one write.
 */
#ifndef EVOKE_SCREEN_H
#define EVOKE_SCREEN_H

#include "base/buf.h"
#include "io/io.h"

struct screen;

struct screen *screen_open(struct io *io, int fd); /* 1: standard output */
void screen_close(struct screen *screen);          /* draws what is left; NULL is allowed */
size_t screen_width(const struct screen *screen);  /* columns */

enum screen_color { SCREEN_PLAIN, SCREEN_DIM, SCREEN_GREEN, SCREEN_YELLOW, SCREEN_RED, SCREEN_BLUE };

/* "10:24:44.120  WHAT  text": the time, a coloured word, and the rest; on a terminal broken between words and indented
 * where it is too long. */
void screen_line(struct screen *screen, enum screen_color color, const char *what, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* A line as it is, without a time. */
void screen_text(struct screen *screen, const char *format, ...) PRINTF_LIKE(2, 3);

/* Who draws the block: called before each drawing; appends lines that end with a newline, no wider than the terminal
 * if it can. Only on a terminal; lines that the terminal has no room for are left out, and counted in the last. */
void screen_set_block(struct screen *screen, void (*draw)(void *ctx, struct buf *out), void *ctx);
/* The block has changed. */
void screen_touch(struct screen *screen);

#endif
