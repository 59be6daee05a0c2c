/* The time of rest after a run, in which everything must come right. */
#pragma once

#include "tests/sim/world.h"

/* Starts, thaws and connects everything, and waits until nothing can be under way any more. Then
 * all clients read, and some messages are tried, which must arrive: undisturbed; while the broker
 * dies and comes back; while a user is away for a moment; while a gateway takes its clients out. */
void sim_rest(struct sim_world *world);
