/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who looks, over a connection of its own, at the offsets that the group_admin commits and deletes, while that is under
 * way: what it is told before the other is answered is not taken back either.
 */
#ifndef SIM_GROUP_WATCHER_H
#define SIM_GROUP_WATCHER_H

#include "group_offsets.h"

struct group_watcher;

struct group_watcher *group_watcher_start(struct group_offsets *offsets);
/* About now, unless it is looking. */
void group_watcher_look(struct group_watcher *watcher, int place);

enum { GROUP_FETCH_VERSION = 7 };
struct arena;
struct kafka_offset_fetch_request;
struct kafka_offset_fetch_response;
struct kafka_offset_fetch_request *group_fetch_request(struct arena *arena, const struct group_offsets *offsets,
                                                       int place);
/* NULL or an error that is no failure: nothing is told. */
void group_fetch_take(struct group_offsets *offsets, int place, struct group_view view,
                      const struct kafka_offset_fetch_response *response);

#endif
