/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of HTTP/1.1 messages. A head is gathered whole and then taken apart in place, so that its fields are plain
 * slices; content is never copied. Section numbers are RFC 9112's.
 */
#include "wire/http.h"

#include <assert.h>

#include "base/memory.h"

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

static bool refuse(struct http_parser *parser, int status, struct error *err, const char *why)
{
    parser->error_status = status;
    return error_set(err, status == 431 || status == 414 ? ERROR_LIMIT : ERROR_INVALID, "HTTP: %s", why);
}

/* --- The head --- */

/* RFC 9110 section 5.6.2: what names of methods and fields consist of. */
static bool is_token_byte(uint8_t byte)
{
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
        return true;
    return byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!is_token_byte(text.data[i]))
            return false;
    }
    return text.size > 0;
}

/* Visible, space, tab and obs-text: no CR, LF, NUL or other control character. */
static bool is_field_value(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

/* 2.3. Any HTTP/1.x is read as the highest minor version that we know. */
static bool parse_version(struct http_parser *parser, struct bytes text, struct error *err)
{
    if (text.size != 8 || !bytes_starts_with(text, BYTES_LITERAL("HTTP/")) || text.data[6] != '.' ||
        text.data[5] < '0' || text.data[5] > '9' || text.data[7] < '0' || text.data[7] > '9')
        return refuse(parser, 400, err, "the version is not of the form HTTP/1.1");
    if (text.data[5] != '1')
        return refuse(parser, 505, err, "only versions 1.0 and 1.1 are spoken here");
    parser->head.minor_version = text.data[7] == '0' ? 0 : 1;
    return true;
}

/* 3.2: path and query of the four forms of a target. */
static void split_target(struct http_head *head)
{
    struct bytes rest = head->target;
    if (bytes_equal_string(head->method, "CONNECT"))
        return;
    if (rest.data[0] != '/' && rest.size > 1) {
        size_t at = bytes_find(rest, 0, ':');
        rest = bytes_slice(rest, at + 3, rest.size); /* behind "://" */
        size_t end = 0;
        while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
            end++;
        rest = bytes_slice(rest, end, rest.size);
    }
    size_t mark = bytes_find(rest, 0, '?');
    head->path = bytes_slice(rest, 0, mark);
    if (mark < rest.size)
        head->query = bytes_slice(rest, mark + 1, rest.size);
    if (head->path.size == 0)
        head->path = BYTES_LITERAL("/");
}

static bool parse_request_line(struct http_parser *parser, struct bytes line, struct error *err)
{
    struct http_head *head = &parser->head;
    size_t first = bytes_find(line, 0, ' ');
    size_t second = bytes_find(line, first < line.size ? first + 1 : first, ' ');
    if (second >= line.size)
        return refuse(parser, 400, err, "the request line is not: method, space, target, space, version");
    head->method = bytes_slice(line, 0, first);
    head->target = bytes_slice(line, first + 1, second - first - 1);
    if (!is_token(head->method))
        return refuse(parser, 400, err, "the method has bytes that a method cannot have");
    if (!parse_version(parser, bytes_slice(line, second + 1, line.size), err))
        return false;
    for (size_t i = 0; i < head->target.size; i++) {
        if (head->target.data[i] <= 0x20 || head->target.data[i] >= 0x7f)
            return refuse(parser, 400, err, "the target has bytes that must be percent-encoded");
    }
    bool absolute = bytes_starts_with(head->target, BYTES_LITERAL("http://")) ||
                    bytes_starts_with(head->target, BYTES_LITERAL("https://"));
    bool asterisk = bytes_equal_string(head->target, "*");
    if (head->target.size == 0 ||
        (head->target.data[0] != '/' && !absolute && !asterisk && !bytes_equal_string(head->method, "CONNECT")))
        return refuse(parser, 400, err, "the target does not begin with /");
    split_target(head);
    return true;
}

static bool parse_status_line(struct http_parser *parser, struct bytes line, struct error *err)
{
    if (line.size < 12 || line.data[8] != ' ' || (line.size > 12 && line.data[12] != ' '))
        return refuse(parser, 400, err, "the status line is not: version, space, three digits");
    if (!parse_version(parser, bytes_slice(line, 0, 8), err))
        return false;
    uint64_t status;
    if (!bytes_to_u64(bytes_slice(line, 9, 3), &status) || status < 100)
        return refuse(parser, 400, err, "the status is not a number from 100 to 999");
    parser->head.status = (int)status;
    parser->head.reason = bytes_slice(line, 13, line.size);
    if (!is_field_value(parser->head.reason))
        return refuse(parser, 400, err, "the reason phrase has control characters");
    return true;
}

static bool parse_field(struct http_parser *parser, struct bytes line, struct http_field *field, struct error *err)
{
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return refuse(parser, 400, err, "a field is folded over several lines");
    size_t colon = bytes_find(line, 0, ':');
    if (colon == line.size)
        return refuse(parser, 400, err, "a field has no colon");
    field->name = bytes_slice(line, 0, colon);
    field->value = bytes_trim(bytes_slice(line, colon + 1, line.size));
    if (!is_token(field->name))
        return refuse(parser, 400, err, "a field's name has bytes that a name cannot have");
    if (!is_field_value(field->value))
        return refuse(parser, 400, err, "a field's value has control characters");
    return true;
}

/* Takes the next line off *rest, without its CR LF. Every line has one: the head ends with two. */
static struct bytes take_line(struct bytes *rest)
{
    size_t end = 0;
    while (rest->data[end] != '\r' || rest->data[end + 1] != '\n')
        end++;
    struct bytes line = bytes_slice(*rest, 0, end);
    *rest = bytes_slice(*rest, end + 2, rest->size);
    return line;
}

static size_t count_lines(struct bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < text.size; i++)
        count += text.data[i] == '\r' && text.data[i + 1] == '\n';
    return count;
}

static bool parse_fields(struct http_parser *parser, struct bytes rest, struct error *err)
{
    size_t count = count_lines(rest) - 1; /* without the empty line */
    if (count > HTTP_FIELDS_MAX)
        return refuse(parser, 431, err, "there are too many fields");
    parser->fields = memory_resize_array(parser->fields, count ? count : 1, sizeof parser->fields[0]);
    for (size_t i = 0; i < count; i++) {
        if (!parse_field(parser, take_line(&rest), &parser->fields[i], err))
            return false;
    }
    parser->head.fields = parser->fields;
    parser->head.field_count = count;
    return true;
}

/* --- Framing (6) --- */

struct framing_fields {
    size_t lengths, codings, hosts;
    uint64_t length;
    bool chunked;
};

static bool gather_framing(struct http_parser *parser, struct framing_fields *out, struct error *err)
{
    for (size_t i = 0; i < parser->head.field_count; i++) {
        const struct http_field *field = &parser->fields[i];
        if (bytes_equal_ignore_case(field->name, BYTES_LITERAL("Content-Length"))) {
            uint64_t length;
            if (!bytes_to_u64(field->value, &length))
                return refuse(parser, 400, err, "Content-Length is not one plain number");
            if (out->lengths++ > 0 && length != out->length)
                return refuse(parser, 400, err, "Content-Length is given twice, with different values");
            out->length = length;
        } else if (bytes_equal_ignore_case(field->name, BYTES_LITERAL("Transfer-Encoding"))) {
            out->codings++;
            out->chunked = bytes_equal_ignore_case(field->value, BYTES_LITERAL("chunked"));
        } else if (bytes_equal_ignore_case(field->name, BYTES_LITERAL("Host"))) {
            out->hosts++;
        }
    }
    return true;
}

static bool may_have_content(const struct http_parser *parser)
{
    int status = parser->head.status;
    return parser->kind == HTTP_REQUEST || (!parser->answer_to_head && status >= 200 && status != 204 && status != 304);
}

static bool find_framing(struct http_parser *parser, struct error *err)
{
    struct http_head *head = &parser->head;
    struct framing_fields fields = {0};
    if (!gather_framing(parser, &fields, err))
        return false;
    if (parser->kind == HTTP_REQUEST && (fields.hosts > 1 || (fields.hosts == 0 && head->minor_version == 1)))
        return refuse(parser, 400, err, "there is not exactly one Host");
    if (fields.codings && (fields.lengths || head->minor_version == 0))
        return refuse(parser, 400, err, "Transfer-Encoding cannot stand beside Content-Length or in HTTP/1.0");
    if (fields.codings > 1 || (fields.codings == 1 && !fields.chunked))
        return refuse(parser, 501, err, "the only transfer coding known here is chunked");
    if (!may_have_content(parser))
        head->framing = HTTP_NO_BODY;
    else if (fields.codings)
        head->framing = HTTP_CHUNKED;
    else if (fields.lengths)
        head->framing = HTTP_LENGTH;
    else
        head->framing = parser->kind == HTTP_REQUEST ? HTTP_NO_BODY : HTTP_UNTIL_CLOSE;
    head->content_length = head->framing == HTTP_LENGTH ? fields.length : 0;
    return true;
}

static void find_connection_options(struct http_head *head)
{
    head->keep_alive = head->minor_version == 1 ? !http_head_has_token(head, "Connection", "close")
                                                : http_head_has_token(head, "Connection", "keep-alive");
    if (head->framing == HTTP_UNTIL_CLOSE)
        head->keep_alive = false;
    head->expect_continue = head->minor_version == 1 && head->framing != HTTP_NO_BODY &&
                            http_head_has_token(head, "Expect", "100-continue");
}

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
    struct bytes rest = buf_bytes(&parser->head_bytes);
    struct bytes line = take_line(&rest);
    bool first_ok =
        parser->kind == HTTP_REQUEST ? parse_request_line(parser, line, err) : parse_status_line(parser, line, err);
    if (!first_ok || !parse_fields(parser, rest, err) || !find_framing(parser, err))
        return false;
    find_connection_options(&parser->head);
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
    } else if (count_lines(buf_bytes(&parser->head_bytes)) == 0) {
        refuse(parser, 414, err, "the request line is too long");
    } else {
        refuse(parser, 431, err, "the head is too large");
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

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

static bool chunk_size_byte(struct http_parser *parser, uint8_t byte, struct error *err)
{
    int digit = hex_digit(byte);
    if (digit >= 0) {
        if (parser->chunk_digits == 0)
            parser->left = 0;
        if (++parser->chunk_digits > CHUNK_DIGITS_MAX)
            return refuse(parser, 400, err, "a chunk's size is too long");
        parser->left = parser->left << 4 | (unsigned)digit;
        return true;
    }
    if (parser->chunk_digits == 0 || (byte != ';' && byte != '\r'))
        return refuse(parser, 400, err, "a chunk's size is not a hexadecimal number");
    parser->state = byte == ';' ? STATE_CHUNK_EXTENSION : STATE_CHUNK_SIZE_LF;
    return true;
}

/* Extensions and trailers are read over; together they may be as large as a head. */
static bool ignored_byte(struct http_parser *parser, uint8_t byte, int state_after_cr, struct error *err)
{
    if (++parser->trailer_size > parser->head_bytes.size_max)
        return refuse(parser, 431, err, "chunk extensions and trailers are too large");
    if (byte == '\r')
        parser->state = state_after_cr;
    else if (byte == '\n' || byte == 0)
        return refuse(parser, 400, err, "a line of the chunked coding has a bare LF or a NUL");
    return true;
}

static bool line_feed(struct http_parser *parser, uint8_t byte, int state_after, struct error *err)
{
    if (byte != '\n')
        return refuse(parser, 400, err, "CR without LF");
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
            return refuse(parser, 400, err, "a chunk is longer than its size says");
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
        if (!is_token_byte(input->data[0]))
            return refuse(parser, 400, err, "a message does not begin with this byte; is it TLS?");
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

/* --- Looking into a head --- */

struct bytes http_head_get(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (bytes_equal_ignore_case(head->fields[i].name, bytes_of_string(name)))
            return head->fields[i].value;
    }
    return BYTES_NULL;
}

bool http_head_has_token(const struct http_head *head, const char *name, const char *token)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (!bytes_equal_ignore_case(head->fields[i].name, bytes_of_string(name)))
            continue;
        struct bytes rest = head->fields[i].value, part;
        while (bytes_split(&rest, ',', &part)) {
            if (bytes_equal_ignore_case(bytes_trim(part), bytes_of_string(token)))
                return true;
        }
    }
    return false;
}
