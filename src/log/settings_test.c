/* SPDX-License-Identifier: Apache-2.0 */
#include "log/settings.h"

#include <errno.h>
#include <stdio.h>

#include "base/map.h"
#include "log/checkpoint.h"
#include "log/fixture.h"
#include "log/topic_config.h"

static void set(struct fixture *f, const char *kind, const char *name, const char *key, const char *value)
{
    struct topic_config_entry entry = {bytes_of_string(key), bytes_of_string(value)};
    struct error err;
    uint64_t lsn;
    CHECK_OK(log_set_settings(f->log, kind, bytes_of_string(name), &entry, value ? 1 : 0, &lsn, &err), &err);
    CHECK_INT(lsn, log_lsn(f->log));
}

static struct bytes get(const struct fixture *f, const char *kind, const char *name, const char *key)
{
    return settings_get(settings_find(f->log, kind, bytes_of_string(name)), bytes_of_string(key));
}

static void names_of(const struct fixture *f, const char *kind, char out[100])
{
    out[0] = '\0';
    for (const struct settings *s = settings_first(f->log, kind); s; s = settings_next(f->log, s))
        snprintf(out + strlen(out), 100 - strlen(out), BYTES_FORMAT " ", BYTES_ARGS(settings_name(s)));
}

TEST(settings_are_kept_by_kind_and_name_over_a_restart)
{
    struct fixture f;
    char names[100];
    fixture_init(&f);
    fixture_open(&f);
    set(&f, "group", "b", "x", "1");
    set(&f, "group", "a", "x", "2");
    set(&f, "groups", "a", "x", "3");
    set(&f, "broker", "", "x", "4");
    for (int i = 0; i < 2; i++) {
        CHECK(bytes_equal_string(get(&f, "group", "a", "x"), "2"));
        CHECK(bytes_equal_string(get(&f, "broker", "", "x"), "4"));
        CHECK(get(&f, "group", "a", "y").data == NULL);
        CHECK(get(&f, "broker", "0", "x").data == NULL);
        names_of(&f, "group", names);
        CHECK_STR(names, "a b ");
        names_of(&f, "grou", names);
        CHECK_STR(names, "");
        fixture_sync(&f);
        fixture_close(&f);
        fixture_open(&f);
    }
    fixture_deinit(&f);
}

TEST(setting_replaces_all_of_a_name_and_nothing_removes_it)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    set(&f, "group", "g", "x", "1");
    set(&f, "group", "g", "y", "2");
    CHECK(get(&f, "group", "g", "x").data == NULL);
    CHECK_INT(settings_count(settings_find(f.log, "group", BYTES_LITERAL("g"))), 1);
    CHECK(bytes_equal_string(map_key(settings_first_entry(settings_first(f.log, "group"))), "y"));
    set(&f, "group", "g", "y", NULL);
    CHECK(settings_first(f.log, "group") == NULL);
    fixture_deinit(&f);
}

TEST(settings_that_no_record_could_hold_are_refused)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    static char text[SETTINGS_VALUE_SIZE_MAX + 1];
    fixture_init(&f);
    fixture_open(&f);
    struct topic_config_entry entry = {BYTES_LITERAL("x"), BYTES_LITERAL("1")};
    CHECK(!log_set_settings(f.log, "group", BYTES_LITERAL("\xff"), &entry, 1, &lsn, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    entry.value = bytes_of(text, sizeof text);
    CHECK(!log_set_settings(f.log, "group", BYTES_LITERAL("g"), &entry, 1, &lsn, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK(settings_first(f.log, "group") == NULL);
    fixture_deinit(&f);
}

TEST(what_is_set_for_the_node_holds_for_topics_without_a_setting_of_their_own)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    fixture_init(&f);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    struct append append = {.partition = topic_partition(topic, 0), .batch = fixture_batch(&f, "a", 1)};
    CHECK(bytes_equal_string(topic_config_in_force(topic, BYTES_LITERAL("max.message.bytes")), "1048588"));
    set(&f, "broker", "", "message.max.bytes", "10");
    CHECK(!log_append(f.log, &append, 1, &lsn, &err));
    CHECK_INT(err.sys, EMSGSIZE);
    set(&f, "broker", "0", "message.max.bytes", "20000");
    CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
    set(&f, "broker", "0", "x", NULL);
    const struct topic_config_entry own = {BYTES_LITERAL("max.message.bytes"), BYTES_LITERAL("30000")};
    CHECK_OK(topic_set_configs(f.log, topic, &own, 1, &lsn, &err), &err);
    CHECK(bytes_equal_string(topic_config_in_force(topic, BYTES_LITERAL("max.message.bytes")), "30000"));
    append.batch = fixture_batch(&f, "a", 1);
    CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
    fixture_deinit(&f);
}

TEST(every_topic_setting_says_what_it_is)
{
    size_t count;
    const struct topic_config_info *infos = topic_config_infos(&count);
    for (size_t i = 0; i < count; i++) {
        const struct topic_config_text *text = topic_config_text(bytes_of_string(infos[i].name));
        CHECK(text != NULL && text->documentation[0] != '\0');
        CHECK(i == 0 || strcmp(infos[i - 1].name, infos[i].name) < 0);
    }
}

TEST(settings_are_in_the_checkpoint)
{
    struct fixture f;
    struct journal_start start;
    struct error err;
    fixture_init(&f);
    fixture_open(&f);
    set(&f, "group", "g", "x", "1");
    set(&f, "broker", "", "message.max.bytes", "10");
    fixture_topic(&f, "orders", 1);
    AUTO_BUF content;
    buf_init(&content, 1 << 20);
    checkpoint_take(f.log, 0, &content);
    checkpoint_finish(&content);
    struct log *again = log_new(f.io, &f.options);
    CHECK_OK(checkpoint_parse(again, buf_bytes(&content), &start, &err), &err);
    CHECK(bytes_equal_string(settings_get(settings_find(again, "group", BYTES_LITERAL("g")), BYTES_LITERAL("x")), "1"));
    CHECK_INT(topic_find(again, BYTES_LITERAL("orders"))->batch_size_max, 10);
    log_free(again);
    fixture_deinit(&f);
}
