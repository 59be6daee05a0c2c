/* What clients do: sessions come and go, messages are submitted, payloads are written. */
#include "gateway/exchange_internal.h"

#include <assert.h>

enum {
    /* A payload is not handed to its target in the last part of its time, one in so many but at
     * most DELIVERY_MARGIN_MAX_MS: that is left to the outcome's way back, so that nobody is told
     * that time is up for what is delivered a moment later. */
    DELIVERY_MARGIN_DIVISOR = 10,
    DELIVERY_MARGIN_MAX_MS = 1000,
};

static void append_session(struct exchange *exchange, struct session *session)
{
    session->prev = exchange->last_session;
    if (session->prev != NULL) {
        session->prev->next = session;
    } else {
        exchange->first_session = session;
    }
    exchange->last_session = session;
    if (exchange->next_announced == NULL) {
        exchange->next_announced = session;
    }
}

static void unlink_session(struct exchange *exchange, struct session *session)
{
    if (exchange->next_announced == session) {
        exchange->next_announced = session->next;
    }
    if (session->prev != NULL) {
        session->prev->next = session->next;
    } else {
        exchange->first_session = session->next;
    }
    if (session->next != NULL) {
        session->next->prev = session->prev;
    } else {
        exchange->last_session = session->prev;
    }
}

struct session *exchange_attach(struct exchange *exchange, void *owner, struct slice user_id,
                                struct slice device_id, bool wants_news, uint64_t now_ms)
{
    struct session *session = session_new(&exchange->sessions, user_id, device_id);
    if (session == NULL) {
        return NULL;
    }
    session->owner = owner;
    session->wants_news = wants_news;
    session->since_ms = now_ms;
    append_session(exchange, session);
    return session;
}

void exchange_put_delivery_outcome(struct exchange *exchange, const struct delivery_key *key,
                                   enum outcome outcome, bool is_urgent)
{
    struct link_record record = {.kind = LINK_DELIVERY_OUTCOME};
    record.delivery_outcome.source_instance_id = key->source_instance_id;
    record.delivery_outcome.seq = key->seq;
    record.delivery_outcome.session_id = key->session_id;
    record.delivery_outcome.outcome = outcome;
    bool was_urgent = exchange->is_urgent;
    exchange_put(exchange, &record);
    exchange->is_urgent = was_urgent || is_urgent;
}

/* The first delivery that waits for the session is over. */
static void finish_first(struct exchange *exchange, struct session *session, enum outcome outcome)
{
    const struct delivery *delivery = session->deliveries.first;
    exchange_put_delivery_outcome(exchange, &delivery->key, outcome,
                                  delivery->is_awaited || outcome != OUTCOME_DELIVERED);
    deliveries_finish_first(&exchange->deliveries, &session->deliveries, outcome);
}

void exchange_written(struct exchange *exchange, struct session *session, uint64_t written_bytes)
{
    const struct delivery *first = NULL;
    while ((first = session->deliveries.first) != NULL && first->end_bytes <= written_bytes) {
        finish_first(exchange, session, OUTCOME_DELIVERED);
    }
}

/* Takes a session that the broker may know of out of its directory. */
static void put_departure(struct exchange *exchange, struct session *session,
                          enum link_record_kind kind)
{
    if (session->is_announced) {
        struct link_record record = {.kind = kind};
        record.session.session_id = session->id;
        exchange_put(exchange, &record);
        session->is_announced = false;
    }
}

void exchange_detach(struct exchange *exchange, struct session *session, uint64_t written_bytes,
                     uint64_t begun_bytes, enum outcome rest)
{
    exchange_written(exchange, session, written_bytes);
    /* Before the outcomes: a message that comes back from a session that is gone may wait for its
     * user, one that comes back from a session that is there may not. */
    put_departure(exchange, session, LINK_DETACH);
    while (session->deliveries.first != NULL) {
        bool is_begun = session->deliveries.first->end_bytes <= begun_bytes;
        finish_first(exchange, session, is_begun ? OUTCOME_UNCONFIRMED : rest);
    }
    unlink_session(exchange, session);
    session_legs_forget(&exchange->legs, session->id);
    session_free(&exchange->sessions, session);
}

bool exchange_retire(struct exchange *exchange, struct session *session)
{
    assert(!session->is_retiring);
    session->is_retiring = true;
    session->is_retired = !session->is_announced;
    put_departure(exchange, session, LINK_RETIRE);
    return session->is_retired && session->unanswered_count == 0;
}

/* How long after its submit a message may be handed to its target. */
static uint64_t delivery_time_ms(const struct exchange_config *config)
{
    uint64_t margin_ms = config->outcome_timeout_ms / DELIVERY_MARGIN_DIVISOR;
    return config->outcome_timeout_ms -
           (margin_ms < DELIVERY_MARGIN_MAX_MS ? margin_ms : DELIVERY_MARGIN_MAX_MS);
}

/* Tells a message from all others of its sender, and knows it again when it is sent once more, by
 * whatever process: FNV-1a of its type and of its `id` as it was written. 0: it has no id. */
static uint64_t message_hash(const struct call_message *message)
{
    if (message->id.len == 0) {
        return 0;
    }
    static const uint64_t prime = UINT64_C(0x100000001b3);
    uint64_t hash = (UINT64_C(0xcbf29ce484222325) ^ (uint64_t)message->type) * prime;
    for (size_t i = 0; i < message->id.len; i++) {
        hash = (hash ^ message->id.data[i]) * prime;
    }
    return hash != 0 ? hash : 1;
}

static struct link_party make_party(const struct session *session,
                                    const struct call_message *message)
{
    return (struct link_party){
        .user_id = session_user_id(session),
        .device_id = session_device_id(session),
        .reason = message->reason,
        .message_hash = message_hash(message),
        .is_device_scope = message->is_device_scope,
    };
}

bool exchange_submit(struct exchange *exchange, struct session *session,
                     const struct call_message *message, uint64_t now_ms)
{
    if (!session->is_attached) {
        return false; /* evicted before it was attached; what it sent early is read all the same */
    }
    buffer_clear(&exchange->payload);
    call_message_put_payload(&exchange->payload, message, session_user_id(session),
                             session_device_id(session));
    buffer_clear(&exchange->record);
    if (exchange->payload.failed) {
        return false;
    }
    struct link_record submit = {.kind = LINK_SUBMIT};
    submit.submit.seq = exchange->unanswered.next_seq;
    submit.submit.session_id = session->id;
    submit.submit.deadline_ms = now_ms + delivery_time_ms(&exchange->config);
    submit.submit.is_awaited = session->wants_news && message->id.len > 0;
    submit.submit.type = message->type;
    submit.submit.to = message->to;
    submit.submit.call_id = message->call_id;
    if (message->call_id.len > 0) {
        submit.submit.party = make_party(session, message);
    }
    submit.submit.payload = buffer_slice(&exchange->payload);
    link_record_put(&exchange->record, &submit);
    if (exchange->record.failed) {
        return false;
    }
    struct unanswered_message *added =
        unanswered_add(&exchange->unanswered, message->id, message->to, message->call_id,
                       buffer_slice(&exchange->record));
    if (added == NULL) {
        return false;
    }
    added->session_id = session->id;
    added->deadline_ms = now_ms + exchange->config.outcome_timeout_ms;
    session->unanswered_count++;
    exchange->unsent_bytes += added->record_len;
    return true;
}
