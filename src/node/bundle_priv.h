/* SPDX-License-Identifier: Apache-2.0 */
/* Between bundle.c and bundle_seccomp.c. */
#ifndef NODE_BUNDLE_PRIV_H
#define NODE_BUNDLE_PRIV_H

#include <stdint.h>

#include "wire/json.h"

/* The bit of "SYS_ADMIN" or "CAP_SYS_ADMIN"; of "ALL", all; 0: there is none of that name. */
uint64_t bundle_capability(const char *name);
/* linux.seccomp of a container with these capabilities. */
struct json *bundle_seccomp(uint64_t capabilities);

#endif
