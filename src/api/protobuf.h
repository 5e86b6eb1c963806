/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of Protocol Buffers, as far as the API needs it: reading fields one by one, and writing them. No
 * groups. (protobuf.dev/programming-guides/encoding)
 */
#ifndef API_PROTOBUF_H
#define API_PROTOBUF_H

#include "base/buf.h"
#include "base/bytes.h"

enum protobuf_type { PROTOBUF_VARINT = 0, PROTOBUF_FIXED64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_FIXED32 = 5 };

struct protobuf_field {
    uint32_t number;
    enum protobuf_type type;
    uint64_t value;     /* of a varint or a fixed one */
    struct bytes bytes; /* into the input */
};

enum protobuf_result { PROTOBUF_END, PROTOBUF_FIELD, PROTOBUF_MALFORMED };
/* Takes the next field off the front of *rest. */
enum protobuf_result protobuf_next(struct bytes *rest, struct protobuf_field *field);
/* Takes a bare varint (of a packed list). */
bool protobuf_take_varint(struct bytes *rest, uint64_t *value);

void protobuf_write_varint(struct buf *out, uint32_t number, uint64_t value);
void protobuf_write_bytes(struct buf *out, uint32_t number, struct bytes bytes);
void protobuf_write_text(struct buf *out, uint32_t number, const char *text);

#endif
