/* The messages of a worker's clients: what starts and keeps up the closed and the open loop. */
#pragma once

#include "tests/load/load_worker.h"

/* Which pairs there are. False: no memory. */
MUST_CHECK bool load_traffic_init(struct load_worker *worker);
void load_traffic_start(struct load_worker *worker);
/* To be called at each tick: sends what is owed. */
void load_traffic_tick(struct load_worker *worker);
/* To be called at the end of each turn: writes what the turn has queued. */
void load_traffic_flush(struct load_worker *worker);
/* At the end of the run. */
void load_traffic_settle(struct load_worker *worker);
