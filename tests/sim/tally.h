/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each thing happened, over all seeds of a program and in how many of them: what tells that a run exercises
 * what it claims to. Off, and free, unless the program was called with --counts.
 */
#ifndef SIM_TALLY_H
#define SIM_TALLY_H

#include <stdint.h>

enum { TALLY_NAMES_MAX = 256, TALLY_NAME_SIZE = 72 };

void tally_on(void); /* before the processes of the seeds are forked */
void tally_seed(uint64_t seed);
/* Names are cut at TALLY_NAME_SIZE; those beyond TALLY_NAMES_MAX are not counted, which tally_print() says. */
void tally(const char *what);
void tally_add(const char *what, uint64_t times);
/* What evoke says of itself, without what stands behind the first colon. */
void tally_message(const char *folder, const char *message);
void tally_print(void); /* in order of names */

#endif
