/* Opens a worker's connections, at a pace that the server can keep up with: at most so many
 * handshakes at a time, or so many a second. For churn it goes on until the window is over. */
#pragma once

#include "tests/load/load_worker.h"

/* False: no descriptor. */
MUST_CHECK bool load_connector_start(struct load_worker *worker);
/* To be called at the end of each turn, and at each tick. */
void load_connector_pump(struct load_worker *worker);
/* Every connection has been begun, and has its answer. */
bool load_connector_is_done(const struct load_worker *worker);

void load_connector_on_open(struct load_client *client);
/* `was_open`: its handshake had succeeded. */
void load_connector_on_gone(struct load_client *client, bool was_open, const char *why);
