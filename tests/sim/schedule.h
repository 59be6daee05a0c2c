/* What happens when: a random order of turns, of what clients do, and of faults; and afterwards a
 * time of rest in which everything must come right. */
#pragma once

#include "tests/sim/world.h"

/* One step. */
void sim_schedule_step(struct sim_world *world);
/* Starts, thaws and connects everything, and waits until nothing can be
 * under way any more; then all clients read, and some messages are tried, which must arrive. */
void sim_schedule_rest(struct sim_world *world);
