/* SPDX-License-Identifier: Apache-2.0 */
/* The segments of a partition, for the check. */
#include <inttypes.h>

#include "base/memory.h"
#include "log/check_priv.h"
#include "log/segment_check.h"

static void report_segment(struct check *check, const struct partition *partition, const struct segment *segment,
                           const struct segment_findings *findings)
{
    char path[SEGMENT_PATH_SIZE];
    struct error err;
    if (!segment_path(path, check->log->options.directory, partition->stream, segment, "log", &err))
        return;
    if (findings->index_damaged)
        check_say(check, "%s: its index is damaged; it is made again when it is needed", path);
    for (size_t i = 0; i < findings->damage_count; i++) {
        const struct segment_damage *damage = &findings->damages[i];
        check_say(check,
                  "%s: position %" PRIu64 ": DAMAGED: %s; lost: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64
                  " to %" PRId64,
                  path, damage->at, damage->message, BYTES_ARGS(check_name_of(partition)), partition->index,
                  damage->first_offset, damage->resumed_offset - 1);
    }
}

static void mend_segment(struct check *check, const struct partition *partition, const struct segment *segment,
                         const struct segment_findings *findings)
{
    struct error err;
    if (!check->repair || (findings->damage_count == 0 && !findings->index_damaged))
        return;
    uint64_t before = check->repair->mended;
    if (!repair_segment(check->repair, partition->stream, segment, findings, &err))
        check_say(check, "  it can not be mended: %s", err.message);
    else if (findings->damage_count > 0 && check->repair->side[0])
        check_say(check, "  mended: what was damaged is in %s", check->repair->side);
    else if (findings->damage_count > 0)
        check_say(check, "  mended");
    else
        check_say(check, "  mended: the index is made again");
    check->result.mended += check->repair->mended - before;
}

void check_segments(struct check *check, const struct partition *partition)
{
    for (size_t i = 0; i < partition->segments.count; i++) {
        const struct segment *segment = &partition->segments.at[i];
        struct segment_findings findings;
        struct error err;
        check->result.segments++;
        if (!segment_check(check->log->io, check->log->options.directory, partition->stream, segment, &findings,
                           &err)) {
            check->result.damages++;
            check_say(check, "DAMAGED: %s; lost: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64,
                      err.message, BYTES_ARGS(check_name_of(partition)), partition->index, segment->base_offset,
                      segment->end_offset - 1);
            continue;
        }
        check->result.damages += findings.damage_count;
        check->result.segment_batches += findings.batches;
        report_segment(check, partition, segment, &findings);
        mend_segment(check, partition, segment, &findings);
        free(findings.damages);
    }
}
