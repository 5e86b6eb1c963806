/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fixture.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "control/objects.h"
#include "coordinator/coordinator_folds.h"
#include "coordinator/group.h"
#include "wire/kafka_batch.h"
#include "wire/yaml.h"

static void stop(void *ctx)
{
    io_stop(ctx);
}

/* --- Opening --- */

static void open_parts(struct fixture *f)
{
    struct error err;
    struct log_options options = {.directory = test_dir(), .journal_file_size = 8 << 20, .folds = coordinator_folds};
    f->io = io_linux_new(&err);
    CHECK_OK(f->io, &err);
    f->log = log_open(f->io, &options, &err);
    CHECK_OK(f->log, &err);
    f->api = api_open(f->io, f->log, &err);
    CHECK_OK(f->api, &err);
    f->mesh = mesh_open(f->api);
    struct control_options control = {.api = f->api, .mesh = f->mesh, .ca_certificate = BYTES_LITERAL("a certificate")};
    CHECK_OK(io_address_parse("127.0.0.1:6443", &control.api_address, &err), &err);
    f->control = control_open(&control, &err);
    CHECK_OK(f->control, &err);
}

void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    open_parts(f);
    fixture_apply(f, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");
    fixture_settle(f);
}

void fixture_close(struct fixture *f)
{
    control_close(f->control);
    mesh_close(f->mesh);
    api_close(f->api);
    log_close(f->log, stop, f->io);
    io_run(f->io);
    io_free(f->io);
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    open_parts(f);
    fixture_settle(f);
}

/* --- Time --- */

void fixture_wait_ms(struct fixture *f, uint64_t ms)
{
    struct io_timer timer;
    io_timer_init(f->io, &timer, stop, f->io);
    io_timer_start(&timer, ms);
    io_run(f->io);
}

static void on_synced(void *ctx, const struct error *err)
{
    CHECK(err == NULL);
    io_stop(ctx);
}

void fixture_settle(struct fixture *f)
{
    uint64_t lsn;
    int rounds = 0;
    do {
        CHECK(rounds++ < 500); /* it never comes to rest */
        lsn = log_lsn(f->log);
        struct log_waiter waiter = {.run = on_synced, .ctx = f->io};
        log_wait(f->log, &waiter, lsn, LOG_SYNCED);
        io_run(f->io);
        fixture_wait_ms(f, 0);
    } while (log_lsn(f->log) != lsn || log_synced_lsn(f->log) != lsn);
}

/* --- Objects --- */

static struct bytes namespace_of(const struct kind *kind)
{
    return kind->namespaced ? BYTES_LITERAL("shop") : BYTES_NULL;
}

struct object *fixture_get(struct fixture *f, const char *kind_name, const char *name)
{
    const struct kind *kind = kind_by_name(kind_name);
    CHECK(kind != NULL);
    return api_get(f->api, kind, namespace_of(kind), bytes_of_string(name));
}

void fixture_apply(struct fixture *f, const char *format, ...)
{
    char text[4000];
    struct error err;
    AUTO_YAML yaml = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK_OK(yaml_parse(bytes_of_string(text), "test", &yaml, &err), &err);
    for (size_t i = 0; i < yaml.count; i++) {
        const struct json *value = yaml.documents[i].value;
        const struct kind *kind = kind_by_name(json_text_at(value, "kind", ""));
        const char *name = json_text_at(value, "metadata.name", "");
        if (api_get(f->api, kind, namespace_of(kind), bytes_of_string(name)))
            CHECK_OK(api_update(f->api, kind, namespace_of(kind), bytes_of_string(name), value, 0, NULL, &err), &err);
        else
            CHECK_OK(api_create(f->api, kind, namespace_of(kind), value, 0, NULL, &err), &err);
    }
}

void fixture_delete(struct fixture *f, const char *kind_name, const char *name, const char *policy)
{
    struct error err;
    const struct kind *kind = kind_by_name(kind_name);
    const struct api_delete_options options = {.grace_period_s = -1, .propagation_policy = policy};
    CHECK_OK(api_delete(f->api, kind, namespace_of(kind), bytes_of_string(name), &options, NULL, &err), &err);
}

static void write_back(struct fixture *f, const struct object *object, const struct json *json, int flags)
{
    struct error err;
    CHECK_OK(api_update(f->api, object->kind, object->namespace, object->name, json, flags, NULL, &err), &err);
}

void fixture_set(struct fixture *f, const char *kind, const char *name, const char *path, struct json *value)
{
    const struct object *object = fixture_get(f, kind, name);
    CHECK(object != NULL);
    AUTO_JSON *next = json_clone(object->json);
    CHECK(json_set_at(next, path, value));
    write_back(f, object, next, 0);
}

/* --- Playing node --- */

static void start_pod(struct fixture *f, struct object *pod)
{
    AUTO_JSON *bound = json_clone(pod->json);
    json_set_at(bound, "spec.nodeName", json_new_text("here"));
    write_back(f, pod, bound, 0);
    AUTO_JSON *next = json_clone(fixture_get(f, "Pod", (const char *)pod->name.data)->json);
    f->pods_started++;
    json_set_at(next, "status.phase", json_new_text("Running"));
    json_set_at(next, "status.podIP", json_new_format("127.1.%d.%d", f->pods_started / 250, f->pods_started % 250 + 1));
    object_set_condition(f->api, next, "Ready", "True", "", "");
    write_back(f, pod, next, API_STATUS);
}

static void end_pod(struct fixture *f, const struct object *pod)
{
    struct error err;
    const struct api_delete_options options = {.grace_period_s = 0};
    CHECK_OK(api_delete(f->api, pod->kind, pod->namespace, pod->name, &options, NULL, &err), &err);
}

void fixture_run_pods_once(struct fixture *f)
{
    struct api_iterator iterator;
    struct object *pod;
    fixture_settle(f);
    api_iterate(f->api, kind_by_name("Pod"), BYTES_LITERAL("shop"), &iterator);
    while ((pod = api_iterator_next(&iterator)))
        if (pod->deleting && json_size(json_at(pod->json, "metadata.finalizers")) == 0)
            end_pod(f, pod);
        else if (!pod->deleting && !pod_terminal(pod) && !pod_ready(pod))
            start_pod(f, pod);
    fixture_settle(f);
}

void fixture_run_pods(struct fixture *f)
{
    uint64_t lsn;
    int rounds = 0;
    do {
        CHECK(rounds++ < 100);
        lsn = log_lsn(f->log);
        fixture_run_pods_once(f);
    } while (log_lsn(f->log) != lsn);
}

/* --- Looking --- */

static struct object *find(struct fixture *f, const char *kind_name, const char *prefix, size_t *count)
{
    struct api_iterator iterator;
    struct object *object, *first = NULL;
    const struct kind *kind = kind_by_name(kind_name);
    *count = 0;
    api_iterate(f->api, kind, namespace_of(kind), &iterator);
    while ((object = api_iterator_next(&iterator))) {
        if (object->deleting || !bytes_starts_with(object->name, bytes_of_string(prefix)))
            continue;
        first = first ? first : object;
        (*count)++;
    }
    return first;
}

size_t fixture_count(struct fixture *f, const char *kind, const char *prefix)
{
    size_t count;
    find(f, kind, prefix, &count);
    return count;
}

struct object *fixture_first(struct fixture *f, const char *kind, const char *prefix)
{
    size_t count;
    return find(f, kind, prefix, &count);
}

bool fixture_has_event(struct fixture *f, const char *about, const char *reason)
{
    struct api_iterator iterator;
    struct object *event;
    bool found = false;
    api_iterate(f->api, kind_by_name("Event"), BYTES_NULL, &iterator);
    while ((event = api_iterator_next(&iterator)))
        found |= bytes_equal_string(json_bytes(json_at(event->json, "involvedObject.name")), about) &&
                 bytes_equal_string(json_bytes(json_get(event->json, "reason")), reason);
    return found;
}

/* --- Events --- */

static struct topic *topic_for(struct fixture *f, const char *name)
{
    struct error err;
    uint64_t lsn;
    struct topic *topic = topic_find(f->log, bytes_of_string(name));
    const struct topic_spec spec = {.name = bytes_of_string(name), .partition_count = 1};
    if (!topic)
        CHECK_OK(topic_create(f->log, &spec, &topic, &lsn, &err), &err);
    return topic;
}

void fixture_publish(struct fixture *f, const char *topic, int count)
{
    struct error err;
    uint64_t lsn;
    AUTO_BUF buf;
    struct bytes batch;
    struct kafka_batch_builder builder;
    buf_init(&buf, 1 << 20);
    kafka_batch_begin(&builder, &buf, 0);
    for (int i = 0; i < count; i++)
        kafka_batch_add(&builder, 1000, BYTES_NULL, BYTES_LITERAL("an order"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    struct append append = {.partition = topic_partition(topic_for(f, topic), 0), .batch = batch};
    CHECK_OK(log_append(f->log, &append, 1, &lsn, &err), &err);
}

void fixture_commit(struct fixture *f, const char *group, const char *topic, int64_t offset)
{
    fixture_commit_with(f, group, topic, offset, "");
}

void fixture_commit_with(struct fixture *f, const char *group, const char *topic, int64_t offset, const char *metadata)
{
    struct error err;
    uint64_t lsn;
    AUTO_ARENA arena;
    struct append append;
    arena_init(&arena, 0);
    topic_for(f, topic);
    CHECK_OK(group_commit_append(f->log, bytes_of_string(group), bytes_of_string(topic), 0, offset,
                                 bytes_of_string(metadata), &arena, &append, &err),
             &err);
    CHECK_OK(log_append(f->log, &append, 1, &lsn, &err), &err);
}
