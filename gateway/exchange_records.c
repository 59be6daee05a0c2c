/* What the broker tells: a handler for each kind of record. */
#include "gateway/exchange_internal.h"

/* False: out of order; the link ends. */
typedef bool (*handler_fn)(struct exchange *exchange, const struct link_record *record);

static bool on_welcome(struct exchange *exchange, const struct link_record *record)
{
    if (exchange->is_greeted || record->greeting.version != LINK_VERSION) {
        return false;
    }
    exchange->is_greeted = true;
    return true;
}

static bool on_attached(struct exchange *exchange, const struct link_record *record)
{
    struct session *session = session_find(&exchange->sessions, record->session.session_id);
    if (session != NULL && !session->is_attached) {
        session->is_attached = true;
        exchange->handlers->on_attached(exchange->arg, session);
    }
    return true;
}

static bool on_deliver(struct exchange *exchange, const struct link_record *record)
{
    const struct link_deliver *deliver = &record->deliver;
    struct session *session = session_find(&exchange->sessions, deliver->session_id);
    enum outcome outcome = OUTCOME_USER_OFFLINE;
    if (session != NULL && session->is_attached) {
        struct receipt *receipt = receipt_take(&exchange->receipts);
        uint64_t end_bytes = 0;
        outcome = OUTCOME_OVERLOADED;
        if (receipt != NULL &&
            exchange->handlers->on_deliver(exchange->arg, session, deliver->payload, &end_bytes)) {
            receipt->end_bytes = end_bytes;
            receipt->source_instance_id = deliver->source_instance_id;
            receipt->seq = deliver->seq;
            receipt_queue_push(&session->receipts, receipt);
            return true;
        }
        if (receipt != NULL) {
            receipt_return(&exchange->receipts, receipt);
        }
    }
    exchange_put_delivery_outcome(exchange, deliver->source_instance_id, deliver->seq,
                                  deliver->session_id, outcome);
    return true;
}

static bool on_submit_outcome(struct exchange *exchange, const struct link_record *record)
{
    if (record->submit_outcome.seq >= exchange->next_unsent_seq) {
        return false; /* an answer to what was never asked */
    }
    struct unanswered_message *message =
        unanswered_find(&exchange->unanswered, record->submit_outcome.seq);
    if (message != NULL) {
        exchange_answer(exchange, message, record->submit_outcome.outcome);
    }
    return true;
}

static bool on_evict(struct exchange *exchange, const struct link_record *record)
{
    struct session *session = session_find(&exchange->sessions, record->evict.session_id);
    if (session != NULL) {
        exchange->handlers->on_evict(exchange->arg, session, record->evict.close_code);
    }
    return true;
}

static const handler_fn on_record[LINK_RECORD_KIND_COUNT] = {
    [LINK_WELCOME] = on_welcome, [LINK_ATTACHED] = on_attached,
    [LINK_DELIVER] = on_deliver, [LINK_SUBMIT_OUTCOME] = on_submit_outcome,
    [LINK_EVICT] = on_evict,
};

bool exchange_receive(struct exchange *exchange, struct slice batch)
{
    while (batch.len > 0) {
        struct link_record record;
        if (link_record_decode(&batch, &record) != PARSE_DONE) {
            return false;
        }
        handler_fn handler = on_record[record.kind];
        bool is_in_order = exchange->is_greeted || record.kind == LINK_WELCOME;
        if (handler == NULL || !is_in_order || !handler(exchange, &record)) {
            return false;
        }
    }
    return true;
}
