/* How often a busy broker looks for more, without any I/O.
 *
 * A broker that is woken by every batch pays for the waking more than for the work, and so do the
 * gateways it wakes in turn. While much passes, it rests between two turns: what comes meanwhile
 * makes one turn, and one batch a gateway. While little passes, each batch is served at once. */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PACE_WINDOW_US = 10000,
    /* So many messages in one window, 10,000 a second, make the next one busy: about where a rest
     * begins to pay. */
    PACE_BUSY_COUNT = 100,
};

/* Zero-initialise before first use. */
struct pace {
    uint64_t window_begin_us;
    uint64_t count_before; /* messages until the window began */
    bool is_busy;
};

/* Call at the end of each turn, with the time at which it began and all messages so far. True: rest
 * before the next one. */
MUST_CHECK bool pace_is_busy(struct pace *pace, uint64_t turn_us, uint64_t message_count);
