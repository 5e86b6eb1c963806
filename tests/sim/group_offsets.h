/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the offsets of a group without members may be, by what was asked for and what was told, to whom ever: in each
 * place the values that were asked for, in their order, from the last one that is known to have been there. Who reads
 * notes what was known when it asks, since answers of several connections come in any order:
 *
 *     group_offsets_ask(offsets, place, value)            then the request is sent
 *     group_offsets_settle(offsets, place)                it was answered: that value is there
 *     view = group_offsets_view(offsets, place)           then somebody asks what is there ...
 *     group_offsets_check(offsets, place, view, value)    ... and is told this, which is not taken back
 */
#ifndef SIM_GROUP_OFFSETS_H
#define SIM_GROUP_OFFSETS_H

#include "ledger.h"

enum {
    GROUP_PLACES = 3, /* partition 0 of these many topics */
    GROUP_VALUES_MAX = 64,
    GROUP_NO_OFFSET = -1,
};

#define GROUP_WITHOUT_MEMBERS "group-without-members"

struct group_place {
    int64_t values[GROUP_VALUES_MAX]; /* that were asked for; the n-th is at n % GROUP_VALUES_MAX */
    uint64_t known, last;             /* known: the one before which none is there any more */
    uint32_t incarnation;             /* of the topic: when it is deleted, so is the offset */
};

struct group_offsets {
    struct ledger *ledger;
    struct group_place places[GROUP_PLACES];
};

struct group_view {
    uint64_t known;
    uint32_t incarnation;
};

void group_offsets_init(struct group_offsets *offsets, struct ledger *ledger);
const struct ledger_topic *group_offsets_topic(const struct group_offsets *offsets, int place);
/* Its topic has been deleted since anybody looked: what was asked for before is gone, and another begins. */
bool group_offsets_begin_anew(struct group_offsets *offsets, int place);
void group_offsets_ask(struct group_offsets *offsets, int place, int64_t value);
bool group_offsets_full(const struct group_offsets *offsets, int place); /* somebody has to read first */
void group_offsets_settle(struct group_offsets *offsets, int place);
struct group_view group_offsets_view(const struct group_offsets *offsets, int place);
/* A failure when it is none of those that may be there. */
void group_offsets_check(struct group_offsets *offsets, int place, struct group_view view, int64_t value);

#endif
