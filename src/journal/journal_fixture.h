/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the journal and of what stands on it: its files, as bytes. */
#ifndef JOURNAL_JOURNAL_FIXTURE_H
#define JOURNAL_JOURNAL_FIXTURE_H

#include "base/buf.h"

/* A file of DATA_DIRECTORY/journal, in order of names; free(); NULL: no such file. */
char *journal_fixture_path(const char *data_directory, size_t index);
void fixture_read_file(const char *path, struct buf *out);
void fixture_write_file(const char *path, struct bytes content);

#endif
