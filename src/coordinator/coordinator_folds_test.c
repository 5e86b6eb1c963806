/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/coordinator_folds.h"

#include <string.h>

#include "io/simulated.h"
#include "log/check.h"
#include "log/fixture.h"

static void ignore_line(void *ctx, const char *line)
{
    (void)ctx, (void)line;
}

static uint64_t count_damages(struct fixture *f)
{
    struct log_check_result result;
    struct error err;
    struct io *io = io_simulated_another(f->world);
    CHECK_OK(log_check(io, &f->options, false, ignore_line, NULL, &result, &err), &err);
    io_free(io);
    return result.damages;
}

/* By a log that does not know what the topic holds. */
static void append_without_folds(struct fixture *f, const char *topic)
{
    struct error err;
    uint64_t lsn;
    f->options.folds = NULL;
    fixture_open(f);
    CHECK_OK(log_append_internal(f->log, fixture_partition(f, topic, 0), fixture_batch(f, "no record of ours", 1), &lsn,
                                 &err),
             &err);
    CHECK_INT(partition_end_offset(fixture_partition(f, topic, 0)), 1);
    fixture_close(f);
}

TEST(a_record_that_makes_no_sense_is_refused_by_a_start_and_told_by_a_check)
{
    static const char *const topics[] = {"__consumer_offsets", "__transaction_state"};
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        struct fixture f;
        struct error err = {0};
        fixture_init_simulated(&f, 1);
        fixture_open(&f);
        fixture_close(&f);
        append_without_folds(&f, topics[i]);
        CHECK_INT(count_damages(&f), 0); /* nobody was named who knows better */
        f.options.folds = coordinator_folds;
        CHECK_INT(count_damages(&f), 1);
        CHECK(!fixture_try_open(&f, &err));
        CHECK_INT(err.kind, ERROR_CORRUPT);
        CHECK(strstr(err.message, topics[i]) && strstr(err.message, "the record at offset 0 does not parse"));
        f.options.folds = NULL; /* the log itself is whole */
        fixture_open(&f);
        fixture_deinit(&f);
    }
}
