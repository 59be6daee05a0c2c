/* What the router has of calls. It looks into the router, which nobody else does, and touches
 * nothing. */
#pragma once

#include "broker/router.h"

enum { SIM_PEEK_LEGS = 3 };

struct sim_peeked_leg {
    struct slice user_id;
    struct slice device_id;
};

/* A call that has not ended. */
struct sim_peeked_call {
    struct slice id;
    size_t leg_count; /* those that are in it; the caller's comes first */
    struct sim_peeked_leg legs[SIM_PEEK_LEGS];
    size_t answered; /* the leg; 0: none */
};

/* False: there is none, or it has ended. */
MUST_CHECK bool sim_peek_call(const struct router *router, struct slice call_id,
                              struct sim_peeked_call *peeked);
void sim_peek_calls(const struct router *router,
                    void (*on_call)(void *arg, const struct sim_peeked_call *peeked), void *arg);
