/* Calls and messages: what the server says itself, to whom a message goes, and what becomes of one
 * that did not get there. */
#include "broker/router_calls.h"

#include "broker/leg_state.h"
#include "broker/notice.h"

/* How often the same is said again to a device that may have it. */
enum { AGAIN_MAX = 8 };

/* ---- what is said ---- */

/* Tells the gateway of the leg's device what it is to keep. */
void router_call_tell_leg(struct router *router, const struct call_leg *leg)
{
    const struct session *session = call_leg_session(leg);
    if (session == NULL || router->slots[session->slot].out == NULL) {
        return;
    }
    struct link_record record = {.kind = LINK_LEG};
    record.leg.session_id = session->id;
    record.leg.call_id = call_id(leg->call);
    buffer_clear(&router->scratch);
    if (!leg->is_out) {
        struct leg_state state;
        leg_state_of(leg, &state);
        leg_state_put(&router->scratch, &state);
        if (router->scratch.failed) {
            return; /* without memory the call does not survive the next broker */
        }
    }
    record.leg.state = buffer_slice(&router->scratch);
    router_put(router, session->slot, &record);
}

void router_call_drop_leg(struct router *router, struct call_leg *leg)
{
    if (!leg->is_out) {
        calls_drop_leg(&router->calls, leg);
        router_call_tell_leg(router, leg);
    }
}

/* Opens a transfer of the broker's own for one leg. NULL: too much is kept. */
struct transfer *router_call_open_own(struct router *router, struct call_leg *leg,
                                      struct slice payload, uint64_t deadline_ms)
{
    struct transfer_start start = {
        .key = {.source_instance_id = router->config.instance_id, .seq = ++router->own_seq},
        .source_slot = TRANSFER_NO_SLOT,
        .user = leg->user,
        .call = leg->call,
        .call_leg = leg,
        .deadline_ms = deadline_ms,
        .payload = payload,
    };
    struct transfer *transfer = transfers_open(&router->transfers, &start);
    if (transfer != NULL) {
        router_number(router, transfer);
    }
    return transfer;
}

/* What the server says to one device, for the party at the other end or for the other devices. */
void router_call_notify(struct router *router, struct call_leg *leg, enum call_type type,
                        const char *reason, uint64_t now_ms)
{
    const struct user *from = call_peer_of(leg);
    struct notice notice = {
        .type = type,
        .from = slice_of(from->id, from->id_len),
        .call_id = call_id(leg->call),
        .reason = reason,
    };
    buffer_clear(&router->scratch);
    notice_put(&router->scratch, &notice);
    if (router->scratch.failed) {
        return;
    }
    uint64_t patience_ms = router->config.call_grace_ms + router->config.transfer_timeout_ms;
    struct transfer *transfer =
        router_call_open_own(router, leg, buffer_slice(&router->scratch), now_ms + patience_ms);
    if (transfer != NULL) {
        transfer->is_last_word = true;
        router_send_on(router, transfer, now_ms);
    }
}

void router_call_end(struct router *router, struct call *call, enum call_result result,
                     struct slice reason, uint64_t now_ms)
{
    struct call_leg *answered = call->answered;
    struct call_report report = {
        .call_id = call_id(call),
        .caller = slice_of(call->caller->user->id, call->caller->user->id_len),
        .callee = slice_of(call->callee->id, call->callee->id_len),
        .reason = reason,
        .result = call_result_name(result),
        .ring_ms = (answered != NULL ? call->answered_ms : now_ms) - call->start_ms,
        .talk_ms = answered != NULL ? now_ms - call->answered_ms : 0,
    };
    if (answered != NULL) {
        report.device = call_leg_device_id(answered);
    }
    struct call_leg *next = NULL;
    for (struct call_leg *leg = call_first_callee(call); leg != NULL; leg = next) {
        next = call_next_callee(leg);
        router_call_drop_leg(router, leg);
    }
    router_call_drop_leg(router, call->caller);
    calls_end(&router->calls, call, now_ms);
    if (router->config.on_call_ended != NULL) {
        router->config.on_call_ended(router->config.arg, &report);
    }
}

/* Tells all of the callee's devices but one; `spared` NULL: all. */
void router_call_notify_callees(struct router *router, struct call *call,
                                const struct call_leg *spared, enum call_type type,
                                const char *reason, uint64_t now_ms)
{
    for (struct call_leg *leg = call_first_callee(call); leg != NULL; leg = call_next_callee(leg)) {
        if (leg != spared) {
            router_call_notify(router, leg, type, reason, now_ms);
        }
    }
}

/* ---- to whom a message goes ---- */

/* True: the session has had it, or a later one of that call, or the same call-start under another
 * name. Other calls, and plain messages, have an order of their own. */
static bool has_had(const struct call_leg *leg, const struct transfer *transfer)
{
    const struct transfer_key *key = &transfer->key;
    bool rings_again = transfer->rings && leg->rung_by != 0 &&
                       leg->rung_by != call_mark(key->source_instance_id, key->seq);
    bool was_copied = transfer->is_repeat && !transfer->is_start &&
                      leg->copied_instance_id == key->source_instance_id &&
                      leg->copied_seq >= key->seq;
    return rings_again || was_copied || leg->handed_number > transfer->number ||
           (leg->handed_number == transfer->number && !transfer->is_repeat);
}

static void give(struct router *router, struct transfer *transfer, struct call_leg *leg,
                 struct session *session)
{
    uint64_t handed_to = call_mark(router->slots[session->slot].instance_id, session->id);
    if (leg->handed_to != handed_to) {
        leg->handed_to = handed_to;
        leg->handed_number = 0;
        leg->rung_by = 0;
    }
    if (!has_had(leg, transfer) && router_hand_over(router, transfer, session)) {
        leg->handed_number = transfer->number;
        if (transfer->rings) {
            leg->rung_by = call_mark(transfer->key.source_instance_id, transfer->key.seq);
        }
    }
}

/* Hands it to the leg's device, or notes that it is not there. */
static void hand_to(struct router *router, struct transfer *transfer, struct call_leg *leg,
                    uint64_t now_ms)
{
    struct session *session = call_leg_session(leg);
    bool is_released = leg->hold != NULL && transfer->hold == leg->hold;
    if (leg->is_out && !transfer->is_last_word) {
        return; /* the call has gone on without it */
    }
    if (session != NULL && (leg->hold == NULL || is_released)) {
        give(router, transfer, leg, session);
        return;
    }
    struct call_leg *before = transfer->missed;
    transfer->missed = leg;
    if (before != NULL && before != leg) {
        router_calls_copy_to(router, transfer, before, now_ms);
    }
}

/* The leg of that device, made where there is none. NULL: not for it, or no memory. */
static struct call_leg *leg_for(struct router *router, struct transfer *transfer,
                                const struct session *session)
{
    struct call *call = transfer->call;
    struct slice device_id = directory_device_id(session);
    struct call_leg *leg = calls_find_leg(call, session->user, device_id);
    if (leg == NULL) {
        leg = calls_add_leg(&router->calls, call, device_id);
        if (leg == NULL) {
            transfer_note(transfer, OUTCOME_OVERLOADED);
        } else {
            router_call_tell_leg(router, leg);
        }
    }
    return leg != NULL && !leg->is_out && leg != call->caller ? leg : NULL;
}

static void note_copy(struct call_leg *leg, const struct transfer_key *key)
{
    bool is_same = leg->copied_instance_id == key->source_instance_id;
    if (!is_same || leg->copied_seq < key->seq) {
        leg->copied_instance_id = key->source_instance_id;
        leg->copied_seq = key->seq;
    }
}

void router_calls_copy_to(struct router *router, struct transfer *transfer, struct call_leg *leg,
                          uint64_t now_ms)
{
    struct transfer *copy =
        router_call_open_own(router, leg, transfer_payload(transfer), transfer->deadline_ms);
    if (copy != NULL) {
        transfer->has_copies = true;
        note_copy(leg, &transfer->key);
        copy->number = transfer->number;
        copy->rings = transfer->rings;
        copy->is_last_word = transfer->is_last_word;
        router_send_on(router, copy, now_ms);
    }
}

static bool can_be_handed(const struct call_leg *leg)
{
    return leg->hold == NULL && call_leg_session(leg) != NULL;
}

static void hand_to_callees(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    struct call_leg *first = call_first_callee(transfer->call);
    struct call_leg *present = first;
    while (present != NULL && !can_be_handed(present)) {
        present = call_next_callee(present);
    }
    if (transfer->is_last_word) {
        transfer->call_leg = present; /* NULL: nobody is there, and it waits as a whole */
    }
    for (struct call_leg *leg = first; leg != NULL; leg = call_next_callee(leg)) {
        /* A last word is said again to whoever misses it, and so is for one device each. */
        bool is_copied = !can_be_handed(leg) || (transfer->is_last_word && leg != present);
        if (present != NULL && is_copied) {
            router_calls_copy_to(router, transfer, leg, now_ms); /* the outcome is the others' */
        } else {
            hand_to(router, transfer, leg, now_ms);
        }
    }
}

void router_calls_deliver(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    struct call *call = transfer->call;
    if (transfer->call_leg != NULL) {
        hand_to(router, transfer, transfer->call_leg, now_ms);
        return;
    }
    if (!transfer->is_start) {
        hand_to_callees(router, transfer, now_ms);
        return;
    }
    if (call->state == CALL_ENDED) {
        return; /* it was cancelled before anybody could be told of it */
    }
    for (struct session *session = directory_first_of_user(call->callee); session != NULL;
         session = directory_next_of_user(session)) {
        struct call_leg *leg = leg_for(router, transfer, session);
        if (leg != NULL) {
            give(router, transfer, leg, session);
        }
    }
}

uint64_t router_calls_expiry(const struct transfer *transfer)
{
    return transfer->rings ? transfer->call->due_ms : 0;
}

void router_calls_came_back(struct router *router, struct transfer *transfer, uint32_t slot,
                            uint64_t session_id, uint64_t now_ms)
{
    const struct session *session = transfers_session_of_leg(transfer, slot, session_id);
    if (session == NULL || transfer->call_leg != NULL) {
        return; /* its time was over; or it waits by itself */
    }
    struct call_leg *leg =
        calls_find_leg(transfer->call, session->user, directory_device_id(session));
    if (leg == NULL) {
        return;
    }
    struct call_leg *before = transfer->missed;
    transfer->missed = leg;
    if (before != NULL && before != leg) {
        router_calls_copy_to(router, transfer, before, now_ms);
    }
}

struct hold *router_calls_hold_of(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    struct call *call = transfer->call;
    struct call_leg *leg = transfer->call_leg != NULL ? transfer->call_leg : transfer->missed;
    bool is_for_all = transfer->call_leg == NULL && (transfer->is_start || call->callees == NULL);
    if (is_for_all && call->state == CALL_ENDED) {
        return NULL;
    }
    if (is_for_all && transfer->user->hold != NULL) {
        return transfer->user->hold;
    }
    if (leg == NULL) {
        return NULL;
    }
    if (leg->hold == NULL) {
        /* What it must still hear of a call that went on without it; its device may be back before
         * what was under way to the session before. */
        bool is_away = call_leg_session(leg) == NULL;
        holds_begin_for_leg(&router->holds, leg, is_away ? HOLD_LEG_AWAY : HOLD_SETTLING, now_ms);
        calls_update_leg(&router->calls, leg);
    }
    if (leg->hold != NULL) {
        transfer->call_leg = leg;
    }
    return leg->hold;
}

static bool has_device(const struct call *call)
{
    struct call_leg *leg = call_first_callee(call);
    while (leg != NULL && call_leg_session(leg) == NULL) {
        leg = call_next_callee(leg);
    }
    return leg != NULL;
}

/* Nobody was told of the call, so it is over. */
static void start_failed(struct router *router, struct call *call, uint64_t now_ms)
{
    router_call_notify_callees(router, call, NULL, CALL_TYPE_CANCEL, "missed", now_ms);
    if (call->is_start_repeated) {
        router_call_notify(router, call->caller, CALL_TYPE_END, "user-offline", now_ms);
    }
    router_call_end(router, call, CALL_OFFLINE, slice_none, now_ms);
}

/* A call-start reached nobody itself. That says nothing of devices that came meanwhile. */
static void start_missed(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    struct call *call = transfer->call;
    if (call->state == CALL_ANSWERED || (call->state < CALL_ANSWERED && has_device(call))) {
        transfer_note(transfer, OUTCOME_DELIVERED);
    } else if (call->is_rung_later) {
        transfer_note(transfer, OUTCOME_UNCONFIRMED); /* they may be back in a moment */
    } else if (call->state < CALL_ANSWERED) {
        start_failed(router, call, now_ms);
    }
}

/* True: its device may not have it, and must. */
static bool must_be_said_again(const struct transfer *transfer, uint64_t now_ms)
{
    /* What never left is not said again at once: there is no room for it. */
    bool has_left = transfer->expires_ms > 0;
    bool is_lost = has_left && (transfer->outcome == OUTCOME_UNCONFIRMED ||
                                transfer->outcome == OUTCOME_OVERLOADED);
    bool is_ours = transfer->source_slot == TRANSFER_NO_SLOT;
    return is_lost && (is_ours || transfer->is_accept || transfer->is_last_word) &&
           transfer->call_leg != NULL && transfer->deadline_ms > now_ms &&
           transfer->again_count < AGAIN_MAX;
}

/* True: somebody has ended the call, and the other end may not have heard of it in time. (Whoever
 * did not come back in time knows.) */
static bool is_lost_end(const struct router *router, const struct transfer *transfer)
{
    bool is_ours = transfer->key.source_instance_id == router->config.instance_id;
    return transfer->is_last_word && !is_ours && transfer->outcome != OUTCOME_DELIVERED &&
           transfer->outcome != OUTCOME_USER_OFFLINE;
}

/* In the name of whoever ended it. */
static void say_end(struct router *router, const struct transfer *transfer, uint64_t now_ms)
{
    struct call *call = transfer->call;
    struct call_leg *only = transfer->call_leg;
    if (only != NULL) {
        bool rings = only != call->caller && only != call->answered;
        router_call_notify(router, only, rings ? CALL_TYPE_CANCEL : CALL_TYPE_END,
                           "connection-lost", now_ms);
        return;
    }
    for (struct call_leg *leg = call->callees; leg != NULL; leg = leg->next_of_call) {
        if (call_leg_session(leg) != NULL) {
            router_call_notify(router, leg, CALL_TYPE_CANCEL, "connection-lost", now_ms);
        }
    }
}

bool router_calls_done(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    struct call *call = transfer->call;
    bool is_refused =
        transfer->outcome != OUTCOME_DELIVERED && transfer->outcome != OUTCOME_UNCONFIRMED;
    if (transfer->is_accept && transfer->outcome == OUTCOME_DELIVERED) {
        call->is_accept_known = true;
    }
    if (must_be_said_again(transfer, now_ms)) {
        transfer_note(transfer, OUTCOME_UNCONFIRMED); /* for its sender */
        return true;
    }
    if (transfer->missed != NULL && transfer->call_leg == NULL && !is_refused) {
        router_calls_copy_to(router, transfer, transfer->missed, now_ms);
    }
    if (is_refused && transfer->has_copies) {
        transfer_note(transfer, OUTCOME_UNCONFIRMED); /* one of them may get there */
    }
    if (transfer->is_start && is_refused) {
        start_missed(router, transfer, now_ms);
    }
    if (is_lost_end(router, transfer)) {
        say_end(router, transfer, now_ms);
    }
    return false;
}
