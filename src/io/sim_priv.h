/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated engine, shared by sim_*.c: the world, its events, and the pieces that live in it. */
#ifndef IO_SIM_PRIV_H
#define IO_SIM_PRIV_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "io/io_priv.h"
#include "io/sim_disk.h"
#include "io/simulated.h"

struct sim_io;

struct event {
    uint64_t due_ns;
    uint64_t tie;      /* from the seed: orders what is due at once */
    struct sim_io *io; /* whose turn it is; NULL: the world's */
    const char *what;
    void (*run)(void *ctx);
    void (*drop)(void *ctx); /* instead of run, when the program is dead or the world ends; may be NULL */
    void *ctx;
};

struct world {
    int refs; /* programs; those of processes do not count */
    uint64_t now_ns;
    struct rng rng;
    struct event **events; /* binary heap by (due_ns, tie) */
    size_t event_count, event_capacity;
    struct list ios; /* that live */
    bool bereaved;   /* some of them do not any more */
    unsigned io_count;
    struct io_simulated_faults faults;
    struct disk disk;
    struct map locks; /* directory -> struct sim_io that holds it */
    struct list listeners, datagrams;
    uint16_t next_port, next_client_port;
    uint64_t *work_ns;     /* what the work of a helper thread that runs now has taken; NULL: none runs */
    struct list graveyard; /* memory that is freed after this turn */
    struct map programs;   /* argv[0] -> struct simulated_program */
    struct list processes;
    int next_pid;
    uint64_t fingerprint;
    void (*trace)(void *ctx, uint64_t now_ns, unsigned program, const char *what);
    void *trace_ctx;
};

struct sim_io {
    struct io base;
    struct world *world;
    struct list link;
    unsigned number;
    bool dead;
    bool of_process; /* belongs to a simulated_process, ends with the world */
    struct rng rng;  /* of io_random() */
    uint64_t clock_ns, pace_ns;
    struct list streams, listeners, datagrams, files, processes, watches; /* what it holds open */
    void (*on_signal)(void *ctx, int signal);
    void *signal_ctx;
};

/* Frees `memory`, whose first member is a struct list, after this turn. */
struct grave {
    struct list link;
};
void world_bury(struct world *world, void *memory);

static inline struct sim_io *sim_io_of(struct io *io)
{
    return (struct sim_io *)io;
}

void world_schedule(struct world *world, struct sim_io *io, uint64_t delay_ns, const char *what, void (*run)(void *ctx),
                    void (*drop)(void *ctx), void *ctx);
uint64_t world_latency(struct world *world); /* of the network, one way */
/* Something is read that is not in memory: whoever runs now, the program or a helper thread, waits for the disk. (All
 * programs stand still with the one: there is one clock.) */
void world_wait_for_disk(struct world *world);
struct io *world_join(struct world *world, bool of_process);
/* True, with err set, for a program that is dead. */
bool sim_refuse_dead(const struct sim_io *io, struct error *err);

extern const struct file_engine sim_file_engine;
extern const struct net_engine sim_net_engine;
extern const struct process_engine sim_process_engine;
extern const struct tls_engine sim_tls_engine;

/* sim_datagram.c */
bool sim_datagram_open(struct io *io, const struct io_address *address, struct io_datagram **out, struct error *err);
void sim_datagram_send(struct io_datagram *datagram, const struct io_address *to, struct bytes data);
void sim_datagram_close(struct io_datagram *datagram);

/* sim_dir_watch.c */
bool sim_dir_watch(struct io *io, const char *path, struct io_dir_watch **out, struct error *err);
void sim_dir_watch_close(struct io_dir_watch *watch);
void sim_dir_watch_tell(struct world *world, const char *path); /* that it was moved to where it is */

/* What a program holds, when it ends. */
void sim_net_kill(struct sim_io *io);
void sim_datagram_kill(struct sim_io *io);
void sim_net_free(struct sim_io *io);
void sim_file_kill(struct sim_io *io);
void sim_file_free(struct sim_io *io);
void sim_dir_watch_free(struct sim_io *io);
void sim_process_kill(struct sim_io *io);
void sim_process_free(struct sim_io *io);
void sim_process_kill_all(struct world *world);
void sim_process_world_free(struct world *world);

#endif
