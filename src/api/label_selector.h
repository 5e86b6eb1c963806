/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label selectors in their two forms: text as in a query (`app=shop,tier in (web, api),!canary`), parsed once and then
 * matched against many objects, and the LabelSelector structure of manifests, matched as it is.
 *
 * Text: requirements separated by commas, all of which must hold.
 *     key   !key   key=value   key==value   key!=value   key in (a,b)   key notin (a,b)   key>1   key<1
 * `!=` and `notin` hold for objects without the key. Keys and values follow Kubernetes' label syntax.
 */
#ifndef API_LABEL_SELECTOR_H
#define API_LABEL_SELECTOR_H

#include "base/bytes.h"
#include "base/error.h"
#include "wire/json.h"

enum { LABEL_SELECTOR_REQUIREMENTS_MAX = 256, LABEL_SELECTOR_VALUES_MAX = 1024 };

struct label_selector;

/* Empty or null text selects everything and gives *out = NULL, which is a selector too. ERROR_INVALID says where. */
MUST_CHECK bool label_selector_parse(struct bytes text, struct label_selector **out, struct error *err);
void label_selector_free(struct label_selector *selector);
/* `labels` is metadata.labels, or NULL. */
bool label_selector_matches(const struct label_selector *selector, const struct json *labels);

/* Label syntax: a name of 1..63 of [A-Za-z0-9._-] that begins and ends alphanumeric, for keys with an optional DNS
 * prefix and a slash; a value is such a name or empty. */
bool label_key_valid(struct bytes key);
bool label_value_valid(struct bytes value);

#endif
