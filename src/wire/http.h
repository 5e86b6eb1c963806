/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages (RFC 9112): an incremental parser, for requests and responses, and a printer.
 *
 * The parser is pulled: it takes bytes from the front of an input and says what it found.
 *
 *     while ((event = http_parser_next(&parser, &input, &piece, err)) != HTTP_MORE)
 *         HTTP_HEAD: parser.head is complete; it stays until http_parser_restart()
 *         HTTP_BODY: `piece` is a part of the content, within the input, chunking removed
 *         HTTP_END:  the message is complete; http_parser_restart() before the next one (pipelining)
 *         HTTP_ERROR: err says why, parser.error_status which status a server answers; nothing more can be parsed
 *
 * It is strict where two parsers could disagree about where a message ends (request smuggling): a Content-Length that
 * is not one plain number or is given twice with different values, Content-Length together with Transfer-Encoding, a
 * transfer coding other than chunked, obs-fold, white space before the colon, bare CR, NUL, bad chunk sizes: all are
 * errors, never repaired. A single LF as a line end is an error as well.
 */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

struct http_field {
    struct bytes name, value;
};
#define HTTP_FIELD(field_name, field_value) ((struct http_field){BYTES_LITERAL(field_name), (field_value)})

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

struct http_head {
    /* of a request; as sent, still percent-encoded */
    struct bytes method; /* "GET"; case-sensitive */
    struct bytes target; /* "/a/b?c=d", "http://host/a", "*", or "host:port" for CONNECT */
    struct bytes path;   /* of the target, without query; empty for CONNECT */
    struct bytes query;  /* behind '?'; null: none */
    /* of a response */
    int status;
    struct bytes reason;
    /* of both */
    int minor_version; /* of HTTP/1.x: 0 or 1 */
    const struct http_field *fields;
    size_t field_count;
    enum http_framing framing;
    uint64_t content_length; /* for HTTP_LENGTH */
    bool keep_alive;         /* the connection may be used again after this message */
    bool expect_continue;    /* the client waits for "100 Continue" before it sends the content */
};

/* The first field of that name (case does not matter), without white space around; null bytes: none. */
struct bytes http_head_get(const struct http_head *head, const char *name);
/* Whether the comma-separated value of a field (all fields of that name) has the token; case does not matter. */
bool http_head_has_token(const struct http_head *head, const char *name, const char *token);

enum { HTTP_FIELDS_MAX = 256 };

enum http_event { HTTP_MORE, HTTP_HEAD, HTTP_BODY, HTTP_END, HTTP_ERROR };

struct http_parser {
    struct http_head head;
    int error_status;    /* after HTTP_ERROR: 400, 414, 431, 501 or 505 */
    bool answer_to_head; /* set it before the response to a HEAD request: there is no content */
    bool started;        /* some byte of the message has been seen */
    /* the parser's own */
    enum http_kind kind;
    int state;
    size_t trailer_size;
    uint64_t left; /* of the content or of the chunk */
    unsigned chunk_digits;
    struct buf head_bytes; /* what parser.head points into */
    struct http_field *fields;
};

/* A head longer than `head_size_max` is an error (431, or 414 when already the request line is too long). */
void http_parser_init(struct http_parser *parser, enum http_kind kind, size_t head_size_max);
void http_parser_deinit(struct http_parser *parser);
void http_parser_restart(struct http_parser *parser);
enum http_event http_parser_next(struct http_parser *parser, struct bytes *input, struct bytes *piece,
                                 struct error *err);
/* The peer will send no more: HTTP_END when that completes the message (HTTP_UNTIL_CLOSE), else HTTP_ERROR. */
enum http_event http_parser_end(struct http_parser *parser, struct error *err);

/* --- Printing. A control character in a value is printed as a space: nothing can be smuggled in by a value. --- */
void http_print_request_line(struct buf *out, struct bytes method, struct bytes target);
void http_print_status_line(struct buf *out, int status); /* with the usual reason phrase */
void http_print_field(struct buf *out, struct bytes name, struct bytes value);
void http_print_fields(struct buf *out, const struct http_field *fields, size_t count);
void http_print_length(struct buf *out, uint64_t content_length); /* Content-Length and the empty line: ends the head */
void http_print_chunked(struct buf *out);                         /* Transfer-Encoding: chunked, and the empty line */
/* RFC 9110 section 5.6.7: "Sat, 21 Nov 2026 09:44:27 GMT" */
enum { HTTP_DATE_SIZE = 30 };
void http_format_date(int64_t unix_s, char out[HTTP_DATE_SIZE]);
/* That form and only that one of the three in the RFC. */
MUST_CHECK bool http_parse_date(struct bytes text, int64_t *unix_s);

/* --- Targets --- */
/* Appends the decoded text; false for a '%' without two hex digits. '+' becomes a space in queries alone. */
MUST_CHECK bool http_percent_decode(struct bytes text, bool in_query, struct buf *out);
/* Takes the next segment off a path that begins with '/': "/a/b" gives "a", then "b"; "/" gives one empty segment.
 * Decoded into `arena`; false at the end, and for a bad encoding or no memory (then *rest is not null). */
bool http_path_next(struct bytes *rest, struct arena *arena, struct bytes *segment);
/* The next parameter of a query, decoded into `arena`; "a" gives an empty value. False at the end, or as above. */
bool http_query_next(struct bytes *rest, struct arena *arena, struct bytes *name, struct bytes *value);
/* The first parameter of that name; null bytes: none. */
struct bytes http_query_get(struct bytes query, struct arena *arena, const char *name);

struct http_url {
    bool tls;               /* https */
    struct bytes host;      /* without brackets for an IPv6 address */
    uint16_t port;          /* 80 or 443 unless given */
    struct bytes target;    /* path and query, "/" at least */
    struct bytes authority; /* as written, for the Host field */
};
/* An absolute http or https URL; parts point into the text, a fragment is cut off. User names are refused. */
MUST_CHECK bool http_url_parse(struct bytes text, struct http_url *out, struct error *err);

#endif
