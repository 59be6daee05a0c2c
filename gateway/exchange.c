#include "gateway/exchange_internal.h"

#include "common/close_code.h"

#include <assert.h>
#include <stdlib.h>

enum {
    /* Attaches and submits wait here, not in `out`, once it holds this much: so that what the
     * broker must hear (detaches, outcomes) always finds room. */
    OUT_WINDOW_BYTES = 1024 * 1024,
};

struct exchange *exchange_new(const struct exchange_config *config,
                              const struct exchange_handlers *handlers, void *arg)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        return NULL;
    }
    exchange->config = *config;
    exchange->handlers = handlers;
    exchange->arg = arg;
    exchange->next_unsent_seq = 1;
    buffer_init(&exchange->payload, LINK_PAYLOAD_MAX_BYTES);
    /* What no backlog can hold must be refused, or it would stand in the way of all behind it. */
    buffer_init(&exchange->record, config->backlog_max_bytes);
    session_table_init(&exchange->sessions);
    deliveries_init(&exchange->deliveries, config->remembered_max);
    if (!unanswered_init(&exchange->unanswered, config->unanswered_max_bytes) ||
        !session_legs_init(&exchange->legs)) {
        exchange_free(exchange);
        return NULL;
    }
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    deliveries_fini(&exchange->deliveries);
    session_table_fini(&exchange->sessions);
    session_legs_fini(&exchange->legs);
    unanswered_fini(&exchange->unanswered);
    buffer_fini(&exchange->payload);
    buffer_fini(&exchange->record);
    free(exchange);
}

bool exchange_is_ready(const struct exchange *exchange)
{
    return exchange->is_ready;
}

bool exchange_is_stuck(const struct exchange *exchange)
{
    return exchange->is_stuck;
}

size_t exchange_session_count(const struct exchange *exchange)
{
    return exchange->sessions.count;
}

size_t exchange_unanswered_count(const struct exchange *exchange)
{
    return (size_t)(exchange->unanswered.next_seq - exchange->unanswered.oldest_seq);
}

void exchange_put(struct exchange *exchange, const struct link_record *record)
{
    if (exchange->out == NULL) {
        return;
    }
    link_record_put(exchange->out, record);
    exchange->is_urgent = true;
    if (exchange->out->failed) {
        exchange->is_stuck = true;
    }
}

void exchange_link_up(struct exchange *exchange, struct buffer *out)
{
    assert(exchange->out == NULL);
    exchange->out = out;
    struct link_record hello = {.kind = LINK_HELLO};
    hello.greeting.version = LINK_VERSION;
    hello.greeting.instance_id = exchange->config.instance_id;
    exchange_put(exchange, &hello);
}

static bool is_sent(const struct exchange *exchange, const struct unanswered_message *message)
{
    return message->seq < exchange->next_unsent_seq;
}

/* True: it says that nobody got the message, and nobody ever will. */
static bool is_refusal(enum outcome outcome)
{
    return outcome != OUTCOME_DELIVERED && outcome != OUTCOME_UNCONFIRMED;
}

/* What its sender is told. */
static struct exchange_outcome make_outcome(const struct unanswered_message *message,
                                            enum outcome outcome, struct slice detail)
{
    struct exchange_outcome told = {
        .outcome = outcome,
        .to = unanswered_to(message),
        .id = unanswered_id(message),
        .call_id = unanswered_call_id(message),
        .detail = detail,
    };
    /* Whoever refuses a repeat does not know what became of it the time before. */
    if (message->is_repeat && is_refusal(outcome)) {
        told.outcome = OUTCOME_UNCONFIRMED;
        told.detail = slice_of(NULL, 0);
    }
    return told;
}

void exchange_answer(struct exchange *exchange, struct unanswered_message *message,
                     enum outcome outcome, struct slice detail)
{
    uint64_t session_id = message->session_id;
    struct session *session = session_find(&exchange->sessions, session_id);
    if (!is_sent(exchange, message)) {
        exchange->unsent_bytes -= message->record_len;
    }
    if (session != NULL) {
        struct exchange_outcome told = make_outcome(message, outcome, detail);
        session->unanswered_count--;
        exchange->handlers->on_outcome(exchange->arg, session, &told);
    }
    unanswered_remove(&exchange->unanswered, message);
    session = session_find(&exchange->sessions, session_id);
    if (session != NULL) {
        exchange_report_retired(exchange, session);
    }
}

void exchange_report_retired(struct exchange *exchange, struct session *session)
{
    if (session->is_retired && session->unanswered_count == 0) {
        exchange->handlers->on_retired(exchange->arg, session);
    }
}

/* What was sent and has no outcome is to be sent again. */
static void take_back_sent(struct exchange *exchange)
{
    uint64_t seq = 0;
    struct unanswered_message *message = NULL;
    while ((message = unanswered_next(&exchange->unanswered, seq)) != NULL &&
           is_sent(exchange, message)) {
        seq = message->seq + 1;
        unanswered_set_repeat(message);
        exchange->unsent_bytes += message->record_len;
    }
    exchange->next_unsent_seq = exchange->unanswered.oldest_seq;
}

void exchange_link_down(struct exchange *exchange)
{
    exchange->out = NULL;
    exchange->is_greeted = false;
    exchange->is_synced = false;
    exchange->is_ready = false;
    exchange->is_stuck = false;
    take_back_sent(exchange);
    exchange->next_announced = exchange->first_session;
    struct session *next = NULL;
    for (struct session *session = exchange->first_session; session != NULL; session = next) {
        next = session->next;
        session->is_announced = false;
        if (session->is_retiring && !session->is_retired) {
            session->is_retired = true; /* no broker knows of it any more */
            exchange_report_retired(exchange, session);
        }
    }
}

/* Whoever has not taken a payload until its time is over reads too slowly; closed, it does not get
 * the payload late, and the sender hears so in time. */
static void evict_slow_readers(struct exchange *exchange, uint64_t now_ms)
{
    struct delivery *waiting = NULL;
    while ((waiting = exchange->deliveries.first_waiting) != NULL &&
           waiting->deadline_ms <= now_ms) {
        struct session *session = session_find(&exchange->sessions, waiting->key.session_id);
        assert(session != NULL);
        exchange->handlers->on_evict(exchange->arg, session, CLOSE_TOO_SLOW);
        if (exchange->deliveries.first_waiting == waiting) {
            return; /* its owner did not close it */
        }
    }
}

void exchange_tick(struct exchange *exchange, uint64_t now_ms)
{
    struct unanswered_message *message = NULL;
    while ((message = unanswered_next(&exchange->unanswered, 0)) != NULL &&
           message->deadline_ms <= now_ms) {
        exchange_answer(exchange, message,
                        message->was_sent ? OUTCOME_UNCONFIRMED : OUTCOME_UNAVAILABLE,
                        slice_of(NULL, 0));
    }
    if (exchange_unanswered_count(exchange) == 0) {
        pool_drain(&exchange->unanswered.pool);
    }
    evict_slow_readers(exchange, now_ms);
    deliveries_expire(&exchange->deliveries, now_ms);
}

bool exchange_needs_tick(const struct exchange *exchange)
{
    return exchange_unanswered_count(exchange) > 0 ||
           !deliveries_are_at_rest(&exchange->deliveries);
}

static bool out_has_room(const struct exchange *exchange)
{
    size_t half = exchange->out->max_bytes / 2;
    return buffer_len(exchange->out) < (half < OUT_WINDOW_BYTES ? half : OUT_WINDOW_BYTES);
}

static void put_attach(struct exchange *exchange, const struct session *session)
{
    struct link_record attach = {.kind = LINK_ATTACH};
    attach.attach.session_id = session->id;
    attach.attach.since_ms = session->since_ms;
    attach.attach.was_attached = session->is_attached;
    attach.attach.user_id = session_user_id(session);
    attach.attach.device_id = session_device_id(session);
    exchange_put(exchange, &attach);
}

static void put_leg(struct exchange *exchange, const struct session *session,
                    const struct session_leg *leg)
{
    struct link_record record = {.kind = LINK_LEG};
    record.leg.session_id = session->id;
    record.leg.call_id = session_leg_call_id(leg);
    record.leg.state = session_leg_state(leg);
    exchange_put(exchange, &record);
}

/* Says that the session is there, then what parts it has in calls: as far as there is room, for the
 * rest of them in the next turn. */
static void announce(struct exchange *exchange, struct session *session)
{
    if (!session->is_announced && !session->is_retiring) {
        session->is_announced = true;
        exchange->last_announced_leg = 0;
        put_attach(exchange, session);
    }
    const struct session_leg *leg = NULL;
    while (session->is_announced &&
           (leg = session_legs_next(&exchange->legs, session->id, exchange->last_announced_leg)) !=
               NULL) {
        if (!out_has_room(exchange)) {
            return;
        }
        put_leg(exchange, session, leg);
        exchange->last_announced_leg = leg->number;
    }
    exchange->next_announced = session->next;
}

static void pump_submits(struct exchange *exchange)
{
    struct unanswered_message *message = NULL;
    while (exchange->unsent_bytes > 0 && out_has_room(exchange) &&
           (message = unanswered_next(&exchange->unanswered, exchange->next_unsent_seq)) != NULL) {
        struct slice record = unanswered_record(message);
        if (record.len > buffer_room(exchange->out)) {
            return;
        }
        buffer_put(exchange->out, record);
        if (exchange->out->failed) {
            exchange->is_stuck = true; /* no memory */
            return;
        }
        message->was_sent = true;
        exchange->is_urgent = true;
        exchange->unsent_bytes -= record.len;
        exchange->next_unsent_seq = message->seq + 1;
    }
}

void exchange_pump(struct exchange *exchange)
{
    if (exchange->is_greeted) {
        while (exchange->next_announced != NULL && out_has_room(exchange)) {
            announce(exchange, exchange->next_announced);
        }
        if (exchange->next_announced == NULL && !exchange->is_synced) {
            struct link_record synced = {.kind = LINK_SYNCED};
            exchange_put(exchange, &synced);
            exchange->is_synced = true;
        }
        if (exchange->next_announced == NULL && exchange->is_ready) {
            pump_submits(exchange);
        }
    }
    /* With hysteresis, so that clients are not stopped and started at each message. */
    size_t max = exchange->config.backlog_max_bytes;
    size_t bound = exchange->is_congested ? max / 2 : max - max / 8;
    exchange->is_congested = exchange->unsent_bytes > bound;
}

bool exchange_take_urgency(struct exchange *exchange)
{
    bool is_urgent = exchange->is_urgent;
    exchange->is_urgent = false;
    return is_urgent;
}

bool exchange_is_congested(const struct exchange *exchange)
{
    return exchange->is_congested;
}
