/* What is submitted to a call: who may, what it does to the call, and where it goes. */
#include "broker/router_calls.h"

#include <assert.h>

/* All that rings together keeps at most one part in so many of what transfers may keep. */
enum { PAYLOAD_SHARE_DIVISOR = 4 };

static bool refuse(struct router *router, const struct router_arrival *arrival,
                   enum outcome outcome, struct slice detail)
{
    router_put_submit_outcome(router, arrival->slot, arrival->record->submit.seq, outcome, detail,
                              true);
    return true;
}

/* The message as a transfer. NULL: too much is kept; the sender has been told. */
static struct transfer *open_transfer(struct router *router, const struct router_arrival *arrival,
                                      struct call *call, struct call_leg *to_leg)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct transfer_start start = {
        .key = {.source_instance_id = router->slots[arrival->slot].instance_id, .seq = submit->seq},
        .source_slot = arrival->slot,
        .user = to_leg != NULL ? to_leg->user : call->callee,
        .call = call,
        .call_leg = to_leg,
        .is_start = submit->type == CALL_TYPE_START,
        .deadline_ms = submit->deadline_ms,
        .is_repeat = submit->is_repeat,
        .is_awaited = submit->is_awaited,
        .payload = submit->payload,
    };
    struct transfer *transfer = transfers_open(&router->transfers, &start);
    if (transfer == NULL) {
        refuse(router, arrival, OUTCOME_OVERLOADED, slice_none);
        return NULL;
    }
    router_number(router, transfer);
    return transfer;
}

static void send_start(struct router *router, const struct router_arrival *arrival,
                       struct call *call)
{
    struct transfer *transfer = open_transfer(router, arrival, call, NULL);
    if (transfer == NULL) {
        router_call_end(router, call, CALL_OFFLINE, slice_none, arrival->now_ms);
    } else if (call->callee->hold == NULL) {
        router_send_on(router, transfer, arrival->now_ms);
    } /* else router_answer_done puts it into the hold */
}

/* The start of a call that is there already. */
static bool start_again(struct router *router, const struct router_arrival *arrival,
                        struct call *call)
{
    const struct link_submit *submit = &arrival->record->submit;
    const struct link_party *party = &submit->party;
    bool is_callers =
        call->caller == calls_find_leg(call, call->caller->user, party->device_id) &&
        slice_equal(party->user_id, slice_of(call->caller->user->id, call->caller->user->id_len));
    bool is_known = submit->is_repeat ||
                    (party->message_hash != 0 && party->message_hash == call->start_hash) ||
                    (call->is_restored && call->start_hash == 0);
    bool is_same = is_callers && is_known;
    if (!is_same) {
        return refuse(router, arrival, OUTCOME_CALL_EXISTS, slice_none);
    }
    if (call->state == CALL_ENDED) {
        /* Whoever says it again may not have heard of the end. */
        return refuse(router, arrival, OUTCOME_NO_SUCH_CALL, slice_none);
    }
    if (submit->is_repeat && call->state < CALL_ANSWERED && call->start == NULL) {
        send_start(router, arrival, call);
        return true;
    }
    call->is_start_repeated = true;
    return refuse(router, arrival, OUTCOME_DELIVERED, slice_none);
}

static bool has_room_to_ring(const struct router *router, size_t bytes)
{
    return router->calls.payload_bytes + bytes <=
           router->config.kept_max_bytes / PAYLOAD_SHARE_DIVISOR;
}

static bool start_call(struct router *router, const struct router_arrival *arrival)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct user *caller = directory_find_user(&router->directory, submit->party.user_id);
    struct user *callee = directory_find_user(&router->directory, submit->to);
    if (caller == NULL) {
        return refuse(router, arrival, OUTCOME_UNAVAILABLE, slice_none); /* gone meanwhile */
    }
    if (callee == NULL || (callee->sessions == NULL && callee->hold == NULL)) {
        struct call_report report = {.call_id = submit->call_id,
                                     .caller = submit->party.user_id,
                                     .callee = submit->to,
                                     .result = call_result_name(CALL_OFFLINE)};
        if (router->config.on_call_ended != NULL) {
            router->config.on_call_ended(router->config.arg, &report);
        }
        return refuse(router, arrival, OUTCOME_USER_OFFLINE, slice_none);
    }
    const struct call *standing =
        caller == callee ? NULL : calls_find_ringing(&router->calls, callee, caller);
    if (standing != NULL) {
        return refuse(router, arrival, OUTCOME_GLARE, call_id(standing));
    }
    if (calls_are_too_many(&router->calls, caller) || calls_are_too_many(&router->calls, callee)) {
        return refuse(router, arrival, OUTCOME_TOO_MANY_CALLS, slice_none);
    }
    struct call_start start = {
        .call_id = submit->call_id,
        .caller = caller,
        .device_id = submit->party.device_id,
        .callee = callee,
        .start_ms = arrival->now_ms,
        .ring_ends_ms = arrival->now_ms + router->config.ring_ms,
        .message_hash = submit->party.message_hash,
        .payload = submit->payload,
    };
    struct call *call =
        has_room_to_ring(router, submit->payload.len) ? calls_open(&router->calls, &start) : NULL;
    if (call == NULL) {
        return refuse(router, arrival, OUTCOME_OVERLOADED, slice_none);
    }
    router_call_tell_leg(router, call->caller);
    send_start(router, arrival, call);
    if (call->state != CALL_ENDED) {
        router_call_await_device(router, call->caller, arrival->now_ms);
    }
    return true;
}

void router_call_answer(struct router *router, struct call_leg *winner, uint64_t now_ms)
{
    struct call *call = winner->call;
    router_call_notify_callees(router, call, winner, CALL_TYPE_CANCEL, "answered-elsewhere",
                               now_ms);
    calls_answer(&router->calls, call, winner, now_ms);
    struct call_leg *next = NULL;
    for (struct call_leg *leg = call_first_callee(call); leg != NULL; leg = next) {
        next = call_next_callee(leg);
        if (leg != winner) {
            router_call_drop_leg(router, leg);
        }
    }
    router_call_tell_leg(router, winner);
    router_call_tell_leg(router, call->caller);
}

/* What the move does to the call, the message itself being on its way. */
static void apply(struct router *router, struct call *call, struct call_leg *leg,
                  enum call_action action, struct slice reason, uint64_t now_ms)
{
    switch (action) {
    case CALL_RING:
        calls_set_ringing(call);
        break;
    case CALL_ANSWER:
        router_call_answer(router, leg, now_ms);
        break;
    case CALL_REJECT:
        router_call_notify_callees(router, call, leg, CALL_TYPE_CANCEL, "rejected-elsewhere",
                                   now_ms);
        router_call_end(router, call, CALL_REJECTED, reason, now_ms);
        break;
    case CALL_CANCEL:
        router_call_end(router, call, CALL_CANCELLED, reason, now_ms);
        break;
    case CALL_HANG_UP:
        router_call_end(router, call, CALL_COMPLETED, reason, now_ms);
        break;
    default:
        break;
    }
}

/* The leg at the other end; NULL: all of the callee's. */
static struct call_leg *other_end(const struct call_leg *leg)
{
    return call_is_callers(leg) ? leg->call->answered : leg->call->caller;
}

/* So that the same message again is known for a repeat. Media messages may come twice. */
static void note_move(struct call_leg *leg, enum call_action action, uint64_t message_hash)
{
    if (action > CALL_RING) {
        leg->last_move = message_hash;
    }
}

static bool make_move(struct router *router, const struct router_arrival *arrival,
                      struct call_leg *leg, enum call_action action)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct call *call = leg->call;
    if (action == CALL_REJECT && submit->party.is_device_scope && !call_is_last_callee(leg)) {
        note_move(leg, action, submit->party.message_hash);
        router_call_drop_leg(router, leg);
        return refuse(router, arrival, OUTCOME_DELIVERED, slice_none);
    }
    if (call_is_callers(leg) && call->callees == NULL && action == CALL_CANCEL) {
        note_move(leg, action, submit->party.message_hash);
        apply(router, call, leg, action, submit->party.reason, arrival->now_ms);
        return refuse(router, arrival, OUTCOME_DELIVERED, slice_none); /* nobody is to be told */
    }
    struct transfer *transfer = open_transfer(router, arrival, call, other_end(leg));
    if (transfer != NULL) {
        transfer->is_accept = action == CALL_ANSWER;
        transfer->is_last_word = action > CALL_ANSWER;
        router_send_on(router, transfer, arrival->now_ms);
        note_move(leg, action, submit->party.message_hash);
        apply(router, call, leg, action, submit->party.reason, arrival->now_ms);
    }
    return true;
}

/* The same message again: its sender had not heard of its outcome. */
static bool repeat_move(struct router *router, const struct router_arrival *arrival,
                        struct call_leg *leg)
{
    bool is_unheard_accept = leg->call->state == CALL_ANSWERED && leg == leg->call->answered &&
                             !leg->call->is_accept_known;
    if (leg->call->state == CALL_ENDED && arrival->record->submit.type == CALL_TYPE_ACCEPT) {
        return refuse(router, arrival, OUTCOME_NO_SUCH_CALL, slice_none); /* it is over since */
    }
    leg->last_move = arrival->record->submit.party.message_hash;
    if (!arrival->record->submit.is_repeat && !is_unheard_accept) {
        return refuse(router, arrival, OUTCOME_DELIVERED, slice_none);
    }
    /* A broker before this one may have died before the other end was told; gateways know a repeat
     * that they have had. */
    struct transfer *transfer = open_transfer(router, arrival, leg->call, other_end(leg));
    if (transfer != NULL) {
        transfer->is_accept = is_unheard_accept;
        transfer->is_last_word = leg->call->state == CALL_ENDED;
        router_send_on(router, transfer, arrival->now_ms);
    }
    return true;
}

/* True: it is an answer that a session gave which has gone since. Its device may be back, and have
 * heard another outcome; it says it again, or not. Nobody is to talk to who has gone, but a
 * reject is good enough. */
static bool is_overtaken(const struct router *router, const struct router_arrival *arrival,
                         const struct call_leg *leg)
{
    const struct link_submit *submit = &arrival->record->submit;
    bool is_accept = submit->type == CALL_TYPE_ACCEPT;
    bool is_reject = submit->type == CALL_TYPE_REJECT;
    return (is_accept || (is_reject && call_leg_session(leg) != NULL)) &&
           directory_find_session(&router->directory, arrival->slot, submit->session_id) == NULL;
}

/* True: it is what the device did last. Where nothing is known of that, an accept of the one that
 * has answered: it won at a broker before this one, which another leg told of, and has not heard
 * so. */
static bool is_again(const struct call_leg *leg, const struct link_submit *submit)
{
    uint64_t hash = submit->party.message_hash;
    if (leg->last_move != 0) {
        return leg->last_move == hash;
    }
    return submit->type == CALL_TYPE_ACCEPT && leg == leg->call->answered &&
           (hash != 0 || submit->is_repeat);
}

bool router_on_call_submit(struct router *router, const struct router_arrival *arrival)
{
    const struct link_submit *submit = &arrival->record->submit;
    const struct link_party *party = &submit->party;
    struct call *call = calls_find(&router->calls, submit->call_id);
    if (submit->type == CALL_TYPE_START) {
        return call == NULL ? start_call(router, arrival) : start_again(router, arrival, call);
    }
    if (call == NULL) {
        return refuse(router, arrival, OUTCOME_NO_SUCH_CALL, slice_none);
    }
    const struct user *sender = directory_find_user(&router->directory, party->user_id);
    struct call_leg *leg = calls_find_leg(call, sender, party->device_id);
    if (leg != NULL && is_overtaken(router, arrival, leg)) {
        return refuse(router, arrival, OUTCOME_UNAVAILABLE, slice_none);
    }
    if (leg != NULL && is_again(leg, submit)) {
        return repeat_move(router, arrival, leg);
    }
    struct call_ruling ruling =
        calls_judge(call, leg, sender != NULL && sender == call->callee, submit->type);
    if (ruling.action == CALL_REFUSE) {
        bool names_state = ruling.refusal == OUTCOME_BAD_STATE;
        return refuse(router, arrival, ruling.refusal,
                      names_state ? slice_from_string(call_state_name(call->state)) : slice_none);
    }
    assert(leg != NULL); /* one without a leg may do nothing */
    const struct user *peer = call_peer_of(leg);
    if (!slice_equal(submit->to, slice_of(peer->id, peer->id_len))) {
        return refuse(router, arrival, OUTCOME_NOT_IN_CALL, slice_none);
    }
    return make_move(router, arrival, leg, ruling.action);
}
