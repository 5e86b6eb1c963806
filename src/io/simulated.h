/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world under a seed: one machine with a clock, a network, a disk and processes, all in memory and on one thread. The
 * programs in it use io.h as on Linux and cannot tell the difference. The clock jumps to the next event, so an hour of
 * waiting costs nothing. Every choice (latencies, the pieces in which bytes arrive, what the disk keeps when the power
 * fails, the order of what happens at once) comes from the seed: the same seed and the same calls give the same run.
 *
 *     struct io *daemon = io_simulated_new(seed);
 *     struct io *client = io_simulated_another(daemon);      a second program in the same world
 *     ...start both...
 *     io_simulated_run_until(client, met, ctx, 60 s);
 *     io_simulated_power_loss(daemon);                       or io_simulated_kill(): as kill -9
 *     ...free what the daemon held: its io takes all calls and does nothing any more...
 *     struct io *again = io_simulated_another(client);       the next start finds the same disk
 *     io_free(daemon);
 *
 * What it does not do: it does not model a wrong clock or TLS' cryptography (see io_certificate_make() in tls.h:
 * certificates are plain text here and their rules are checked).
 */
#ifndef IO_SIMULATED_H
#define IO_SIMULATED_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"
#include "io/process.h"

struct io *io_simulated_new(uint64_t seed);
/* Another program of the same world. The world ends with its last io_free(). */
struct io *io_simulated_another(struct io *io);

/* --- Running --- */
/* io_run() works too and ends with io_stop() of that io; it aborts when nothing will ever happen again. */

/* Runs the world (all its programs) until met(ctx) is true, which is asked after every event: true. False: `timeout_ms`
 * of the world's time have passed, or nothing will ever happen again. */
bool io_simulated_run_until(struct io *io, bool (*met)(void *ctx), void *ctx, uint64_t timeout_ms);
void io_simulated_run_for(struct io *io, uint64_t duration_ms);
/* One event and what follows from it in the same turn. False: nothing will ever happen again. */
bool io_simulated_step(struct io *io);
/* A signal for the program: what io_on_signal() has set is called. */
void io_simulated_signal(struct io *io, int signal);
/* Work takes time: each call of io_clock_ns() finds that so much more has passed. None, unless it is set. */
void io_simulated_set_pace(struct io *io, uint64_t ns);

/* --- The end of a program --- */
/* As kill -9. The kernel keeps what was written to files; connections end; processes it has started go on. From now on
 * `io` is a black hole: its owner may free everything in any order, nothing has an effect and no callback comes. */
void io_simulated_kill(struct io *io);
/* The machine's power fails: `io` is killed and so are all processes. Of what was not synced, each sector of 512 bytes
 * is kept or lost; changes of names that were not synced are kept up to some point and lost behind it. Other programs
 * go on: they are on other machines. */
void io_simulated_power_loss(struct io *io);
bool io_simulated_dead(const struct io *io);

/* The disk turns one bit of a file that was written, synced or not, of the seed's choice. Only files whose path has
 * `within` in it are looked at. False: there is none. Calling io_simulated_flip_back() mends it. */
bool io_simulated_flip(struct io *io, const char *within);
void io_simulated_flip_back(struct io *io);

/* Memory is needed for something else: no file has anything in it any more, until it is read or written again. */
void io_simulated_evict(struct io *io);

/* The page of 4096 bytes that holds the byte `at` of a file: who reads it gets EIO, and so does who writes a part of
 * it, until it is written as a whole. What is mapped still has it. False: there is no such byte. */
bool io_simulated_spoil(struct io *io, const char *path, uint64_t at);

/* --- Faults; all off (0) at first, changed at any time --- */
struct io_simulated_faults {
    uint64_t latency_max_ns;  /* of the network, one way; 0: 100 us */
    uint32_t reset_ppm;       /* chance, in a million, that a connection breaks, for each piece that arrives */
    uint32_t refuse_ppm;      /* that a connect is refused */
    uint64_t disk_max_ns;     /* for a write or a sync; 0: 50 us, 1 ms */
    uint64_t work_max_ns;     /* until a helper thread has time for io_work(); 0: none is busy */
    uint32_t write_error_ppm; /* EIO; a part may be written */
    uint32_t sync_error_ppm;  /* EIO; what was to be synced may never reach the disk, even by a later sync */
    uint32_t cold_ppm;        /* that what is read or opened is thrown out of memory before, for who asks if it is */
    uint64_t cold_ns;         /* what it takes to read what is not in memory: who reads stands still for so long */
    uint64_t disk_size_max;   /* all files together; 0: no limit; beyond: ENOSPC */
    uint32_t garble_ppm;      /* when the power fails: that a sector that was not synced is kept with a wrong bit */
    uint32_t spawn_error_ppm; /* EAGAIN */
    /* Counts down with every change of the disk (also within io_path_write()); at 1 the power fails under the program
     * that made it, and becomes 0. So a test reaches every point between two changes. */
    uint64_t changes_until_power_loss;
};
struct io_simulated_faults *io_simulated_faults(struct io *io);
uint64_t io_simulated_disk_used(const struct io *io); /* bytes of all files, for disk_size_max */

/* --- Processes --- */
struct simulated_process;

/* What a command does. `start` runs in the new process, which has a struct io of its own and lives until
 * simulated_process_exit() or a signal. `ended` (may be NULL) runs when it is over, to free what `start` has made. */
struct simulated_program {
    void (*start)(void *ctx, struct simulated_process *process);
    void (*ended)(void *ctx, struct simulated_process *process);
    void *ctx;
};
/* Commands are found by the exact text of argv[0]; others fail with ERROR_NOT_FOUND. */
void io_simulated_program(struct io *io, const char *argv0, const struct simulated_program *program);

struct io *simulated_process_io(struct simulated_process *process);
int simulated_process_pid(const struct simulated_process *process);
const char *const *simulated_process_argv(const struct simulated_process *process);
const char *const *simulated_process_environment(const struct simulated_process *process);
void simulated_process_write(struct simulated_process *process, struct bytes output); /* on 1 or 2 */
/* Without it a signal other than 0 ends the process; SIGKILL always does. */
void simulated_process_on_signal(struct simulated_process *process, void (*run)(void *ctx, int signal), void *ctx);
void simulated_process_exit(struct simulated_process *process, int code);
void simulated_process_set_state(struct simulated_process *process, void *state); /* the program's own */
void *simulated_process_state(const struct simulated_process *process);

/* --- Repeating --- */
/* A number over all events so far: equal runs have equal fingerprints. */
uint64_t io_simulated_fingerprint(const struct io *io);
/* Called for every event of the world: when, in which program (0, 1 ... in the order they were made), what. */
void io_simulated_trace(struct io *io, void (*each)(void *ctx, uint64_t now_ns, unsigned program, const char *what),
                        void *ctx);
/* A line of the program's own among them; nothing while nobody traces. The fingerprint does not know it. */
void io_simulated_say(struct io *io, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
