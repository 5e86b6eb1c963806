/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head that is there whole, taken apart in place: request or status line, fields, and what they say about the content
 * and the connection. Section numbers are RFC 9112's.
 */
#include "base/memory.h"
#include "wire/http_parser_priv.h"

bool http_parser_refuse(struct http_parser *parser, int status, struct error *err, const char *why)
{
    parser->error_status = status;
    return error_set(err, status == 431 || status == 414 ? ERROR_LIMIT : ERROR_INVALID, "HTTP: %s", why);
}

/* --- Lines and fields --- */

bool http_is_token_byte(uint8_t byte)
{
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
        return true;
    return byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!http_is_token_byte(text.data[i]))
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
        return http_parser_refuse(parser, 400, err, "the version is not of the form HTTP/1.1");
    if (text.data[5] != '1')
        return http_parser_refuse(parser, 505, err, "only versions 1.0 and 1.1 are spoken here");
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
        return http_parser_refuse(parser, 400, err, "the request line is not: method, space, target, space, version");
    head->method = bytes_slice(line, 0, first);
    head->target = bytes_slice(line, first + 1, second - first - 1);
    if (!is_token(head->method))
        return http_parser_refuse(parser, 400, err, "the method has bytes that a method cannot have");
    if (!parse_version(parser, bytes_slice(line, second + 1, line.size), err))
        return false;
    for (size_t i = 0; i < head->target.size; i++) {
        if (head->target.data[i] <= 0x20 || head->target.data[i] >= 0x7f)
            return http_parser_refuse(parser, 400, err, "the target has bytes that must be percent-encoded");
    }
    bool absolute = bytes_starts_with(head->target, BYTES_LITERAL("http://")) ||
                    bytes_starts_with(head->target, BYTES_LITERAL("https://"));
    bool asterisk = bytes_equal_string(head->target, "*");
    if (head->target.size == 0 ||
        (head->target.data[0] != '/' && !absolute && !asterisk && !bytes_equal_string(head->method, "CONNECT")))
        return http_parser_refuse(parser, 400, err, "the target does not begin with /");
    split_target(head);
    return true;
}

static bool parse_status_line(struct http_parser *parser, struct bytes line, struct error *err)
{
    if (line.size < 12 || line.data[8] != ' ' || (line.size > 12 && line.data[12] != ' '))
        return http_parser_refuse(parser, 400, err, "the status line is not: version, space, three digits");
    if (!parse_version(parser, bytes_slice(line, 0, 8), err))
        return false;
    uint64_t status;
    if (!bytes_to_u64(bytes_slice(line, 9, 3), &status) || status < 100)
        return http_parser_refuse(parser, 400, err, "the status is not a number from 100 to 999");
    parser->head.status = (int)status;
    parser->head.reason = bytes_slice(line, 13, line.size);
    if (!is_field_value(parser->head.reason))
        return http_parser_refuse(parser, 400, err, "the reason phrase has control characters");
    return true;
}

static bool parse_field(struct http_parser *parser, struct bytes line, struct http_field *field, struct error *err)
{
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return http_parser_refuse(parser, 400, err, "a field is folded over several lines");
    size_t colon = bytes_find(line, 0, ':');
    if (colon == line.size)
        return http_parser_refuse(parser, 400, err, "a field has no colon");
    field->name = bytes_slice(line, 0, colon);
    field->value = bytes_trim(bytes_slice(line, colon + 1, line.size));
    if (!is_token(field->name))
        return http_parser_refuse(parser, 400, err, "a field's name has bytes that a name cannot have");
    if (!is_field_value(field->value))
        return http_parser_refuse(parser, 400, err, "a field's value has control characters");
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
        return http_parser_refuse(parser, 431, err, "there are too many fields");
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
                return http_parser_refuse(parser, 400, err, "Content-Length is not one plain number");
            if (out->lengths++ > 0 && length != out->length)
                return http_parser_refuse(parser, 400, err, "Content-Length is given twice, with different values");
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
        return http_parser_refuse(parser, 400, err, "there is not exactly one Host");
    if (fields.codings && (fields.lengths || head->minor_version == 0))
        return http_parser_refuse(parser, 400, err,
                                  "Transfer-Encoding cannot stand beside Content-Length or in HTTP/1.0");
    if (fields.codings > 1 || (fields.codings == 1 && !fields.chunked))
        return http_parser_refuse(parser, 501, err, "the only transfer coding known here is chunked");
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

bool http_parser_read_head(struct http_parser *parser, struct error *err)
{
    struct bytes rest = buf_bytes(&parser->head_bytes);
    struct bytes line = take_line(&rest);
    bool first_ok =
        parser->kind == HTTP_REQUEST ? parse_request_line(parser, line, err) : parse_status_line(parser, line, err);
    if (!first_ok || !parse_fields(parser, rest, err) || !find_framing(parser, err))
        return false;
    find_connection_options(&parser->head);
    return true;
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
