/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP parser on hostile input. The first byte chooses request or response and how the rest is cut; what is found
 * must not depend on the cuts.
 */
#include "wire/http.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note_event(struct buf *found, enum http_event event, const struct http_parser *parser, struct bytes piece)
{
    if (event == HTTP_BODY) {
        buf_append(found, piece);
        return;
    }
    buf_printf(found, "<%d %d>", (int)event, event == HTTP_ERROR ? parser->error_status : 0);
    if (event != HTTP_HEAD)
        return;
    http_print_fields(found, parser->head.fields, parser->head.field_count);
    buf_append(found, parser->head.path);
    buf_append(found, parser->head.query);
}

/* Parses `input`, handed over in steps of `step` bytes, and describes what was found. */
static void parse(enum http_kind kind, struct bytes input, size_t step, struct buf *found)
{
    struct http_parser parser;
    http_parser_init(&parser, kind, 1024);
    enum http_event event = HTTP_MORE;
    for (size_t at = 0; at < input.size && event != HTTP_ERROR; at += step) {
        struct bytes part = bytes_slice(input, at, step), piece = BYTES_NULL;
        struct error err;
        while ((event = http_parser_next(&parser, &part, &piece, &err)) != HTTP_MORE) {
            note_event(found, event, &parser, piece);
            if (event == HTTP_ERROR)
                break;
            if (event == HTTP_END)
                http_parser_restart(&parser);
        }
    }
    struct error err;
    if (event != HTTP_ERROR)
        note_event(found, http_parser_end(&parser, &err), &parser, BYTES_NULL);
    http_parser_deinit(&parser);
}

static void targets(struct bytes input)
{
    AUTO_ARENA arena;
    arena_init(&arena, 1 << 16);
    struct bytes rest = input, name, value;
    while (http_path_next(&rest, &arena, &name))
        ;
    rest = input;
    while (http_query_next(&rest, &arena, &name, &value))
        ;
    struct http_url url;
    struct error err;
    int64_t time;
    (void)!http_url_parse(input, &url, &err);
    (void)!http_parse_date(input, &time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum http_kind kind = data[0] & 1 ? HTTP_RESPONSE : HTTP_REQUEST;
    size_t step = 1 + (data[0] >> 1) % 32;
    struct bytes input = bytes_of(data + 1, size - 1);
    AUTO_BUF whole, cut;
    buf_init(&whole, 16 << 20);
    buf_init(&cut, 16 << 20);
    parse(kind, input, input.size + 1, &whole);
    parse(kind, input, step, &cut);
    if (!bytes_equal(buf_bytes(&whole), buf_bytes(&cut)))
        abort();
    targets(input);
    return 0;
}
