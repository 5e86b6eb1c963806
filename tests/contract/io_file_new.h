/* SPDX-License-Identifier: Apache-2.0 */
/* What the suites of file.h share. */
#ifndef CONTRACT_IO_FILE_NEW_H
#define CONTRACT_IO_FILE_NEW_H

#include "io/file.h"

/* One that was not there, in the test's own directory, to be written. */
struct io_file *file_new(struct io *io, const char *name);

#endif
