/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition as a Trigger's group sees it: what is read, what is done, and the frames that record it.
 *
 * A frame takes effect in memory at once, so the progress in it is the progress from then on; its lease on an endpoint
 * is kept until the frame is on disk (struct recording). When the log does not take a frame, nothing has happened: the
 * deliveries stay as they ended and are offered again, one by one if one of them may be the reason, later if it is the
 * log itself.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "base/text.h"
#include "dispatch/dispatch_priv.h"
#include "dispatch/filter.h"
#include "log/event.h"

enum {
    FRAME_DELIVERIES_MAX = 64,
    RECORD_RETRY_MS = 1000,
    READ_RETRY_MS = 1000,
    METADATA_SIZE_MAX = 4096,
};

/* A frame on its way to the disk, and the endpoints that are busy until it is there. */
struct recording {
    struct list link; /* dispatch->recordings */
    struct log_waiter waiter;
    struct mesh_lease *leases[FRAME_DELIVERIES_MAX];
    size_t lease_count;
};

static struct dispatch *dispatch_of(const struct feed *feed)
{
    return feed->trigger->dispatch;
}

/* --- Recording --- */

static void recording_end(struct recording *recording)
{
    list_remove(&recording->link);
    for (size_t i = 0; i < recording->lease_count; i++)
        mesh_release(recording->leases[i]);
    free(recording);
}

static void on_recorded(void *ctx, const struct error *err)
{
    if (err)
        diag_error("dispatch", "a commit is not durable: %s", err->message);
    recording_end(ctx);
}

void recordings_end_all(struct dispatch *dispatch)
{
    while (!list_empty(&dispatch->recordings)) {
        struct recording *recording = LIST_FIRST(&dispatch->recordings, struct recording, link);
        log_wait_cancel(&recording->waiter);
        recording_end(recording);
    }
}

/* The deliveries that go into one frame. */
struct frame {
    struct feed *feed;
    struct delivery *deliveries[FRAME_DELIVERIES_MAX];
    size_t count;
    struct progress after;
    struct arena arena;
    struct append appends[FRAME_DELIVERIES_MAX + 1];
    size_t append_count;
};

static void add_appends(struct frame *frame, const struct append *appends, size_t count)
{
    for (size_t i = 0; i < count; i++)
        frame->appends[frame->append_count++] = appends[i];
}

static bool same_broker(const struct delivery *a, const struct delivery *b)
{
    return strcmp(a->outcome_namespace, b->outcome_namespace) == 0 && strcmp(a->outcome_broker, b->outcome_broker) == 0;
}

/* The outcomes from `first` on that go to the same Broker, as one batch per partition. */
static bool add_outcomes(struct frame *frame, size_t first, bool *taken, struct error *err)
{
    struct dispatch *dispatch = dispatch_of(frame->feed);
    const struct delivery *delivery = frame->deliveries[first];
    struct cloudevent *events = arena_alloc_array(&frame->arena, frame->count, sizeof *events);
    struct append *appends;
    size_t event_count = 0, append_count;
    struct topic *topic = event_topic(dispatch->log, bytes_of_string(delivery->outcome_namespace),
                                      bytes_of_string(delivery->outcome_broker));
    if (!topic)
        return error_set(err, ERROR_NOT_FOUND, "the broker %s/%s has no topic", delivery->outcome_namespace,
                         delivery->outcome_broker);
    for (size_t i = first; i < frame->count; i++) {
        if (taken[i] || !frame->deliveries[i]->outcome || !same_broker(delivery, frame->deliveries[i]))
            continue;
        taken[i] = true;
        events[event_count++] = *frame->deliveries[i]->outcome;
    }
    if (!event_appends(topic, events, event_count, io_wall_ms(dispatch->context.io), &frame->arena, &appends,
                       &append_count, err))
        return false;
    add_appends(frame, appends, append_count);
    return true;
}

static bool add_commit(struct frame *frame, struct error *err)
{
    struct feed *feed = frame->feed;
    struct append append;
    AUTO_BUF metadata;
    buf_init(&metadata, METADATA_SIZE_MAX);
    progress_print_metadata(&frame->after, &metadata);
    if (!group_commit_append(dispatch_of(feed)->log, bytes_of_string(feed->trigger->group_id),
                             topic_name(partition_topic(feed->partition)), partition_index(feed->partition),
                             frame->after.base, buf_bytes(&metadata), &frame->arena, &append, err))
        return false;
    add_appends(frame, &append, 1);
    return true;
}

static bool append_frame(struct frame *frame, uint64_t *lsn, struct error *err)
{
    bool taken[FRAME_DELIVERIES_MAX] = {0};
    for (size_t i = 0; i < frame->count; i++) {
        progress_mark(&frame->after, frame->deliveries[i]->offset);
        if (frame->deliveries[i]->outcome && !taken[i] && !add_outcomes(frame, i, taken, err))
            return false;
    }
    return add_commit(frame, err) &&
           log_append(dispatch_of(frame->feed)->log, frame->appends, frame->append_count, lsn, err);
}

/* It is in the log: the deliveries end, their leases wait for the disk. */
static void frame_appended(struct frame *frame, uint64_t lsn)
{
    struct feed *feed = frame->feed;
    struct dispatch *dispatch = dispatch_of(feed);
    struct recording *recording = NEW(struct recording);
    feed->progress = frame->after;
    feed->dirty = false;
    for (size_t i = 0; i < frame->count; i++) {
        struct mesh_lease *lease = sending_take_lease(&frame->deliveries[i]->sending);
        if (lease)
            recording->leases[recording->lease_count++] = lease;
        delivery_free(frame->deliveries[i]);
    }
    list_append(&dispatch->recordings, &recording->link);
    recording->waiter = (struct log_waiter){.run = on_recorded, .ctx = recording};
    log_wait(dispatch->log, &recording->waiter, lsn, LOG_SYNCED);
}

/* Whether a smaller or another frame could be taken. */
static bool is_about_the_frame(const struct error *err)
{
    return (err->kind == ERROR_LIMIT && err->sys != ENOSPC) || err->kind == ERROR_INVALID ||
           err->kind == ERROR_CORRUPT || err->kind == ERROR_NOT_FOUND;
}

/* Records up to `max` of the deliveries in `list` with one frame. */
static bool record_some(struct feed *feed, struct list *list, size_t max, struct error *err)
{
    struct frame *frame = NEW(struct frame);
    uint64_t lsn;
    frame->feed = feed;
    frame->after = feed->progress;
    arena_init(&frame->arena, 0);
    list_each (struct delivery, delivery, list, link) {
        if (frame->count == max)
            break;
        frame->deliveries[frame->count++] = delivery;
    }
    bool ok = append_frame(frame, &lsn, err);
    if (ok)
        frame_appended(frame, lsn);
    arena_deinit(&frame->arena);
    free(frame);
    return ok;
}

/* One at a time; the one that cannot be recorded fails as a delivery. False: the log takes nothing now. */
static bool record_singly(struct feed *feed, struct error *err)
{
    while (!list_empty(&feed->retry)) {
        struct delivery *delivery = LIST_FIRST(&feed->retry, struct delivery, link);
        if (record_some(feed, &feed->retry, 1, err))
            continue;
        if (!is_about_the_frame(err) || !delivery->outcome)
            return false;
        list_remove(&delivery->link);
        list_append(&feed->open, &delivery->link);
        delivery_outcome_refused(delivery, err->message);
    }
    return true;
}

static bool record_all(struct feed *feed, struct error *err)
{
    while (!list_empty(&feed->done)) {
        if (record_some(feed, &feed->done, FRAME_DELIVERIES_MAX, err))
            continue;
        if (!is_about_the_frame(err))
            return false;
        list_splice(&feed->retry, &feed->done);
    }
    if (!record_singly(feed, err))
        return false;
    return !feed->dirty || record_some(feed, &feed->done, 0, err);
}

static void record(void *ctx)
{
    struct feed *feed = ctx;
    struct error err;
    io_timer_stop(&feed->record_retry);
    if (!record_all(feed, &err)) {
        diag_debug("dispatch", "%s: %s", feed->trigger->group_id, err.message);
        io_timer_start(&feed->record_retry, RECORD_RETRY_MS);
    }
    trigger_pump_later(feed->trigger);
}

void feed_delivery_done(struct delivery *delivery)
{
    struct feed *feed = delivery->feed;
    list_remove(&delivery->link);
    list_append(&feed->done, &delivery->link);
    if (!io_timer_active(&feed->record_retry))
        io_defer(&feed->record);
}

/* --- Reading --- */

static void pass(struct feed *feed, int64_t offset)
{
    progress_mark(&feed->progress, offset);
    feed->dirty = true;
    if (!io_timer_active(&feed->record_retry))
        io_defer(&feed->record);
}

/* Offsets that no record has, up to `to`; false: the window does not reach so far yet. */
static bool pass_gap(struct feed *feed, int64_t to)
{
    for (; feed->passed < to; feed->passed++) {
        if (feed->passed >= progress_end(&feed->progress))
            return false;
        if (!progress_is_done(&feed->progress, feed->passed))
            pass(feed, feed->passed);
    }
    return true;
}

static void take_record(struct feed *feed, const struct kafka_record *record)
{
    struct trigger *trigger = feed->trigger;
    struct dispatch_metrics *metrics = &trigger->dispatch->metrics;
    struct cloudevent event;
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    metrics->events_read++;
    if (!cloudevent_from_kafka(record, &arena, &event, &err)) {
        metrics->events_invalid++;
        trigger_event(trigger, "Warning", "InvalidEvent", "A record was passed over: %s", err.message);
        pass(feed, record->offset);
    } else if (!filter_matches(trigger->spec, &event)) {
        metrics->events_filtered++;
        pass(feed, record->offset);
    } else {
        delivery_start(feed, record, &event);
    }
}

static bool has_room(const struct feed *feed)
{
    const struct trigger *trigger = feed->trigger;
    if (trigger->ordered)
        return list_empty(&feed->open) && list_empty(&feed->done) && list_empty(&feed->retry);
    return trigger->open_count < OPEN_MAX && (trigger->open_size < OPEN_SIZE_MAX || trigger->open_count == 0);
}

static void on_append(void *ctx)
{
    struct feed *feed = ctx;
    feed->waiting = false;
    trigger_pump_later(feed->trigger);
}

/* What lies between the last stable offset and the high watermark is of transactions that are under way: they end with
 * a marker, which moves the high watermark. */
static void wait_for_more(struct feed *feed)
{
    int64_t seen = partition_high_watermark(feed->partition);
    if (feed->waiting)
        return;
    feed->waiting = true;
    feed->waiter = (struct partition_waiter){.run = on_append, .ctx = feed};
    partition_wait(feed->partition, &feed->waiter, feed->reader.next > seen ? feed->reader.next : seen);
}

static void warn_of_corruption(struct feed *feed)
{
    if (feed->reader.corrupt == feed->corrupt_seen)
        return;
    feed->corrupt_seen = feed->reader.corrupt;
    feed->trigger->dispatch->metrics.events_invalid++;
    trigger_event(feed->trigger, "Warning", "UnreadableBatch", "A batch of records cannot be read and was passed over");
}

static void on_readable(void *ctx)
{
    struct feed *feed = ctx;
    trigger_pump_later(feed->trigger);
}

/* It is asked again and again, for nobody tells when a disk is mended, and said once. */
static void stop_reading(struct feed *feed, const struct error *err)
{
    struct trigger *trigger = feed->trigger;
    io_timer_start(&feed->read_retry, READ_RETRY_MS);
    if (feed->damage)
        return;
    feed->damage = memory_string(bytes_of_string(err->message));
    trigger->dispatch->metrics.read_failures++;
    diag_error("dispatch", "%s stops at offset %" PRId64 " until this can be read: %s", trigger->group_id,
               feed->reader.next, err->message);
    trigger->last_event_ms = 0; /* this one is not to be left out */
    trigger_event(trigger, "Warning", "EventsNotReadable", "events wait: %s", err->message);
    trigger_refresh_later(trigger);
}

static void read_again(struct feed *feed)
{
    if (!feed->damage)
        return;
    free(TAKE(feed->damage));
    io_timer_stop(&feed->read_retry);
    diag_info("dispatch", "%s goes on at offset %" PRId64, feed->trigger->group_id, feed->reader.next);
    trigger_refresh_later(feed->trigger);
}

/* False: there is nothing to read now. */
static bool next_record(struct feed *feed, const struct kafka_record **out)
{
    struct error err;
    if (io_timer_active(&feed->read_retry))
        return false;
    *out = reader_peek(&feed->reader, &err);
    warn_of_corruption(feed);
    if (!*out && feed->reader.end == READER_FAILED)
        stop_reading(feed, &err);
    else if (*out || feed->reader.end == READER_AT_END)
        read_again(feed);
    return *out || feed->reader.end == READER_AT_END;
}

bool feed_pump(struct feed *feed, size_t max)
{
    for (size_t count = 0; count < max; count++) {
        if (feed->beginning.waits || !has_room(feed))
            return false;
        const struct kafka_record *record;
        if (!next_record(feed, &record))
            return false;
        if (!pass_gap(feed, feed->reader.next))
            return false;
        if (!record) {
            wait_for_more(feed);
            return false;
        }
        if (record->offset >= progress_end(&feed->progress))
            return false;
        feed->passed = record->offset + 1;
        if (!progress_is_done(&feed->progress, record->offset))
            take_record(feed, record);
        reader_skip(&feed->reader);
    }
    return true;
}

/* --- Where to begin --- */

/* A new Trigger begins with what comes after its creation. Normally that is now; but if evoke ended between the
 * Trigger's write and its first commit, the time of its creation tells. */
static int64_t first_offset(struct feed *feed)
{
    enum { SURELY_NEW_NS = 2000000000 };
    struct bytes created = json_bytes(json_at(feed->trigger->object->json, "metadata.creationTimestamp"));
    int64_t created_ns, offset, timestamp;
    int64_t end = partition_end_offset(feed->partition);
    if (!text_parse_time_ns(created, &created_ns) ||
        io_wall_ns(dispatch_of(feed)->context.io) - created_ns < SURELY_NEW_NS)
        return end;
    return partition_offset_of_time(feed->partition, created_ns / 1000000, &feed->beginning, &offset, &timestamp)
               ? offset
               : end;
}

static void read_progress(struct feed *feed)
{
    struct committed_offset committed =
        group_committed(dispatch_of(feed)->log, bytes_of_string(feed->trigger->group_id),
                        topic_name(partition_topic(feed->partition)), partition_index(feed->partition));
    if (committed.offset > partition_end_offset(feed->partition)) {
        progress_init(&feed->progress, partition_log_start_offset(feed->partition)); /* it was of an older topic */
        feed->dirty = true;
        return;
    }
    if (committed.offset >= 0) {
        progress_read(&feed->progress, committed.offset, committed.metadata);
        return;
    }
    progress_init(&feed->progress, first_offset(feed));
    feed->dirty = !feed->beginning.waits; /* so that the beginning is kept */
}

/* Also again, when it could not be known where to begin before the disk had told. */
static void begin(void *ctx)
{
    struct feed *feed = ctx;
    read_progress(feed);
    reader_init(&feed->reader, feed->partition, feed->progress.base, on_readable, feed);
    feed->passed = feed->progress.base;
    if (feed->dirty)
        io_defer(&feed->record);
    trigger_pump_later(feed->trigger);
}

struct feed *feed_open(struct trigger *trigger, struct partition *partition)
{
    struct feed *feed = NEW(struct feed);
    struct io *io = trigger->dispatch->context.io;
    feed->trigger = trigger;
    feed->partition = partition;
    feed->beginning.waiter = (struct log_read_waiter){.run = begin, .ctx = feed};
    list_init(&feed->open);
    list_init(&feed->done);
    list_init(&feed->retry);
    io_deferred_init(io, &feed->record, record, feed);
    io_timer_init(io, &feed->record_retry, record, feed);
    io_timer_init(io, &feed->read_retry, on_readable, feed);
    begin(feed);
    return feed;
}

static void free_deliveries(struct list *list)
{
    while (!list_empty(list))
        delivery_free(LIST_FIRST(list, struct delivery, link));
}

void feed_close(struct feed *feed)
{
    if (feed->waiting)
        partition_wait_cancel(&feed->waiter);
    io_timer_stop(&feed->record_retry);
    io_timer_stop(&feed->read_retry);
    free(feed->damage);
    io_deferred_cancel(&feed->record);
    free_deliveries(&feed->open);
    free_deliveries(&feed->done);
    free_deliveries(&feed->retry);
    reader_deinit(&feed->reader);
    log_read_cancel(&feed->beginning.waiter);
    free(feed);
}
