/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of standard input, for commands: as many at once as there are, and never waiting for more than there are. */
#ifndef EVOKE_INPUT_H
#define EVOKE_INPUT_H

#include "base/bytes.h"
#include "base/error.h"

enum { INPUT_LINE_MAX = 8 << 20 };

/* Calls `each` with each line, without its line break, and `pause` before it waits for more. Both end it by false. */
MUST_CHECK bool input_each_line(bool (*each)(void *ctx, struct bytes line, struct error *err),
                                bool (*pause)(void *ctx, struct error *err), void *ctx, struct error *err);

#endif
