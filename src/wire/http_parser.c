/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of HTTP/1.1 messages. A head is gathered whole and then taken apart in place (http_head.c), so that its
 * fields are plain slices; content is never copied. Section numbers are RFC 9112's.
 */
#include "wire/http.h"

#include <assert.h>

#include "base/memory.h"
#include "base/text.h"
#include "wire/http_parser_priv.h"

enum state {
    STATE_START,           /* before the first byte; empty lines are skipped there (2.2) */
    STATE_START_LF,        /* behind the CR of such a line */
    STATE_HEAD,            /* gathering head_bytes */
    STATE_LENGTH,          /* content, `left` bytes to come */
    STATE_UNTIL_CLOSE,     /* content up to the end of the connection */
    STATE_CHUNK_SIZE,      /* hex digits */
    STATE_CHUNK_EXTENSION, /* behind ';', ignored */
    STATE_CHUNK_SIZE_LF,
    STATE_CHUNK_DATA,
    STATE_CHUNK_DATA_CR,
    STATE_CHUNK_DATA_LF,
    STATE_TRAILER_START, /* at the start of a trailer line */
    STATE_TRAILER_LINE,
    STATE_TRAILER_LF,
    STATE_LAST_LF,
    STATE_DONE,
    STATE_FAILED,
};

enum { CHUNK_DIGITS_MAX = 15 }; /* so that a size cannot overflow */

void http_parser_init(struct http_parser *parser, enum http_kind kind, size_t head_size_max)
{
    *parser = (struct http_parser){.kind = kind};
    buf_init(&parser->head_bytes, head_size_max);
}

void http_parser_deinit(struct http_parser *parser)
{
    buf_deinit(&parser->head_bytes);
    free(parser->fields);
    parser->fields = NULL;
}

void http_parser_restart(struct http_parser *parser)
{
    assert(parser->state != STATE_FAILED);
    buf_reset(&parser->head_bytes);
    parser->head = (struct http_head){0};
    parser->state = STATE_START;
    parser->answer_to_head = false;
    parser->started = false;
    parser->trailer_size = 0;
}

/* --- Gathering the head --- */

static int state_of_framing(const struct http_head *head)
{
    switch (head->framing) {
    case HTTP_NO_BODY:
        return STATE_DONE;
    case HTTP_LENGTH:
        return head->content_length ? STATE_LENGTH : STATE_DONE;
    case HTTP_CHUNKED:
        return STATE_CHUNK_SIZE;
    case HTTP_UNTIL_CLOSE:
        return STATE_UNTIL_CLOSE;
    }
    return STATE_DONE;
}

static bool parse_head(struct http_parser *parser, struct error *err)
{
    if (!http_parser_read_head(parser, err))
        return false;
    parser->left = parser->head.content_length;
    parser->chunk_digits = 0;
    parser->state = state_of_framing(&parser->head);
    return true;
}

/* Takes what belongs to the head off *input; true once it is complete. */
static bool gather_head(struct http_parser *parser, struct bytes *input)
{
    struct buf *head = &parser->head_bytes;
    size_t had = head->size;
    struct bytes part = bytes_slice(*input, 0, head->size_max - had);
    buf_append(head, part);
    size_t from = had > 3 ? had - 3 : 0;
    const uint8_t *end = memmem(head->data + from, head->size - from, "\r\n\r\n", 4);
    if (end) {
        head->size = (size_t)(end - head->data) + 4;
        *input = bytes_slice(*input, head->size - had, input->size);
        return true;
    }
    *input = bytes_slice(*input, part.size, input->size);
    return false;
}

static enum http_event next_of_head(struct http_parser *parser, struct bytes *input, struct error *err)
{
    if (gather_head(parser, input)) {
        if (parse_head(parser, err))
            return HTTP_HEAD;
    } else if (parser->head_bytes.size < parser->head_bytes.size_max) {
        return HTTP_MORE;
    } else if (!memmem(parser->head_bytes.data, parser->head_bytes.size, "\r\n", 2)) {
        http_parser_refuse(parser, 414, err, "the request line is too long");
    } else {
        http_parser_refuse(parser, 431, err, "the head is too large");
    }
    parser->state = STATE_FAILED;
    return HTTP_ERROR;
}

/* --- Content --- */

static enum http_event next_of_content(struct http_parser *parser, struct bytes *input, struct bytes *piece)
{
    size_t size = input->size;
    if (parser->state != STATE_UNTIL_CLOSE) {
        if (size > parser->left)
            size = (size_t)parser->left;
        parser->left -= size;
        if (parser->left == 0)
            parser->state = parser->state == STATE_LENGTH ? STATE_DONE : STATE_CHUNK_DATA_CR;
    }
    *piece = bytes_slice(*input, 0, size);
    *input = bytes_slice(*input, size, input->size);
    return HTTP_BODY;
}

static bool chunk_size_byte(struct http_parser *parser, uint8_t byte, struct error *err)
{
    int digit = text_hex_digit(byte);
    if (digit >= 0) {
        if (parser->chunk_digits == 0)
            parser->left = 0;
        if (++parser->chunk_digits > CHUNK_DIGITS_MAX)
            return http_parser_refuse(parser, 400, err, "a chunk's size is too long");
        parser->left = parser->left << 4 | (unsigned)digit;
        return true;
    }
    if (parser->chunk_digits == 0 || (byte != ';' && byte != '\r'))
        return http_parser_refuse(parser, 400, err, "a chunk's size is not a hexadecimal number");
    parser->state = byte == ';' ? STATE_CHUNK_EXTENSION : STATE_CHUNK_SIZE_LF;
    return true;
}

/* Extensions and trailers are read over; together they may be as large as a head. */
static bool ignored_byte(struct http_parser *parser, uint8_t byte, int state_after_cr, struct error *err)
{
    if (++parser->trailer_size > parser->head_bytes.size_max)
        return http_parser_refuse(parser, 431, err, "chunk extensions and trailers are too large");
    if (byte == '\r')
        parser->state = state_after_cr;
    else if (byte == '\n' || byte == 0)
        return http_parser_refuse(parser, 400, err, "a line of the chunked coding has a bare LF or a NUL");
    return true;
}

static bool line_feed(struct http_parser *parser, uint8_t byte, int state_after, struct error *err)
{
    if (byte != '\n')
        return http_parser_refuse(parser, 400, err, "CR without LF");
    parser->state = state_after;
    return true;
}

/* One byte of the chunked coding (7.1) outside of the data. */
static bool chunk_byte(struct http_parser *parser, uint8_t byte, struct error *err)
{
    switch (parser->state) {
    case STATE_CHUNK_SIZE:
        return chunk_size_byte(parser, byte, err);
    case STATE_CHUNK_EXTENSION:
        return ignored_byte(parser, byte, STATE_CHUNK_SIZE_LF, err);
    case STATE_CHUNK_SIZE_LF:
        parser->chunk_digits = 0;
        return line_feed(parser, byte, parser->left ? STATE_CHUNK_DATA : STATE_TRAILER_START, err);
    case STATE_CHUNK_DATA_CR:
        if (byte != '\r')
            return http_parser_refuse(parser, 400, err, "a chunk is longer than its size says");
        parser->state = STATE_CHUNK_DATA_LF;
        return true;
    case STATE_CHUNK_DATA_LF:
        return line_feed(parser, byte, STATE_CHUNK_SIZE, err);
    case STATE_TRAILER_START:
        parser->state = STATE_TRAILER_LINE;
        return ignored_byte(parser, byte, STATE_LAST_LF, err);
    case STATE_TRAILER_LINE:
        return ignored_byte(parser, byte, STATE_TRAILER_LF, err);
    case STATE_TRAILER_LF:
        return line_feed(parser, byte, STATE_TRAILER_START, err);
    case STATE_LAST_LF:
        return line_feed(parser, byte, STATE_DONE, err);
    default:
        assert(!"not a state of the chunked coding");
        return false;
    }
}

/* Empty lines before a request (2.2). */
static bool start_byte(struct http_parser *parser, struct bytes *input, struct error *err)
{
    bool skips = parser->state == STATE_START_LF || (parser->kind == HTTP_REQUEST && input->data[0] == '\r');
    if (!skips) {
        /* At once, not when the head is whole: who speaks TLS here never ends it. */
        if (!http_is_token_byte(input->data[0]))
            return http_parser_refuse(parser, 400, err, "a message does not begin with this byte; is it TLS?");
        parser->state = STATE_HEAD;
        return true;
    }
    uint8_t byte = input->data[0];
    *input = bytes_slice(*input, 1, input->size);
    if (parser->state == STATE_START_LF)
        return line_feed(parser, byte, STATE_START, err);
    parser->state = STATE_START_LF;
    return true;
}

enum http_event http_parser_next(struct http_parser *parser, struct bytes *input, struct bytes *piece,
                                 struct error *err)
{
    if (input->size > 0 && parser->state <= STATE_HEAD)
        parser->started = true;
    for (;;) {
        if (parser->state == STATE_DONE)
            return HTTP_END;
        assert(parser->state != STATE_FAILED);
        if (input->size == 0)
            return HTTP_MORE;
        bool ok = true;
        switch (parser->state) {
        case STATE_START:
        case STATE_START_LF:
            ok = start_byte(parser, input, err);
            break;
        case STATE_HEAD:
            return next_of_head(parser, input, err);
        case STATE_LENGTH:
        case STATE_UNTIL_CLOSE:
        case STATE_CHUNK_DATA:
            return next_of_content(parser, input, piece);
        default:
            ok = chunk_byte(parser, input->data[0], err);
            *input = bytes_slice(*input, 1, input->size);
        }
        if (!ok) {
            parser->state = STATE_FAILED;
            return HTTP_ERROR;
        }
    }
}

enum http_event http_parser_end(struct http_parser *parser, struct error *err)
{
    if (parser->state == STATE_DONE || parser->state == STATE_UNTIL_CLOSE) {
        parser->state = STATE_DONE;
        return HTTP_END;
    }
    parser->state = STATE_FAILED;
    parser->error_status = 400;
    error_set(err, ERROR_UNAVAILABLE, "the connection ended within a message");
    return HTTP_ERROR;
}
