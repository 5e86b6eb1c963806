/* SPDX-License-Identifier: Apache-2.0 */
/* A request frame as a stranger sends it. What decodes also encodes, and that decodes to the same bytes again. */
#include <stdlib.h>

#include "wire/kafka_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool decode(struct bytes frame, struct kafka_request_header *header, struct arena *arena, void **request)
{
    struct error err;
    return kafka_decode_request_header(&frame, header, &err) && header->supported &&
           kafka_decode_request(header, frame, arena, request, &err);
}

static void encode(const struct kafka_request_header *header, const void *request, struct buf *out)
{
    struct error err;
    if (!kafka_encode_request(header->api, header->api_version, header->correlation_id, header->client_id, request, out,
                              &err))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kafka_request_header header;
    void *request;
    AUTO_ARENA arena;
    AUTO_BUF first;
    AUTO_BUF second;
    arena_init(&arena, 16 << 20);
    buf_init(&first, 64 << 20);
    buf_init(&second, 64 << 20);
    if (!decode(bytes_of(data, size), &header, &arena, &request))
        return 0;
    encode(&header, request, &first);
    arena.size_max = 0;
    if (!decode(bytes_slice(buf_bytes(&first), 4, SIZE_MAX), &header, &arena, &request))
        abort();
    encode(&header, request, &second);
    if (!bytes_equal(buf_bytes(&first), buf_bytes(&second)))
        abort();
    return 0;
}
