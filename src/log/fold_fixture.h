/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept above the logs of this folder's tests: the smallest fold that there is, the last number that was
 * appended to __number. */
#ifndef LOG_FOLD_FIXTURE_H
#define LOG_FOLD_FIXTURE_H

#include "base/arena.h"
#include "log/fold.h"

int64_t number_kept(const struct log *log); /* -1: none yet */
/* To be appended, alone or beside others; in the arena. */
struct append number_append(const struct log *log, int64_t number, struct arena *arena);

#endif
