/* SPDX-License-Identifier: Apache-2.0 */
/* What a member of the classic protocol can do, in the order of its preference: names, and what it tells the leader for
 * each. A copy of what it sent in JoinGroup, in one piece of memory; zeroed is none. */
#ifndef COORDINATOR_GROUP_PROTOCOLS_H
#define COORDINATOR_GROUP_PROTOCOLS_H

#include "coordinator/coordinator.h"

struct group_protocols {
    struct coordinator_protocol *at;
    size_t count;
    uint8_t *memory;
};

/* `from` may not be a part of what was there. */
void group_protocols_set(struct group_protocols *protocols, const struct coordinator_protocol *from, size_t count);
void group_protocols_deinit(struct group_protocols *protocols);
bool group_protocols_equal(const struct group_protocols *protocols, const struct coordinator_protocol *other,
                           size_t count);
const struct coordinator_protocol *group_protocols_find(const struct group_protocols *protocols,
                                                        struct bytes name); /* NULL: it cannot do that */

#endif
