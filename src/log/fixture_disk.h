/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this folder: what a log leaves on the disk. */
#ifndef LOG_FIXTURE_DISK_H
#define LOG_FIXTURE_DISK_H

#include "journal/journal_fixture.h"
#include "log/fixture.h"

/* What a kill -9 at this moment would leave, as a directory of its own; *crashed is ready to be opened there. */
void fixture_crash(const struct fixture *fixture, struct fixture *crashed);
char *fixture_journal_path(const struct fixture *fixture, size_t index); /* free(); NULL: no such file */

#endif
