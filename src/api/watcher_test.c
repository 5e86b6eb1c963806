/* SPDX-License-Identifier: Apache-2.0 */
/* Hearing of changes: listeners inside the program, watchers for clients, the history behind both. */
#include <stdio.h>

#include "api/history.h"
#include "api/store_fixture.h"
#include "api/store_priv.h"
#include "api/watcher.h"
#include "base/memory.h"

/* --- Listeners --- */

struct ear {
    struct fixture *f;
    struct api_listener listener;
    char heard[1000]; /* "+a ~a -a " */
    bool leave;       /* after the first one */
    bool answer;      /* by creating another object */
};

static void hear(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct ear *ear = ctx;
    size_t size = strlen(ear->heard);
    CHECK((type == API_ADDED) == (before == NULL));
    snprintf(ear->heard + size, sizeof ear->heard - size, "%c" BYTES_FORMAT " ", "+~-"[type], BYTES_ARGS(object->name));
    if (ear->leave)
        api_unlisten(&ear->listener);
    if (ear->answer) {
        ear->answer = false;
        object_unref(fixture_create(ear->f, "ConfigMap", "{\"metadata\":{\"name\":\"answer\"}}"));
    }
}

static void listen_to(struct fixture *f, struct ear *ear, const char *kind)
{
    *ear = (struct ear){.f = f, .listener = {.run = hear, .ctx = ear, .kind = kind ? kind_by_name(kind) : NULL}};
    api_listen(f->api, &ear->listener);
}

static void create(struct fixture *f, const char *name)
{
    char text[100];
    snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\"}}", name);
    object_unref(fixture_create(f, "ConfigMap", text));
}

static void change(struct fixture *f, const char *name, const char *value)
{
    fixture_set(f, "ConfigMap", name, "data.k", json_new_text(value), 0);
}

TEST(a_listener_hears_what_is_there_and_then_what_changes)
{
    struct fixture f;
    struct ear ear;
    fixture_open(&f);
    create(&f, "a");
    listen_to(&f, &ear, "ConfigMap");
    CHECK_STR(ear.heard, ""); /* never from within the call */
    create(&f, "b");
    fixture_turn(&f);
    CHECK_STR(ear.heard, "+a +b ");
    change(&f, "a", "1");
    fixture_delete(&f, "ConfigMap", "default", "a");
    object_unref(fixture_create(&f, "Secret", "{\"metadata\":{\"name\":\"s\"}}"));
    CHECK_STR(ear.heard, "+a +b ");
    fixture_turn(&f);
    CHECK_STR(ear.heard, "+a +b ~a -a ");
    api_unlisten(&ear.listener);
    create(&f, "c");
    fixture_turn(&f);
    CHECK_STR(ear.heard, "+a +b ~a -a ");
    fixture_close(&f);
}

TEST(a_listener_may_leave_and_write_while_it_hears)
{
    struct fixture f;
    struct ear leaver, writer, other;
    fixture_open(&f);
    create(&f, "a");
    create(&f, "b");
    listen_to(&f, &leaver, "ConfigMap");
    listen_to(&f, &writer, "ConfigMap");
    listen_to(&f, &other, "ConfigMap");
    leaver.leave = true;
    writer.answer = true;
    fixture_turn(&f);
    fixture_turn(&f);
    CHECK_STR(leaver.heard, "+a ");
    CHECK_STR(writer.heard, "+a +b +answer ");
    CHECK_STR(other.heard, "+a +answer +b ");
    fixture_close(&f);
}

TEST(a_listener_without_a_kind_hears_all)
{
    struct fixture f;
    struct ear ear;
    fixture_open(&f);
    listen_to(&f, &ear, NULL);
    fixture_turn(&f);
    CHECK_STR(ear.heard, "+default +kube-node-lease +kube-public +kube-system ");
    fixture_close(&f);
}

/* --- Watchers --- */

struct client {
    struct watcher *watcher;
    int ready;
    char seen[1000];
};

static void on_ready(void *ctx)
{
    struct client *client = ctx;
    client->ready++;
}

static void pull(struct client *client)
{
    struct watcher_event event;
    struct error err;
    bool got = true;
    while (got) {
        size_t size = strlen(client->seen);
        CHECK_OK(watcher_next(client->watcher, &event, &got, &err), &err);
        if (got && event.type == WATCHER_INITIAL_END)
            snprintf(client->seen + size, sizeof client->seen - size, "| ");
        else if (got)
            snprintf(client->seen + size, sizeof client->seen - size, "%c" BYTES_FORMAT " ", "+~-"[event.type],
                     BYTES_ARGS(event.object->name));
        if (got)
            object_unref(event.object);
    }
}

static void watch_from(struct fixture *f, struct client *client, const struct watcher_options *more)
{
    struct error err;
    struct watcher_options options = *more;
    *client = (struct client){0};
    options.kind = kind_by_name("ConfigMap");
    options.on_ready = on_ready;
    options.ctx = client;
    client->watcher = watcher_open(f->api, &options, &err);
    CHECK_OK(client->watcher, &err);
}

TEST(a_watcher_sees_what_comes_after_its_revision)
{
    struct fixture f;
    struct client client;
    fixture_open(&f);
    create(&f, "a");
    uint64_t revision = api_revision(f.api);
    create(&f, "b");
    change(&f, "a", "1");
    fixture_sync(&f);
    watch_from(&f, &client, &(struct watcher_options){.resource_version = revision});
    pull(&client);
    CHECK_STR(client.seen, "+b ~a ");
    fixture_delete(&f, "ConfigMap", "default", "b");
    fixture_sync(&f);
    CHECK(client.ready > 0);
    pull(&client);
    CHECK_STR(client.seen, "+b ~a -b ");
    CHECK_INT(watcher_revision(client.watcher), api_revision(f.api));
    watcher_close(client.watcher);
    fixture_close(&f);
}

TEST(a_watcher_begins_with_what_is_there_when_asked)
{
    struct fixture f;
    struct client client;
    fixture_open(&f);
    create(&f, "a");
    create(&f, "b");
    fixture_sync(&f);
    watch_from(&f, &client, &(struct watcher_options){.initial = true});
    change(&f, "a", "later");
    fixture_sync(&f);
    pull(&client);
    CHECK_STR(client.seen, "+a +b | ~a ");
    watcher_close(client.watcher);
    fixture_close(&f);
}

TEST(what_is_not_on_disk_is_not_shown)
{
    struct fixture f;
    struct client client;
    fixture_open(&f);
    watch_from(&f, &client, &(struct watcher_options){.initial = true});
    pull(&client);
    CHECK_STR(client.seen, "| ");
    create(&f, "a");
    pull(&client);
    CHECK_STR(client.seen, "| ");
    CHECK(watcher_revision(client.watcher) < api_revision(f.api));
    fixture_sync(&f);
    pull(&client);
    CHECK_STR(client.seen, "| +a ");
    watcher_close(client.watcher);
    create(&f, "b");
    watch_from(&f, &client, &(struct watcher_options){.initial = true});
    pull(&client);
    CHECK_STR(client.seen, "");
    fixture_sync(&f);
    CHECK(client.ready > 0);
    pull(&client);
    CHECK_STR(client.seen, "+a +b | ");
    watcher_close(client.watcher);
    fixture_close(&f);
}

TEST(an_object_that_stops_matching_is_deleted_for_the_client)
{
    struct fixture f;
    struct client client;
    struct error err;
    struct label_selector *labels;
    fixture_open(&f);
    CHECK_OK(label_selector_parse(BYTES_LITERAL("app=shop"), &labels, &err), &err);
    watch_from(&f, &client, &(struct watcher_options){.labels = labels, .initial = true});
    create(&f, "a");
    fixture_set(&f, "ConfigMap", "a", "metadata.labels.app", json_new_text("shop"), 0);
    change(&f, "a", "1");
    fixture_set(&f, "ConfigMap", "a", "metadata.labels.app", json_new_text("other"), 0);
    change(&f, "a", "2");
    fixture_sync(&f);
    pull(&client);
    CHECK_STR(client.seen, "| +a ~a -a ");
    watcher_close(client.watcher);
    label_selector_free(labels);
    fixture_close(&f);
}

TEST(a_deletion_is_shown_with_its_own_revision)
{
    struct fixture f;
    struct client client;
    struct error err;
    struct watcher_event event;
    bool got;
    fixture_open(&f);
    create(&f, "a");
    fixture_sync(&f);
    watch_from(&f, &client, &(struct watcher_options){.resource_version = api_revision(f.api)});
    fixture_delete(&f, "ConfigMap", "default", "a");
    fixture_sync(&f);
    CHECK_OK(watcher_next(client.watcher, &event, &got, &err), &err);
    CHECK(got && event.type == WATCHER_DELETED);
    CHECK_INT(event.object->resource_version, api_revision(f.api));
    object_unref(event.object);
    watcher_close(client.watcher);
    fixture_close(&f);
}

TEST(a_watcher_that_is_too_slow_or_comes_too_late_is_told_so)
{
    struct fixture f;
    struct client client;
    struct error err;
    struct watcher_event event;
    bool got;
    fixture_open(&f);
    create(&f, "a");
    uint64_t revision = api_revision(f.api);
    watch_from(&f, &client, &(struct watcher_options){.resource_version = revision});
    for (int i = 0; i <= HISTORY_ENTRIES_MAX; i++) {
        char value[20];
        snprintf(value, sizeof value, "%d", i);
        change(&f, "a", value);
    }
    fixture_sync(&f);
    CHECK(!watcher_next(client.watcher, &event, &got, &err));
    CHECK(err.kind == ERROR_GONE);
    watcher_close(client.watcher);
    struct watcher_options options = {
        .kind = kind_by_name("ConfigMap"), .resource_version = revision, .on_ready = on_ready};
    CHECK(!watcher_open(f.api, &options, &err));
    CHECK(err.kind == ERROR_GONE);
    options.resource_version = api_revision(f.api) + 1;
    CHECK(!watcher_open(f.api, &options, &err));
    CHECK(err.kind == ERROR_TIMEOUT);
    fixture_close(&f);
}

TEST(a_watch_goes_on_over_a_restart)
{
    struct fixture f;
    struct client client;
    fixture_open(&f);
    create(&f, "a");
    uint64_t revision = api_revision(f.api);
    create(&f, "b");
    change(&f, "a", "1");
    fixture_delete(&f, "ConfigMap", "default", "b");
    fixture_reopen(&f);
    watch_from(&f, &client, &(struct watcher_options){.resource_version = revision});
    pull(&client);
    CHECK_STR(client.seen, "+b ~a -b ");
    watcher_close(client.watcher);
    fixture_close(&f);
}

TEST(the_history_of_large_objects_is_short)
{
    struct fixture f;
    fixture_open(&f);
    create(&f, "a");
    AUTO_FREE(char) large = memory_new(200001);
    for (int i = 0; i < 100; i++) {
        memset(large, 'a' + i % 26, 200000);
        change(&f, "a", large);
    }
    const struct history *history = &store_collection(f.api, kind_by_name("ConfigMap"))->history;
    CHECK(history->size <= HISTORY_SIZE_MAX);
    CHECK(history->count > 10 && history->count < 60);
    fixture_close(&f);
}

/* --- The past --- */

static void check_past(struct fixture *f, uint64_t revision, const char *want)
{
    struct api_snapshot snapshot;
    struct error err;
    char text[200] = "";
    CHECK_OK(api_snapshot_take(f->api, kind_by_name("ConfigMap"), revision, &snapshot, &err), &err);
    for (size_t i = 0; i < snapshot.count; i++) {
        size_t size = strlen(text);
        snprintf(text + size, sizeof text - size, BYTES_FORMAT "=%s ", BYTES_ARGS(snapshot.objects[i]->name),
                 json_text_at(snapshot.objects[i]->json, "data.k", ""));
    }
    CHECK_STR(text, want);
    api_snapshot_deinit(&snapshot);
}

TEST(a_kind_is_seen_as_it_was)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t at[6];
    create(&f, "b");
    at[0] = api_revision(f.api);
    create(&f, "a");
    at[1] = api_revision(f.api);
    change(&f, "b", "1");
    at[2] = api_revision(f.api);
    fixture_delete(&f, "ConfigMap", "default", "b");
    at[3] = api_revision(f.api);
    create(&f, "b");
    change(&f, "b", "2");
    check_past(&f, at[0] - 1, "");
    check_past(&f, at[0], "b= ");
    check_past(&f, at[1], "a= b= ");
    check_past(&f, at[2], "a= b=1 ");
    check_past(&f, at[3], "a= ");
    check_past(&f, api_revision(f.api), "a= b=2 ");
    fixture_close(&f);
}

/* --- Events --- */

TEST(an_event_that_repeats_is_counted_in_one)
{
    struct fixture f;
    fixture_open(&f);
    AUTO_OBJECT *about = fixture_create(&f, "ConfigMap", "{\"metadata\":{\"name\":\"a\"}}");
    api_record_event(f.api, about, "Warning", "Failed", "test", "it failed %d times", 3);
    api_record_event(f.api, about, "Warning", "Failed", "test", "it failed %d times", 3);
    api_record_event(f.api, about, "Normal", "Done", "test", "it is done");
    fixture_turn(&f);
    CHECK_INT(api_count(f.api, kind_by_name("Event")), 2);
    struct api_iterator iterator;
    api_iterate(f.api, kind_by_name("Event"), BYTES_NULL, &iterator);
    struct object *event = api_iterator_next(&iterator);
    CHECK_STR(json_text_at(event->json, "involvedObject.name", ""), "a");
    CHECK_STR(json_text_at(event->json, "involvedObject.uid", ""), about->uid);
    CHECK_STR(json_text_at(event->json, "message", ""), "it failed 3 times");
    api_iterator_end(&iterator);
    fixture_close(&f);
}

TEST(an_event_of_a_former_run_is_repeated_not_recorded_again)
{
    struct fixture f;
    fixture_open(&f);
    api_record_event(f.api, api_find(f.api, "Namespace", "", "default"), "Normal", "Happened", "test", "it happened");
    fixture_reopen(&f);
    fixture_turn(&f);
    api_record_event(f.api, api_find(f.api, "Namespace", "", "default"), "Normal", "Happened", "test", "it happened");
    CHECK_INT(api_count(f.api, kind_by_name("Event")), 1);
    fixture_close(&f);
}

TEST(a_condition_keeps_its_time_while_its_status_stays)
{
    struct fixture f;
    fixture_open(&f);
    AUTO_JSON *json = json_new_object();
    object_set_condition(f.api, json, "Ready", "False", "Starting", "not yet");
    json_set_at(json_at(json, "status.conditions.0"), "lastTransitionTime", json_new_text("then"));
    object_set_condition(f.api, json, "Ready", "False", "Starting", "still not");
    CHECK_STR(json_text_at(json, "status.conditions.0.lastTransitionTime", ""), "then");
    CHECK_STR(json_text_at(json, "status.conditions.0.message", ""), "still not");
    object_set_condition(f.api, json, "Ready", "True", NULL, NULL);
    CHECK(strcmp(json_text_at(json, "status.conditions.0.lastTransitionTime", "then"), "then") != 0);
    CHECK(!json_at(json, "status.conditions.0.message"));
    CHECK_INT(json_size(json_at(json, "status.conditions")), 1);
    fixture_close(&f);
}
