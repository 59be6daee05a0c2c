/* The invariants of the whole; those of single messages are ledger.h's. */
#pragma once

#include "tests/sim/world.h"

/* Those that hold after every step. */
void sim_check_step(struct sim_world *world);
/* The sender of `message` is told that its user is offline: true unless somebody of that user was
 * there from before it was sent until now. */
void sim_check_offline(struct sim_world *world, const struct sim_message *message);
/* Those that hold when nothing is under way any more. */
void sim_check_rest(struct sim_world *world);
