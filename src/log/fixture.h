/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this folder and of the coordinators: a log in a directory of its own, driven step by step. */
#ifndef LOG_FIXTURE_H
#define LOG_FIXTURE_H

#include "base/buf.h"
#include "io/io.h"
#include "log/log.h"
#include "test.h"
#include "wire/kafka_batch.h"

/* What is kept above the logs of a test program, which says so itself. */
extern const struct log_fold *const *const fixture_folds;

struct fixture {
    struct io *io;
    struct io *world; /* NULL: the real one; else a simulated one, of which io is a program */
    struct log *log;
    struct log_options options;
    char directory[200];
    struct buf scratch; /* of the last batch */
};

void fixture_init(struct fixture *fixture); /* small files; not open yet */
void fixture_init_simulated(struct fixture *fixture, uint64_t seed);
bool fixture_try_open(struct fixture *fixture, struct error *err);
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture); /* properly; may be opened again */
void fixture_deinit(struct fixture *fixture);

/* In a simulated world: as the power fails, or kill -9; may be opened again. */
void fixture_power_loss(struct fixture *fixture);
void fixture_kill(struct fixture *fixture);
void fixture_run_ms(struct fixture *fixture, uint64_t duration_ms);

void fixture_sync(struct fixture *fixture); /* waits for the newest LSN */
void fixture_turn(struct fixture *fixture); /* one turn of the loop */

/* retention.ms=-1: the batches of fixture_batch() are of 1970. */
struct topic *fixture_topic(struct fixture *fixture, const char *name, int32_t partition_count);
struct partition *fixture_partition(struct fixture *fixture, const char *topic, int32_t index);

/* A batch of `count` records with values "<text> 0", "<text> 1" ... and times 1000, 1001 ...; good until the next. */
struct bytes fixture_batch(struct fixture *fixture, const char *text, int count);
struct bytes fixture_producer_batch(struct fixture *fixture, const char *text, int count, int64_t producer_id,
                                    int16_t epoch, int32_t sequence);
int64_t fixture_append(struct fixture *fixture, struct partition *partition, struct bytes batch); /* base offset */
/* All values below the high watermark, each followed by a newline; free(). */
char *fixture_read(struct partition *partition);

/* Seeds 1 to `count`, or to $EVOKE_SEEDS; each in a process of its own, so that the one that fails can be named.
 * $EVOKE_SEED: only that one, in this process. */
void fixture_run_seeds(void (*run)(uint64_t seed), uint64_t count);

#endif
