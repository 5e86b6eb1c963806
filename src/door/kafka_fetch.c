/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch. The records are slices of the log, in memory or in a file, which go to the socket without a copy. A fetch that
 * finds less than min_bytes waits on its partitions, each of which tells when its high watermark moves, and on a timer
 * of max_wait_ms; the one partition that moved is then read again, not all of them. What is not in memory is waited for
 * likewise, whatever max_wait_ms says: the answer would else be empty though there are records. A topic may be deleted
 * meanwhile, so partitions are looked up each time, by name or (since version 13) by id.
 *
 * There are no fetch sessions (KIP-227): session id 0 in every answer says so, and every request is a full one. The
 * client's rack and the cluster's id are read and make no difference: there is one replica of everything.
 */
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_quota.h"

enum {
    FETCH_WAIT_MAX_MS = 300000,
    FETCH_SLICES_MAX = 4096,
    READ_COMMITTED = 1,
    VERSION_OF_TOPIC_IDS = 13,
    SESSION_EPOCH_NEW = 0,
    SESSION_EPOCH_FINAL = -1,
    CONSUMER_IDS_MAX = -1, /* a replica's id is not below 0 */
};

struct fetch_part {
    struct fetch *fetch;
    struct bytes topic;   /* null: it is asked for by id */
    uint8_t topic_id[16]; /* by name: of the topic that was found first, which may be deleted and made anew */
    const struct kafka_fetch_request_partition *in;
    struct kafka_fetch_response_partition *out;
    struct log_slice *slice; /* NULL: nothing to read */
    int64_t end;             /* of what may be read: the high watermark or the last stable offset */
    struct partition_waiter waiter;
    bool waiting;
    struct log_read_waiter reader;
    bool reading; /* from the disk */
};

/* Everything but the pin, which outlives the request until the peer has the bytes, is in the request's arena. */
struct fetch {
    struct kafka_request *request;
    struct kafka_fetch_response *response;
    struct fetch_part *parts;
    size_t part_count, slice_count, reading_count;
    size_t begun_count; /* parts that were looked at once, in steps; before they are all nothing is answered */
    int64_t size, size_max, size_min;
    bool refused; /* some partition has an error, or another history: that is answered at once */
    bool capped;  /* some partition has more than what was asked for at most */
    bool parked;
    bool late; /* max_wait_ms are over */
    struct io_timer timer;
};

/* --- Slices, and what keeps them while they are sent --- */

static void slice_free(struct log_slice *slice)
{
    log_slice_release(slice);
    free(slice);
}

struct fetch_pin {
    struct kafka_pin pin;
    size_t count;
    struct log_slice *slices[];
};

static void fetch_pin_release(struct kafka_pin *pin)
{
    struct fetch_pin *self = CONTAINER_OF(pin, struct fetch_pin, pin);
    for (size_t i = 0; i < self->count; i++)
        slice_free(self->slices[i]);
    free(self);
}

static bool reads_committed(const struct fetch *fetch)
{
    const struct kafka_fetch_request *body = fetch->request->body;
    return body->isolation_level == READ_COMMITTED;
}

static void pin_slices(struct fetch *fetch)
{
    if (fetch->slice_count == 0)
        return;
    struct fetch_pin *self = memory_new(sizeof *self + fetch->slice_count * sizeof self->slices[0]);
    self->pin = (struct kafka_pin){.refs = 1, .release = fetch_pin_release};
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        struct log_slice *slice = TAKE(part->slice);
        if (!slice)
            continue;
        self->slices[self->count++] = slice;
        part->out->records = (struct kafka_record_set){
            .parts = slice->parts, .count = slice->count, .size = slice->size, .source = slice->file ? slice : NULL};
    }
    fetch->request->pin = &self->pin;
}

static void drop_slice(struct fetch_part *part)
{
    if (!part->slice)
        return;
    part->fetch->size -= (int64_t)part->slice->size;
    part->fetch->slice_count--;
    slice_free(TAKE(part->slice));
}

static void keep_slice(struct fetch_part *part, const struct log_slice *slice)
{
    part->slice = NEW(struct log_slice);
    *part->slice = *slice;
    part->fetch->slice_count++;
    part->fetch->size += (int64_t)slice->size;
    part->fetch->capped |= slice->next_offset < part->end;
}

/* --- Reading --- */

static void refuse(struct fetch_part *part, int16_t code)
{
    drop_slice(part);
    part->out->error_code = code;
    part->out->high_watermark = -1;
    part->out->last_stable_offset = -1;
    part->out->log_start_offset = -1;
    part->fetch->refused = true;
}

static struct topic *find_topic(const struct fetch_part *part)
{
    static const uint8_t any[16];
    if (!part->topic.data)
        return kafka_find_topic_by_id(part->fetch->request, part->topic_id);
    struct topic *topic = kafka_find_topic(part->fetch->request, part->topic);
    bool is_another =
        topic && memcmp(part->topic_id, any, sizeof any) != 0 && memcmp(part->topic_id, topic_id(topic), 16) != 0;
    return is_another ? NULL : topic;
}

static struct partition *find(const struct fetch_part *part)
{
    struct topic *topic = find_topic(part);
    return topic ? topic_partition(topic, part->in->partition) : NULL;
}

static enum kafka_error check(const struct fetch_part *part, const struct partition *partition)
{
    const struct kafka_fetch_request *body = part->fetch->request->body;
    if (!partition)
        return part->topic.data || find_topic(part) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID;
    if (body->replica_id > CONSUMER_IDS_MAX || body->replica_state.replica_id > CONSUMER_IDS_MAX)
        return KAFKA_NOT_LEADER_OR_FOLLOWER; /* nobody follows */
    return kafka_check_epoch(partition, part->in->current_leader_epoch);
}

/* KIP-951: who has an old epoch is told the present one, and where the leader is. */
static void tell_leader(struct fetch_part *part, const struct partition *partition)
{
    struct kafka_request *request = part->fetch->request;
    struct kafka_fetch_response *response = part->fetch->response;
    part->out->current_leader.leader_id = KAFKA_NODE_ID;
    part->out->current_leader.leader_epoch = partition_leader_epoch(partition);
    if (response->node_endpoints_count > 0)
        return;
    response->node_endpoints = KAFKA_NEW_ARRAY(&request->arena, kafka_fetch_response_node_endpoint, 1);
    response->node_endpoints_count = 1;
    response->node_endpoints[0].node_id = KAFKA_NODE_ID;
    response->node_endpoints[0].host = kafka_own_host(request);
    response->node_endpoints[0].port = kafka_own_port(request);
}

/* A reader that says of which epoch its last record was learns where that epoch ended, if it has read beyond
 * (KIP-595): what it has is not what is here. */
static bool has_diverged(struct fetch_part *part, const struct partition *partition)
{
    int32_t epoch;
    int64_t end_offset;
    if (part->in->last_fetched_epoch < 0)
        return false;
    kafka_find_epoch(partition, part->in->last_fetched_epoch, &epoch, &end_offset);
    if (epoch == part->in->last_fetched_epoch && end_offset >= part->in->fetch_offset)
        return false;
    part->out->diverging_epoch.epoch = epoch;
    part->out->diverging_epoch.end_offset = end_offset;
    return true;
}

/* `left`: what may be added. The first one may be more, so that there is always something. */
static void take_slice(struct fetch_part *part, struct log_slice *slice, int64_t left)
{
    if (slice->size > 0 && (part->fetch->size == 0 || (int64_t)slice->size <= left)) {
        keep_slice(part, slice);
        return;
    }
    part->fetch->capped |= slice->size > 0;
    log_slice_release(slice);
}

static void begin_reading(struct fetch_part *part)
{
    part->reading = true;
    part->fetch->reading_count++;
}

static bool is_within(const struct fetch_part *part, const struct partition *partition)
{
    int64_t offset = part->in->fetch_offset;
    return offset >= partition_log_start_offset(partition) && offset <= partition_end_offset(partition);
}

/* partition_read_range() gives at least one batch, however little is asked for; the first partition that has something
 * may so exceed what the answer may hold, the others may not (KIP-74). */
static void read_slice(struct fetch_part *part, struct partition *partition)
{
    struct fetch *fetch = part->fetch;
    struct log_slice slice;
    struct error err;
    int64_t left = fetch->size_max - fetch->size, wanted = part->in->partition_max_bytes;
    if (left <= 0 || fetch->slice_count == FETCH_SLICES_MAX)
        return;
    if (fetch->slice_count > 0 && log_holds_many_files(fetch->request->door->log)) {
        fetch->capped = true; /* what there is goes out first; the client asks for the others again */
        return;
    }
    size_t size_max = (size_t)(wanted < 0 ? 0 : wanted < left ? wanted : left);
    if (partition_read_range(partition, part->in->fetch_offset, part->end, size_max, &part->reader, &slice, &err))
        take_slice(part, &slice, left);
    else if (log_is_being_read(&err))
        begin_reading(part);
    else
        refuse(part, kafka_refuse(fetch->request, KAFKA_KAFKA_STORAGE_ERROR));
}

static void read_part(struct fetch_part *part)
{
    struct partition *partition = find(part);
    drop_slice(part);
    enum kafka_error code = check(part, partition);
    if (code) {
        refuse(part, kafka_refuse(part->fetch->request, code));
        if (code == KAFKA_FENCED_LEADER_EPOCH)
            tell_leader(part, partition);
        return;
    }
    memcpy(part->topic_id, topic_id(partition_topic(partition)), sizeof part->topic_id);
    part->out->high_watermark = partition_high_watermark(partition);
    part->out->last_stable_offset = partition_last_stable_offset(partition);
    part->end = reads_committed(part->fetch) ? part->out->last_stable_offset : part->out->high_watermark;
    part->out->log_start_offset = partition_log_start_offset(partition);
    if (has_diverged(part, partition))
        part->fetch->refused = true;
    else if (!is_within(part, partition)) /* also where the answer is full already, as with Kafka */
        refuse(part, kafka_refuse(part->fetch->request, KAFKA_OFFSET_OUT_OF_RANGE));
    else if (part->in->fetch_offset <= part->out->high_watermark) /* beyond it is what is not to be read yet */
        read_slice(part, partition);
}

/* --- Waiting and answering --- */

static void stop_waiting(struct fetch *fetch)
{
    if (!fetch->parked)
        return;
    fetch->parked = false;
    fetch->request->door->metrics.fetches_waiting--;
    io_timer_stop(&fetch->timer);
    for (size_t i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i].waiting)
            partition_wait_cancel(&fetch->parts[i].waiter);
}

static void release(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++)
        drop_slice(&fetch->parts[i]);
}

static void cancel(struct kafka_request *request)
{
    struct fetch *fetch = request->state;
    stop_waiting(fetch);
    for (size_t i = 0; i < fetch->part_count; i++)
        log_read_cancel(&fetch->parts[i].reader);
    release(fetch);
}

/* Which of the records are of aborted transactions; the client leaves them out. What was read is below the last stable
 * offset of that moment, so nothing that ended since concerns it. */
static void list_aborted(struct fetch_part *part, const struct partition *partition)
{
    int64_t from = part->in->fetch_offset, end = part->slice->next_offset;
    const struct aborted_transaction *aborted = NULL;
    size_t count = 0;
    while ((aborted = partition_next_aborted(partition, from, end, aborted)))
        count++;
    if (count == 0)
        return;
    struct kafka_fetch_response_aborted_transaction *out =
        KAFKA_NEW_ARRAY(&part->fetch->request->arena, kafka_fetch_response_aborted_transaction, count);
    part->out->aborted_transactions = out;
    part->out->aborted_transactions_count = count;
    while ((aborted = partition_next_aborted(partition, from, end, aborted)))
        *out++ = (struct kafka_fetch_response_aborted_transaction){.producer_id = aborted->producer_id,
                                                                   .first_offset = aborted->first_offset};
}

static void list_all_aborted(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        const struct partition *partition = part->slice ? find(part) : NULL;
        if (partition)
            list_aborted(part, partition);
        else if (part->slice) /* the topic went while it waited */
            refuse(part, kafka_refuse(fetch->request, KAFKA_UNKNOWN_TOPIC_OR_PARTITION));
    }
}

static void answer(struct fetch *fetch)
{
    stop_waiting(fetch);
    if (reads_committed(fetch))
        list_all_aborted(fetch);
    pin_slices(fetch);
    fetch->request->cancel = NULL;
    fetch->request->charged_bytes = (uint64_t)fetch->size;
    histogram_add(&fetch->request->door->metrics.fetch_bytes, histogram_bytes, (double)fetch->size);
    kafka_answer(fetch->request, fetch->response);
}

static bool is_answerable(const struct fetch *fetch)
{
    return fetch->reading_count == 0 && fetch->begun_count == fetch->part_count &&
           (fetch->late || fetch->refused || fetch->capped || fetch->size >= fetch->size_min);
}

static void wait_for(struct fetch_part *part);

static void read_again(struct fetch_part *part)
{
    read_part(part);
    if (is_answerable(part->fetch))
        answer(part->fetch);
    else if (part->fetch->parked)
        wait_for(part);
}

static void moved(void *ctx)
{
    struct fetch_part *part = ctx;
    part->waiting = false;
    read_again(part);
}

static void was_read(void *ctx)
{
    struct fetch_part *part = ctx;
    part->reading = false;
    part->fetch->reading_count--;
    read_again(part);
}

/* For what comes behind that which was seen, which may be here since. */
static void wait_for(struct fetch_part *part)
{
    struct partition *partition = part->reading ? NULL : find(part);
    if (part->reading)
        return;
    if (!partition) { /* the topic went while others were looked at */
        read_part(part);
        return;
    }
    part->waiter = (struct partition_waiter){.run = moved, .ctx = part};
    part->waiting = true;
    int64_t offset = part->out->high_watermark;
    partition_wait(partition, &part->waiter, offset > part->in->fetch_offset ? offset : part->in->fetch_offset);
}

static void timed_out(void *ctx)
{
    struct fetch *fetch = ctx;
    fetch->late = true;
    if (is_answerable(fetch))
        answer(fetch);
}

static void park(struct fetch *fetch)
{
    struct kafka_request *request = fetch->request;
    const struct kafka_fetch_request *body = request->body;
    fetch->parked = true;
    request->door->metrics.fetches_waiting++;
    io_timer_init(request->door->io, &fetch->timer, timed_out, fetch);
    if (!fetch->late)
        io_timer_start(&fetch->timer,
                       (uint64_t)(body->max_wait_ms < FETCH_WAIT_MAX_MS ? body->max_wait_ms : FETCH_WAIT_MAX_MS));
    for (size_t i = 0; i < fetch->part_count; i++)
        wait_for(&fetch->parts[i]);
    if (is_answerable(fetch))
        answer(fetch);
}

static bool begin_next(struct kafka_request *request)
{
    struct fetch *fetch = request->state;
    if (fetch->begun_count < fetch->part_count)
        read_part(&fetch->parts[fetch->begun_count++]);
    return fetch->begun_count < fetch->part_count;
}

static void begun(struct kafka_request *request)
{
    struct fetch *fetch = request->state;
    if (is_answerable(fetch))
        answer(fetch);
    else
        park(fetch);
}

/* --- The request --- */

static void prepare_partition(struct fetch *fetch, struct fetch_part *part,
                              const struct kafka_fetch_request_topic *topic,
                              const struct kafka_fetch_request_partition *in,
                              struct kafka_fetch_response_partition *out)
{
    const struct kafka_fetch_request *body = fetch->request->body;
    static const struct bytes nothing[1];
    *part = (struct fetch_part){.fetch = fetch, .in = in, .out = out, .reader = {.run = was_read, .ctx = part}};
    if (fetch->request->header.api_version < VERSION_OF_TOPIC_IDS)
        part->topic = topic->topic;
    memcpy(part->topic_id, topic->topic_id, sizeof part->topic_id);
    out->partition_index = in->partition;
    out->high_watermark = -1;
    out->records.parts = nothing; /* empty, not null: some clients stumble over null */
    if (body->isolation_level == READ_COMMITTED)
        out->aborted_transactions =
            KAFKA_NEW_ARRAY(&fetch->request->arena, kafka_fetch_response_aborted_transaction, 1);
}

static void prepare(struct fetch *fetch)
{
    const struct kafka_fetch_request *body = fetch->request->body;
    struct arena *arena = &fetch->request->arena;
    struct kafka_fetch_response *response = fetch->response;
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_fetch_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        fetch->part_count += body->topics[i].partitions_count;
    struct fetch_part *part = fetch->parts = arena_alloc_array(arena, fetch->part_count, sizeof *part);
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_fetch_request_topic *in = &body->topics[i];
        struct kafka_fetch_response_topic *out = &response->topics[i];
        out->topic = in->topic;
        memcpy(out->topic_id, in->topic_id, sizeof out->topic_id);
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_fetch_response_partition, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (size_t p = 0; p < in->partitions_count; p++)
            prepare_partition(fetch, part++, in, &in->partitions[p], &out->partitions[p]);
    }
}

/* What the client asks for at most, what one answer holds, what its quota allows at once. */
static int64_t size_max_of(struct kafka_request *request)
{
    const struct kafka_fetch_request *body = request->body;
    uint64_t burst = quotas_burst(request->door->quotas, request->header.client_id, QUOTA_FETCH);
    int64_t size = body->max_bytes < KAFKA_FETCH_SIZE_MAX ? body->max_bytes : KAFKA_FETCH_SIZE_MAX;
    if (burst < KAFKA_FETCH_SIZE_MAX && size > (int64_t)burst)
        size = (int64_t)burst;
    return size < 1 ? 1 : size;
}

void kafka_handle_fetch(struct kafka_request *request)
{
    const struct kafka_fetch_request *body = request->body;
    struct fetch *fetch = ARENA_NEW(&request->arena, struct fetch);
    *fetch = (struct fetch){
        .request = request,
        .response = KAFKA_NEW(&request->arena, kafka_fetch_response),
        .size_max = size_max_of(request),
        .size_min = body->min_bytes,
        .late = body->max_wait_ms <= 0,
    };
    if (body->session_epoch != SESSION_EPOCH_NEW && body->session_epoch != SESSION_EPOCH_FINAL) {
        fetch->response->error_code = kafka_refuse(request, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
        kafka_answer(request, fetch->response);
        return;
    }
    prepare(fetch);
    request->state = fetch;
    request->cancel = cancel;
    kafka_work_in_steps(request, begin_next, begun);
}
