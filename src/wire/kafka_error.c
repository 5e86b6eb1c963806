/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/kafka_error.h"

const char *kafka_error_name(int16_t code)
{
#define KAFKA_ERROR_CASE(name, number, retriable)                                                                      \
    case number:                                                                                                       \
        return #name;
    switch (code) {
        KAFKA_ERRORS(KAFKA_ERROR_CASE)
    default:
        return "ERROR";
    }
#undef KAFKA_ERROR_CASE
}
