/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "evoke/aborted.h"

static bool has(struct aborted *aborted, int64_t offset, int64_t producer_id, uint16_t attributes)
{
    const struct kafka_batch batch = {
        .base_offset = offset, .producer_id = producer_id, .attributes = KAFKA_BATCH_TRANSACTIONAL | attributes};
    return aborted_has(aborted, &batch);
}

TEST(an_aborted_transaction_is_hidden_from_its_begin_to_its_marker)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_fetch_response_aborted_transaction transactions[] = {{.producer_id = 1, .first_offset = 2},
                                                                      {.producer_id = 2, .first_offset = 5},
                                                                      {.producer_id = 1, .first_offset = 10}};
    const struct kafka_fetch_response_partition partition = {.aborted_transactions = transactions,
                                                             .aborted_transactions_count = 3};
    struct aborted aborted;
    aborted_init(&aborted, &partition, &arena);
    CHECK(!has(&aborted, 0, 1, 0)); /* an earlier one, committed */
    CHECK(has(&aborted, 2, 1, 0));
    CHECK(!has(&aborted, 3, 3, 0)); /* another producer */
    CHECK(
        !aborted_has(&aborted, &(struct kafka_batch){.base_offset = 4, .producer_id = 1})); /* without a transaction */
    CHECK(has(&aborted, 5, 2, 0));
    CHECK(has(&aborted, 6, 1, KAFKA_BATCH_CONTROL));
    CHECK(!has(&aborted, 7, 1, 0)); /* between the two: committed */
    CHECK(has(&aborted, 8, 2, 0));
    CHECK(!has(&aborted, 9, 1, KAFKA_BATCH_CONTROL));
    CHECK(has(&aborted, 10, 1, 0));
}
