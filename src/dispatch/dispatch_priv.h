/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher's own structures. From the outside in:
 *
 *   dispatch     knows Brokers and Triggers by name                                          dispatch.c
 *   broker       a Broker object: its topic and its status                                   broker.c
 *   trigger      a Trigger object: its settings, its status, an outlet to its subscriber     trigger.c
 *                and one to its dead letter sink, and a feed per partition
 *   feed         a partition as the Trigger's group sees it: reads, filters, opens           feed.c
 *                deliveries, and commits what is done
 *   delivery     one event on its way: attempts, back-off, reply, dead letter                delivery.c
 *
 * A delivery that has ended waits in its feed's `done` list until the end of the turn; then one frame takes the replies
 * of all that ended and the group's new offset with its bits: either all of it is in the log or nothing.
 */
#ifndef DISPATCH_DISPATCH_PRIV_H
#define DISPATCH_DISPATCH_PRIV_H

#include "api/retry.h"
#include "base/map.h"
#include "coordinator/group.h"
#include "dispatch/delivery_options.h"
#include "dispatch/dispatch.h"
#include "dispatch/outlet.h"
#include "dispatch/progress.h"
#include "dispatch/reader.h"
#include "wire/cloudevents.h"

enum {
    OPEN_MAX = 1024,          /* deliveries that a Trigger has open at once */
    OPEN_SIZE_MAX = 16 << 20, /* bytes of their events; one event is always allowed */
    TTL_DEFAULT = 255,        /* how many replies may follow from an event that does not say */
};

struct dispatch {
    struct api *api;
    struct log *log;
    char *events_url; /* NULL: that door is off */
    struct outlet_context context;
    struct map brokers;     /* "namespace/name": struct broker */
    struct map triggers;    /* "namespace/name": struct trigger */
    struct list recordings; /* frames that are not durable yet */
    struct list leftovers;  /* of objects that are gone */
    struct api_listener on_broker, on_trigger, on_service;
    struct topic_listener on_topic;
    struct dispatch_metrics metrics;
    void (*observe)(void *ctx, const struct dispatch_step *step); /* may be NULL */
    void *observe_ctx;
};

/* --- broker.c --- */
struct broker {
    struct dispatch *dispatch;
    struct object *object;
    struct retry refresh;
};
/* "namespace/name", the key of both maps. */
struct bytes dispatch_key(const struct object *object, struct buf *key);
struct broker *broker_new(struct dispatch *dispatch, struct object *object);
void broker_free(struct broker *broker, bool deleted); /* deleted: the object is, and its topic goes with it */
void broker_update(struct broker *broker, struct object *object);
void broker_refresh_later(struct broker *broker);

/* --- trigger.c --- */
struct trigger {
    struct dispatch *dispatch;
    struct object *object;
    char *group_id;
    struct group_occupant occupant; /* of the group, while there are feeds */
    const struct json *spec;        /* of the object that the settings below were made from */
    struct object *spec_object;
    struct object *broker_object; /* likewise */
    struct delivery_options options;
    struct outlet *subscriber; /* NULL: none, or a Broker */
    struct destination subscriber_at;
    struct outlet *dead_letter;        /* NULL: none, or a Broker */
    struct destination dead_letter_at; /* kind NONE: no dead letter sink */
    bool ready;                        /* to deliver */
    bool ordered;                      /* one delivery at a time per partition */
    struct feed **feeds;               /* by partition */
    int32_t feed_count;
    int32_t next_feed; /* who reads first: by turns */
    size_t open_count, open_size;
    char stall[500];         /* why events wait for the subscriber; "": they do not */
    uint64_t last_event_ms;  /* when the last Kubernetes Event was recorded */
    struct retry refresh;    /* look at the objects again */
    struct io_deferred pump; /* read on */
};
struct trigger *trigger_new(struct dispatch *dispatch, struct object *object);
void trigger_free(struct trigger *trigger, bool deleted); /* deleted: the object is, and its group goes with it */
void trigger_update(struct trigger *trigger, struct object *object);
void trigger_refresh_later(struct trigger *trigger);
void trigger_pump_later(struct trigger *trigger);
void trigger_topic_gone(struct trigger *trigger); /* its partitions are about to be freed */
bool trigger_takes_from(const struct trigger *trigger, struct bytes namespace, struct bytes broker);
void trigger_event(struct trigger *trigger, const char *type, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* --- stall.c --- */
/* What keeps a Service without a ready endpoint, in words for its owner. */
void stall_explain(struct api *api, const struct destination *destination, char out[500]);

/* --- leftover.c --- */
enum leftover_kind { LEFTOVER_TOPIC, LEFTOVER_GROUP };
/* The object is gone (and out of its map): what it has in the log goes too, now or when the log takes that, unless
 * there is an object of its name again, which then owns it. */
void leftover_remove(struct dispatch *dispatch, enum leftover_kind kind, const struct object *object,
                     struct bytes name);
void leftovers_free(struct dispatch *dispatch);
bool dispatch_delete_topic(struct dispatch *dispatch, struct bytes name, struct error *err); /* true: there is none */

/* --- feed.c --- */
struct feed {
    struct trigger *trigger;
    struct partition *partition;
    struct progress progress; /* as the next commit will say, but for `done` and `retry` */
    struct reader reader;
    int64_t passed;                   /* all below this is done or open */
    struct log_time_search beginning; /* while it waits, nothing is read: the progress is not known */
    bool dirty;        /* something was done that is in no commit, and without a delivery (filtered, gaps) */
    struct list open;  /* deliveries on their way */
    struct list done;  /* ended, to be recorded */
    struct list retry; /* to be recorded one by one: together they were refused */
    struct io_deferred record;
    struct io_timer record_retry; /* the log would not take it */
    struct partition_waiter waiter;
    bool waiting;
    uint64_t corrupt_seen;
    char *damage;               /* why it does not read on: what the log says; NULL: it does */
    struct io_timer read_retry; /* until that is mended */
};
struct feed *feed_open(struct trigger *trigger, struct partition *partition);
void feed_close(struct feed *feed);
/* Reads up to `max` events; true: there may be more, and room for it. */
bool feed_pump(struct feed *feed, size_t max);

/* --- delivery.c --- */
enum delivery_stage { TO_SUBSCRIBER, TO_DEAD_LETTER };

struct delivery {
    struct list link; /* feed->open or feed->done */
    struct feed *feed;
    int64_t offset;
    int64_t timestamp_ms; /* the record's */
    size_t size;          /* as counted in trigger->open_size */
    struct arena arena;
    struct cloudevent event;
    enum delivery_stage stage;
    int64_t attempts; /* in this stage */
    int64_t subscriber_attempts;
    int last_status;        /* of the subscriber's answer; 0: none, and last_error says why */
    const char *last_error; /* may be NULL */
    struct sending sending;
    struct io_timer backoff;
    /* What is to be appended with the commit; NULL: nothing. */
    struct cloudevent *outcome;
    const char *outcome_namespace, *outcome_broker;
};
/* The event is copied. */
struct delivery *delivery_start(struct feed *feed, const struct kafka_record *record, const struct cloudevent *event);
void delivery_free(struct delivery *delivery); /* cancels what it is doing */
/* Its outcome cannot be appended at all: the answer counts as a failure. */
void delivery_outcome_refused(struct delivery *delivery, const char *why);

/* feed.c, for delivery.c: it has ended. */
void feed_delivery_done(struct delivery *delivery);
/* Lets go of the endpoints whose frames are not durable yet: at the end of the program. */
void recordings_end_all(struct dispatch *dispatch);

#endif
