/* The devices of calls: who comes and goes, and what a broker before this one knew of them. */
#include "broker/router_calls.h"

#include "broker/leg_state.h"

/* Its device did not come back in time. */
static void lose_leg(struct router *router, struct call_leg *leg, uint64_t now_ms)
{
    struct call *call = leg->call;
    if (call->state == CALL_ANSWERED) {
        struct call_leg *other = call_is_callers(leg) ? call->answered : call->caller;
        router_call_notify(router, other, CALL_TYPE_END, "connection-lost", now_ms);
        router_call_end(router, call, CALL_LOST, slice_none, now_ms);
    } else if (call_is_callers(leg)) {
        router_call_notify_callees(router, call, NULL, CALL_TYPE_CANCEL, "connection-lost", now_ms);
        router_call_end(router, call, CALL_LOST, slice_none, now_ms);
    } else if (call_is_last_callee(leg)) {
        router_call_notify(router, call->caller, CALL_TYPE_END, "unreachable", now_ms);
        router_call_end(router, call, CALL_UNREACHABLE, slice_none, now_ms);
    } else {
        router_call_drop_leg(router, leg);
        leg->is_lost = true;
    }
}

/* The first of the user's legs of that device that is not out and has no hold. */
static struct call_leg *first_without_hold(const struct router *router, const struct user *user,
                                           struct slice device_id)
{
    struct call_leg *leg = calls_first_of_user(&router->calls, user);
    while (leg != NULL &&
           (leg->is_out || leg->hold != NULL || !slice_equal(call_leg_device_id(leg), device_id))) {
        leg = calls_next_of_user(leg);
    }
    return leg;
}

void router_calls_departed(struct router *router, struct user *user, struct slice device_id,
                           uint64_t now_ms)
{
    for (struct call_leg *leg = calls_first_of_user(&router->calls, user); leg != NULL;
         leg = calls_next_of_user(leg)) {
        if (slice_equal(call_leg_device_id(leg), device_id)) {
            holds_begin_for_leg(&router->holds, leg, HOLD_LEG_AWAY, now_ms);
        }
    }
    struct call_leg *lost = NULL;
    while ((lost = first_without_hold(router, user, device_id)) != NULL) {
        lose_leg(router, lost, now_ms); /* there are too many holds, or no memory */
    }
}

/* The first call that rings for the session's user and not yet for its device. */
static struct call *first_unheard(const struct router *router, const struct session *session)
{
    for (struct call_leg *leg = calls_first_of_user(&router->calls, session->user); leg != NULL;
         leg = calls_next_of_user(leg)) {
        struct call *call = leg->call;
        bool is_held = call->start != NULL && call->start->state == TRANSFER_HELD;
        if (!leg->is_out && !call_is_callers(leg) && call->state < CALL_ANSWERED && !is_held &&
            call->payload_len > 0) {
            const struct call_leg *its =
                calls_find_leg(call, session->user, directory_device_id(session));
            if (its == NULL || its->is_lost) {
                return call;
            }
        }
    }
    return NULL;
}

void router_calls_attached(struct router *router, struct session *session, uint64_t now_ms)
{
    struct slice device_id = directory_device_id(session);
    for (struct call_leg *leg = calls_first_of_user(&router->calls, session->user); leg != NULL;
         leg = calls_next_of_user(leg)) {
        if (!leg->is_out && slice_equal(call_leg_device_id(leg), device_id)) {
            router_call_tell_leg(router, leg);
        }
    }
    struct call *call = NULL;
    while ((call = first_unheard(router, session)) != NULL) {
        struct call_leg *leg = calls_find_leg(call, session->user, device_id);
        if (leg != NULL) {
            calls_take_leg_back(&router->calls, leg);
        } else if ((leg = calls_add_leg(&router->calls, call, device_id)) == NULL) {
            return;
        }
        router_call_tell_leg(router, leg);
        struct transfer *transfer = router_call_open_own(
            router, leg, slice_of(call->payload, call->payload_len), call->due_ms);
        if (transfer != NULL) {
            transfer->rings = true;
            call->is_rung_later = true;
            router_send_on(router, transfer, now_ms);
        }
    }
}

void router_calls_settle_leg(struct router *router, struct call_leg *leg, uint64_t now_ms)
{
    if (leg->hold == NULL || call_leg_session(leg) == NULL) {
        return;
    }
    if (leg->user->departed_legs == 0) {
        router_release(router, leg->hold, now_ms);
    } else if (leg->hold->state == HOLD_LEG_AWAY) {
        holds_begin_for_leg(&router->holds, leg, HOLD_SETTLING, now_ms);
    }
}

void router_calls_settle(struct router *router, struct user *user, uint64_t now_ms)
{
    for (struct call_leg *leg = calls_first_of_user(&router->calls, user); leg != NULL;
         leg = calls_next_of_user(leg)) {
        router_calls_settle_leg(router, leg, now_ms);
    }
}

void router_calls_tick(struct router *router, uint64_t now_ms)
{
    struct call *call = NULL;
    while ((call = calls_first_missed(&router->calls, now_ms)) != NULL) {
        router_call_notify(router, call->caller, CALL_TYPE_END, "no-answer", now_ms);
        router_call_notify_callees(router, call, NULL, CALL_TYPE_CANCEL, "missed", now_ms);
        router_call_end(router, call, CALL_MISSED, slice_none, now_ms);
    }
    struct hold *hold = NULL;
    while ((hold = holds_first_over(&router->holds, HOLD_LEG_AWAY, now_ms)) != NULL) {
        struct call_leg *leg = hold->leg;
        router_give_up(router, hold, now_ms);
        if (!leg->is_out) {
            lose_leg(router, leg, now_ms);
        }
    }
    calls_forget(&router->calls, now_ms);
}

bool router_calls_need_tick(const struct router *router)
{
    return router->calls.ringing.first != NULL || router->calls.ended.first != NULL;
}

/* ---- what a broker before this one knew ---- */

void router_call_await_device(struct router *router, struct call_leg *leg, uint64_t now_ms)
{
    if (!leg->is_out && call_leg_session(leg) == NULL && leg->hold == NULL) {
        holds_begin_for_leg(&router->holds, leg, HOLD_LEG_AWAY, now_ms);
        if (leg->hold == NULL) {
            lose_leg(router, leg, now_ms);
        }
    }
}

/* NULL: no memory, or too many. */
static struct call *reopen(struct router *router, struct slice id, const struct leg_state *state)
{
    if (router->calls.count >= router->calls.config.calls_max) {
        return NULL;
    }
    struct user *caller = directory_get_user(&router->directory, state->caller);
    struct user *callee = directory_get_user(&router->directory, state->callee);
    struct call_start start = {
        .call_id = id,
        .caller = caller,
        .device_id = state->caller_device,
        .callee = callee,
        .start_ms = state->start_ms,
        .ring_ends_ms = state->ring_ends_ms,
        .message_hash = state->is_callers ? state->last_move : 0,
    };
    struct call *call = NULL;
    if (caller != NULL && callee != NULL) {
        call = calls_open(&router->calls, &start);
    }
    if (call != NULL) {
        call->is_restored = true;
    }
    if (caller != NULL) {
        directory_release_user(&router->directory, caller);
    }
    if (callee != NULL && callee != caller) {
        directory_release_user(&router->directory, callee);
    }
    return call;
}

/* NULL: no memory. */
static struct call_leg *leg_of_device(struct router *router, struct call *call,
                                      struct slice device_id)
{
    struct call_leg *leg = calls_find_leg(call, call->callee, device_id);
    return leg != NULL && leg != call->caller ? leg
                                              : calls_add_leg(&router->calls, call, device_id);
}

/* The call goes on as the leg says. False: no memory. */
static bool restore(struct router *router, struct call *call, const struct leg_state *state,
                    uint64_t now_ms)
{
    router_call_await_device(router, call->caller, now_ms);
    if (!state->is_answered || call->state >= CALL_ANSWERED) {
        return true;
    }
    struct call_leg *winner = leg_of_device(router, call, state->answered_device);
    if (winner == NULL) {
        return false;
    }
    router_call_answer(router, winner, state->answered_ms);
    router_call_await_device(router, winner, now_ms);
    return true;
}

/* The leg of a session that says it has a part in the call. NULL: it has none. */
static struct call_leg *restored_leg(struct router *router, struct call *call,
                                     const struct session *session, const struct leg_state *state)
{
    struct slice device_id = directory_device_id(session);
    if (state->is_callers) {
        struct call_leg *leg = call->caller;
        bool is_its = leg->user == session->user && slice_equal(call_leg_device_id(leg), device_id);
        return is_its ? leg : NULL;
    }
    if (call->callee != session->user) {
        return NULL;
    }
    struct call_leg *leg = calls_find_leg(call, session->user, device_id);
    if (leg == NULL && call->state != CALL_ENDED) {
        leg = calls_add_leg(&router->calls, call, device_id);
    }
    return leg != call->caller ? leg : NULL;
}

static void put_no_leg(struct router *router, const struct session *session, struct slice id)
{
    struct link_record record = {.kind = LINK_LEG};
    record.leg.session_id = session->id;
    record.leg.call_id = id;
    router_put(router, session->slot, &record);
}

/* The device believes in a part that it has no more: it is told what it missed. */
static void correct(struct router *router, struct call_leg *leg, const struct leg_state *state,
                    uint64_t now_ms)
{
    bool is_ringing = !state->is_callers && !state->is_answered;
    bool is_answered = leg->call->state == CALL_ANSWERED;
    router_call_notify(router, leg, is_ringing ? CALL_TYPE_CANCEL : CALL_TYPE_END,
                       is_ringing && is_answered ? "answered-elsewhere" : "connection-lost",
                       now_ms);
    router_call_tell_leg(router, leg);
}

bool router_on_leg(struct router *router, const struct router_arrival *arrival)
{
    const struct link_leg *record = &arrival->record->leg;
    struct leg_state state;
    if (leg_state_parse(record->state, &state) != PARSE_DONE) {
        return false;
    }
    struct session *session =
        directory_find_session(&router->directory, arrival->slot, record->session_id);
    if (session == NULL) {
        return true; /* evicted, and the two records met on the way */
    }
    struct call *call = calls_find(&router->calls, record->call_id);
    if (call == NULL) {
        call = reopen(router, record->call_id, &state);
    }
    if (call == NULL ||
        (call->state != CALL_ENDED && !restore(router, call, &state, arrival->now_ms))) {
        put_no_leg(router, session, record->call_id);
        return true;
    }
    struct call_leg *leg = restored_leg(router, call, session, &state);
    if (leg == NULL) {
        put_no_leg(router, session, record->call_id);
        return true;
    }
    if (leg->is_out ||
        (call->state == CALL_ANSWERED && leg != call->answered && leg != call->caller)) {
        router_call_drop_leg(router, leg);
        correct(router, leg, &state, arrival->now_ms);
        return true;
    }
    if (leg->handed_to == 0) {
        leg->handed_to = call_mark(router->slots[arrival->slot].instance_id, session->id);
        leg->rung_by = UINT64_MAX; /* it rings, by whatever name it knows the call-start */
    }
    if (leg->last_move == 0) {
        leg->last_move = state.last_move; /* else its gateway may have missed what came after */
    }
    router_calls_settle_leg(router, leg, arrival->now_ms);
    return true;
}
