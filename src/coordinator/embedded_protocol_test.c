/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes are those that clients send: kafka-python's, librdkafka's, the Java client's. */
#include "coordinator/embedded_protocol.h"

#include "log/fixture.h"

#define BYTES(text) bytes_of("" text, sizeof(text) - 1)

struct world {
    struct fixture f;
    struct arena arena;
};

static void open_world(struct world *w)
{
    fixture_init_simulated(&w->f, 1);
    fixture_open(&w->f);
    fixture_topic(&w->f, "a", 3);
    arena_init(&w->arena, 0);
}

static void close_world(struct world *w)
{
    arena_deinit(&w->arena);
    fixture_deinit(&w->f);
}

static bool read_subscription(struct world *w, struct bytes metadata, struct embedded_subscription *out)
{
    struct error err;
    return embedded_subscription_read(w->f.log, metadata, &w->arena, out, &err);
}

TEST(a_subscription_of_every_version_is_read)
{
#define TOPICS                                                                                                         \
    "\0\0\0\2\0\1a\0\4none"                                                                                            \
    "\xff\xff\xff\xff"
#define OWNED "\0\0\0\2\0\1a\0\0\0\3\0\0\0\0\0\0\0\2\0\0\0\7\0\4none\0\0\0\1\0\0\0\0"
    const struct bytes all[] = {BYTES("\0\0" TOPICS), BYTES("\0\1" TOPICS OWNED), BYTES("\0\2" TOPICS OWNED "\0\0\0\5"),
                                BYTES("\0\3" TOPICS OWNED "\0\0\0\5\0\2r1"),
                                BYTES("\0\11" TOPICS OWNED "\0\0\0\5\0\2r1 and what is not known yet")};
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct embedded_subscription said;
        CHECK(read_subscription(&w, all[i], &said));
        CHECK_INT(said.topic_count, 2);
        CHECK_BYTES(said.topics[1], BYTES_LITERAL("none"));
        CHECK_INT(said.owned.count, i == 0 ? 0 : 2); /* those that are there */
        CHECK(i < 3 || bytes_equal_string(said.rack_id, "r1"));
        partition_set_deinit(&said.owned);
        CHECK(embedded_subscribes(all[i], BYTES_LITERAL("none")));
        CHECK(!embedded_subscribes(all[i], BYTES_LITERAL("other")));
    }
    close_world(&w);
}

TEST(a_subscription_that_is_cut_short_anywhere_is_refused)
{
    const struct bytes whole = BYTES("\0\3" TOPICS OWNED "\0\0\0\5\0\2r1");
    struct world w;
    struct embedded_subscription said;
    open_world(&w);
    for (size_t size = 0; size < whole.size; size++) {
        CHECK(!read_subscription(&w, bytes_slice(whole, 0, size), &said));
        CHECK(embedded_subscribes(bytes_slice(whole, 0, size), BYTES_LITERAL("other"))); /* perhaps it does */
    }
    CHECK(!read_subscription(&w, BYTES("\xff\xff" TOPICS), &said));
    close_world(&w);
}

TEST(an_assignment_comes_back_as_it_was_written)
{
    struct world w;
    struct error err;
    open_world(&w);
    AUTO_PARTITION_SET set = {0};
    AUTO_PARTITION_SET again = {0};
    AUTO_BUF out;
    buf_init(&out, 1000);
    partition_set_add(&set, topic_id(topic_find(w.f.log, BYTES_LITERAL("a"))), 1);
    partition_set_add(&set, topic_id(topic_find(w.f.log, BYTES_LITERAL("a"))), 2);
    embedded_assignment_write(w.f.log, &set, &out);
    CHECK(bytes_equal(buf_bytes(&out), BYTES("\0\0\0\0\0\1\0\1a\0\0\0\2\0\0\0\1\0\0\0\2\xff\xff\xff\xff")));
    CHECK_OK(embedded_assignment_read(w.f.log, buf_bytes(&out), &w.arena, &again, &err), &err);
    CHECK(partition_set_equal(&set, &again));
    partition_set_deinit(&again);
    for (size_t size = 1; size < out.size; size++)
        CHECK(!embedded_assignment_read(w.f.log, bytes_slice(buf_bytes(&out), 0, size), &w.arena, &again, &err));
    CHECK_OK(embedded_assignment_read(w.f.log, BYTES_LITERAL(""), &w.arena, &again, &err), &err);
    CHECK_INT(again.count, 0);
    close_world(&w);
}

TEST(an_assignment_with_data_of_its_assignors_own_is_not_ours_to_make)
{
    struct world w;
    struct error err;
    struct partition_set set;
    open_world(&w);
    CHECK(!embedded_assignment_read(w.f.log, BYTES("\0\0\0\0\0\0\0\0\0\1x"), &w.arena, &set, &err));
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
    CHECK(embedded_assignment_read(w.f.log, BYTES("\0\0\0\0\0\0\0\0\0\0"), &w.arena, &set, &err));
    close_world(&w);
}
