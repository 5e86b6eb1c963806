/* SPDX-License-Identifier: Apache-2.0 */
/* The health check's answer on hostile input, in pieces as the first byte says: what comes in pieces means the same,
 * and what is sent for it stays within bounds. */
#include <stdlib.h>

#include "wire/grpc_health.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum grpc_health_state take_all(struct bytes data, size_t piece)
{
    struct grpc_health health;
    enum grpc_health_state state = GRPC_HEALTH_GOING_ON;
    AUTO_BUF out;
    grpc_health_init(&health);
    buf_init(&out, 4 * GRPC_HEALTH_ANSWER_MAX);
    for (size_t at = 0; at < data.size; at += piece)
        state = grpc_health_take(&health, bytes_slice(data, at, piece), &out);
    if (out.overflowed || (state == GRPC_HEALTH_FAILED) != (health.failure[0] != 0))
        abort();
    grpc_health_deinit(&health);
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > GRPC_HEALTH_ANSWER_MAX)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    if (take_all(rest, (size_t)data[0] + 1) != take_all(rest, SIZE_MAX / 2))
        abort();
    return 0;
}
