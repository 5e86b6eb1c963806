/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http.h"

#include <stdio.h>

#include "test.h"

/* What the parser finds in a text, in one string: [head], content, [end], [error status]. */
static void describe(enum http_kind kind, const char *text, size_t step, struct buf *out)
{
    struct http_parser parser;
    struct error err = {0};
    http_parser_init(&parser, kind, 512);
    struct bytes all = bytes_of_string(text);
    enum http_event event = HTTP_MORE;
    for (size_t at = 0; at < all.size && event != HTTP_ERROR; at += step) {
        struct bytes part = bytes_slice(all, at, step), piece;
        while ((event = http_parser_next(&parser, &part, &piece, &err)) != HTTP_MORE) {
            if (event == HTTP_HEAD && kind == HTTP_REQUEST)
                buf_printf(out, "[" BYTES_FORMAT " " BYTES_FORMAT "]", BYTES_ARGS(parser.head.method),
                           BYTES_ARGS(parser.head.path));
            else if (event == HTTP_HEAD)
                buf_printf(out, "[%d]", parser.head.status);
            else if (event == HTTP_BODY)
                buf_append(out, piece);
            else if (event == HTTP_END)
                buf_append_string(out, "[end]"), http_parser_restart(&parser);
            else
                buf_printf(out, "[error %d]", parser.error_status);
            if (event == HTTP_ERROR)
                break;
        }
    }
    http_parser_deinit(&parser);
}

/* However it is cut, the same is found. */
static void check_found(enum http_kind kind, const char *text, const char *want)
{
    size_t steps[] = {1, 2, 3, 7, 100000};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        AUTO_BUF found;
        buf_init(&found, 1 << 20);
        describe(kind, text, steps[i], &found);
        CHECK_STR(buf_string(&found), want);
    }
}

#define HOST "Host: a\r\n"

TEST(http_requests_are_parsed_one_after_another)
{
    check_found(HTTP_REQUEST,
                "POST /a?x=1 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                "\r\nGET http://h/b HTTP/1.1\r\n" HOST "\r\n",
                "[POST /a]hello[end][GET /b][end]");
}

TEST(http_chunks_lose_their_coding)
{
    check_found(HTTP_REQUEST,
                "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                "5;name=value\r\nhello\r\n0A\r\n, world123\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
                "[POST /]hello, world123[end][GET /][end]");
}

TEST(http_messages_whose_end_is_open_to_debate_are_refused)
{
    static const struct {
        const char *rest, *want;
    } cases[] = {
        {"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "[error 400]"},
        {"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "[POST /]hello[end]"},
        {"Content-Length: +5\r\n\r\n", "[error 400]"},
        {"Content-Length: 5, 5\r\n\r\n", "[error 400]"},
        {"Content-Length: 0x5\r\n\r\n", "[error 400]"},
        {"Content-Length: 99999999999999999999\r\n\r\n", "[error 400]"},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "[error 400]"},
        {"Transfer-Encoding: gzip, chunked\r\n\r\n", "[error 501]"},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", "[error 501]"},
        {"Transfer-Encoding: chunked\r\n\r\n-5\r\n", "[POST /][error 400]"},
        {"Transfer-Encoding: chunked\r\n\r\n5 \r\n", "[POST /][error 400]"},
        {"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", "[POST /][error 400]"},
        {"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "[POST /]ab[error 400]"},
        {"Transfer-Encoding: chunked\r\n\r\n2\nab\r\n", "[POST /][error 400]"},
        {"Content-Length : 5\r\n\r\n", "[error 400]"},
        {"A: b\r\n c\r\n\r\n", "[error 400]"},
        {"A: b\rc\r\n\r\n", "[error 400]"},
        {"A: b\nContent-Length: 5\r\n\r\n", "[error 400]"},
        {"no colon\r\n\r\n", "[error 400]"},
        {"Host: b\r\n\r\n", "[error 400]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s", cases[i].rest);
        check_found(HTTP_REQUEST, text, cases[i].want);
    }
}

TEST(http_request_lines_are_checked)
{
    check_found(HTTP_REQUEST, "GET /a b HTTP/1.1\r\n" HOST "\r\n", "[error 400]");
    check_found(HTTP_REQUEST, "GET  / HTTP/1.1\r\n" HOST "\r\n", "[error 400]");
    check_found(HTTP_REQUEST, "GET / HTTP/2.0\r\n" HOST "\r\n", "[error 505]");
    check_found(HTTP_REQUEST, "GET / HTTP/1.1\r\n\r\n", "[error 400]"); /* no Host */
    check_found(HTTP_REQUEST, "GET / HTTP/1.0\r\n\r\n", "[GET /][end]");
    check_found(HTTP_REQUEST, "GE(T / HTTP/1.1\r\n" HOST "\r\n", "[error 400]");
    check_found(HTTP_REQUEST, "GET a HTTP/1.1\r\n" HOST "\r\n", "[error 400]");
    check_found(HTTP_REQUEST, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "[OPTIONS *][end]");
    check_found(HTTP_REQUEST, "\x16\x03\x01", "[error 400]"); /* TLS: refused before its head could end */
}

TEST(http_head_with_a_nul_is_refused)
{
    struct http_parser parser;
    struct error err = {0};
    http_parser_init(&parser, HTTP_REQUEST, 512);
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n";
    struct bytes input = bytes_of(text, sizeof text - 1), piece;
    CHECK_INT(http_parser_next(&parser, &input, &piece, &err), HTTP_ERROR);
    CHECK_INT(err.kind, ERROR_INVALID);
    http_parser_deinit(&parser);
}

TEST(http_heads_are_bounded)
{
    char text[700];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    check_found(HTTP_REQUEST, text, "[error 414]");
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    check_found(HTTP_REQUEST, text, "[error 431]");
}

TEST(http_trailers_are_bounded)
{
    char text[900];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    static const char head[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    memcpy(text, head, sizeof head - 1);
    check_found(HTTP_REQUEST, text, "[POST /][error 431]");
}

TEST(http_responses_end_by_length_chunks_or_close)
{
    check_found(HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 204 \r\n\r\n",
                "[200]hi[end][204][end]");
    check_found(HTTP_RESPONSE, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
                "[100][end][404][end]");
    check_found(HTTP_RESPONSE, "HTTP/1.0 200 OK\r\n\r\nuntil the end", "[200]until the end");
    check_found(HTTP_RESPONSE, "HTTP/1.1 2000 OK\r\n\r\n", "[error 400]");
    check_found(HTTP_RESPONSE, "garbage garbage\r\n\r\n", "[error 400]");
}

TEST(http_response_to_head_has_no_content)
{
    struct http_parser parser;
    struct error err = {0};
    http_parser_init(&parser, HTTP_RESPONSE, 512);
    parser.answer_to_head = true;
    struct bytes input = bytes_of_string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), piece;
    CHECK_INT(http_parser_next(&parser, &input, &piece, &err), HTTP_HEAD);
    CHECK_INT(http_parser_next(&parser, &input, &piece, &err), HTTP_END);
    http_parser_deinit(&parser);
}

TEST(http_end_of_connection_completes_only_what_it_may)
{
    static const struct {
        const char *text;
        enum http_event want;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\nab", HTTP_END},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", HTTP_ERROR},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", HTTP_ERROR},
        {"HTTP/1.1 200", HTTP_ERROR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_parser parser;
        struct error err = {0};
        http_parser_init(&parser, HTTP_RESPONSE, 512);
        struct bytes input = bytes_of_string(cases[i].text), piece;
        while (http_parser_next(&parser, &input, &piece, &err) != HTTP_MORE)
            ;
        CHECK_INT(http_parser_end(&parser, &err), cases[i].want);
        http_parser_deinit(&parser);
    }
}

TEST(http_connection_options_follow_the_version)
{
    static const struct {
        const char *text;
        bool keep_alive, expect_continue;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", true, false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: foo, Close\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", true, false},
        {"PUT / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true, true},
        {"GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_parser parser;
        struct error err = {0};
        http_parser_init(&parser, HTTP_REQUEST, 512);
        struct bytes input = bytes_of_string(cases[i].text), piece;
        CHECK_INT(http_parser_next(&parser, &input, &piece, &err), HTTP_HEAD);
        CHECK_INT(parser.head.keep_alive, cases[i].keep_alive);
        CHECK_INT(parser.head.expect_continue, cases[i].expect_continue);
        http_parser_deinit(&parser);
    }
}

TEST(http_printing_does_not_let_values_end_a_field)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 16);
    http_print_status_line(&out, 202);
    http_print_field(&out, BYTES_LITERAL("A"), BYTES_LITERAL("b\r\nSet-Cookie: c\x01"));
    http_print_chunked(&out);
    CHECK_STR(buf_string(&out), "HTTP/1.1 202 Accepted\r\nA: b  Set-Cookie: c \r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(http_paths_and_queries_are_decoded)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct bytes rest = BYTES_LITERAL("/shop/a%2Fb/"), segment;
    CHECK(http_path_next(&rest, &arena, &segment));
    CHECK_BYTES(segment, BYTES_LITERAL("shop"));
    CHECK(http_path_next(&rest, &arena, &segment));
    CHECK_BYTES(segment, BYTES_LITERAL("a/b"));
    CHECK(http_path_next(&rest, &arena, &segment));
    CHECK_BYTES(segment, BYTES_LITERAL(""));
    CHECK(!http_path_next(&rest, &arena, &segment) && rest.data == NULL);
    rest = BYTES_LITERAL("/%zz");
    CHECK(!http_path_next(&rest, &arena, &segment) && rest.data != NULL);

    struct bytes query = BYTES_LITERAL("watch&&labelSelector=a%3Db+c&x=");
    CHECK_BYTES(http_query_get(query, &arena, "labelSelector"), BYTES_LITERAL("a=b c"));
    CHECK_BYTES(http_query_get(query, &arena, "watch"), BYTES_LITERAL(""));
    CHECK(http_query_get(query, &arena, "missing").data == NULL);
    CHECK(http_query_get(BYTES_NULL, &arena, "watch").data == NULL);
}

TEST(http_urls_are_taken_apart)
{
    struct http_url url;
    struct error err = {0};
    CHECK_OK(http_url_parse(BYTES_LITERAL("http://billing.shop:8080/a?b#c"), &url, &err), &err);
    CHECK_BYTES(url.host, BYTES_LITERAL("billing.shop"));
    CHECK_BYTES(url.target, BYTES_LITERAL("/a?b"));
    CHECK_INT(url.port, 8080);
    CHECK_OK(http_url_parse(BYTES_LITERAL("HTTPS://[::1]"), &url, &err), &err);
    CHECK_BYTES(url.host, BYTES_LITERAL("::1"));
    CHECK_BYTES(url.target, BYTES_LITERAL("/"));
    CHECK_INT(url.port, 443);
    CHECK(url.tls);
    static const char *const bad[] = {"ftp://a",     "http://",    "http://a:0/",    "http://a:65536",
                                      "http://[::1", "http://a b", "http://user@a/", "http://a?b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!http_url_parse(bytes_of_string(bad[i]), &url, &err));
}

TEST(http_dates_have_one_form)
{
    char text[HTTP_DATE_SIZE];
    http_format_date(1795254267, text);
    CHECK_STR(text, "Sat, 21 Nov 2026 09:44:27 GMT");
    int64_t time = 0;
    CHECK(http_parse_date(bytes_of_string(text), &time));
    CHECK_INT(time, 1795254267);
    CHECK(!http_parse_date(BYTES_LITERAL("Fri, 21 Nov 2026 09:44:27 GMT"), &time));
    CHECK(!http_parse_date(BYTES_LITERAL("Sat, 31 Feb 2026 09:44:27 GMT"), &time));
    CHECK(!http_parse_date(BYTES_LITERAL("Saturday, 21-Nov-26 09:44:27 GMT"), &time));
}
