/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's error codes, by Kafka's names ("Error Codes" in the protocol guide). */
#ifndef WIRE_KAFKA_ERROR_H
#define WIRE_KAFKA_ERROR_H

#include <stdint.h>

/* ERROR(name, code, retriable) */
#define KAFKA_ERRORS(ERROR)                                                                                            \
    ERROR(UNKNOWN_SERVER_ERROR, -1, 0)                                                                                 \
    ERROR(NONE, 0, 0)                                                                                                  \
    ERROR(OFFSET_OUT_OF_RANGE, 1, 0)                                                                                   \
    ERROR(CORRUPT_MESSAGE, 2, 1)                                                                                       \
    ERROR(UNKNOWN_TOPIC_OR_PARTITION, 3, 1)                                                                            \
    ERROR(LEADER_NOT_AVAILABLE, 5, 1)                                                                                  \
    ERROR(NOT_LEADER_OR_FOLLOWER, 6, 1)                                                                                \
    ERROR(REQUEST_TIMED_OUT, 7, 1)                                                                                     \
    ERROR(BROKER_NOT_AVAILABLE, 8, 0)                                                                                  \
    ERROR(MESSAGE_TOO_LARGE, 10, 0)                                                                                    \
    ERROR(OFFSET_METADATA_TOO_LARGE, 12, 0)                                                                            \
    ERROR(COORDINATOR_LOAD_IN_PROGRESS, 14, 1)                                                                         \
    ERROR(COORDINATOR_NOT_AVAILABLE, 15, 1)                                                                            \
    ERROR(NOT_COORDINATOR, 16, 1)                                                                                      \
    ERROR(INVALID_TOPIC_EXCEPTION, 17, 0)                                                                              \
    ERROR(RECORD_LIST_TOO_LARGE, 18, 0)                                                                                \
    ERROR(NOT_ENOUGH_REPLICAS, 19, 1)                                                                                  \
    ERROR(INVALID_REQUIRED_ACKS, 21, 0)                                                                                \
    ERROR(ILLEGAL_GENERATION, 22, 0)                                                                                   \
    ERROR(INCONSISTENT_GROUP_PROTOCOL, 23, 0)                                                                          \
    ERROR(INVALID_GROUP_ID, 24, 0)                                                                                     \
    ERROR(UNKNOWN_MEMBER_ID, 25, 0)                                                                                    \
    ERROR(INVALID_SESSION_TIMEOUT, 26, 0)                                                                              \
    ERROR(REBALANCE_IN_PROGRESS, 27, 0)                                                                                \
    ERROR(TOPIC_AUTHORIZATION_FAILED, 29, 0)                                                                           \
    ERROR(GROUP_AUTHORIZATION_FAILED, 30, 0)                                                                           \
    ERROR(INVALID_TIMESTAMP, 32, 0)                                                                                    \
    ERROR(UNSUPPORTED_VERSION, 35, 0)                                                                                  \
    ERROR(TOPIC_ALREADY_EXISTS, 36, 0)                                                                                 \
    ERROR(INVALID_PARTITIONS, 37, 0)                                                                                   \
    ERROR(INVALID_REPLICATION_FACTOR, 38, 0)                                                                           \
    ERROR(INVALID_REPLICA_ASSIGNMENT, 39, 0)                                                                           \
    ERROR(INVALID_CONFIG, 40, 0)                                                                                       \
    ERROR(NOT_CONTROLLER, 41, 1)                                                                                       \
    ERROR(INVALID_REQUEST, 42, 0)                                                                                      \
    ERROR(UNSUPPORTED_FOR_MESSAGE_FORMAT, 43, 0)                                                                       \
    ERROR(POLICY_VIOLATION, 44, 0)                                                                                     \
    ERROR(OUT_OF_ORDER_SEQUENCE_NUMBER, 45, 0)                                                                         \
    ERROR(DUPLICATE_SEQUENCE_NUMBER, 46, 0)                                                                            \
    ERROR(INVALID_PRODUCER_EPOCH, 47, 0)                                                                               \
    ERROR(INVALID_TXN_STATE, 48, 0)                                                                                    \
    ERROR(INVALID_PRODUCER_ID_MAPPING, 49, 0)                                                                          \
    ERROR(INVALID_TRANSACTION_TIMEOUT, 50, 0)                                                                          \
    ERROR(CONCURRENT_TRANSACTIONS, 51, 1)                                                                              \
    ERROR(TRANSACTION_COORDINATOR_FENCED, 52, 0)                                                                       \
    ERROR(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, 0)                                                                \
    ERROR(SECURITY_DISABLED, 54, 0)                                                                                    \
    ERROR(OPERATION_NOT_ATTEMPTED, 55, 0)                                                                              \
    ERROR(KAFKA_STORAGE_ERROR, 56, 1)                                                                                  \
    ERROR(LOG_DIR_NOT_FOUND, 57, 0)                                                                                    \
    ERROR(UNKNOWN_PRODUCER_ID, 59, 0)                                                                                  \
    ERROR(NON_EMPTY_GROUP, 68, 0)                                                                                      \
    ERROR(GROUP_ID_NOT_FOUND, 69, 0)                                                                                   \
    ERROR(FETCH_SESSION_ID_NOT_FOUND, 70, 1)                                                                           \
    ERROR(INVALID_FETCH_SESSION_EPOCH, 71, 1)                                                                          \
    ERROR(FENCED_LEADER_EPOCH, 74, 1)                                                                                  \
    ERROR(UNKNOWN_LEADER_EPOCH, 75, 1)                                                                                 \
    ERROR(UNSUPPORTED_COMPRESSION_TYPE, 76, 0)                                                                         \
    ERROR(MEMBER_ID_REQUIRED, 79, 0)                                                                                   \
    ERROR(GROUP_MAX_SIZE_REACHED, 81, 0)                                                                               \
    ERROR(FENCED_INSTANCE_ID, 82, 0)                                                                                   \
    ERROR(ELECTION_NOT_NEEDED, 84, 0)                                                                                  \
    ERROR(NO_REASSIGNMENT_IN_PROGRESS, 85, 0)                                                                          \
    ERROR(GROUP_SUBSCRIBED_TO_TOPIC, 86, 0)                                                                            \
    ERROR(INVALID_RECORD, 87, 0)                                                                                       \
    ERROR(UNSTABLE_OFFSET_COMMIT, 88, 1)                                                                               \
    ERROR(THROTTLING_QUOTA_EXCEEDED, 89, 1)                                                                            \
    ERROR(PRODUCER_FENCED, 90, 0)                                                                                      \
    ERROR(RESOURCE_NOT_FOUND, 91, 0)                                                                                   \
    ERROR(UNKNOWN_TOPIC_ID, 100, 1)                                                                                    \
    ERROR(INCONSISTENT_TOPIC_ID, 103, 1)                                                                               \
    ERROR(TRANSACTIONAL_ID_NOT_FOUND, 105, 0)                                                                          \
    ERROR(FENCED_MEMBER_EPOCH, 110, 0)                                                                                 \
    ERROR(UNRELEASED_INSTANCE_ID, 111, 0)                                                                              \
    ERROR(UNSUPPORTED_ASSIGNOR, 112, 0)                                                                                \
    ERROR(STALE_MEMBER_EPOCH, 113, 0)                                                                                  \
    ERROR(TRANSACTION_ABORTABLE, 120, 0)                                                                               \
    ERROR(INVALID_REGULAR_EXPRESSION, 128, 0)

#define KAFKA_ERROR_ENUM(name, code, retriable) KAFKA_##name = (code),
enum kafka_error { KAFKA_ERRORS(KAFKA_ERROR_ENUM) };
#undef KAFKA_ERROR_ENUM

/* "UNKNOWN_TOPIC_OR_PARTITION"; a code that is not listed here: "ERROR". */
const char *kafka_error_name(int16_t code);

#endif
