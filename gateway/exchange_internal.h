/* What exchange.c (the link, time, what is said to the broker), exchange_sessions.c (what clients
 * do) and exchange_records.c (what the broker says) share; nobody else includes this. */
#pragma once

#include "common/link_codec.h"
#include "gateway/exchange.h"
#include "gateway/session_legs.h"
#include "gateway/unanswered.h"

struct exchange {
    struct exchange_config config;
    const struct exchange_handlers *handlers;
    void *arg;
    struct buffer *out; /* NULL: no connection */
    bool is_greeted;
    bool is_synced; /* all sessions have been announced, and the broker knows that */
    bool is_ready;
    bool is_stuck;
    bool is_urgent; /* something in `out` should not wait for more to come */
    bool is_congested;
    struct session_table sessions;
    struct session *first_session; /* all of them, in the order in which they came */
    struct session *last_session;
    struct session *next_announced; /* it and all behind it have yet to be announced, it perhaps in
                                       part; NULL: none */
    struct session_legs legs;
    uint64_t last_announced_leg; /* of next_announced, once that is_announced; 0: none */
    struct unanswered unanswered;
    uint64_t next_unsent_seq; /* every message before it has been sent on this connection, or
                                 answered */
    size_t unsent_bytes;      /* records of the messages from there on */
    struct buffer payload;    /* scratch: what a target will read, or is to read now */
    struct buffer record;     /* scratch: the submit record */
    struct deliveries deliveries;
};

/* Appends a record that the broker must hear; without a connection there is nobody to tell. */
void exchange_put(struct exchange *exchange, const struct link_record *record);
/* Removes a message and tells its sender, if that is still there. `detail` as in link_codec.h. */
void exchange_answer(struct exchange *exchange, struct unanswered_message *message,
                     enum outcome outcome, struct slice detail);
/* Tells the broker what became of one deliver. */
void exchange_put_delivery_outcome(struct exchange *exchange, const struct delivery_key *key,
                                   enum outcome outcome, bool is_urgent);
/* Calls on_retired, if that is due. */
void exchange_report_retired(struct exchange *exchange, struct session *session);
