/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members of both group protocols do with the partitions that they hold: go on from what the group has committed,
 * read, commit. What they see and commit is in the ledger. The member says when, and what the coordinator's codes mean
 * to it; one request is under way at a time, so what is held does not change meanwhile.
 */
#ifndef SIM_CONSUMING_H
#define SIM_CONSUMING_H

#include "consumer_protocol.h"
#include "ledger.h"
#include "peer.h"

struct held { /* an assigned partition */
    int topic, partition;
    uint32_t incarnation; /* of the topic, when the position was asked for */
    int64_t position;     /* -1: not known yet */
    int64_t floor;        /* what the ledger knew to be committed when it was asked for ... */
    uint32_t deletions;   /* ... and of deletions of the group */
};

struct consuming {
    struct ledger *ledger;
    struct peer peer; /* its ctx is this struct consuming */
    int group;
    unsigned topics; /* bits of the ledger's topics that it subscribes to */
    char group_id[32], member_id[128];
    char instance_id[32]; /* of a static member; "": it is none */
    bool only_holds;      /* somebody else works on what it holds: it reads and commits nothing */
    int32_t epoch;        /* the generation, in the classic protocol */
    int64_t known_ms;     /* when the coordinator last said that it is a member, of this epoch; 0: not yet */
    struct held held[CONSUMER_PARTITIONS_MAX];
    size_t held_count;
    uint32_t deletions; /* of the group, when a commit was asked for */
    /* What the group's coordinator answered. True: it is as it should be. */
    bool (*in_order)(struct consuming *consuming, const char *what, int16_t code);
};

/* Of a member. Several with one `instance` take each other's place (KIP-345). */
struct consuming_options {
    int group;       /* in the ledger; or, where `holds`, one of the ledger's workers */
    bool holds;      /* only */
    int instance;    /* -1: it is no static member */
    bool has_rivals; /* another one may have the same instance */
    unsigned topics; /* bits of the ledger's topics that it subscribes to */
};
void consuming_init(struct consuming *consuming, struct ledger *ledger, const struct consuming_options *options,
                    void (*ready)(void *consuming));
struct bytes consuming_instance(const struct consuming *consuming); /* null: it is no static member */
/* Whether all topics that it subscribes to are there. */
bool consuming_can_begin(const struct consuming *consuming);
/* What the coordinator says to a member that it had this long ago: a failure if that is not `enough_ms`. */
void consuming_lost(struct consuming *consuming, const char *what, int16_t code, int64_t enough_ms);
void consuming_hold(struct consuming *consuming, int topic, int partition);
void consuming_let_go(struct consuming *consuming, size_t held);
bool consuming_holds(const struct consuming *consuming, int topic, int partition);
/* Whether the position of all that is held is known; where it is not, consuming_ask() asks what is committed. */
bool consuming_positioned(struct consuming *consuming);
void consuming_ask(struct consuming *consuming);
void consuming_commit(struct consuming *consuming);
void consuming_fetch(struct consuming *consuming);

#endif
