#include "tests/sim/peek.h"

#include "broker/router_internal.h"

static void add_leg(struct sim_peeked_call *peeked, const struct call_leg *leg)
{
    if (peeked->leg_count < SIM_PEEK_LEGS) {
        peeked->legs[peeked->leg_count++] = (struct sim_peeked_leg){
            .user_id = slice_of(leg->user->id, leg->user->id_len),
            .device_id = call_leg_device_id(leg),
        };
    }
}

static void peek(const struct call *call, struct sim_peeked_call *peeked)
{
    *peeked = (struct sim_peeked_call){.id = call_id(call)};
    add_leg(peeked, call->caller);
    for (const struct call_leg *leg = call_first_callee(call); leg != NULL;
         leg = call_next_callee(leg)) {
        if (leg == call->answered) {
            peeked->answered = peeked->leg_count;
        }
        add_leg(peeked, leg);
    }
}

bool sim_peek_call(const struct router *router, struct slice id, struct sim_peeked_call *peeked)
{
    const struct call *call = calls_find(&router->calls, id);
    if (call == NULL || call->state == CALL_ENDED) {
        return false;
    }
    peek(call, peeked);
    return true;
}

void sim_peek_calls(const struct router *router,
                    void (*on_call)(void *arg, const struct sim_peeked_call *peeked), void *arg)
{
    const struct call *firsts[] = {router->calls.ringing.first, router->calls.answered.first};
    for (size_t i = 0; i < ARRAY_LENGTH(firsts); i++) {
        for (const struct call *call = firsts[i]; call != NULL; call = call->next) {
            struct sim_peeked_call peeked;
            peek(call, &peeked);
            on_call(arg, &peeked);
        }
    }
}
