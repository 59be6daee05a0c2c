/* What the broker makes of calls, compared with what the devices were told. */
#pragma once

#include "tests/sim/world.h"

/* The broker has had a record of that call. */
void sim_inspect_call(struct sim_world *world, struct slice call_id);
/* It has looked at the time: no call that goes on has a part whose device has been away for too
 * long. */
void sim_inspect_legs(struct sim_world *world);
/* At rest: each call that goes on is answered, and both devices say so; and the other way round. */
void sim_inspect_agreement(struct sim_world *world);
