/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events a Trigger wants. spec.filter.attributes: each must be there and equal; the empty value wants it only to
 * be there. spec.filters, if there are any, take its place: all of them must pass; each is exact, prefix or suffix
 * (attributes and values), all, any or not (of further ones). (Knative Eventing, "Trigger filtering".)
 */
#ifndef DISPATCH_FILTER_H
#define DISPATCH_FILTER_H

#include "wire/cloudevents.h"
#include "wire/json.h"

/* Whether all of a Trigger's spec is understood here. ERROR_UNSUPPORTED: cesql, or a dialect that is not known. */
MUST_CHECK bool filter_check(const struct json *spec, struct error *err);
bool filter_matches(const struct json *spec, const struct cloudevent *event);

#endif
