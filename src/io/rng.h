/* SPDX-License-Identifier: Apache-2.0 */
/* The seed's choices. Private to io/. */
#ifndef IO_RNG_H
#define IO_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t limit); /* limit > 0 */
bool rng_chance(struct rng *rng, uint32_t ppm);      /* 0 draws nothing: the other choices stay the same */

#endif
