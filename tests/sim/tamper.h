/* The rules that are broken on the wire, record by record. */
#pragma once

#include "tests/sim/link.h"

/* Changes the batch that is about to be handed to `end`, if the run breaks such a rule. */
void sim_tamper(struct sim_world *world, uint32_t slot, enum sim_end end, struct buffer *batch);

/* The number by which the broker knows a session of a gateway. */
uint64_t sim_tamper_session_id(const struct sim_world *world, uint64_t session_id);
