/* Messages and their outcomes: submit, deliver, what gateways answer, what waits for a user. */
#include "broker/router_calls.h"

enum {
    /* The part of an outbound buffer, one in so many, that payloads leave to what must get through:
     * outcomes, evictions, attached. */
    RESERVE_DIVISOR = 8,
};

void router_put_submit_outcome(struct router *router, uint32_t slot_no, uint64_t seq,
                               enum outcome outcome, struct slice detail, bool is_awaited)
{
    struct slot *slot = &router->slots[slot_no];
    bool was_urgent = slot->is_urgent;
    struct link_record record = {.kind = LINK_SUBMIT_OUTCOME};
    record.submit_outcome.seq = seq;
    record.submit_outcome.outcome = outcome;
    record.submit_outcome.detail = detail;
    router_put(router, slot_no, &record);
    slot->is_urgent = was_urgent || is_awaited || outcome != OUTCOME_DELIVERED;
}

static void put_outcome(struct router *router, uint32_t slot_no, uint64_t seq, enum outcome outcome,
                        bool is_awaited)
{
    router_put_submit_outcome(router, slot_no, seq, outcome, slice_of(NULL, 0), is_awaited);
}

/* True: it is new, or comes back undelivered, and waits for its user. */
static bool wait_for_user(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    if (transfer->outcome != OUTCOME_USER_OFFLINE) {
        return false;
    }
    struct hold *hold = transfer->call == NULL ? transfer->user->hold
                                               : router_calls_hold_of(router, transfer, now_ms);
    if (hold == NULL) {
        return false;
    }
    if (holds_add(&router->holds, hold, transfer)) {
        return true;
    }
    transfer_note(transfer, OUTCOME_OVERLOADED);
    return false;
}

static void answer(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    bool goes_on = transfer->call != NULL && router_calls_done(router, transfer, now_ms);
    if (transfer->source_slot != TRANSFER_NO_SLOT) {
        put_outcome(router, transfer->source_slot, transfer->key.seq, transfer->outcome,
                    transfer->is_awaited);
    }
    if (goes_on) {
        transfer_say_again(transfer);
        router_send_on(router, transfer, now_ms);
        return;
    }
    transfers_close(&router->transfers, transfer);
}

void router_answer_done(struct router *router, uint64_t now_ms)
{
    struct transfer *transfer = NULL;
    while ((transfer = transfers_first_done(&router->transfers)) != NULL) {
        if (!wait_for_user(router, transfer, now_ms)) {
            answer(router, transfer, now_ms);
        }
    }
}

static bool has_room_for(const struct slot *slot, const struct transfer *transfer)
{
    size_t needed = transfer->payload_len + LINK_RECORD_OVERHEAD_BYTES;
    if (slot->out == NULL || slot->is_stuck) {
        return false;
    }
    bool may_use_reserve = transfer->source_slot == TRANSFER_NO_SLOT;
    size_t reserve = may_use_reserve ? 0 : slot->out->max_bytes / RESERVE_DIVISOR;
    return needed + reserve <= buffer_room(slot->out);
}

bool router_hand_over(struct router *router, struct transfer *transfer, struct session *session)
{
    if (!has_room_for(&router->slots[session->slot], transfer) ||
        !transfers_add_leg(&router->transfers, transfer, session)) {
        transfer_note(transfer, OUTCOME_OVERLOADED);
        return false;
    }
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.source_instance_id = transfer->key.source_instance_id;
    record.deliver.seq = transfer->key.seq;
    record.deliver.session_id = session->id;
    record.deliver.deadline_ms = transfer->deadline_ms;
    record.deliver.is_repeat = transfer->is_repeat;
    record.deliver.is_awaited = transfer->is_awaited;
    record.deliver.expires_ms = router_calls_expiry(transfer);
    record.deliver.payload = transfer_payload(transfer);
    router_put(router, session->slot, &record);
    router->delivers++;
    return true;
}

void router_number(struct router *router, struct transfer *transfer)
{
    if (transfer->number == 0) {
        transfer->number = ++router->last_number;
    }
}

/* Not to those that it would reach behind its successors: it has come back from sessions that were
 * there before them. */
static void deliver_to(struct router *router, struct transfer *transfer, struct session *session)
{
    router_number(router, transfer);
    if (session->last_handed < transfer->number && router_hand_over(router, transfer, session)) {
        session->last_handed = transfer->number;
    }
}

void router_send_on(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    if (transfer->call != NULL) {
        router_calls_deliver(router, transfer, now_ms);
    } else {
        struct session *session = directory_first_of_user(transfer->user);
        for (; session != NULL; session = directory_next_of_user(session)) {
            deliver_to(router, transfer, session);
        }
    }
    transfer->hold = NULL;
    transfers_send(&router->transfers, transfer, now_ms + router->config.transfer_timeout_ms);
}

static void end_hold(struct router *router, struct hold *hold)
{
    struct call_leg *leg = hold->leg;
    holds_end(&router->holds, hold);
    if (leg != NULL) {
        calls_update_leg(&router->calls, leg);
    }
}

void router_release(struct router *router, struct hold *hold, uint64_t now_ms)
{
    struct transfer *transfer = NULL;
    while ((transfer = holds_take(&router->holds, hold)) != NULL) {
        if (transfer->deadline_ms <= now_ms) {
            transfer->outcome = OUTCOME_UNAVAILABLE;
            answer(router, transfer, now_ms);
            continue;
        }
        router_send_on(router, transfer, now_ms);
        if (transfer->state == TRANSFER_DONE) {
            answer(router, transfer, now_ms);
        }
    }
    end_hold(router, hold);
}

void router_give_up(struct router *router, struct hold *hold, uint64_t now_ms)
{
    struct user *user = hold->user;
    struct transfer *transfer = NULL;
    while ((transfer = holds_take(&router->holds, hold)) != NULL) {
        answer(router, transfer, now_ms);
    }
    end_hold(router, hold);
    directory_release_user(&router->directory, user);
}

/* A message to a user who is known: to its sessions, or into its hold. */
static void start_transfer(struct router *router, const struct router_arrival *arrival,
                           struct user *target)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct transfer_start start = {
        .key = {.source_instance_id = router->slots[arrival->slot].instance_id, .seq = submit->seq},
        .source_slot = arrival->slot,
        .user = target,
        .deadline_ms = submit->deadline_ms,
        .is_repeat = submit->is_repeat,
        .is_awaited = submit->is_awaited,
        .payload = submit->payload,
    };
    struct transfer *transfer = transfers_open(&router->transfers, &start);
    if (transfer == NULL) {
        put_outcome(router, arrival->slot, submit->seq, OUTCOME_OVERLOADED, true);
    } else if (target->hold == NULL) {
        router_send_on(router, transfer, arrival->now_ms);
    } /* else router_answer_done puts it into the hold, as what came back */
}

bool router_on_submit(struct router *router, const struct router_arrival *arrival)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct slot *source = &router->slots[arrival->slot];
    struct transfer_key key = {.source_instance_id = source->instance_id, .seq = submit->seq};
    struct transfer *orphan = transfers_find(&router->transfers, key);
    if (!source->is_ready || submit->seq <= source->last_seq ||
        (orphan != NULL && orphan->source_slot != TRANSFER_NO_SLOT)) {
        return false;
    }
    source->last_seq = submit->seq;
    router->submits++;
    if (orphan != NULL) {
        orphan->source_slot = arrival->slot; /* it has been on its way all the time */
        return true;
    }
    if (submit->deadline_ms <= arrival->now_ms) {
        put_outcome(router, arrival->slot, submit->seq, OUTCOME_UNAVAILABLE, true);
        return true;
    }
    if (submit->call_id.len > 0) {
        return router_on_call_submit(router, arrival);
    }
    struct user *target = directory_find_user(&router->directory, submit->to);
    if (target == NULL || (target->sessions == NULL && target->hold == NULL)) {
        put_outcome(router, arrival->slot, submit->seq, OUTCOME_USER_OFFLINE, true);
    } else {
        start_transfer(router, arrival, target);
    }
    return true;
}

bool router_on_delivery_outcome(struct router *router, const struct router_arrival *arrival)
{
    const struct link_delivery_outcome *outcome = &arrival->record->delivery_outcome;
    if (!transfer_leg_can_end(outcome->outcome)) {
        return false;
    }
    struct transfer_key key = {
        .source_instance_id = outcome->source_instance_id,
        .seq = outcome->seq,
    };
    struct transfer *transfer = transfers_find(&router->transfers, key);
    if (transfer == NULL) {
        return true; /* its time was over, or its source is gone */
    }
    struct user *user = transfer->user;
    if (transfer->call != NULL && outcome->outcome == OUTCOME_USER_OFFLINE) {
        router_calls_came_back(router, transfer, arrival->slot, outcome->session_id,
                               arrival->now_ms);
    }
    directory_count_transfer(user); /* so that it stays until we have looked at it */
    transfers_answer(&router->transfers, transfer, arrival->slot, outcome->session_id,
                     outcome->outcome);
    router_answer_done(router, arrival->now_ms);
    router_settle(router, user, arrival->now_ms);
    directory_uncount_transfer(user);
    directory_release_user(&router->directory, user);
    return true;
}
