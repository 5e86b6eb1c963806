/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by cloudevents.c and cloudevents_bindings.c. */
#ifndef WIRE_CLOUDEVENTS_PRIV_H
#define WIRE_CLOUDEVENTS_PRIV_H

#include "base/bytes.h"
#include "base/error.h"

bool cloudevent_no_memory(struct error *err);
/* UTF-8 without control characters. */
bool cloudevent_is_value(struct bytes value);

#endif
