/* What a gateway decides, without any I/O: it knows the sessions of its clients and the messages
 * that have no outcome yet, appends records for the broker, and takes the broker's records.
 *
 * Promises:
 * - each submitted message gets exactly one on_outcome while its sender's session is there, in
 *   outcome_timeout_ms at the latest, whatever becomes of the broker: when a connection to it ends,
 *   the messages without an outcome are submitted again on the next one;
 * - an outcome that says "not delivered" is true: where a broker that died may have had the message
 *   handed over, it is called unconfirmed instead;
 * - a payload is handed to a session at most once, however often it is submitted, and not once its
 *   time is over;
 * - each deliver from the broker gets exactly one delivery outcome: delivered when its last byte
 *   went to the socket, or why not;
 * - messages of one session go to the broker in the order in which they were submitted;
 * - a session is reported on_attached once, when the broker can route to it;
 * - what a broker tells of a session's parts in calls is told to the next broker, behind the
 *   session.
 * Without a broker, sessions and messages wait; see exchange_tick. */
#pragma once

#include "common/buffer.h"
#include "gateway/call_message.h"
#include "gateway/session.h"

struct exchange;

/* What became of a message. Of the message itself: `to`, `id` (JSON text) and `call_id`; empty
 * where it had none. */
struct exchange_outcome {
    enum outcome outcome;
    struct slice to;
    struct slice id;
    struct slice call_id;
    struct slice detail; /* what the broker says besides: link_codec.h */
};

/* Handlers must not call exchange_receive; all but on_attached may detach sessions, on_attached and
 * on_retired only that one. */
struct exchange_handlers {
    void (*on_attached)(void *arg, struct session *session);
    /* Puts `payload` into the session's outbound queue and gives the position in its stream behind
     * it. False: it did not fit, and the session has been detached. */
    bool (*on_deliver)(void *arg, struct session *session, struct slice payload,
                       uint64_t *end_bytes);
    /* What became of a message of that session. */
    void (*on_outcome)(void *arg, struct session *session, const struct exchange_outcome *outcome);
    /* That session is to be closed, with that code: the broker has replaced it, or it has not read
     * for too long. */
    void (*on_evict)(void *arg, struct session *session, uint16_t close_code);
    /* After exchange_retire: no payload comes any more, and all the session's own messages have
     * their outcomes. What its owner has not written yet waits for the user once the session is
     * detached. */
    void (*on_retired)(void *arg, struct session *session);
};

struct exchange_config {
    uint64_t instance_id;        /* random */
    uint64_t outcome_timeout_ms; /* from submit to an outcome */
    size_t backlog_max_bytes;    /* records that wait for the broker */
    size_t unanswered_max_bytes; /* messages without an outcome, sent or not */
    size_t remembered_max;       /* deliveries whose outcome is remembered; see deliveries.h */
};

/* NULL: no memory. */
struct exchange *exchange_new(const struct exchange_config *config,
                              const struct exchange_handlers *handlers, void *arg);
void exchange_free(struct exchange *exchange);

/* A connection to a broker begins: `out` takes the records, until exchange_link_down. */
void exchange_link_up(struct exchange *exchange, struct buffer *out);
/* The connection is over. All messages without an outcome wait for the next one. */
void exchange_link_down(struct exchange *exchange);
/* A batch from the broker. False: malformed or out of order; the caller ends the link. */
MUST_CHECK bool exchange_receive(struct exchange *exchange, struct slice batch, uint64_t now_ms);
/* Moves what waits into `out`, as far as it has room. Call at the end of each turn. */
void exchange_pump(struct exchange *exchange);
/* Answers the messages that have waited too long: `unavailable` if no broker took them, else
 * `unconfirmed`. Closes (on_evict, 4001) whoever has not read a payload until its time was over (or
 * a little later, where one with more time stands in front of it: one that a broker did not hold
 * up). Call about every 100 ms while exchange_needs_tick. */
void exchange_tick(struct exchange *exchange, uint64_t now_ms);
bool exchange_needs_tick(const struct exchange *exchange);

/* True: the broker's directory is whole, and messages flow. */
bool exchange_is_ready(const struct exchange *exchange);
/* True, and not again until there is more: what has been put into `out` should leave at once. What
 * is there besides, good news that nobody awaits, may wait a little for company. */
bool exchange_take_urgency(struct exchange *exchange);
/* True: an answer that the broker must have did not fit into `out`; the caller ends the link. */
bool exchange_is_stuck(const struct exchange *exchange);
/* True: too much waits for the broker; the caller stops reading its clients until it is false. */
bool exchange_is_congested(const struct exchange *exchange);
size_t exchange_session_count(const struct exchange *exchange);
size_t exchange_unanswered_count(const struct exchange *exchange);

/* Asks for a place in the directory; on_attached follows. NULL: no memory. */
struct session *exchange_attach(struct exchange *exchange, void *owner, struct slice user_id,
                                struct slice device_id, bool wants_news, uint64_t now_ms);
/* The session is gone, and freed. Payloads that were queued for it are answered: those that end
 * within the stream's first `written_bytes` as delivered, within `begun_bytes` as unconfirmed, the
 * others with `rest`. */
void exchange_detach(struct exchange *exchange, struct session *session, uint64_t written_bytes,
                     uint64_t begun_bytes, enum outcome rest);
/* Takes the session out of the directory while it is still served, so that nothing is lost when it
 * is closed: messages for its user wait for the user's next session. Its owner reads no more
 * messages of it. on_retired follows, unless this says true: that is so even now. */
MUST_CHECK bool exchange_retire(struct exchange *exchange, struct session *session);
/* The stream's first `written_bytes` have gone to the socket. */
void exchange_written(struct exchange *exchange, struct session *session, uint64_t written_bytes);

/* Takes a well-formed message. False: too much is unanswered, or the session was evicted before it
 * was attached (overloaded); there will be no on_outcome for it. */
MUST_CHECK bool exchange_submit(struct exchange *exchange, struct session *session,
                                const struct call_message *message, uint64_t now_ms);
