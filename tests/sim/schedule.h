/* What happens when: a random order of turns, of what clients do, and of faults. */
#pragma once

#include "tests/sim/world.h"

/* One step. */
void sim_schedule_step(struct sim_world *world);

/* A client of a gateway that runs. NULL: there is none where chance looked. */
struct sim_client *sim_schedule_random_client(struct sim_world *world);
