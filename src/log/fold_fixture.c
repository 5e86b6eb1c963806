/* SPDX-License-Identifier: Apache-2.0 */
#include "log/fold_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "log/fixture.h"

static void *make(struct log *log, const void *options)
{
    (void)log, (void)options;
    int64_t *number = NEW(int64_t);
    *number = -1;
    return number;
}

static bool apply(void *number, const struct kafka_batch *batch, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        if (!bytes_to_i64(record.value, number))
            return error_set(err, ERROR_CORRUPT, "__number: a record that is no number");
    return true;
}

static void nothing(void *number)
{
    (void)number;
}

static const struct log_fold number_fold = {.topic = "__number",
                                            .holds = "a number",
                                            .make = make,
                                            .apply = apply,
                                            .start = nothing,
                                            .stop = nothing,
                                            .free = free};
static const struct log_fold *const folds[] = {&number_fold, NULL};
const struct log_fold *const *const fixture_folds = folds;

int64_t number_kept(const struct log *log)
{
    return *(int64_t *)log_fold_state(log, &number_fold);
}

struct append number_append(const struct log *log, int64_t number, struct arena *arena)
{
    AUTO_BUF buf;
    char text[24];
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    buf_init(&buf, 1000);
    snprintf(text, sizeof text, "%" PRId64, number);
    kafka_batch_begin(&builder, &buf, 0);
    kafka_batch_add(&builder, 1000, BYTES_LITERAL("n"), bytes_of_string(text), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return (struct append){
        .partition = log_fold_partition(log, &number_fold), .batch = arena_copy(arena, batch), .internal = true};
}
