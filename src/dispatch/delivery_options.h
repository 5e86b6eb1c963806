/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.delivery of a Trigger, and where it is silent that of its Broker, and where that is too the defaults: ten
 * retries with exponential back-off from 200 ms on (as Knative is delivered), 30 s for an answer.
 */
#ifndef DISPATCH_DELIVERY_OPTIONS_H
#define DISPATCH_DELIVERY_OPTIONS_H

#include "wire/http.h"
#include "wire/json.h"

struct delivery_options {
    int64_t retry; /* how often it is sent again */
    bool exponential;
    int64_t backoff_delay_ms;
    int64_t timeout_ms;                  /* for one answer */
    int64_t retry_after_max_ms;          /* 0: Retry-After is not looked at */
    const struct json *dead_letter_sink; /* borrowed; NULL: none */
};

void delivery_options_read(const struct json *trigger_spec, const struct json *broker_spec,
                           struct delivery_options *out);

/* The pause before the n-th retry, from 1. Linear: n * delay; exponential: delay * 2^(n-1). At most an hour. */
int64_t delivery_backoff_ms(const struct delivery_options *options, int64_t retry);
/* What the answer's Retry-After asks for, at most retry_after_max_ms; 0 when there is none or it is not looked at. */
int64_t delivery_retry_after_ms(const struct delivery_options *options, const struct http_head *head, int64_t now_s);
/* 404, 408, 409, 429 and 5xx are worth another try; every other refusal is final. */
bool delivery_status_retries(int status);

#endif
