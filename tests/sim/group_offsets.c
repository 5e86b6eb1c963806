/* SPDX-License-Identifier: Apache-2.0 */
#include "group_offsets.h"

#include <assert.h>
#include <inttypes.h>

#include "tally.h"

static const int topics[GROUP_PLACES] = {0, 1, 4}; /* the last is deleted and made again */

static int64_t *value_at(struct group_place *self, uint64_t number)
{
    return &self->values[number % GROUP_VALUES_MAX];
}

void group_offsets_init(struct group_offsets *offsets, struct ledger *ledger)
{
    *offsets = (struct group_offsets){.ledger = ledger};
    for (int place = 0; place < GROUP_PLACES; place++)
        *value_at(&offsets->places[place], 0) = GROUP_NO_OFFSET;
}

const struct ledger_topic *group_offsets_topic(const struct group_offsets *offsets, int place)
{
    return &offsets->ledger->topics[topics[place]];
}

bool group_offsets_begin_anew(struct group_offsets *offsets, int place)
{
    struct group_place *self = &offsets->places[place];
    uint32_t incarnation = group_offsets_topic(offsets, place)->incarnation;
    if (self->incarnation == incarnation)
        return false;
    tally_add("offsets that went with their topic", *value_at(self, self->known) != GROUP_NO_OFFSET);
    group_offsets_ask(offsets, place, GROUP_NO_OFFSET);
    group_offsets_settle(offsets, place);
    self->incarnation = incarnation;
    return true;
}

void group_offsets_ask(struct group_offsets *offsets, int place, int64_t value)
{
    struct group_place *self = &offsets->places[place];
    if (*value_at(self, self->last) == value)
        return;
    *value_at(self, ++self->last) = value;
    assert(self->last - self->known < GROUP_VALUES_MAX);
}

bool group_offsets_full(const struct group_offsets *offsets, int place)
{
    const struct group_place *self = &offsets->places[place];
    return self->last - self->known >= GROUP_VALUES_MAX - 2; /* room for the one that comes with a new topic */
}

void group_offsets_settle(struct group_offsets *offsets, int place)
{
    offsets->places[place].known = offsets->places[place].last;
}

struct group_view group_offsets_view(const struct group_offsets *offsets, int place)
{
    return (struct group_view){offsets->places[place].known, group_offsets_topic(offsets, place)->incarnation};
}

void group_offsets_check(struct group_offsets *offsets, int place, struct group_view view, int64_t value)
{
    struct group_place *self = &offsets->places[place];
    if (view.incarnation != group_offsets_topic(offsets, place)->incarnation ||
        self->last - view.known >= GROUP_VALUES_MAX) /* overwritten since */
        return;
    for (uint64_t number = view.known; number <= self->last; number++)
        if (*value_at(self, number) == value) {
            tally_add("offsets without members that were found again", value >= 0);
            self->known = number > self->known ? number : self->known;
            return;
        }
    ledger_fail(offsets->ledger, GROUP_WITHOUT_MEMBERS ": %s has offset %" PRId64 ", and %" PRId64 " was committed",
                group_offsets_topic(offsets, place)->name, value, *value_at(self, view.known));
}
