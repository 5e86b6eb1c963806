/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the simulated engine share. */
#ifndef IO_SIMULATED_FIXTURE_H
#define IO_SIMULATED_FIXTURE_H

#include "io/stream.h"

/* --- Files --- */
struct io_file *simulated_open(struct io *io, const char *path); /* to be written; made if it is not there */
/* The next program on the same disk; the one before is freed. */
struct io *simulated_restart(struct io *dead);
uint8_t simulated_byte_at(struct io *io, const char *path, uint64_t offset);
/* Eight sectors of one byte, from the start of the file. */
void simulated_write_sectors(struct io *io, const char *path, uint8_t with, bool sync);

/* --- The rest --- */
struct io_address simulated_address(const char *text);
void simulated_set_flag(void *ctx); /* a bool */
bool simulated_is_set(void *ctx);

#endif
