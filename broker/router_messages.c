/* Messages and their outcomes: submit, deliver, what gateways answer, what waits for a user. */
#include "broker/router_internal.h"

enum {
    /* The part of an outbound buffer, one in so many, that payloads leave to what must get through:
     * outcomes, evictions, attached. */
    RESERVE_DIVISOR = 8,
};

static void put_submit_outcome(struct router *router, uint32_t slot_no, uint64_t seq,
                               enum outcome outcome, bool is_awaited)
{
    struct slot *slot = &router->slots[slot_no];
    bool was_urgent = slot->is_urgent;
    struct link_record record = {.kind = LINK_SUBMIT_OUTCOME};
    record.submit_outcome.seq = seq;
    record.submit_outcome.outcome = outcome;
    router_put(router, slot_no, &record);
    slot->is_urgent = was_urgent || is_awaited || outcome != OUTCOME_DELIVERED;
}

/* True: it is new, or comes back undelivered, and waits for its user. */
static bool wait_for_user(struct router *router, struct transfer *transfer)
{
    if (transfer->outcome != OUTCOME_USER_OFFLINE || transfer->user->hold == NULL) {
        return false;
    }
    if (holds_add(&router->holds, transfer)) {
        return true;
    }
    transfer_note(transfer, OUTCOME_OVERLOADED);
    return false;
}

static void answer(struct router *router, struct transfer *transfer, enum outcome outcome)
{
    put_submit_outcome(router, transfer->source_slot, transfer->key.seq, outcome,
                       transfer->is_awaited);
    transfers_close(&router->transfers, transfer);
}

void router_answer_done(struct router *router)
{
    struct transfer *transfer = NULL;
    while ((transfer = transfers_first_done(&router->transfers)) != NULL) {
        if (!wait_for_user(router, transfer)) {
            answer(router, transfer, transfer->outcome);
        }
    }
}

static bool has_room_for(const struct slot *slot, const struct transfer *transfer)
{
    size_t needed = transfer->payload_len + LINK_RECORD_OVERHEAD_BYTES;
    return !slot->is_stuck &&
           needed + slot->out->max_bytes / RESERVE_DIVISOR <= buffer_room(slot->out);
}

static void deliver(struct router *router, struct transfer *transfer, struct session *session)
{
    if (!has_room_for(&router->slots[session->slot], transfer) ||
        !transfers_add_leg(&router->transfers, transfer, session)) {
        transfer_note(transfer, OUTCOME_OVERLOADED);
        return;
    }
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.source_instance_id = transfer->key.source_instance_id;
    record.deliver.seq = transfer->key.seq;
    record.deliver.session_id = session->id;
    record.deliver.deadline_ms = transfer->deadline_ms;
    record.deliver.is_repeat = transfer->is_repeat;
    record.deliver.is_awaited = transfer->is_awaited;
    record.deliver.payload = transfer_payload(transfer);
    router_put(router, session->slot, &record);
    session->last_handed = transfer->number;
    router->delivers++;
}

/* Hands a done transfer to all sessions of its user, but for those that it would reach behind its
 * successors: it has come back from sessions that were there before them. */
static void send_on(struct router *router, struct transfer *transfer, uint64_t now_ms)
{
    if (transfer->number == 0) {
        transfer->number = ++router->last_number;
    }
    struct session *session = directory_first_of_user(transfer->user);
    for (; session != NULL; session = directory_next_of_user(session)) {
        if (session->last_handed < transfer->number) {
            deliver(router, transfer, session);
        }
    }
    transfers_send(&router->transfers, transfer, now_ms + router->config.transfer_timeout_ms);
}

void router_release(struct router *router, struct user *user, uint64_t now_ms)
{
    struct transfer *transfer = NULL;
    while ((transfer = holds_take(&router->holds, user->hold)) != NULL) {
        if (transfer->deadline_ms <= now_ms) {
            answer(router, transfer, OUTCOME_UNAVAILABLE);
            continue;
        }
        send_on(router, transfer, now_ms);
        if (transfer->state == TRANSFER_DONE) {
            answer(router, transfer, transfer->outcome);
        }
    }
    holds_end(&router->holds, user);
}

void router_give_up(struct router *router, struct user *user)
{
    struct transfer *transfer = NULL;
    while ((transfer = holds_take(&router->holds, user->hold)) != NULL) {
        answer(router, transfer, transfer->outcome);
    }
    holds_end(&router->holds, user);
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
        put_submit_outcome(router, arrival->slot, submit->seq, OUTCOME_OVERLOADED, true);
    } else if (target->hold == NULL) {
        send_on(router, transfer, arrival->now_ms);
    } /* else router_answer_done puts it into the hold, as what came back */
}

bool router_on_submit(struct router *router, const struct router_arrival *arrival)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct slot *source = &router->slots[arrival->slot];
    struct transfer_key key = {.source_instance_id = source->instance_id, .seq = submit->seq};
    if (!source->is_ready || submit->seq <= source->last_seq ||
        transfers_find(&router->transfers, key) != NULL) {
        return false;
    }
    source->last_seq = submit->seq;
    router->submits++;
    struct user *target = directory_find_user(&router->directory, submit->to);
    if (submit->deadline_ms <= arrival->now_ms) {
        put_submit_outcome(router, arrival->slot, submit->seq, OUTCOME_UNAVAILABLE, true);
    } else if (target == NULL || (target->sessions == NULL && target->hold == NULL)) {
        put_submit_outcome(router, arrival->slot, submit->seq, OUTCOME_USER_OFFLINE, true);
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
    directory_count_transfer(user); /* so that it stays until we have looked at it */
    transfers_answer(&router->transfers, transfer, arrival->slot, outcome->session_id,
                     outcome->outcome);
    router_answer_done(router);
    router_settle(router, user, arrival->now_ms);
    directory_uncount_transfer(user);
    directory_release_user(&router->directory, user);
    return true;
}
