/* What the broker tells: a handler for each kind of record. */
#include "gateway/exchange_internal.h"

/* False: out of order; the link ends. */
typedef bool (*handler_fn)(struct exchange *exchange, const struct link_record *record,
                           uint64_t now_ms);

static bool on_welcome(struct exchange *exchange, const struct link_record *record, uint64_t now_ms)
{
    (void)now_ms;
    if (exchange->is_greeted || record->greeting.version != LINK_VERSION) {
        return false;
    }
    exchange->is_greeted = true;
    return true;
}

static bool on_attached(struct exchange *exchange, const struct link_record *record,
                        uint64_t now_ms)
{
    (void)now_ms;
    struct session *session = session_find(&exchange->sessions, record->session.session_id);
    if (session != NULL && !session->is_attached) {
        session->is_attached = true;
        exchange->handlers->on_attached(exchange->arg, session);
    }
    return true;
}

static bool on_ready(struct exchange *exchange, const struct link_record *record, uint64_t now_ms)
{
    (void)record;
    (void)now_ms;
    if (!exchange->is_synced || exchange->is_ready) {
        return false;
    }
    exchange->is_ready = true;
    return true;
}

static bool on_retired(struct exchange *exchange, const struct link_record *record, uint64_t now_ms)
{
    (void)now_ms;
    struct session *session = session_find(&exchange->sessions, record->session.session_id);
    if (session != NULL) {
        if (!session->is_retiring) {
            return false;
        }
        session->is_retired = true;
        exchange_report_retired(exchange, session);
    }
    return true;
}

/* What the client is to read now. False: no memory. */
static bool make_payload(struct exchange *exchange, const struct link_deliver *deliver,
                         uint64_t now_ms, struct slice *payload)
{
    if (deliver->expires_ms == 0) {
        *payload = deliver->payload;
        return true;
    }
    uint64_t left_ms = deliver->expires_ms > now_ms ? deliver->expires_ms - now_ms : 0;
    buffer_clear(&exchange->payload);
    call_message_put_expiring(&exchange->payload, deliver->payload, left_ms);
    *payload = buffer_slice(&exchange->payload);
    return !exchange->payload.failed;
}

/* Puts a payload into its session's queue. False: it is not there, and *refusal says why. */
static bool queue_payload(struct exchange *exchange, const struct delivery_key *key,
                          const struct link_deliver *deliver, uint64_t now_ms,
                          enum outcome *refusal)
{
    struct session *session = session_find(&exchange->sessions, key->session_id);
    if (session == NULL || !session->is_attached) {
        *refusal = OUTCOME_USER_OFFLINE;
        return false;
    }
    struct slice payload;
    uint64_t end_bytes = 0;
    if (!deliveries_prepare(&exchange->deliveries) ||
        !make_payload(exchange, deliver, now_ms, &payload) ||
        !exchange->handlers->on_deliver(exchange->arg, session, payload, &end_bytes)) {
        *refusal = OUTCOME_OVERLOADED;
        return false;
    }
    struct delivery *delivery = deliveries_open(&exchange->deliveries, key, deliver->deadline_ms,
                                                &session->deliveries, end_bytes);
    delivery->is_awaited = deliver->is_awaited;
    return true;
}

/* True: a repeat has been here before, or comes too late. *outcome is what is to be said of it;
 * nothing, if that follows (*is_silent). */
static bool has_past(struct exchange *exchange, const struct delivery_key *key,
                     const struct link_deliver *deliver, enum outcome *outcome, bool *is_silent)
{
    const struct session *session = session_find(&exchange->sessions, key->session_id);
    enum delivery_past past =
        deliveries_look_up(&exchange->deliveries, key, deliver->deadline_ms,
                           session == NULL ? NULL : &session->deliveries, outcome);
    *is_silent = past == DELIVERY_WAITS;
    if (past == DELIVERY_IS_OVERTAKEN) {
        *outcome = OUTCOME_USER_OFFLINE; /* as for a session that was not there in time */
    } else if (past == DELIVERY_IS_UNKNOWN) {
        *outcome = OUTCOME_UNCONFIRMED;
    }
    return past != DELIVERY_IS_NEW;
}

static bool on_deliver(struct exchange *exchange, const struct link_record *record, uint64_t now_ms)
{
    const struct link_deliver *deliver = &record->deliver;
    struct delivery_key key = {deliver->source_instance_id, deliver->seq, deliver->session_id};
    enum outcome outcome = OUTCOME_OVERLOADED; /* of what comes when its time is over */
    bool is_silent = false;
    if (!deliver->is_repeat || !has_past(exchange, &key, deliver, &outcome, &is_silent)) {
        is_silent = deliver->deadline_ms > now_ms &&
                    queue_payload(exchange, &key, deliver, now_ms, &outcome);
    }
    if (!is_silent) {
        exchange_put_delivery_outcome(exchange, &key, outcome, true);
    }
    return true;
}

static bool on_submit_outcome(struct exchange *exchange, const struct link_record *record,
                              uint64_t now_ms)
{
    (void)now_ms;
    if (record->submit_outcome.seq >= exchange->next_unsent_seq) {
        return false; /* an answer to what was never asked */
    }
    struct unanswered_message *message =
        unanswered_find(&exchange->unanswered, record->submit_outcome.seq);
    if (message != NULL) {
        exchange_answer(exchange, message, record->submit_outcome.outcome,
                        record->submit_outcome.detail);
    }
    return true;
}

static bool on_evict(struct exchange *exchange, const struct link_record *record, uint64_t now_ms)
{
    (void)now_ms;
    struct session *session = session_find(&exchange->sessions, record->evict.session_id);
    if (session != NULL) {
        exchange->handlers->on_evict(exchange->arg, session, record->evict.close_code);
    }
    return true;
}

static bool on_leg(struct exchange *exchange, const struct link_record *record, uint64_t now_ms)
{
    (void)now_ms;
    const struct link_leg *leg = &record->leg;
    if (session_find(&exchange->sessions, leg->session_id) != NULL) {
        session_legs_set(&exchange->legs, leg->session_id, leg->call_id, leg->state);
    }
    return true;
}

static const handler_fn on_record[LINK_RECORD_KIND_COUNT] = {
    [LINK_WELCOME] = on_welcome, [LINK_ATTACHED] = on_attached,
    [LINK_RETIRED] = on_retired, [LINK_READY] = on_ready,
    [LINK_DELIVER] = on_deliver, [LINK_SUBMIT_OUTCOME] = on_submit_outcome,
    [LINK_EVICT] = on_evict,     [LINK_LEG] = on_leg,
};

bool exchange_receive(struct exchange *exchange, struct slice batch, uint64_t now_ms)
{
    while (batch.len > 0) {
        struct link_record record;
        if (link_record_decode(&batch, &record) != PARSE_DONE) {
            return false;
        }
        handler_fn handler = on_record[record.kind];
        bool is_in_order = exchange->is_greeted || record.kind == LINK_WELCOME;
        if (handler == NULL || !is_in_order || !handler(exchange, &record, now_ms)) {
            return false;
        }
    }
    return true;
}
