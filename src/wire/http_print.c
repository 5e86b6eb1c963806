/* SPDX-License-Identifier: Apache-2.0 */
/* Printing of HTTP/1.1 heads and chunks, and HTTP's dates. */
#include "wire/http.h"

#include <stdio.h>
#include <time.h>

#include "base/memory.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

static const char *reason_phrase(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

/* A control character would end the field or the line: it becomes a space. */
static void append_safe(struct buf *out, struct bytes text)
{
    size_t from = out->size;
    buf_append(out, text);
    for (size_t i = from; i < out->size; i++) {
        if ((out->data[i] < 0x20 && out->data[i] != '\t') || out->data[i] == 0x7f)
            out->data[i] = ' ';
    }
}

void http_print_request_line(struct buf *out, struct bytes method, struct bytes target)
{
    append_safe(out, method);
    buf_append_byte(out, ' ');
    append_safe(out, target);
    buf_append_string(out, " HTTP/1.1\r\n");
}

void http_print_status_line(struct buf *out, int status)
{
    buf_printf(out, "HTTP/1.1 %03d %s\r\n", status, reason_phrase(status));
}

void http_print_field(struct buf *out, struct bytes name, struct bytes value)
{
    append_safe(out, name);
    buf_append_string(out, ": ");
    append_safe(out, value);
    buf_append_string(out, "\r\n");
}

void http_print_fields(struct buf *out, const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        http_print_field(out, fields[i].name, fields[i].value);
}

void http_print_length(struct buf *out, uint64_t content_length)
{
    buf_printf(out, "Content-Length: %llu\r\n\r\n", (unsigned long long)content_length);
}

void http_print_chunked(struct buf *out)
{
    buf_append_string(out, "Transfer-Encoding: chunked\r\n\r\n");
}

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void http_format_date(int64_t unix_s, char out[HTTP_DATE_SIZE])
{
    time_t time = (time_t)unix_s;
    struct tm tm = {0};
    gmtime_r(&time, &tm);
    snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(unsigned)tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100u, months[(unsigned)tm.tm_mon % 12], ((unsigned)tm.tm_year + 1900) % 10000u,
             (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
}

static bool number_at(struct bytes text, size_t from, size_t size, uint64_t below, int *out)
{
    uint64_t number;
    if (!bytes_to_u64(bytes_slice(text, from, size), &number) || number >= below)
        return false;
    *out = (int)number;
    return true;
}

bool http_parse_date(struct bytes text, int64_t *unix_s)
{
    struct tm tm = {.tm_mon = -1};
    if (text.size != HTTP_DATE_SIZE - 1)
        return false;
    for (int i = 0; i < 12; i++) {
        if (memcmp(text.data + 8, months[i], 3) == 0)
            tm.tm_mon = i;
    }
    if (tm.tm_mon < 0 || !number_at(text, 5, 2, 32, &tm.tm_mday) || !number_at(text, 12, 4, 10000, &tm.tm_year) ||
        !number_at(text, 17, 2, 24, &tm.tm_hour) || !number_at(text, 20, 2, 60, &tm.tm_min) ||
        !number_at(text, 23, 2, 61, &tm.tm_sec) || memcmp(text.data + 25, " GMT", 4) != 0)
        return false;
    tm.tm_year -= 1900;
    *unix_s = timegm(&tm);
    char again[HTTP_DATE_SIZE]; /* catches wrong separators, week days and days of the month */
    http_format_date(*unix_s, again);
    return memcmp(again, text.data, text.size) == 0;
}
