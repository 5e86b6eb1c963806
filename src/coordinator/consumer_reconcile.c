/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a member comes from what it has to what it is to have (KIP-848, "Reconciliation Process"):
 *
 *     it has what the target does not      UNREVOKED: it is told to let go; its epoch stays until it owns none of that
 *     the target has what others have      UNRELEASED: it has come to the target's epoch; the rest follows bit by bit
 *     neither                              STABLE
 */
#include "coordinator/consumer_group_priv.h"

bool consumer_member_is_done(const struct consumer_member *member)
{
    return member->state == CONSUMER_STABLE && member->epoch == member->in->assignment_epoch;
}

bool consumer_member_waits(const struct consumer_member *member)
{
    AUTO_PARTITION_SET wanted = partition_set_minus(&member->target, &member->assigned);
    for (size_t i = 0; i < wanted.count; i++)
        if (consumer_owner(member->in, &wanted.at[i]))
            return true;
    return false;
}

/* A member that does not say what it owns may own everything. */
static bool still_owns(const struct partition_set *owned, const struct partition_set *partitions)
{
    return !owned || partition_set_meets(owned, partitions);
}

/* Adds to *assigned what the target has beyond it and nobody has; true: somebody has some of it. */
static bool take_what_is_free(const struct consumer_member *member, struct partition_set *assigned)
{
    AUTO_PARTITION_SET wanted = partition_set_minus(&member->target, assigned);
    bool unreleased = false;
    for (size_t i = 0; i < wanted.count; i++) {
        const struct consumer_member *owner = consumer_owner(member->in, &wanted.at[i]);
        if (owner) /* it itself, too: what it is still letting go */
            unreleased = true;
        else
            partition_set_add(assigned, wanted.at[i].topic_id, wanted.at[i].index);
    }
    partition_set_sort(assigned);
    return unreleased;
}

static void next_step(const struct consumer_member *member, int32_t epoch, const struct partition_set *owned,
                      struct consumer_progress *out)
{
    *out = (struct consumer_progress){.previous_epoch = member->epoch,
                                      .assigned = partition_set_both(&member->assigned, &member->target),
                                      .revoking = partition_set_minus(&member->assigned, &member->target)};
    if (out->revoking.count > 0 && still_owns(owned, &out->revoking)) {
        out->state = CONSUMER_UNREVOKED;
        out->epoch = epoch;
        return;
    }
    partition_set_deinit(&out->revoking);
    out->state = take_what_is_free(member, &out->assigned) ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
    out->epoch = member->in->assignment_epoch;
}

bool consumer_reconcile(const struct consumer_member *member, const struct partition_set *owned,
                        struct consumer_progress *out)
{
    *out = (struct consumer_progress){0};
    if (consumer_member_is_done(member))
        return false;
    if (member->state == CONSUMER_UNREVOKED) {
        if (still_owns(owned, &member->revoking))
            return false;
        next_step(member, member->epoch + 1, owned, out);
        return true;
    }
    next_step(member, member->epoch, owned, out);
    bool news = out->state != member->state || out->epoch != member->epoch ||
                !partition_set_equal(&out->assigned, &member->assigned) ||
                !partition_set_equal(&out->revoking, &member->revoking);
    return news;
}
