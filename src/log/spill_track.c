/* SPDX-License-Identifier: Apache-2.0 */
/* Which partitions have something in which file of the journal. */
#include <assert.h>

#include "base/memory.h"
#include "log/spill_priv.h"

struct list *spill_file_partitions(struct spill *spill, uint32_t file)
{
    if (spill->file_count == 0)
        spill->first_file = file;
    assert(file >= spill->first_file);
    size_t at = file - spill->first_file;
    while (at >= spill->file_count) {
        struct file_partitions *made = NEW(struct file_partitions);
        list_init(&made->partitions);
        spill->files = memory_resize_array(spill->files, spill->file_count + 1, sizeof *spill->files);
        spill->files[spill->file_count++] = made;
    }
    return &spill->files[at]->partitions;
}

void spill_drop_file(struct spill *spill)
{
    assert(list_empty(&spill->files[0]->partitions));
    free(spill->files[0]);
    spill->file_count--;
    spill->first_file++;
    memmove(spill->files, spill->files + 1, spill->file_count * sizeof *spill->files);
}

void spill_track(struct partition *partition)
{
    if (index_empty(&partition->batches)) {
        list_remove(&partition->file_link);
        return;
    }
    uint32_t file = index_place(&partition->batches, index_begin(&partition->batches)).file;
    if (list_linked(&partition->file_link) && partition->file == file)
        return;
    list_remove(&partition->file_link);
    partition->file = file;
    list_append(spill_file_partitions(partition->log->spill, file), &partition->file_link);
}
