/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cri_log.h"

#include <string.h>

#include "io/file.h"
#include "io/simulated.h"
#include "test.h"

#define AT "2026-11-21T09:44:27.123456789Z stdout "

static void write_file(struct io *io, const char *path, struct bytes content)
{
    struct io_file *file;
    struct error err;
    CHECK_OK(io_file_open(io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file, &err), &err);
    CHECK_OK(io_file_write_now(file, 0, content, &err), &err);
    io_file_close(file);
}

static void write_lines(struct io *io, const char *path, int from, int to)
{
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    for (int i = from; i < to; i++)
        buf_printf(&text, AT "F line %d\n", i);
    write_file(io, path, buf_bytes(&text));
}

static void check_tail(struct io *io, size_t lines_max, size_t size_max, const char *expected)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    cri_log_tail(io, "/log", lines_max, size_max, &out);
    CHECK_STR(buf_string(&out), expected);
}

TEST(the_end_of_an_output_is_its_last_lines_and_of_these_the_last_bytes)
{
    struct io *io = io_simulated_new(1);
    check_tail(io, 3, 100, "");
    write_lines(io, "/log", 0, 1000);
    check_tail(io, 3, 100, "line 997\nline 998\nline 999\n");
    check_tail(io, 3, 12, "98\nline 999\n");
    check_tail(io, 1, 100, "line 999\n");
    io_free(io);
}

TEST(parts_of_a_line_are_one_and_what_is_no_line_is_passed_over)
{
    struct io *io = io_simulated_new(1);
    write_file(io, "/log", BYTES_LITERAL(AT "F one\n" AT "P tw\nrubbish\n" AT "P o\n" AT "F .\n" AT "P no newline\n"));
    check_tail(io, 10, 100, "one\ntwo.\nno newline");
    io_free(io);
}

TEST(a_line_that_is_longer_than_what_is_read_gives_its_end)
{
    struct io *io = io_simulated_new(1);
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    buf_append_string(&text, AT "F ");
    for (int i = 0; i < 3000; i++)
        buf_printf(&text, "%04d ", i);
    buf_append_string(&text, "\n" AT "F last\n");
    write_file(io, "/log", buf_bytes(&text));
    check_tail(io, 80, 20, "997 2998 2999 \nlast\n");
    check_tail(io, 1, 20, "last\n");
    io_free(io);
}

TEST(what_was_just_rotated_away_still_counts)
{
    struct io *io = io_simulated_new(1);
    write_lines(io, "/log.1", 0, 500);
    write_lines(io, "/log", 500, 502);
    check_tail(io, 4, 100, "line 498\nline 499\nline 500\nline 501\n");
    check_tail(io, 2, 100, "line 500\nline 501\n");
    io_free(io);
}

/* Whatever the lengths of the lines are: as if the whole file had been read. */
TEST(no_header_shows_where_the_reading_began_within_a_line)
{
    for (int length = 0; length < 200; length++) {
        struct io *io = io_simulated_new(1);
        AUTO_BUF text, all, out;
        buf_init(&text, 1 << 20);
        buf_init(&all, 1 << 20);
        buf_init(&out, 1 << 20);
        for (int i = 0; i < 100; i++) {
            buf_printf(&text, AT "F %0*d\n", length, i);
            buf_printf(&all, "%0*d\n", length, i);
        }
        write_file(io, "/log", buf_bytes(&text));
        cri_log_tail(io, "/log", 80, 256, &out);
        struct bytes end = buf_bytes(&all);
        size_t lines = 80 * (size_t)(length < 2 ? 3 : length + 1), wanted = lines < 256 ? lines : 256;
        CHECK_INT(out.size, wanted);
        CHECK(bytes_ends_with(end, buf_bytes(&out)));
        io_free(io);
    }
}
