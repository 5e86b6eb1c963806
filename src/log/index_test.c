/* SPDX-License-Identifier: Apache-2.0 */
/* The index of what lies in the journal: found by offset, dropped from the front. */
#include "log/index.h"

#include "base/memory.h"
#include "test.h"

static struct journal_place place_of(int64_t offset)
{
    return journal_place(1, (uint64_t)offset * FRAME_ALIGNMENT);
}

/* Batches of two offsets each. */
static void fill(struct index *index, int64_t from, int64_t to)
{
    for (int64_t offset = from; offset < to; offset += 2)
        index_append(index, offset, 1000 + offset, place_of(offset), 100);
}

static void check_all(const struct index *index, int64_t from, int64_t to)
{
    struct index_cursor cursor = index_begin(index);
    for (int64_t offset = from; offset < to; offset += 2, index_next(index, &cursor)) {
        CHECK(!index_at_end(index, cursor));
        CHECK_INT(index_base_offset(index, cursor), offset);
        CHECK_INT(index_place(index, cursor).at8, offset);
        struct index_cursor found = index_find(index, offset + 1);
        CHECK_INT(index_base_offset(index, found), offset);
    }
    CHECK(index_at_end(index, cursor));
}

TEST(an_index_is_dropped_from_the_front_and_goes_on_at_the_end)
{
    struct index index = {0};
    int64_t from = 0, to = 5000;
    fill(&index, from, to);
    check_all(&index, from, to);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 700; i++, from += 2)
            index_drop_first(&index);
        check_all(&index, from, to);
        CHECK_INT(index_base_offset(&index, index_find(&index, 0)), from); /* the first one that there is */
        CHECK_INT(index_base_offset(&index, index_find_time(&index, index_begin(&index), 0)), from);
        fill(&index, to, to + 1400);
        to += 1400;
        check_all(&index, from, to);
    }
    CHECK(index.capacity <= 64); /* what is dropped makes room for what comes */
    index_deinit(&index);
}

TEST(an_index_that_is_dropped_whole_gives_its_memory_back_and_begins_anew)
{
    struct index index = {0};
    fill(&index, 0, 3000);
    while (!index_empty(&index))
        index_drop_first(&index);
    CHECK(index.chunks == NULL);
    CHECK(index_at_end(&index, index_find(&index, 3000)));
    fill(&index, 3000, 3010);
    check_all(&index, 3000, 3010);
    index_deinit(&index);
}
