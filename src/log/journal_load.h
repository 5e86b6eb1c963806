/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing in parts of a file of the journal that have left memory: recent as they are, others may have needed it. A
 * helper thread reads them with a handle of its own, so that the mapping finds them in the page cache.
 */
#ifndef LOG_JOURNAL_LOAD_H
#define LOG_JOURNAL_LOAD_H

#include "io/file.h"
#include "journal/journal.h"
#include "log/load.h"

/* `count` parts of the file, in order, at least one. The waiter runs once; later its owner asks again. */
void journal_load(struct loads *loads, const struct journal *journal, uint32_t file, const struct io_range *parts,
                  size_t count, struct log_read_waiter *waiter);

#endif
