/* The simulator's only source of chance (splitmix64): a seed gives the same run on every machine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 to `bound` - 1; `bound` is at least 1. */
static inline uint32_t sim_random_below(struct sim_random *random, uint32_t bound)
{
    return (uint32_t)(((sim_random_next(random) >> 32) * bound) >> 32);
}

/* True once in `count` times. */
static inline bool sim_random_once_in(struct sim_random *random, uint32_t count)
{
    return sim_random_below(random, count) == 0;
}
