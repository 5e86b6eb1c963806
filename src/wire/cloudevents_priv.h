/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by cloudevents.c and cloudevents_bindings.c. */
#ifndef WIRE_CLOUDEVENTS_PRIV_H
#define WIRE_CLOUDEVENTS_PRIV_H

#include "base/error.h"

bool cloudevent_no_memory(struct error *err);

#endif
