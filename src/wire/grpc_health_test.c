/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_health.h"

#include <string.h>

#include "test.h"

/* What a server sends: SETTINGS, then its header fields, a message and its trailers. */
#define SETTINGS "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
#define SETTINGS_ACK "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
#define HEADERS "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"
#define TRAILERS "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"
#define DATA(size, payload) "\x00\x00" size "\x00\x00\x00\x00\x00\x01" payload
#define SAYS(status) DATA("\x07", "\x00\x00\x00\x00\x02\x08" status)

static enum grpc_health_state take(struct grpc_health *health, struct bytes data, struct buf *out)
{
    grpc_health_init(health);
    buf_init(out, 1 << 20);
    return grpc_health_take(health, data, out);
}

static void check(struct bytes data, enum grpc_health_state state, const char *failure)
{
    for (size_t piece = 1; piece <= data.size; piece++) {
        struct grpc_health health;
        enum grpc_health_state got = GRPC_HEALTH_GOING_ON;
        AUTO_BUF out;
        grpc_health_init(&health);
        buf_init(&out, 1 << 20);
        for (size_t at = 0; at < data.size; at += piece)
            got = grpc_health_take(&health, bytes_slice(data, at, piece), &out);
        CHECK_INT(got, state);
        CHECK_STR(health.failure, failure);
        grpc_health_deinit(&health);
    }
}

TEST(a_health_check_is_one_call_with_the_services_name)
{
    static const char message[] = "\x00\x00\x0b\x00\x01\x00\x00\x00\x01"
                                  "\x00\x00\x00\x00\x06\x0a\x04shop";
    struct grpc_health health;
    struct error err;
    AUTO_BUF out;
    grpc_health_init(&health);
    buf_init(&out, 8192);
    CHECK_OK(grpc_health_request(&health, "10.0.0.1:80", BYTES_LITERAL("shop"), &out, &err), &err);
    CHECK(bytes_starts_with(buf_bytes(&out), BYTES_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x0c\x04\x00")));
    CHECK(bytes_ends_with(buf_bytes(&out), bytes_of(message, sizeof message - 1)));
    char name[GRPC_HEALTH_SERVICE_MAX + 1];
    memset(name, 'x', sizeof name);
    CHECK(!grpc_health_request(&health, "10.0.0.1:80", bytes_of(name, sizeof name), &out, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    buf_reset(&out);
    CHECK_OK(grpc_health_request(&health, "10.0.0.1:80", bytes_of(name, 300), &out, &err), &err);
    CHECK(bytes_ends_with(bytes_slice(buf_bytes(&out), 0, out.size - 300), BYTES_LITERAL("\x01\x2f\x0a\xac\x02")));
    grpc_health_deinit(&health);
}

TEST(a_server_that_serves_is_well_and_one_that_says_otherwise_is_not)
{
    check(BYTES_LITERAL(SETTINGS SETTINGS_ACK HEADERS SAYS("\x01") TRAILERS), GRPC_HEALTH_SERVING, "");
    check(BYTES_LITERAL(SETTINGS HEADERS SAYS("\x02") TRAILERS), GRPC_HEALTH_FAILED,
          "service unhealthy (responded with \"NOT_SERVING\")");
    check(BYTES_LITERAL(SETTINGS HEADERS DATA("\x05", "\x00\x00\x00\x00\x00")), GRPC_HEALTH_FAILED,
          "service unhealthy (responded with \"UNKNOWN\")");
    check(BYTES_LITERAL(SETTINGS TRAILERS), GRPC_HEALTH_FAILED,
          "the server does not implement the gRPC health protocol, or has no service \"\" in it");
}

TEST(a_message_may_come_in_parts_and_with_padding)
{
    check(BYTES_LITERAL(SETTINGS HEADERS DATA("\x03", "\x00\x00\x00") DATA("\x04", "\x00\x02\x08\x01")),
          GRPC_HEALTH_SERVING, "");
    check(BYTES_LITERAL("\x00\x00\x0a\x00\x08\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x01\x00\x00"),
          GRPC_HEALTH_SERVING, "");
    check(BYTES_LITERAL("\x00\x00\x02\x00\x08\x00\x00\x00\x01\x02\x00"), GRPC_HEALTH_FAILED,
          "a frame of the answer has more padding than content");
    check(BYTES_LITERAL(SAYS("\x81")), GRPC_HEALTH_FAILED, "the answer is not one of the health checking protocol");
}

TEST(settings_and_pings_are_answered)
{
    struct grpc_health health;
    AUTO_BUF out;
    CHECK_INT(take(&health,
                   BYTES_LITERAL(SETTINGS SETTINGS_ACK "\x00\x00\x08\x06\x00\x00\x00\x00\x00"
                                                       "12345678"),
                   &out),
              GRPC_HEALTH_GOING_ON);
    CHECK(bytes_equal(buf_bytes(&out), BYTES_LITERAL(SETTINGS_ACK "\x00\x00\x08\x06\x01\x00\x00\x00\x00"
                                                                  "12345678")));
    grpc_health_deinit(&health);
}

TEST(who_refuses_the_call_or_speaks_something_else_is_not_well)
{
    check(BYTES_LITERAL("HTTP/1.1 400 Bad Request\r\n\r\n"), GRPC_HEALTH_FAILED,
          "the answer is not HTTP/2: no gRPC server listens there");
    check(BYTES_LITERAL(SETTINGS "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"), GRPC_HEALTH_FAILED,
          "the server refuses the call (HTTP/2 error 7)");
    check(BYTES_LITERAL(SETTINGS "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b"),
          GRPC_HEALTH_FAILED, "the server ends the connection (HTTP/2 error 11)");
    check(BYTES_LITERAL(SETTINGS "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00" SAYS("\x01")),
          GRPC_HEALTH_SERVING, "");
}

TEST(an_answer_without_end_is_cut)
{
    struct grpc_health health;
    AUTO_BUF out;
    grpc_health_init(&health);
    buf_init(&out, 1 << 20);
    enum grpc_health_state state = GRPC_HEALTH_GOING_ON;
    for (int i = 0; i < 10000 && state == GRPC_HEALTH_GOING_ON; i++)
        state = grpc_health_take(&health, BYTES_LITERAL(SETTINGS), &out);
    CHECK_INT(state, GRPC_HEALTH_FAILED);
    CHECK_STR(health.failure, "the answer is longer than 65536 bytes");
    CHECK(out.size <= GRPC_HEALTH_ANSWER_MAX);
    grpc_health_deinit(&health);
}
