/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that evoke runs on, in the simulated world: its disk outlives evoke's death and the failing of its power;
 * everyone who uses evoke is on other machines and goes on.
 */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include "evoke/config.h"
#include "evoke/daemon.h"
#include "io/simulated.h"
#include "node/machine.h"

struct host {
    struct io *client;     /* the world as seen by those who use evoke */
    struct io *io;         /* the daemon's; a new one for every start */
    struct daemon *daemon; /* NULL: it does not run */
    struct config config;
    struct machine machine;
    bool disk_failed;                /* since the last start, perhaps */
    int lives;                       /* starts so far */
    int crashes, power_losses, full; /* full: times that the disk was */
};

/* With small journal files, so that their ends come often. */
void host_init(struct host *host, struct io *client);
uint64_t host_below(struct host *host, uint64_t limit); /* a choice of the seed */

/* Until it runs; the power may fail meanwhile, and a failing disk ends with the try that it failed. False: it refuses
 * what it finds, or does not start. */
MUST_CHECK bool host_start(struct host *host, struct error *err);
/* kill -9, a power loss at once, behind the next answer of some kind, or between two of the next changes of the disk.
 */
void host_crash(struct host *host);
/* As by SIGTERM. */
MUST_CHECK bool host_close(struct host *host, struct error *err);
bool host_alive(const struct host *host);

/* Faults of the disk and of the network of the seed's choice, and none. */
void host_choose_faults(struct host *host);
void host_clear_faults(struct host *host);
bool host_disk_fails(struct host *host); /* writes or syncs may have failed since host_choose_faults() */
/* For a moment there is room for a little only; evoke says so and goes on when there is more. */
void host_fill_disk(struct host *host);

#endif
