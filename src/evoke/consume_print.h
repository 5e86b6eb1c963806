/* SPDX-License-Identifier: Apache-2.0 */
/* How evoke consume prints a record. */
#ifndef EVOKE_CONSUME_PRINT_H
#define EVOKE_CONSUME_PRINT_H

#include <stdio.h>

#include "wire/kafka_batch.h"

/*
 * `output`: one of CONSUME_OUTPUTS; NULL is text.
 *     text   the value and a line break
 *     raw    the value, byte for byte, and nothing else
 *     json   a line of JSON (record_json.h)
 *     full   "orders/0 offset 12 2026-11-21T09:00:00.000Z", the key and the headers, a line each, an empty line, the
 * value
 */
#define CONSUME_OUTPUTS "text|raw|json|full"
void consume_print(const char *output, const char *topic, int32_t partition, const struct kafka_record *record,
                   FILE *out);

#endif
