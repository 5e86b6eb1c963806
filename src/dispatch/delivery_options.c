/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch/delivery_options.h"

#include "base/text.h"

enum {
    RETRY_DEFAULT = 10,
    RETRY_MAX = 1000,
    BACKOFF_DELAY_MS = 200,
    TIMEOUT_MS = 30000,
    BACKOFF_MAX_MS = 3600 * 1000,
};

/* The field of the Trigger's delivery, else of the Broker's, else NULL. */
static const struct json *field(const struct json *trigger_spec, const struct json *broker_spec, const char *name)
{
    const struct json *value = json_get(json_get(trigger_spec, "delivery"), name);
    return json_is_null(value) ? json_get(json_get(broker_spec, "delivery"), name) : value;
}

static int64_t duration_ms(const struct json *value, int64_t otherwise)
{
    int64_t ms;
    if (!json_is_string(value) || !text_parse_duration_iso8601_ms(json_bytes(value), &ms) || ms < 0)
        return otherwise;
    return ms;
}

void delivery_options_read(const struct json *trigger_spec, const struct json *broker_spec,
                           struct delivery_options *out)
{
    int64_t retry = json_int(field(trigger_spec, broker_spec, "retry"), RETRY_DEFAULT);
    struct bytes policy = json_bytes(field(trigger_spec, broker_spec, "backoffPolicy"));
    *out = (struct delivery_options){
        .retry = retry < 0           ? 0
                 : retry > RETRY_MAX ? RETRY_MAX
                                     : retry,
        .exponential = !bytes_equal_string(policy, "linear"),
        .backoff_delay_ms = duration_ms(field(trigger_spec, broker_spec, "backoffDelay"), BACKOFF_DELAY_MS),
        .timeout_ms = duration_ms(field(trigger_spec, broker_spec, "timeout"), TIMEOUT_MS),
        .retry_after_max_ms = duration_ms(field(trigger_spec, broker_spec, "retryAfterMax"), 0),
        .dead_letter_sink = field(trigger_spec, broker_spec, "deadLetterSink"),
    };
    if (out->timeout_ms == 0)
        out->timeout_ms = TIMEOUT_MS;
}

int64_t delivery_backoff_ms(const struct delivery_options *options, int64_t retry)
{
    int64_t factor = options->exponential ? (retry > 40 ? (int64_t)1 << 40 : (int64_t)1 << (retry - 1)) : retry;
    int64_t pause;
    if (__builtin_mul_overflow(options->backoff_delay_ms, factor, &pause) || pause > BACKOFF_MAX_MS)
        return BACKOFF_MAX_MS;
    return pause;
}

int64_t delivery_retry_after_ms(const struct delivery_options *options, const struct http_head *head, int64_t now_s)
{
    struct bytes text = http_head_get(head, "Retry-After");
    uint64_t seconds;
    int64_t at;
    if (options->retry_after_max_ms == 0 || !text.data)
        return 0;
    if (!bytes_to_u64(text, &seconds)) {
        if (!http_parse_date(text, &at) || at <= now_s)
            return 0;
        seconds = (uint64_t)(at - now_s);
    }
    uint64_t max_s = (uint64_t)options->retry_after_max_ms / 1000;
    return seconds > max_s ? options->retry_after_max_ms : (int64_t)seconds * 1000;
}

bool delivery_status_retries(int status)
{
    return status == 404 || status == 408 || status == 409 || status == 429 || status >= 500;
}
