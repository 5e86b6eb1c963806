/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of the simulated network: each takes its own time, so they overtake each other; some are lost, as many as
 * connections are refused. */
#include <errno.h>

#include "base/memory.h"
#include "io/datagram_priv.h"
#include "io/sim_priv.h"

struct sim_datagram {
    struct io_datagram base;
    struct sim_io *owner;
    struct list link;    /* in world.datagrams */
    struct list io_link; /* in sim_io.datagrams */
    bool open;           /* false: its program is dead */
};

struct letter {
    struct world *world;
    struct io_address from, to;
    struct buf data;
};

static struct sim_datagram *find_datagram(struct world *world, const struct io_address *address)
{
    list_each (struct sim_datagram, datagram, &world->datagrams, link) {
        if (io_address_equal(&datagram->base.address, address))
            return datagram;
    }
    return NULL;
}

static void letter_free(void *ctx)
{
    struct letter *letter = ctx;
    buf_deinit(&letter->data);
    free(letter);
}

static void letter_open(void *ctx)
{
    struct letter *letter = ctx;
    struct sim_datagram *datagram = find_datagram(letter->world, &letter->to);
    if (datagram)
        datagram->base.received(datagram->base.ctx, &letter->from, buf_bytes(&letter->data));
    letter_free(letter);
}

/* At the receiver's door: from here on it is its turn. */
static void letter_arrive(void *ctx)
{
    struct letter *letter = ctx;
    struct sim_datagram *datagram = find_datagram(letter->world, &letter->to);
    if (datagram && !rng_chance(&letter->world->rng, letter->world->faults.refuse_ppm))
        world_schedule(letter->world, datagram->owner, 1, "datagram", letter_open, letter_free, letter);
    else
        letter_free(letter);
}

bool sim_datagram_open(struct io *base, const struct io_address *address, struct io_datagram **out, struct error *err)
{
    struct sim_io *io = sim_io_of(base);
    char text[IO_ADDRESS_TEXT_SIZE];
    struct io_address place = *address;
    io_address_format(address, text);
    if (sim_refuse_dead(io, err))
        return false;
    if (place.family != IO_ADDRESS_IPV4 && place.family != IO_ADDRESS_IPV6)
        return error_set(err, ERROR_INVALID, "%s: datagrams need an IP address", text);
    while (place.port == 0 || (address->port == 0 && find_datagram(io->world, &place)))
        place.port = io->world->next_port++;
    if (find_datagram(io->world, &place))
        return error_sys(err, EADDRINUSE, "datagrams at %s", text);
    struct sim_datagram *datagram = NEW(struct sim_datagram);
    datagram->base.address = place;
    datagram->owner = io;
    datagram->open = true;
    list_append(&io->world->datagrams, &datagram->link);
    list_append(&io->datagrams, &datagram->io_link);
    *out = &datagram->base;
    return true;
}

void sim_datagram_send(struct io_datagram *base, const struct io_address *to, struct bytes data)
{
    struct sim_datagram *datagram = (struct sim_datagram *)base;
    if (!datagram->open)
        return;
    struct world *world = datagram->owner->world;
    struct letter *letter = NEW(struct letter);
    *letter = (struct letter){.world = world, .from = base->address, .to = *to};
    buf_init(&letter->data, SIZE_MAX);
    buf_append(&letter->data, data);
    world_schedule(world, NULL, world_latency(world), "letter", letter_arrive, letter_free, letter);
}

static void leave(struct sim_datagram *datagram)
{
    if (!datagram->open)
        return;
    datagram->open = false;
    list_remove(&datagram->link);
    list_remove(&datagram->io_link);
}

void sim_datagram_close(struct io_datagram *base)
{
    struct sim_datagram *datagram = (struct sim_datagram *)base;
    leave(datagram);
    free(datagram);
}

/* The program is dead; what it has open is still its memory. */
void sim_datagram_kill(struct sim_io *io)
{
    list_each (struct sim_datagram, datagram, &io->datagrams, io_link) {
        leave(datagram);
    }
}
