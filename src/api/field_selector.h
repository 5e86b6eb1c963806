/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field selectors: `spec.nodeName=evoke,status.phase!=Running`. Every kind has metadata.name and, where it has
 * namespaces, metadata.namespace; some have a few fields more (the table in field_selector.c). A field that is absent
 * from an object has the value "". Backslash escapes a backslash, a comma or an equals sign in a value.
 */
#ifndef API_FIELD_SELECTOR_H
#define API_FIELD_SELECTOR_H

#include "api/kind.h"

enum { FIELD_SELECTOR_TERMS_MAX = 32 };

struct field_selector;

/* Empty or null text selects everything and gives *out = NULL, which is a selector too. ERROR_INVALID for a field that
 * the kind cannot be selected by. */
MUST_CHECK bool field_selector_parse(const struct kind *kind, struct bytes text, struct field_selector **out,
                                     struct error *err);
void field_selector_free(struct field_selector *selector);
bool field_selector_matches(const struct field_selector *selector, const struct json *object);

#endif
