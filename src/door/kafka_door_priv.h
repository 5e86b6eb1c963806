/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the handlers (kafka_*.c) see of a request. A handler gets the decoded body and answers once, now or later:
 *
 *     kafka_answer(request, response)                                 as soon as its turn comes
 *     kafka_answer_when(request, response, lsn, LOG_SYNCED, failed)   once the log is on disk up to there
 *     kafka_no_answer(request)                                        Produce with acks=0
 *     kafka_drop(request, why)                                        ends the connection
 *
 * After any of them the request is not touched again. A handler that waits for something else sets request->cancel,
 * which undoes the waiting when the connection ends first; kafka_answer() clears it. Everything that lives as long as
 * the request is in request->arena, which has no maximum once the body is decoded.
 */
#ifndef DOOR_KAFKA_DOOR_PRIV_H
#define DOOR_KAFKA_DOOR_PRIV_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/list.h"
#include "base/map.h"
#include "door/kafka_door.h"
#include "io/stream.h"
#include "wire/kafka_error.h"
#include "wire/kafka_messages.h"

enum {
    KAFKA_NODE_ID = 0,
    KAFKA_ANSWER_SIZE_MAX = 16 << 20,    /* of what is not records */
    KAFKA_WORK_SIZE_MAX = 256 << 20,     /* memory for making one answer, where a request could ask for any amount */
    KAFKA_FETCH_SIZE_MAX = 16 << 20,     /* records in one answer: a reader that is slow holds no more */
    KAFKA_CONNECTION_HELD_MAX = 8 << 20, /* frames of unanswered requests: above it nothing more is read */
    KAFKA_QUOTA_WINDOWS = 11,            /* of a second each, as Kafka's quota.window.num */
    /* Bit sets of Kafka's ACL operations: what may be done where nothing is forbidden. */
    KAFKA_TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
    KAFKA_GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11,
    KAFKA_CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
    KAFKA_IDLE_MS = 600000, /* as Kafka's connections.max.idle.ms */
    /* Who has had this much of the core thread lets others go first, even if more of its requests are here. */
    KAFKA_TURN_NS = 500000,
};

struct kafka_connection;
struct kafka_request;
struct quotas; /* kafka_quota.h */

/* What keeps the records of an answer in memory until the peer has them. The request has one reference. */
struct kafka_pin {
    size_t refs;
    void (*release)(struct kafka_pin *pin);
};

struct kafka_door {
    struct io *io;
    struct log *log;
    struct kafka_door_options options;
    char *advertised_host;
    struct io_listener *listener;
    struct list connections;
    size_t held, arriving;     /* of all connections' requests; of those that are not whole yet */
    struct list waiting;       /* connections that may not begin a frame before `held` is less */
    struct io_deferred resume; /* them */
    struct list in_steps;      /* requests that go on in a turn to come, the first one first */
    struct io_timer step_on;   /* runs, without a delay, while there are some */
    struct quotas *quotas;
    struct kafka_door_metrics metrics;
    struct diag_pace ended_badly;
};

/* --- Work in steps (kafka_steps.c) --- */

/* A step does one thing of many; false: it was the last one. Then `done` goes on with the request. Neither is called
 * any more when the connection has ended. */
struct kafka_steps {
    struct list link; /* in the door's, between turns */
    bool (*step)(struct kafka_request *request);
    void (*done)(struct kafka_request *request);
    bool used; /* then the answer is encoded in steps as well */
};

struct kafka_request {
    struct kafka_connection *connection;
    struct kafka_door *door;
    struct log *log;
    struct list link; /* in the connection's requests, in order of arrival */
    struct kafka_request_header header;
    uint64_t arrived_ns;
    struct bytes frame; /* all of it; the body's strings point in here */
    size_t held;        /* bytes of the frame and of what it was decoded to, as the connection counts them */
    struct arena arena;
    void *body; /* struct kafka_<api>_request */

    void (*cancel)(struct kafka_request *request);
    void *state; /* the handler's */

    /* kafka_answer_when(): */
    struct log_waiter waiter;
    void *response;
    void (*failed)(struct kafka_request *request, void *response);

    /* For quotas: the core thread's time, and the bytes that count (of Produce as they came, of Fetch as they go). */
    uint64_t work_ns, charged_bytes;

    int16_t answer_version; /* the request's, but for KIP-511 */
    struct kafka_steps steps;
    bool answered;
    struct kafka_encoding encoding;
    struct buf out;
    struct kafka_hole *holes;
    struct kafka_pin *pin; /* NULL: no records */
};

/* --- Connections (kafka_connection.c) --- */
void kafka_connection_open(struct kafka_door *door, struct io_stream *stream);
void kafka_connection_end_all(struct kafka_door *door);
void kafka_connection_resume_waiting(void *door); /* requests hold less than they did */

/* --- Answers (kafka_request.c) --- */
/* `response` is in the request's arena: struct kafka_<api>_response. */
void kafka_answer(struct kafka_request *request, const void *response);
/* lsn 0: at once. If the disk fails first, `failed` puts that into the response. */
void kafka_answer_when(struct kafka_request *request, void *response, uint64_t lsn, enum log_durability durability,
                       void (*failed)(struct kafka_request *request, void *response));
void kafka_no_answer(struct kafka_request *request);
void kafka_drop(struct kafka_request *request, const char *why);

/* Nothing that comes behind the request on its connection is taken before kafka_take_others(): for a handler that goes
 * on later with what has an order. */
void kafka_hold_others(struct kafka_request *request);
void kafka_take_others(struct kafka_request *request);

/*
 * For requests that name any number of things: works on them one by one, as many as a turn allows (KAFKA_TURN_NS), and
 * goes on in turns to come, when it is the oldest such request of the door. Few things are so done at once.
 * As with kafka_hold_others(), which it uses, nothing that comes behind the request is taken before `done`.
 *
 * What a step finds may be gone in the next turn. So the response must not point to memory of the log, and a step looks
 * up what it needs; what the handler has in memory of its own is freed by request->cancel or by the arena's cleanup.
 */
void kafka_work_in_steps(struct kafka_request *request, bool (*step)(struct kafka_request *request),
                         void (*done)(struct kafka_request *request));
/* The same for what is left of the work once something was waited for; others of the connection are not held back.
 * Nothing is done before the next turn. While it is under way, another call does nothing. */
void kafka_resume_steps(struct kafka_request *request, bool (*step)(struct kafka_request *request),
                        void (*done)(struct kafka_request *request));
void kafka_step_on(void *door); /* the door's timer */

/* False: what was made for this answer so far is more than KAFKA_WORK_SIZE_MAX. */
bool kafka_has_room(const struct kafka_request *request);

/* What clients connect to: as configured, or as this one did. In the request's arena. */
struct bytes kafka_own_host(struct kafka_request *request);
int32_t kafka_own_port(struct kafka_request *request);
struct bytes kafka_peer_host(struct kafka_request *request); /* "/127.0.0.1" */

/* --- Errors (kafka_refusal.c) --- */
/* Counts it, unless it is NONE, and returns it. */
int16_t kafka_refuse(struct kafka_request *request, enum kafka_error code);
/* The table from error kinds to Kafka's codes; also counts. */
int16_t kafka_refuse_error(struct kafka_request *request, const struct error *err);
/* Of a topic that is not there: UNKNOWN_TOPIC_OR_PARTITION, or INVALID_TOPIC_EXCEPTION if it never can be. Counts. */
int16_t kafka_refuse_topic(struct kafka_request *request, struct bytes name);

/* --- What requests name (kafka_lookup.c) --- */
/* NULL: no such. Of evoke's internal topics only those are shown that Kafka has too and its tools read; the API's
 * objects are in another one, Secrets among them, and are for the API door to give, which asks who wants them. */
bool kafka_shows_topic(const struct topic *topic);
struct topic *kafka_find_topic(struct kafka_request *request, struct bytes name);
struct topic *kafka_find_topic_by_id(struct kafka_request *request, const uint8_t id[16]);
struct partition *kafka_find_partition(struct kafka_request *request, struct bytes topic, int32_t index);
/* The client's idea of the leader epoch (-1: none) against ours: NONE, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. */
enum kafka_error kafka_check_epoch(const struct partition *partition, int32_t epoch);

/* Names of a request, each of a type, of which some may be there twice. The map starts zeroed; its values are not the
 * caller's. */
void kafka_note_name(struct map *names, int8_t type, struct bytes name);
bool kafka_is_twice(const struct map *names, int8_t type, struct bytes name);

/* --- Epochs (kafka_offsets.c) --- */
/* As Kafka's LeaderEpochFileCache: the largest epoch known that is not above the requested one, and where it ends; for
 * one older than all, itself and where the oldest begins; for one that has not been, -1 and -1 (KIP-320). */
void kafka_find_epoch(const struct partition *partition, int32_t epoch, int32_t *found, int64_t *end_offset);

/* --- Transactions (kafka_transactions.c) --- */
/* Before the batches of a Produce are appended: since version 12 their transaction takes in what it writes to. */
void kafka_add_produced_partitions(struct kafka_request *request);

/* --- What is served (kafka_door.c) --- */
struct kafka_handler {
    int16_t key;
    void (*run)(struct kafka_request *request);
};
const struct kafka_handler *kafka_handlers(size_t *count);
const struct kafka_handler *kafka_handler_find(int16_t key);

void kafka_handle_produce(struct kafka_request *request);
void kafka_handle_init_producer_id(struct kafka_request *request);
void kafka_handle_fetch(struct kafka_request *request);
void kafka_handle_list_offsets(struct kafka_request *request);
void kafka_handle_offset_for_leader_epoch(struct kafka_request *request);
void kafka_handle_api_versions(struct kafka_request *request);
void kafka_handle_metadata(struct kafka_request *request);
void kafka_handle_describe_cluster(struct kafka_request *request);
void kafka_handle_find_coordinator(struct kafka_request *request);
void kafka_handle_join_group(struct kafka_request *request);
void kafka_handle_sync_group(struct kafka_request *request);
void kafka_handle_heartbeat(struct kafka_request *request);
void kafka_handle_leave_group(struct kafka_request *request);
void kafka_handle_describe_groups(struct kafka_request *request);
void kafka_handle_list_groups(struct kafka_request *request);
void kafka_handle_delete_groups(struct kafka_request *request);
void kafka_handle_consumer_group_heartbeat(struct kafka_request *request);
void kafka_handle_consumer_group_describe(struct kafka_request *request);
void kafka_handle_offset_commit(struct kafka_request *request);
void kafka_handle_offset_fetch(struct kafka_request *request);
void kafka_handle_offset_delete(struct kafka_request *request);
void kafka_handle_add_partitions_to_txn(struct kafka_request *request);
void kafka_handle_add_offsets_to_txn(struct kafka_request *request);
void kafka_handle_end_txn(struct kafka_request *request);
void kafka_handle_write_txn_markers(struct kafka_request *request);
void kafka_handle_txn_offset_commit(struct kafka_request *request);
void kafka_handle_describe_producers(struct kafka_request *request);
void kafka_handle_describe_transactions(struct kafka_request *request);
void kafka_handle_list_transactions(struct kafka_request *request);
void kafka_handle_create_topics(struct kafka_request *request);
void kafka_handle_delete_topics(struct kafka_request *request);
void kafka_handle_delete_records(struct kafka_request *request);
void kafka_handle_create_partitions(struct kafka_request *request);
void kafka_handle_describe_configs(struct kafka_request *request);
void kafka_handle_alter_configs(struct kafka_request *request);
void kafka_handle_incremental_alter_configs(struct kafka_request *request);
void kafka_handle_list_config_resources(struct kafka_request *request);
void kafka_handle_describe_topic_partitions(struct kafka_request *request);
void kafka_handle_elect_leaders(struct kafka_request *request);
void kafka_handle_alter_partition_reassignments(struct kafka_request *request);
void kafka_handle_list_partition_reassignments(struct kafka_request *request);
void kafka_handle_alter_replica_log_dirs(struct kafka_request *request);
void kafka_handle_describe_log_dirs(struct kafka_request *request);
void kafka_handle_describe_quorum(struct kafka_request *request);
void kafka_handle_describe_client_quotas(struct kafka_request *request);
void kafka_handle_alter_client_quotas(struct kafka_request *request);
void kafka_handle_describe_user_scram_credentials(struct kafka_request *request);

#endif
