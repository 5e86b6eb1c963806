/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Triggers in a real world: io, log, api and mesh as in the daemon, handlers as an HTTP server of the test, which keeps
 * a diary of what it was asked and answers by the event's type.
 */
#include "dispatch/dispatch.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "coordinator/coordinator.h"
#include "coordinator/coordinator_folds.h"
#include "coordinator/group.h"
#include "coordinator/transaction.h"
#include "dispatch/dispatch_priv.h"
#include "http/http_server.h"
#include "log/event.h"
#include "log/spill.h"
#include "test.h"

static struct io *io;
static struct log *event_log;
static struct api *api;
static struct mesh *mesh;
static struct dispatch *dispatch;
static struct http_server *handler;
static struct io_timer guard, turn;
static struct buf diary; /* "path type/id " of every request */
static struct http_request *kept[100];
static size_t kept_count;
static int concurrent_max;
static bool refuse_all;

static void on_guard(void *ctx)
{
    (void)ctx;
    test_fail(__FILE__, __LINE__, "nothing happened; diary: %s", buf_string(&diary));
}

static void stop_running(void *ctx)
{
    (void)ctx;
    io_stop(io);
}

static void settle(void)
{
    io_timer_start(&turn, 3);
    io_run(io);
}

/* Runs until the condition holds; the guard ends what never happens. */
#define UNTIL(condition)                                                                                               \
    while (!(condition))                                                                                               \
    settle()

/* --- The handler --- */

static struct bytes field(const struct http_request *request, const char *name)
{
    return http_head_get(request->head, name);
}

static void answer_event(struct http_request *request, int status, const char *type)
{
    struct http_field fields[] = {
        HTTP_FIELD("ce-specversion", BYTES_LITERAL("1.0")),      HTTP_FIELD("ce-id", field(request, "ce-id")),
        HTTP_FIELD("ce-source", BYTES_LITERAL("handler")),       HTTP_FIELD("ce-type", bytes_of_string(type)),
        HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain")),
    };
    http_respond(request, status, fields, 5, request->body);
}

static void answer(struct http_request *request)
{
    struct bytes type = field(request, "ce-type");
    if (refuse_all)
        http_respond_text(request, 503, "not now");
    else if (bytes_equal_string(type, "ask"))
        answer_event(request, 200, "answer");
    else if (bytes_equal_string(type, "loop"))
        answer_event(request, 200, "loop");
    else if (bytes_equal_string(type, "fail"))
        http_respond_text(request, 500, "it\nfails");
    else if (bytes_equal_string(type, "refuse"))
        http_respond_text(request, 400, "it is refused");
    else if (bytes_equal_string(type, "nonsense"))
        http_respond_text(request, 200, "this is no event");
    else
        http_respond(request, 202, NULL, 0, BYTES_LITERAL(""));
}

static void on_body(struct http_request *request)
{
    struct bytes code = field(request, "ce-knativeerrorcode");
    buf_printf(&diary, BYTES_FORMAT " " BYTES_FORMAT "/" BYTES_FORMAT, BYTES_ARGS(request->head->path),
               BYTES_ARGS(field(request, "ce-type")), BYTES_ARGS(field(request, "ce-id")));
    if (code.data)
        buf_printf(&diary, "(" BYTES_FORMAT " " BYTES_FORMAT " " BYTES_FORMAT ")", BYTES_ARGS(code),
                   BYTES_ARGS(field(request, "ce-knativeerrordest")),
                   BYTES_ARGS(field(request, "ce-knativeerrordata")));
    buf_append_string(&diary, " ");
    CHECK(field(request, "ce-knativebrokerttl").data == NULL);
    if (bytes_equal_string(field(request, "ce-type"), "keep") && kept_count < 100) {
        kept[kept_count++] = request;
        if ((int)kept_count > concurrent_max)
            concurrent_max = (int)kept_count;
    } else {
        answer(request);
    }
}

static void on_request(void *ctx, struct http_request *request)
{
    (void)ctx;
    http_request_read_body(request, 1 << 20, on_body, NULL);
}

static void answer_kept(int status)
{
    while (kept_count > 0)
        http_respond(kept[--kept_count], status, NULL, 0, BYTES_LITERAL(""));
}

/* --- The observer --- */

static struct buf steps;

static void on_step(void *ctx, const struct dispatch_step *step)
{
    static const char *const names[] = {"delivered", "retry", "dead", "dropped"};
    (void)ctx;
    buf_printf(&steps, "%s " BYTES_FORMAT "/" BYTES_FORMAT " attempt %d status %d error %d", names[step->type],
               BYTES_ARGS(step->event_type), BYTES_ARGS(step->event_id), step->attempt, step->status,
               step->error[0] != '\0');
    if (step->reply_type.data)
        buf_printf(&steps, " reply " BYTES_FORMAT, BYTES_ARGS(step->reply_type));
    buf_append_string(&steps, "; ");
    CHECK(step->latency_us < 20000000);
}

/* --- The world --- */

static void create(const char *kind, const char *format, ...) PRINTF_LIKE(2, 3);

static void create_text(const char *kind, const char *text, int flags)
{
    struct error err;
    AUTO_JSON *json = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(json != NULL, &err);
    struct bytes namespace = strcmp(kind, "Namespace") == 0 ? BYTES_LITERAL("") : BYTES_LITERAL("shop");
    CHECK_OK(api_create(api, kind_by_name(kind), namespace, json, flags, NULL, &err), &err);
}

static void create(const char *kind, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    create_text(kind, text, 0);
}

static void open_world(const struct io_address *address)
{
    struct error err;
    struct http_server_options options = {.address = *address, .name = "handler", .on_request = on_request};
    io = io_linux_new(&err);
    CHECK_OK(io != NULL, &err);
    io_timer_init(io, &guard, on_guard, NULL);
    io_timer_init(io, &turn, stop_running, NULL);
    io_timer_start(&guard, 20000);
    handler = http_server_open(io, &options, &err);
    CHECK_OK(handler != NULL, &err);
    event_log = log_open(
        io, &(struct log_options){.directory = test_dir(), .journal_file_size = 4 << 20, .folds = coordinator_folds},
        &err);
    CHECK_OK(event_log != NULL, &err);
    api = api_open(io, event_log, &err);
    CHECK_OK(api != NULL, &err);
    mesh = mesh_open(api);
    struct dispatch_options dispatch_options = {
        .api = api, .mesh = mesh, .events_url = "http://127.0.0.1:8080", .observe = on_step, .patience_ms = 50};
    dispatch = dispatch_open(&dispatch_options);
}

static void close_world(void)
{
    dispatch_close(dispatch);
    mesh_close(mesh);
    api_close(api);
    log_close(event_log, stop_running, NULL);
    io_run(io);
    http_server_close(handler);
    answer_kept(202);
    io_timer_stop(&guard);
    io_timer_stop(&turn);
    io_free(io);
}

static void create_service(const char *name)
{
    uint16_t port = http_server_address(handler).port;
    create("Service",
           "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"clusterIP\":"
           "\"None\",\"selector\":{\"app\":\"%s\"},\"ports\":[{\"port\":80,\"targetPort\":%d}]}}",
           name, name, port);
    create("EndpointSlice",
           "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"%s-1\","
           "\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":[{\"port\":%d}],"
           "\"endpoints\":[{\"addresses\":[\"127.0.7.1\"],\"conditions\":{\"ready\":true}}]}",
           name, name, port);
}

static void start_with(int partitions)
{
    struct io_address address;
    struct error err;
    buf_init(&diary, 1 << 20);
    buf_init(&steps, 1 << 20);
    CHECK_OK(io_address_parse("127.0.7.1:0", &address, &err), &err);
    open_world(&address);
    create("Namespace", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\"}}");
    create("ConfigMap",
           "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"config\"},\"data\":{"
           "\"default.topic.partitions\":\"%d\"}}",
           partitions);
    create("Broker",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"metadata\":{\"name\":\"orders\"},"
           "\"spec\":{\"config\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"config\"}}}");
    create_service("billing");
}

static void start(void)
{
    start_with(1);
}

static void stop(void)
{
    close_world();
    buf_deinit(&diary);
    buf_deinit(&steps);
}

/* `rest` continues spec: ",\"delivery\":{...}". */
static void create_trigger(const char *name, const char *type, const char *path, const char *rest)
{
    char filter[200] = "";
    if (type)
        snprintf(filter, sizeof filter, ",\"filter\":{\"attributes\":{\"type\":\"%s\"}}", type);
    create("Trigger",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"%s\"},\"spec\":{"
           "\"broker\":\"orders\",\"subscriber\":{\"ref\":{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":"
           "\"billing\"},\"uri\":\"%s\"}%s%s}}",
           name, path, filter, rest);
}

static const char *condition(const char *kind, const char *name, const char *type)
{
    const struct object *object = api_find(api, kind, "shop", name);
    json_array_each (i, entry, json_at(object->json, "status.conditions")) {
        if (strcmp(json_text_at(entry, "type", ""), type) == 0)
            return json_text_at(entry, "status", "");
    }
    return "";
}

static bool has_event(const char *reason, const char *message)
{
    struct api_iterator iterator;
    struct object *event;
    bool found = false;
    api_iterate(api, kind_by_name("Event"), BYTES_NULL, &iterator);
    while ((event = api_iterator_next(&iterator)))
        found |= strcmp(json_text_at(event->json, "reason", ""), reason) == 0 &&
                 strcmp(json_text_at(event->json, "message", ""), message) == 0;
    return found;
}

static void await_ready(const char *trigger)
{
    UNTIL(strcmp(condition("Trigger", trigger, "Ready"), "True") == 0);
    UNTIL(group_find(event_log, bytes_of_string(trigger)) || topic_find(event_log, BYTES_LITERAL("shop.orders")));
    settle();
}

static void publish(const char *type, const char *id, const char *key)
{
    struct cloudevent event = {.data = BYTES_LITERAL("data"), .data_content_type = BYTES_LITERAL("text/plain")};
    struct error err;
    struct append *appends;
    size_t count;
    uint64_t lsn;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    CHECK(cloudevent_set(&event, BYTES_LITERAL("specversion"), BYTES_LITERAL("1.0"), &err) &&
          cloudevent_set(&event, BYTES_LITERAL("id"), bytes_of_string(id), &err) &&
          cloudevent_set(&event, BYTES_LITERAL("source"), BYTES_LITERAL("test"), &err) &&
          cloudevent_set(&event, BYTES_LITERAL("type"), bytes_of_string(type), &err));
    if (key)
        CHECK_OK(cloudevent_set(&event, BYTES_LITERAL("partitionkey"), bytes_of_string(key), &err), &err);
    struct topic *topic = topic_find(event_log, BYTES_LITERAL("shop.orders"));
    CHECK_OK(event_appends(topic, &event, 1, io_wall_ms(io), &arena, &appends, &count, &err), &err);
    CHECK_OK(log_append(event_log, appends, count, &lsn, &err), &err);
}

/* One event in a transaction of its own, which stays open. */
static struct transaction_producer publish_in_transaction(const char *transactional_id, const char *type,
                                                          const char *id)
{
    struct cloudevent event = {0};
    struct transaction_partition partition = {.topic = BYTES_LITERAL("shop.orders")};
    struct transaction_producer producer;
    struct kafka_batch_builder builder;
    struct append append = {.partition = topic_partition(topic_find(event_log, partition.topic), 0)};
    struct error err;
    uint64_t lsn;
    AUTO_ARENA arena;
    AUTO_BUF buf;
    arena_init(&arena, 0);
    buf_init(&buf, 1 << 16);
    CHECK_INT(transaction_init(event_log, bytes_of_string(transactional_id), 60000,
                               (struct transaction_producer){-1, -1}, &producer, &lsn),
              KAFKA_NONE);
    transaction_add_partitions(event_log, bytes_of_string(transactional_id), producer, TRANSACTION_V1, &partition, 1,
                               &lsn);
    CHECK_INT(partition.error, KAFKA_NONE);
    CHECK(cloudevent_set(&event, BYTES_LITERAL("specversion"), BYTES_LITERAL("1.0"), &err) &&
          cloudevent_set(&event, BYTES_LITERAL("id"), bytes_of_string(id), &err) &&
          cloudevent_set(&event, BYTES_LITERAL("source"), BYTES_LITERAL("test"), &err) &&
          cloudevent_set(&event, BYTES_LITERAL("type"), bytes_of_string(type), &err));
    kafka_batch_begin(&builder, &buf, KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = producer.id;
    builder.producer_epoch = producer.epoch;
    builder.base_sequence = 0;
    cloudevent_to_kafka(&event, io_wall_ms(io), &arena, &builder);
    CHECK_OK(kafka_batch_end(&builder, &append.batch, &err), &err);
    CHECK_OK(log_append(event_log, &append, 1, &lsn, &err), &err);
    return producer;
}

static void end_transaction(const char *transactional_id, struct transaction_producer producer, bool committed)
{
    uint64_t lsn;
    CHECK_INT(transaction_end(event_log, bytes_of_string(transactional_id), producer, committed, TRANSACTION_V1,
                              &producer, &lsn),
              KAFKA_NONE);
}

static int occurrences(const char *text)
{
    int count = 0;
    for (const char *at = buf_string(&diary); (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* What is appended and not on disk yet is not in the log's figure: then it is not over. */
static int64_t lag(const char *trigger)
{
    char group[100];
    if (log_synced_lsn(event_log) < log_lsn(event_log))
        return -1;
    snprintf(group, sizeof group, "trigger.shop.%s", trigger);
    return group_lag(event_log, bytes_of_string(group), BYTES_LITERAL("shop.orders"), true);
}

static struct dispatch_metrics metrics(void)
{
    struct dispatch_metrics out;
    dispatch_metrics(dispatch, &out);
    return out;
}

/* How many records of that type the Broker's topic has. */
static int count_records(const char *wanted)
{
    struct topic *topic = topic_find(event_log, BYTES_LITERAL("shop.orders"));
    int count = 0;
    for (int32_t i = 0; i < topic_partition_count(topic); i++) {
        struct partition *partition = topic_partition(topic, i);
        int64_t offset = 0;
        struct log_slice slice;
        struct error err;
        while (offset < partition_high_watermark(partition)) {
            CHECK_OK(partition_read(partition, offset, 1 << 20, &slice, &err), &err);
            for (size_t part = 0; part < slice.count; part++) {
                struct bytes rest = slice.parts[part], type;
                struct kafka_batch batch;
                struct kafka_record record;
                while (rest.size > 0) {
                    AUTO_KAFKA_RECORDS records = {0};
                    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
                    CHECK_OK(kafka_records_open(&records, &batch, 1 << 20, &err), &err);
                    while (kafka_records_next(&records, &record))
                        count += kafka_record_find_header(&record, "ce_type", &type) && record.offset >= offset &&
                                 bytes_equal_string(type, wanted);
                }
            }
            offset = slice.next_offset;
            log_slice_release(&slice);
        }
    }
    return count;
}

/* --- Tests --- */

TEST(dispatch_makes_a_topic_of_a_broker_and_says_where_it_is)
{
    start_with(3);
    UNTIL(strcmp(condition("Broker", "orders", "Ready"), "True") == 0);
    struct topic *topic = topic_find(event_log, BYTES_LITERAL("shop.orders"));
    CHECK(topic != NULL);
    CHECK_INT(topic_partition_count(topic), 3);
    const struct object *broker = api_find(api, "Broker", "shop", "orders");
    CHECK_STR(json_text_at(broker->json, "status.address.url", ""), "http://127.0.0.1:8080/shop/orders");
    struct error err;
    struct api_delete_options options = {.grace_period_s = -1};
    CHECK_OK(
        api_delete(api, kind_by_name("Broker"), BYTES_LITERAL("shop"), BYTES_LITERAL("orders"), &options, NULL, &err),
        &err);
    UNTIL(!topic_find(event_log, BYTES_LITERAL("shop.orders")));
    stop();
}

TEST(dispatch_finishes_the_deletion_of_a_broker_that_a_crash_cut_short)
{
    start();
    UNTIL(strcmp(condition("Broker", "orders", "Ready"), "True") == 0);
    struct io_address address = http_server_address(handler);
    struct error err;
    dispatch_close(TAKE(dispatch)); /* nobody is there to delete the topic */
    CHECK_OK(api_delete(api, kind_by_name("Broker"), BYTES_LITERAL("shop"), BYTES_LITERAL("orders"), NULL, NULL, &err),
             &err);
    settle();
    CHECK(topic_find(event_log, BYTES_LITERAL("shop.orders")) != NULL);
    close_world();
    open_world(&address);
    UNTIL(!topic_find(event_log, BYTES_LITERAL("shop.orders")));
    UNTIL(!api_find(api, "Broker", "shop", "orders"));
    stop();
}

TEST(dispatch_says_why_events_wait_for_a_deployment_that_does_not_get_ready)
{
    start();
    create("Deployment", "{\"metadata\":{\"name\":\"stuck\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":"
                         "\"stuck\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"stuck\"}},\"spec\":{"
                         "\"containers\":[{\"name\":\"a\",\"image\":\"a\"}]}}}}");
    create("Service", "{\"metadata\":{\"name\":\"stuck\"},\"spec\":{\"clusterIP\":\"None\",\"selector\":{\"app\":"
                      "\"stuck\"},\"ports\":[{\"port\":80}]}}");
    create("Trigger", "{\"metadata\":{\"name\":\"late\"},\"spec\":{\"broker\":\"orders\",\"subscriber\":{\"ref\":{"
                      "\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"stuck\"}}}}");
    await_ready("late");
    CHECK_STR(condition("Trigger", "late", "SubscriberReady"), "True");
    publish("order", "1", NULL);
    UNTIL(strcmp(condition("Trigger", "late", "SubscriberReady"), "False") == 0);
    CHECK_STR(condition("Trigger", "late", "Ready"), "True"); /* it would deliver */
    char text[500];
    char namespace[] = "shop", name[] = "stuck";
    const struct destination destination = {.namespace = namespace, .name = name};
    stall_explain(api, &destination, text);
    CHECK_STR(text, "service stuck has no ready endpoint, and there is no pod of it");
    create_text("Pod",
                "{\"metadata\":{\"name\":\"p\",\"labels\":{\"app\":\"stuck\"}},\"spec\":{\"containers\":[{"
                "\"name\":\"a\",\"image\":\"a\"}]},\"status\":{\"containerStatuses\":[{\"name\":\"a\",\"image\":"
                "\"a\",\"imageID\":\"\",\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\",\"message\":"
                "\"back-off 10 s\"}}}]}}",
                API_STATUS);
    stall_explain(api, &destination, text);
    CHECK_STR(text, "service stuck has no ready endpoint; pod p: CrashLoopBackOff: back-off 10 s");
    char ready[600];
    snprintf(ready, sizeof ready,
             "{\"metadata\":{\"name\":\"stuck-1\",\"labels\":{\"kubernetes.io/service-name\":\"stuck\"}},"
             "\"addressType\":\"IPv4\",\"ports\":[{\"port\":%d}],\"endpoints\":[{\"addresses\":[\"127.0.7.1\"],"
             "\"conditions\":{\"ready\":true}}]}",
             http_server_address(handler).port);
    create("EndpointSlice", "%s", ready);
    UNTIL(strcmp(condition("Trigger", "late", "SubscriberReady"), "True") == 0);
    UNTIL(lag("late") == 0);
    stop();
}

TEST(dispatch_delivers_what_passes_the_filter_from_the_creation_on)
{
    start();
    UNTIL(strcmp(condition("Broker", "orders", "Ready"), "True") == 0);
    publish("order", "0", NULL);
    create_trigger("billing", "order", "/orders", "");
    await_ready("billing");
    CHECK_STR(json_text_at(api_find(api, "Trigger", "shop", "billing")->json, "status.subscriberUri", ""),
              "http://billing.shop.svc.cluster.local/orders");
    publish("order", "1", NULL);
    publish("other", "2", NULL);
    publish("order", "3", "key");
    UNTIL(lag("billing") == 0 && occurrences("order/") == 2);
    CHECK_INT(occurrences("/orders order/1 "), 1);
    CHECK_INT(occurrences("/orders order/3 "), 1);
    CHECK_INT(occurrences("/"), 4); /* nothing else */
    CHECK_INT(metrics().events_filtered, 1);
    CHECK_INT(metrics().succeeded, 2);
    stop();
}

TEST(dispatch_appends_a_reply_with_the_commit_of_its_input)
{
    start();
    create_trigger("billing", "ask", "/", "");
    create_trigger("listener", "answer", "/listener", "");
    await_ready("billing");
    await_ready("listener");
    uint64_t before = log_lsn(event_log);
    publish("ask", "1", NULL);
    UNTIL(occurrences("/listener answer/1 ") == 1);
    UNTIL(lag("billing") == 0 && lag("listener") == 0);
    CHECK_INT(count_records("answer"), 1);
    CHECK_INT(metrics().replies, 1);
    /* publish, reply with its commit, and the commits of what did not match; never a frame for a reply alone */
    CHECK(log_lsn(event_log) - before <= 5);
    stop();
}

TEST(dispatch_retries_and_then_sends_to_the_dead_letter_sink)
{
    start();
    create_service("sink");
    create_trigger("billing", "fail", "/",
                   ",\"delivery\":{\"retry\":2,\"backoffDelay\":\"PT0.001S\",\"deadLetterSink\":"
                   "{\"ref\":{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"sink\"},"
                   "\"uri\":\"/dead\"}}");
    await_ready("billing");
    publish("fail", "1", NULL);
    /* The sink is the same handler, which fails for the type: it is tried until it takes the event. */
    UNTIL(occurrences("/dead fail/1(500 http://billing.shop.svc.cluster.local it%20fails) ") >= 2);
    CHECK_INT(occurrences("/ fail/1 "), 3);
    CHECK_INT(metrics().dead_letters, 1);
    UNTIL(lag("billing") == 1);
    CHECK(has_event("DeadLettered",
                    "An event goes to the dead letter sink: http://billing.shop.svc.cluster.local answered "
                    "500: it fails"));
    UNTIL(has_event("DeadLetterWaits", "An event waits for the dead letter sink: "
                                       "http://sink.shop.svc.cluster.local/dead answered 500: it fails"));
    stop();
}

TEST(dispatch_gives_up_on_a_handler_that_hangs)
{
    start();
    create_service("sink");
    create_trigger("billing", "keep", "/",
                   ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.001S\",\"timeout\":"
                   "\"PT0.02S\"}");
    await_ready("billing");
    publish("keep", "1", NULL);
    UNTIL(lag("billing") == 0);
    CHECK_INT(occurrences("/ keep/1 "), 2);
    CHECK_INT(metrics().failed, 2);
    CHECK_INT(metrics().dropped, 1);
    stop();
}

static void create_dead_uri_trigger(const char *name)
{
    create("Trigger",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"%s\"},\"spec\":{"
           "\"broker\":\"orders\",\"filter\":{\"attributes\":{\"type\":\"order\"}},\"subscriber\":{\"uri\":"
           "\"http://127.0.7.9:9/\"},\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.001S\",\"deadLetterSink\":{"
           "\"ref\":{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"billing\"}}}}}",
           name);
}

TEST(dispatch_sends_what_nobody_listens_for_to_the_dead_letter_sink)
{
    start();
    create_dead_uri_trigger("nobody");
    await_ready("nobody");
    publish("order", "1", NULL);
    UNTIL(lag("nobody") == 0);
    CHECK_INT(occurrences("/ order/1(502 http://127.0.7.9:9/ "), 1);
    CHECK_INT(metrics().failed, 2);
    CHECK_INT(metrics().dead_letters, 1);
    CHECK_INT(metrics().dropped, 0);
    stop();
}

TEST(dispatch_tells_an_observer_each_step)
{
    start();
    create_dead_uri_trigger("nobody");
    create_trigger("asker", "ask", "/", "");
    create_trigger("refuser", "refuse", "/", "");
    await_ready("nobody");
    await_ready("asker");
    await_ready("refuser");
    publish("order", "1", NULL);
    UNTIL(lag("nobody") == 0);
    CHECK_STR(buf_string(&steps),
              "retry order/1 attempt 1 status 0 error 1; dead order/1 attempt 2 status 0 error 1; ");
    buf_reset(&steps);
    publish("ask", "2", NULL);
    UNTIL(lag("asker") == 0 && steps.size > 0);
    CHECK_STR(buf_string(&steps), "delivered ask/2 attempt 1 status 200 error 0 reply answer; ");
    buf_reset(&steps);
    publish("refuse", "3", NULL);
    UNTIL(lag("refuser") == 0 && steps.size > 0);
    CHECK_STR(buf_string(&steps), "dropped refuse/3 attempt 1 status 400 error 0; ");
    stop();
}

TEST(dispatch_does_not_retry_a_refusal)
{
    start();
    create_service("sink");
    create_trigger("billing", "refuse", "/", "");
    await_ready("billing");
    publish("refuse", "1", NULL);
    UNTIL(lag("billing") == 0);
    CHECK_INT(occurrences("refuse/1"), 1);
    CHECK_INT(metrics().dropped, 1);
    stop();
}

TEST(dispatch_appends_dead_letters_to_a_broker)
{
    start();
    create("Broker",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"metadata\":{\"name\":\"dead\"}}");
    create_trigger("billing", "refuse", "/",
                   ",\"delivery\":{\"deadLetterSink\":{\"ref\":{\"apiVersion\":"
                   "\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"name\":\"dead\"}}}");
    await_ready("billing");
    publish("refuse", "1", NULL);
    UNTIL(lag("billing") == 0);
    struct topic *topic = topic_find(event_log, BYTES_LITERAL("shop.dead"));
    int64_t count = 0;
    for (int32_t i = 0; i < topic_partition_count(topic); i++)
        count += partition_end_offset(topic_partition(topic, i));
    CHECK_INT(topic_partition_count(topic), 10);
    CHECK_INT(count, 1);
    stop();
}

TEST(dispatch_takes_a_reply_that_is_no_event_for_a_failure)
{
    start();
    create_trigger("billing", "nonsense", "/", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.001S\"}");
    await_ready("billing");
    publish("nonsense", "1", NULL);
    UNTIL(lag("billing") == 0);
    CHECK_INT(occurrences("nonsense/1"), 2);
    CHECK_INT(metrics().refused, 2);
    CHECK_INT(metrics().dropped, 1);
    stop();
}

TEST(dispatch_ends_a_loop_of_replies)
{
    start();
    create_trigger("billing", "loop", "/", "");
    await_ready("billing");
    publish("loop", "1", NULL);
    UNTIL(metrics().dropped == 1);
    UNTIL(lag("billing") == 0);
    CHECK_INT(occurrences("loop/1"), 255);
    CHECK_INT(count_records("loop"), 255);
    stop();
}

TEST(dispatch_keeps_to_the_limit_of_an_endpoint)
{
    start();
    create_trigger("billing", "keep", "/", "");
    await_ready("billing");
    for (int i = 0; i < 30; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        publish("keep", id, NULL);
    }
    UNTIL(kept_count == 10);
    for (int i = 0; i < 20; i++)
        settle();
    CHECK_INT(kept_count, 10);
    answer_kept(202);
    UNTIL(kept_count == 10);
    answer_kept(202);
    UNTIL(kept_count == 10);
    answer_kept(202);
    UNTIL(lag("billing") == 0);
    CHECK_INT(concurrent_max, 10);
    stop();
}

TEST(dispatch_delivers_one_by_one_when_the_order_matters)
{
    start();
    create("Trigger",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"billing\","
           "\"annotations\":{\"kafka.eventing.knative.dev/delivery.order\":\"ordered\"}},\"spec\":{"
           "\"broker\":\"orders\",\"subscriber\":{\"ref\":{\"apiVersion\":\"v1\",\"kind\":\"Service\","
           "\"name\":\"billing\"}}}}");
    await_ready("billing");
    publish("keep", "1", NULL);
    publish("keep", "2", NULL);
    publish("order", "3", NULL);
    UNTIL(kept_count == 1);
    for (int i = 0; i < 10; i++)
        settle();
    CHECK_INT(kept_count, 1);
    answer_kept(202);
    UNTIL(kept_count == 1);
    CHECK_STR(buf_string(&diary), "/ keep/1 / keep/2 ");
    answer_kept(202);
    UNTIL(lag("billing") == 0);
    CHECK_STR(buf_string(&diary), "/ keep/1 / keep/2 / order/3 ");
    stop();
}

TEST(dispatch_goes_on_after_a_restart_without_doubling_what_was_done)
{
    start();
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    publish("keep", "0", NULL); /* holds the offset back */
    UNTIL(kept_count == 1);
    for (int i = 1; i <= 20; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        publish("ask", id, NULL);
    }
    UNTIL(occurrences("answer/") == 20);
    for (int i = 0; i < 10; i++)
        settle();
    CHECK_INT(count_records("answer"), 20);
    UNTIL(lag("billing") >= 0); /* all is on disk */
    CHECK_INT(lag("billing"), 41);
    struct io_address address = http_server_address(handler);
    close_world();
    buf_reset(&diary);
    open_world(&address);
    UNTIL(kept_count == 1);
    answer_kept(202);
    UNTIL(lag("billing") == 0);
    CHECK_STR(buf_string(&diary), "/ keep/0 ");
    CHECK_INT(count_records("answer"), 20);
    stop();
}

TEST(dispatch_says_why_a_trigger_is_not_ready_and_goes_on_when_it_is)
{
    start();
    create("Trigger",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"late\"},"
           "\"spec\":{\"broker\":\"orders\",\"subscriber\":{\"ref\":{\"apiVersion\":\"v1\",\"kind\":"
           "\"Service\",\"name\":\"later\"}}}}");
    UNTIL(strcmp(condition("Trigger", "late", "Ready"), "False") == 0);
    UNTIL(strcmp(condition("Trigger", "late", "BrokerReady"), "True") == 0);
    CHECK_STR(condition("Trigger", "late", "SubscriberResolved"), "False");
    CHECK_STR(condition("Trigger", "late", "DeadLetterSinkResolved"), "True");
    settle();
    publish("order", "1", NULL);
    settle();
    create_service("later");
    UNTIL(strcmp(condition("Trigger", "late", "Ready"), "True") == 0);
    UNTIL(occurrences("/ order/1 ") == 1);
    UNTIL(lag("late") == 0);
    stop();
}

TEST(nobody_deletes_or_resets_the_group_of_a_trigger_while_it_runs)
{
    const struct bytes name = BYTES_LITERAL("trigger.shop.billing");
    struct coordinator_offset offset = {.topic = BYTES_LITERAL("shop.orders"), .metadata = BYTES_LITERAL("")};
    uint64_t lsn;
    start();
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    publish("order", "1", NULL);
    UNTIL(group_find(event_log, name) && lag("billing") == 0);
    CHECK_STR(group_state(group_find(event_log, name)), "Stable");
    CHECK_INT(coordinator_delete_group(event_log, name, &lsn), KAFKA_NON_EMPTY_GROUP);
    CHECK_INT(coordinator_commit(event_log, name, BYTES_LITERAL(""), BYTES_NULL, -1, &offset, 1, &lsn),
              KAFKA_UNKNOWN_MEMBER_ID);
    publish("order", "2", NULL);
    UNTIL(occurrences("/ order/2 ") == 1);
    UNTIL(lag("billing") == 0);
    stop();
}

TEST(dispatch_forgets_the_group_of_a_deleted_trigger)
{
    start();
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    UNTIL(group_find(event_log, BYTES_LITERAL("trigger.shop.billing")));
    struct error err;
    struct api_delete_options options = {.grace_period_s = -1};
    CHECK_OK(
        api_delete(api, kind_by_name("Trigger"), BYTES_LITERAL("shop"), BYTES_LITERAL("billing"), &options, NULL, &err),
        &err);
    UNTIL(!group_find(event_log, BYTES_LITERAL("trigger.shop.billing")));
    publish("order", "1", NULL);
    settle();
    CHECK_INT(diary.size, 0);
    stop();
}

TEST(dispatch_delivers_to_a_uri)
{
    start();
    create("Trigger",
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"billing\"},"
           "\"spec\":{\"broker\":\"orders\",\"subscriber\":{\"uri\":\"http://127.0.7.1:%u/uri?a=b\"}}}",
           (unsigned)http_server_address(handler).port);
    await_ready("billing");
    for (int i = 0; i < 30; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        publish("ask", id, NULL);
    }
    UNTIL(lag("billing") == 0 && occurrences("answer/") == 30);
    CHECK_INT(occurrences("/uri ask/"), 30);
    stop();
}

TEST(dispatch_waits_for_a_subscriber_that_comes_back)
{
    start();
    refuse_all = true;
    create_trigger("billing", NULL, "/",
                   ",\"delivery\":{\"retry\":50,\"backoffPolicy\":\"linear\",\"backoffDelay\":"
                   "\"PT0.001S\"}");
    await_ready("billing");
    publish("order", "1", NULL);
    UNTIL(occurrences("order/1") >= 3);
    UNTIL(lag("billing") == 1);
    refuse_all = false;
    UNTIL(lag("billing") == 0);
    CHECK_INT(metrics().succeeded, 1);
    CHECK_INT(metrics().dropped, 0);
    stop();
}

TEST(dispatch_passes_over_records_that_are_no_events)
{
    start();
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    uint64_t lsn;
    AUTO_BUF buf;
    buf_init(&buf, 1 << 16);
    kafka_batch_begin(&builder, &buf, 0);
    kafka_batch_add(&builder, io_wall_ms(io), BYTES_NULL, BYTES_LITERAL("hello"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    struct append append = {.partition = topic_partition(topic_find(event_log, BYTES_LITERAL("shop.orders")), 0),
                            .batch = batch};
    CHECK_OK(log_append(event_log, &append, 1, &lsn, &err), &err);
    publish("order", "1", NULL);
    UNTIL(lag("billing") == 0);
    CHECK_STR(buf_string(&diary), "/ order/1 ");
    CHECK_INT(metrics().events_invalid, 1);
    stop();
}

static uint64_t segment_count(void)
{
    struct log_metrics metrics;
    log_metrics(event_log, &metrics);
    return metrics.segments;
}

/* A byte within the records of the only segment that there is; done again it is mended. */
static void flip_segment(const char *directory)
{
    char pattern[500];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/segments/*/*.log", directory);
    CHECK_INT(glob(pattern, 0, NULL, &found), 0);
    CHECK_INT(found.gl_pathc, 1);
    FILE *file = fopen(found.gl_pathv[0], "r+b");
    CHECK(file && fseek(file, 80, SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(fseek(file, 80, SEEK_SET) == 0 && fputc(byte ^ 1, file) != EOF && fclose(file) == 0);
    globfree(&found);
}

TEST(a_trigger_that_comes_to_damage_says_so_and_goes_on_when_it_is_mended)
{
    start();
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    publish("keep", "0", NULL); /* holds the offset back */
    UNTIL(kept_count == 1);
    settle();
    spill_early(topic_partition(topic_find(event_log, BYTES_LITERAL("shop.orders")), 0));
    UNTIL(segment_count() == 1);
    struct io_address address = http_server_address(handler);
    AUTO_FREE(char) directory = memory_string(bytes_of_string(log_directory(event_log)));
    close_world();
    flip_segment(directory);
    buf_reset(&diary);
    open_world(&address);
    UNTIL(strcmp(condition("Trigger", "billing", "SubscriptionReady"), "False") == 0);
    CHECK_STR(condition("Trigger", "billing", "Ready"), "False");
    publish("order", "1", NULL);
    for (int i = 0; i < 10; i++)
        settle();
    CHECK_STR(buf_string(&diary), "");
    CHECK_INT(metrics().read_failures, 1);
    flip_segment(directory);
    UNTIL(occurrences("order/1") == 1);
    UNTIL(strcmp(condition("Trigger", "billing", "Ready"), "True") == 0);
    CHECK_INT(metrics().read_failures, 1);
    answer_kept(202);
    UNTIL(lag("billing") == 0);
    stop();
}

TEST(dispatch_delivers_what_was_committed_and_nothing_that_was_aborted)
{
    start_with(3);
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    struct transaction_producer first = publish_in_transaction("t", "order", "1");
    struct transaction_producer second = publish_in_transaction("u", "order", "2");
    end_transaction("u", second, true);
    publish("plain", "3", "elsewhere"); /* in another partition: the first one is read meanwhile */
    UNTIL(occurrences("plain/3 ") == 1);
    CHECK_INT(occurrences("order/"), 0); /* the older one is undecided, and so is what lies behind it */
    end_transaction("t", first, false);
    UNTIL(lag("billing") == 0);
    CHECK_STR(buf_string(&diary), "/ plain/3 / order/2 ");
    stop();
}

TEST(dispatch_delivers_many_events_of_many_partitions_once)
{
    start_with(4);
    create_trigger("billing", NULL, "/", "");
    await_ready("billing");
    for (int i = 0; i < 3000; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        publish("order", id, NULL);
    }
    UNTIL(lag("billing") == 0);
    CHECK_INT(occurrences("order/"), 3000);
    CHECK_INT(metrics().deliveries, 3000);
    stop();
}
