/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind does beyond its rows: defaults that depend on other fields, and what a new object starts with. */
#ifndef API_KIND_DEFAULTS_H
#define API_KIND_DEFAULTS_H

#include "api/kind.h"

/* After the rows' defaults; nothing for most kinds. */
void kind_default(const struct kind *kind, struct json *object);

#endif
