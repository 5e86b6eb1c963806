/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of dispatch that need no world: progress, filters, delivery options. */
#include <stdio.h>

#include "dispatch/delivery_options.h"
#include "dispatch/filter.h"
#include "dispatch/progress.h"
#include "test.h"

static const char *metadata_of(const struct progress *progress, struct buf *out)
{
    buf_reset(out);
    progress_print_metadata(progress, out);
    return buf_string(out);
}

TEST(progress_moves_over_what_is_done)
{
    struct progress progress;
    progress_init(&progress, 100);
    CHECK(progress_is_done(&progress, 99));
    CHECK(!progress_is_done(&progress, 100));
    progress_mark(&progress, 101);
    progress_mark(&progress, 103);
    CHECK_INT(progress.base, 100);
    progress_mark(&progress, 100);
    CHECK_INT(progress.base, 102);
    CHECK(progress_is_done(&progress, 103));
    progress_mark(&progress, 50); /* was done long ago */
    progress_mark(&progress, 102);
    CHECK_INT(progress.base, 104);
}

TEST(progress_comes_back_from_its_metadata)
{
    struct progress progress, again;
    AUTO_BUF out;
    buf_init(&out, 4096);
    progress_init(&progress, 1000000);
    CHECK_STR(metadata_of(&progress, &out), "");
    progress_mark(&progress, 1000001);
    progress_mark(&progress, 1000001 + 8);
    CHECK_STR(metadata_of(&progress, &out), "done:AgI");
    progress_mark(&progress, 1000000 + PROGRESS_WINDOW - 1);
    metadata_of(&progress, &out);
    CHECK(out.size < 200);
    progress_read(&again, 1000000, buf_bytes(&out));
    CHECK_INT(again.base, 1000000);
    for (int64_t offset = 1000000; offset < 1000000 + PROGRESS_WINDOW; offset++)
        CHECK_INT(progress_is_done(&again, offset), progress_is_done(&progress, offset));
}

TEST(progress_does_not_believe_the_metadata_of_others)
{
    struct progress progress;
    static const char *const others[] = {"", "done", "done:***", "NONE", "{\"a\":1}"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        progress_read(&progress, 7, bytes_of_string(others[i]));
        CHECK_INT(progress.base, 7);
        CHECK(!progress_is_done(&progress, 8));
    }
    progress_read(&progress, 7, BYTES_NULL);
    CHECK_INT(progress.base, 7);
    char large[400] = "done:";
    memset(large + 5, '_', 380);
    progress_read(&progress, 7, bytes_of_string(large));
    CHECK_INT(progress.base, 7);
}

TEST(progress_goes_round_its_window)
{
    struct progress progress;
    progress_init(&progress, 0);
    for (int64_t offset = 0; offset < 5 * PROGRESS_WINDOW; offset += 2) {
        progress_mark(&progress, offset + 1);
        CHECK_INT(progress.base, offset);
        progress_mark(&progress, offset);
        CHECK_INT(progress.base, offset + 2);
    }
}

static bool matches(const char *spec_text)
{
    struct error err;
    struct cloudevent event = {0};
    AUTO_JSON *spec = json_parse(bytes_of_string(spec_text), 0, &err);
    CHECK_OK(spec != NULL, &err);
    CHECK_OK(cloudevent_set(&event, BYTES_LITERAL("type"), BYTES_LITERAL("order.created"), &err), &err);
    CHECK_OK(cloudevent_set(&event, BYTES_LITERAL("source"), BYTES_LITERAL("/web"), &err), &err);
    CHECK_OK(filter_check(spec, &err), &err);
    return filter_matches(spec, &event);
}

TEST(filter_by_attributes_is_exact)
{
    CHECK(matches("{}"));
    CHECK(matches("{\"filter\":{}}"));
    CHECK(matches("{\"filter\":{\"attributes\":{\"type\":\"order.created\"}}}"));
    CHECK(matches("{\"filter\":{\"attributes\":{\"type\":\"order.created\",\"source\":\"/web\"}}}"));
    CHECK(!matches("{\"filter\":{\"attributes\":{\"type\":\"order.created\",\"source\":\"/app\"}}}"));
    CHECK(!matches("{\"filter\":{\"attributes\":{\"type\":\"order\"}}}"));
    CHECK(matches("{\"filter\":{\"attributes\":{\"type\":\"\"}}}"));
    CHECK(!matches("{\"filter\":{\"attributes\":{\"subject\":\"\"}}}"));
}

TEST(filters_take_the_place_of_the_filter)
{
    CHECK(matches("{\"filter\":{\"attributes\":{\"type\":\"x\"}},\"filters\":[{\"prefix\":{\"type\":\"order.\"}}]}"));
    CHECK(matches("{\"filters\":[{\"exact\":{\"source\":\"/web\"}},{\"suffix\":{\"type\":\".created\"}}]}"));
    CHECK(!matches("{\"filters\":[{\"exact\":{\"source\":\"/web\"}},{\"suffix\":{\"type\":\".paid\"}}]}"));
    CHECK(!matches("{\"filters\":[{\"not\":{\"exact\":{\"source\":\"/web\"}}}]}"));
    CHECK(matches("{\"filters\":[{\"any\":[{\"exact\":{\"type\":\"x\"}},{\"prefix\":{\"source\":\"/\"}}]}]}"));
    CHECK(!matches("{\"filters\":[{\"all\":[{\"exact\":{\"type\":\"x\"}},{\"prefix\":{\"source\":\"/\"}}]}]}"));
    CHECK(!matches("{\"filters\":[{\"prefix\":{\"subject\":\"a\"}}]}"));
}

TEST(filter_refuses_dialects_that_it_does_not_know)
{
    struct error err;
    AUTO_JSON *spec = json_parse(BYTES_LITERAL("{\"filters\":[{\"any\":[{\"cesql\":\"type = 'x'\"}]}]}"), 0, &err);
    CHECK(!filter_check(spec, &err));
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
    CHECK_STR(err.message, "spec.filters: the dialect cesql is not supported");
}

static struct delivery_options options_of(const char *trigger_text, const char *broker_text)
{
    struct error err;
    struct delivery_options options;
    AUTO_JSON *trigger = json_parse(bytes_of_string(trigger_text), 0, &err);
    AUTO_JSON *broker = json_parse(bytes_of_string(broker_text), 0, &err);
    delivery_options_read(trigger, broker, &options);
    return options;
}

TEST(delivery_options_of_the_trigger_come_before_those_of_the_broker)
{
    struct delivery_options options = options_of("{}", "{}");
    CHECK_INT(options.retry, 10);
    CHECK(options.exponential);
    CHECK_INT(options.backoff_delay_ms, 200);
    CHECK(!options.dead_letter_sink);
    options = options_of("{\"delivery\":{\"retry\":0,\"backoffDelay\":\"PT0.5S\"}}",
                         "{\"delivery\":{\"retry\":3,\"backoffPolicy\":\"linear\",\"timeout\":\"PT5S\"}}");
    CHECK_INT(options.retry, 0);
    CHECK_INT(options.backoff_delay_ms, 500);
    CHECK(!options.exponential);
    CHECK_INT(options.timeout_ms, 5000);
}

TEST(delivery_pauses_grow_by_the_policy_and_have_a_limit)
{
    struct delivery_options options = {.exponential = true, .backoff_delay_ms = 200};
    CHECK_INT(delivery_backoff_ms(&options, 1), 200);
    CHECK_INT(delivery_backoff_ms(&options, 2), 400);
    CHECK_INT(delivery_backoff_ms(&options, 5), 3200);
    CHECK_INT(delivery_backoff_ms(&options, 1000), 3600000);
    options.exponential = false;
    CHECK_INT(delivery_backoff_ms(&options, 1), 200);
    CHECK_INT(delivery_backoff_ms(&options, 3), 600);
}

TEST(delivery_retries_what_knative_retries)
{
    static const int again[] = {404, 408, 409, 429, 500, 502, 503, 504, 599};
    static const int final[] = {301, 400, 401, 403, 405, 410, 413, 415, 422};
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++)
        CHECK(delivery_status_retries(again[i]));
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        CHECK(!delivery_status_retries(final[i]));
}

TEST(delivery_honours_retry_after_up_to_its_maximum)
{
    struct http_field field = HTTP_FIELD("Retry-After", BYTES_LITERAL("7"));
    struct http_head head = {.fields = &field, .field_count = 1};
    struct delivery_options options = {.retry_after_max_ms = 0};
    CHECK_INT(delivery_retry_after_ms(&options, &head, 0), 0);
    options.retry_after_max_ms = 60000;
    CHECK_INT(delivery_retry_after_ms(&options, &head, 0), 7000);
    field.value = BYTES_LITERAL("3600");
    CHECK_INT(delivery_retry_after_ms(&options, &head, 0), 60000);
    field.value = BYTES_LITERAL("Sat, 21 Nov 2026 09:44:27 GMT");
    CHECK_INT(delivery_retry_after_ms(&options, &head, 1795254260), 7000);
    CHECK_INT(delivery_retry_after_ms(&options, &head, 1795254270), 0);
}
