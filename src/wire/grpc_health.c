/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_health.h"

#include <stdarg.h>
#include <stdio.h>

enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
};

enum frame_flag { FLAG_ACK = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8 };

enum {
    FRAME_HEADER_SIZE = 9,
    FRAME_SIZE_MAX = 16384, /* what a peer may send as long as nothing else was agreed on */
    STREAM = 1,
    SETTINGS_HEADER_TABLE_SIZE = 1,
    SETTINGS_ENABLE_PUSH = 2,
    MESSAGE_PREFIX_SIZE = 5, /* of gRPC: compressed or not, length */
    MESSAGE_SIZE_MAX = 1024,
};

/* ServingStatus; there is a SERVICE_UNKNOWN too, which only Watch gives. */
enum { STATUS_SERVING = 1 };

struct frame {
    uint8_t type, flags;
    uint32_t stream;
    struct bytes payload;
};

void grpc_health_init(struct grpc_health *health)
{
    *health = (struct grpc_health){.state = GRPC_HEALTH_GOING_ON};
    buf_init(&health->in, GRPC_HEALTH_ANSWER_MAX);
    buf_init(&health->message, MESSAGE_PREFIX_SIZE + MESSAGE_SIZE_MAX);
}

void grpc_health_deinit(struct grpc_health *health)
{
    buf_deinit(&health->in);
    buf_deinit(&health->message);
}

/* --- The call --- */

static void put_frame_header(struct buf *out, size_t size, enum frame_type type, uint8_t flags, uint32_t stream)
{
    buf_append_byte(out, (uint8_t)(size >> 16));
    buf_append_be16(out, (uint16_t)size);
    buf_append_byte(out, (uint8_t)type);
    buf_append_byte(out, flags);
    buf_append_be32(out, stream);
}

/* No table of fields, so that it never matters what would be in it. */
static void put_settings(struct buf *out)
{
    put_frame_header(out, 12, FRAME_SETTINGS, 0, 0);
    buf_append_be16(out, SETTINGS_HEADER_TABLE_SIZE);
    buf_append_be32(out, 0);
    buf_append_be16(out, SETTINGS_ENABLE_PUSH);
    buf_append_be32(out, 0);
}

/* HPACK (RFC 7541): literals without indexing and without Huffman coding; none of ours reaches 127 bytes. */
static void put_text(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    buf_append_byte(out, (uint8_t)(size < 127 ? size : 126));
    buf_append(out, bytes_slice(bytes_of_string(text), 0, 126));
}

static void put_headers(struct buf *out, const char *authority)
{
    AUTO_BUF fields;
    buf_init(&fields, 1024);
    buf_append_byte(&fields, 0x83); /* :method POST, number 3 of the static table */
    buf_append_byte(&fields, 0x86); /* :scheme http */
    buf_append_byte(&fields, 0x04); /* :path */
    put_text(&fields, "/grpc.health.v1.Health/Check");
    buf_append_byte(&fields, 0x01); /* :authority */
    put_text(&fields, authority);
    buf_append_be16(&fields, 0x0f10); /* content-type, number 31: 15 and 16 more */
    put_text(&fields, "application/grpc");
    buf_append_byte(&fields, 0x00);
    put_text(&fields, "te");
    put_text(&fields, "trailers");
    buf_append_byte(&fields, 0x00);
    put_text(&fields, "user-agent");
    put_text(&fields, "kube-probe/evoke");
    put_frame_header(out, fields.size, FRAME_HEADERS, FLAG_END_HEADERS, STREAM);
    buf_append(out, buf_bytes(&fields));
}

/* HealthCheckRequest: field 1, its service; left out when it is empty. */
static void put_message(struct buf *out, struct bytes service)
{
    AUTO_BUF message;
    buf_init(&message, GRPC_HEALTH_SERVICE_MAX + 16);
    if (service.size > 0) {
        buf_append_byte(&message, 1 << 3 | 2);
        if (service.size >= 128)
            buf_append_byte(&message, (uint8_t)(service.size & 127) | 128);
        buf_append_byte(&message, (uint8_t)(service.size >= 128 ? service.size >> 7 : service.size));
        buf_append(&message, service);
    }
    put_frame_header(out, MESSAGE_PREFIX_SIZE + message.size, FRAME_DATA, FLAG_END_STREAM, STREAM);
    buf_append_byte(out, 0); /* not compressed */
    buf_append_be32(out, (uint32_t)message.size);
    buf_append(out, buf_bytes(&message));
}

bool grpc_health_request(struct grpc_health *health, const char *authority, struct bytes service, struct buf *out,
                         struct error *err)
{
    if (service.size > GRPC_HEALTH_SERVICE_MAX)
        return error_set(err, ERROR_LIMIT, "the service's name has %zu bytes, at most %d are possible", service.size,
                         GRPC_HEALTH_SERVICE_MAX);
    snprintf(health->service, sizeof health->service, BYTES_FORMAT, BYTES_ARGS(service));
    buf_append_string(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_settings(out);
    put_headers(out, authority);
    put_message(out, service);
    return true;
}

/* --- The answer --- */

PRINTF_LIKE(2, 3) static void fail(struct grpc_health *health, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(health->failure, sizeof health->failure, format, args);
    va_end(args);
    health->state = GRPC_HEALTH_FAILED;
}

static bool get_varint(struct bytes *rest, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && rest->size > 0; shift += 7) {
        uint8_t byte = rest->data[0];
        *rest = bytes_slice(*rest, 1, SIZE_MAX);
        *out |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return true;
    }
    return false;
}

/* HealthCheckResponse: field 1, its status, of which the last one counts. False: it is none. */
static bool get_status(struct bytes message, uint64_t *status)
{
    uint64_t key, value;
    *status = 0;
    while (message.size > 0) {
        if (!get_varint(&message, &key))
            return false;
        if ((key & 7) == 0 ? !get_varint(&message, &value)
                           : (key & 7) != 2 || !get_varint(&message, &value) || value > message.size)
            return false;
        if ((key & 7) == 2)
            message = bytes_slice(message, (size_t)value, SIZE_MAX);
        else if (key >> 3 == 1)
            *status = value;
    }
    return true;
}

static void take_message(struct grpc_health *health)
{
    static const char *const names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    struct bytes message = buf_bytes(&health->message);
    uint64_t status;
    if (message.size < MESSAGE_PREFIX_SIZE)
        return;
    size_t size =
        (size_t)message.data[1] << 24 | (size_t)message.data[2] << 16 | (size_t)message.data[3] << 8 | message.data[4];
    if (message.data[0] != 0 || size > MESSAGE_SIZE_MAX) {
        fail(health, "the answer is compressed or longer than one of the health checking protocol");
        return;
    }
    if (message.size < MESSAGE_PREFIX_SIZE + size)
        return;
    if (!get_status(bytes_slice(message, MESSAGE_PREFIX_SIZE, size), &status))
        fail(health, "the answer is not one of the health checking protocol");
    else if (status == STATUS_SERVING)
        health->state = GRPC_HEALTH_SERVING;
    else
        fail(health, "service unhealthy (responded with \"%s\")", status < 4 ? names[status] : "an unknown status");
}

static void take_data(struct grpc_health *health, const struct frame *frame)
{
    struct bytes data = frame->payload;
    if (frame->flags & FLAG_PADDED) {
        if (data.size == 0 || data.data[0] >= data.size) {
            fail(health, "a frame of the answer has more padding than content");
            return;
        }
        data = bytes_slice(data, 1, data.size - 1 - data.data[0]);
    }
    buf_append(&health->message, bytes_slice(data, 0, health->message.size_max - health->message.size));
    take_message(health);
}

static void answer(struct buf *out, const struct frame *frame)
{
    struct bytes payload = frame->type == FRAME_PING ? frame->payload : BYTES_NULL;
    if (frame->flags & FLAG_ACK)
        return;
    put_frame_header(out, payload.size, (enum frame_type)frame->type, FLAG_ACK, 0);
    buf_append(out, payload);
}

static uint32_t error_code(const struct frame *frame, size_t at)
{
    struct bytes code = bytes_slice(frame->payload, at, 4);
    return code.size < 4 ? 0
                         : (uint32_t)code.data[0] << 24 | (uint32_t)code.data[1] << 16 | (uint32_t)code.data[2] << 8 |
                               code.data[3];
}

static void take_frame(struct grpc_health *health, const struct frame *frame, struct buf *out)
{
    bool ours = frame->stream == STREAM;
    if (frame->type == FRAME_SETTINGS || frame->type == FRAME_PING)
        answer(out, frame);
    else if (frame->type == FRAME_GOAWAY && error_code(frame, 4) != 0) /* else calls that it has go on */
        fail(health, "the server ends the connection (HTTP/2 error %u)", error_code(frame, 4));
    else if (frame->type == FRAME_RST_STREAM && ours)
        fail(health, "the server refuses the call (HTTP/2 error %u)", error_code(frame, 0));
    else if (frame->type == FRAME_DATA && ours)
        take_data(health, frame);
    bool ends = ours && (frame->type == FRAME_DATA || frame->type == FRAME_HEADERS) && frame->flags & FLAG_END_STREAM;
    if (ends && health->state == GRPC_HEALTH_GOING_ON)
        fail(health, "the server does not implement the gRPC health protocol, or has no service \"%s\" in it",
             health->service);
}

/* False: it is not whole yet. */
static bool next_frame(struct grpc_health *health, struct bytes *rest, struct frame *out)
{
    struct bytes in = *rest;
    if (in.size < FRAME_HEADER_SIZE)
        return false;
    size_t size = (size_t)in.data[0] << 16 | (size_t)in.data[1] << 8 | in.data[2];
    if (size > FRAME_SIZE_MAX) {
        fail(health, "the answer is not HTTP/2: no gRPC server listens there");
        return false;
    }
    if (in.size - FRAME_HEADER_SIZE < size)
        return false;
    *out = (struct frame){.type = in.data[3],
                          .flags = in.data[4],
                          .stream = (uint32_t)(in.data[5] & 127) << 24 | (uint32_t)in.data[6] << 16 |
                                    (uint32_t)in.data[7] << 8 | in.data[8],
                          .payload = bytes_slice(in, FRAME_HEADER_SIZE, size)};
    *rest = bytes_slice(in, FRAME_HEADER_SIZE + size, SIZE_MAX);
    return true;
}

enum grpc_health_state grpc_health_take(struct grpc_health *health, struct bytes data, struct buf *out)
{
    struct frame frame;
    if (health->state != GRPC_HEALTH_GOING_ON)
        return health->state;
    if (data.size > GRPC_HEALTH_ANSWER_MAX - health->taken) {
        fail(health, "the answer is longer than %d bytes", GRPC_HEALTH_ANSWER_MAX);
        return health->state;
    }
    health->taken += data.size;
    buf_append(&health->in, data);
    struct bytes rest = buf_bytes(&health->in);
    size_t before = rest.size;
    while (health->state == GRPC_HEALTH_GOING_ON && next_frame(health, &rest, &frame))
        take_frame(health, &frame, out);
    buf_consume(&health->in, before - rest.size);
    return health->state;
}
