/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as key and value of a record of __transaction_state; what is read is written again, and must read the same.
 */
#include "coordinator/transaction_records.h"

#include <assert.h>

#include "coordinator/group_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_key(struct bytes input)
{
    struct bytes id, again;
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    if (!transaction_record_get_key(input, &id))
        return;
    transaction_record_put_key(&out, id);
    bool ok = transaction_record_get_key(buf_bytes(&out), &again);
    assert(ok && bytes_equal(id, again));
}

static void gather(const struct transaction_record *record, struct map *out)
{
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    struct transaction_record_partition at = transaction_record_partitions(record);
    while (transaction_record_next_partition(&at))
        map_put(out, group_offset_key(bytes, at.topic, at.index), out);
}

static void check_same(const struct map *a, const struct map *b)
{
    assert(a->count == b->count);
    map_each (entry, a)
        assert(map_get(b, map_key(entry)));
}

static void try_value(struct bytes input)
{
    struct transaction_record record, again;
    struct map partitions = {0}, same = {0};
    AUTO_BUF out;
    buf_init(&out, 1 << 24);
    if (!transaction_record_get(input, &record))
        return;
    gather(&record, &partitions);
    transaction_record_put(&out, &record, &partitions);
    bool ok = transaction_record_get(buf_bytes(&out), &again);
    assert(ok && again.producer_id == record.producer_id && again.epoch == record.epoch);
    assert(again.timeout_ms == record.timeout_ms && again.state == record.state);
    assert(again.update_ms == record.update_ms && again.start_ms == record.start_ms);
    assert(again.client_version == record.client_version);
    if (record.state != TRANSACTION_EMPTY) {
        gather(&again, &same);
        check_same(&partitions, &same);
    }
    map_deinit(&partitions, NULL);
    map_deinit(&same, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_key(bytes_of(data, size));
    try_value(bytes_of(data, size));
    return 0;
}
