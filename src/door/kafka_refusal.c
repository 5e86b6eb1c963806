/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, as Kafka has them: each is counted where it is given. */
#include <errno.h>

#include "base/memory.h"
#include "door/kafka_door_priv.h"

/* The first row that fits: `sys` 0 fits any. */
static const struct {
    enum error_kind kind;
    int sys;
    enum kafka_error code;
} codes[] = {
    {ERROR_INVALID, ERANGE, KAFKA_INVALID_TIMESTAMP},
    {ERROR_INVALID, 0, KAFKA_INVALID_REQUEST},
    {ERROR_NOT_FOUND, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
    {ERROR_EXISTS, 0, KAFKA_TOPIC_ALREADY_EXISTS},
    {ERROR_CONFLICT, EPROTO, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER},
    {ERROR_CONFLICT, ESTALE, KAFKA_INVALID_PRODUCER_EPOCH},
    {ERROR_CONFLICT, ENOTCONN, KAFKA_INVALID_TXN_STATE},
    {ERROR_CONFLICT, ENOENT, KAFKA_INVALID_PRODUCER_ID_MAPPING},
    {ERROR_CONFLICT, 0, KAFKA_INVALID_REQUEST},
    {ERROR_GONE, 0, KAFKA_OFFSET_OUT_OF_RANGE},
    {ERROR_UNAUTHENTICATED, 0, KAFKA_TOPIC_AUTHORIZATION_FAILED},
    {ERROR_DENIED, 0, KAFKA_TOPIC_AUTHORIZATION_FAILED},
    {ERROR_LIMIT, EMSGSIZE, KAFKA_MESSAGE_TOO_LARGE},
    {ERROR_LIMIT, ENOSPC, KAFKA_KAFKA_STORAGE_ERROR},
    {ERROR_LIMIT, 0, KAFKA_POLICY_VIOLATION},
    {ERROR_TIMEOUT, 0, KAFKA_REQUEST_TIMED_OUT},
    {ERROR_UNAVAILABLE, 0, KAFKA_KAFKA_STORAGE_ERROR},
    {ERROR_UNSUPPORTED, 0, KAFKA_UNSUPPORTED_VERSION},
    {ERROR_CORRUPT, 0, KAFKA_CORRUPT_MESSAGE},
    {ERROR_CANCELLED, 0, KAFKA_NOT_LEADER_OR_FOLLOWER},
    {ERROR_SYSTEM, 0, KAFKA_KAFKA_STORAGE_ERROR},
};

int16_t kafka_refuse(struct kafka_request *request, enum kafka_error code)
{
    struct kafka_door_metrics *metrics = &request->door->metrics;
    if (code != KAFKA_NONE) {
        metrics->apis[request->header.api_key].errors++;
        metrics->errors_by_code[code - KAFKA_DOOR_ERROR_FIRST]++;
    }
    return (int16_t)code;
}

int16_t kafka_refuse_error(struct kafka_request *request, const struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].kind == err->kind && (codes[i].sys == 0 || codes[i].sys == err->sys))
            return kafka_refuse(request, codes[i].code);
    return kafka_refuse(request, KAFKA_UNKNOWN_SERVER_ERROR);
}

int16_t kafka_refuse_topic(struct kafka_request *request, struct bytes name)
{
    struct topic_spec spec = {.name = name, .partition_count = 1};
    struct error err;
    bool never = !topic_check(request->log, &spec, &err) && err.kind == ERROR_INVALID;
    return kafka_refuse(request, never ? KAFKA_INVALID_TOPIC_EXCEPTION : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}
