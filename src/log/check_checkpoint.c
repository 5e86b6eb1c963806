/* SPDX-License-Identifier: Apache-2.0 */
/* The two copies of the checkpoint, for the check: what they say, and, repairing, the one that is damaged from the
 * other, or both from what each has kept. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "log/check_priv.h"
#include "log/checkpoint_copies.h"

/* The first one is missing although there is a second, which was written later. */
static bool is_damaged(const struct checkpoint_copies *copies, const struct checkpoint_copy *copy)
{
    return !copy->good && (copy->there || copy == &copies->at[0]);
}

static void report(struct check *check, const struct checkpoint_copies *copies, const struct checkpoint_copy *copy)
{
    if (is_damaged(copies, copy)) {
        check->result.damages++;
        check_say(check, "DAMAGED: %s: %s", copy->path, copy->why.message);
    } else if (!copy->good) {
        check_say(check, "%s: missing; the next start writes it", copy->path);
    } else if (copy == copies->best) {
        check_say(check, "%s: up to frame %" PRIu64 "; the journal is needed from file %020" PRIu64 " on", copy->path,
                  copy->start.synced_lsn, copy->start.first_lsn);
    } else if (checkpoint_copies_is_current(copies, copy)) {
        check_say(check, "%s: the same", copy->path);
    } else {
        check_say(check,
                  "%s: older, up to frame %" PRIu64 ": evoke died between the two; the next start writes it again",
                  copy->path, copy->start.synced_lsn);
    }
}

/* --- Mending --- */

static bool keep(struct check *check, const struct checkpoint_copy *copy, struct error *err)
{
    return !copy->there || repair_keep(check->repair, strrchr(copy->path, '/') + 1, buf_bytes(&copy->content), err);
}

static void restore(struct check *check, const struct checkpoint_copies *copies, struct checkpoint_copy *copy)
{
    struct error err;
    if (copy->good && checkpoint_copies_is_current(copies, copy))
        return;
    if (!checkpoint_copies_restore(check->io, copies, copy, &err)) {
        check_say(check, "  %s can not be written: %s", copy->path, err.message);
        return;
    }
    check->result.mended += is_damaged(copies, copy);
    check_say(check, "  %s is written again", copy->path);
}

static void mend(struct check *check, struct checkpoint_copies *copies)
{
    struct error err;
    bool both = !copies->best;
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++) /* as they were */
        if (!copies->at[i].good && !keep(check, &copies->at[i], &err)) {
            check_say(check, "  the checkpoint can not be mended: %s", err.message);
            return;
        }
    if (both && !checkpoint_copies_merge(copies)) {
        check_say(check, "  they can not be mended: what is damaged in the one is damaged in the other");
        return;
    }
    if (both)
        check_say(check, "  each has what the other one has lost");
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        restore(check, copies, &copies->at[i]);
    if (check->repair->side[0])
        check_say(check, "the checkpoint is mended: what was damaged is in %s", check->repair->side);
}

/* --- Taking it --- */

static void say_what_is_lost(struct check *check)
{
    check->checkpoint_damaged = true;
    check_say(check,
              "without a checkpoint nothing says which topics there are and where the journal begins: a start needs one"
              " from a backup; the records that were moved are in %s/segments, in Kafka's format",
              check->log->options.directory);
}

/* A checkpoint that is damaged is as none: what the journal still holds is looked at. */
static bool parse(struct check *check, const struct log_options *options, const struct checkpoint_copy *best,
                  struct error *err)
{
    struct error why;
    if (checkpoint_parse(check->log, buf_bytes(&best->content), &check->log->start, &why))
        return true;
    if (why.kind != ERROR_CORRUPT) {
        *err = why;
        return error_wrap(err, "%s", best->path);
    }
    check->result.damages++;
    check_say(check, "DAMAGED: %s: %s", best->path, why.message);
    log_free(check->log);
    check->log = log_new(check->io, options);
    say_what_is_lost(check);
    return true;
}

static bool take(struct check *check, const struct log_options *options, struct checkpoint_copies *copies,
                 struct error *err)
{
    if (checkpoint_copies_missing(copies))
        return true;
    for (size_t i = 0; i < CHECKPOINT_COPIES; i++)
        report(check, copies, &copies->at[i]);
    if (check->repair && check->result.damages > 0)
        mend(check, copies);
    if (copies->best)
        return parse(check, options, copies->best, err);
    say_what_is_lost(check);
    return true;
}

bool check_checkpoint(struct check *check, const struct log_options *options, struct error *err)
{
    AUTO_FREE(struct checkpoint_copies) copies = NEW(struct checkpoint_copies);
    check->log = log_new(check->io, options);
    if (!checkpoint_copies_read(check->io, options->directory, copies, err))
        return false;
    bool ok = take(check, options, copies, err);
    checkpoint_copies_free(copies);
    return ok;
}
