/* SPDX-License-Identifier: Apache-2.0 */
/* Records of groups of the new protocol, as a damaged or foreign log might hold them: each is applied or refused. The
 * input is a row of records: a byte with the key's size, the key, two bytes with the value's size, the value; a size of
 * 65535 is a tombstone. */
#include "coordinator/consumer_group_priv.h"
#include "io/simulated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes take(struct bytes *rest, size_t size)
{
    struct bytes taken = bytes_slice(*rest, 0, size);
    *rest = bytes_slice(*rest, size, SIZE_MAX);
    return taken;
}

static size_t take_size(struct bytes *rest, size_t width)
{
    struct bytes bytes = take(rest, width);
    size_t size = 0;
    for (size_t i = 0; i < bytes.size; i++)
        size = size << 8 | bytes.data[i];
    return size;
}

static void apply_one(struct log *log, struct bytes *rest)
{
    struct kafka_record record = {.timestamp_ms = 1};
    struct bytes group_id;
    record.key = take(rest, take_size(rest, 1));
    size_t size = take_size(rest, 2);
    if (size < UINT16_MAX)
        record.value = take(rest, size);
    if (!consumer_record_is(record.key, &group_id))
        return;
    consumer_record_apply(groups_of(log), &record);
    struct group *group = map_get(&groups_of(log)->by_id, group_id);
    if (group)
        group_free_if_unused(group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct io *io = io_simulated_new(1);
    const struct log_options options = {.directory = "/data", .folds = coordinator_folds};
    struct log *log = log_new(io, &options);
    for (struct bytes rest = bytes_of(data, size); rest.size > 0;)
        apply_one(log, &rest);
    log_free(log);
    io_free(io);
    return 0;
}
