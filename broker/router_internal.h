/* What router.c (links, recovery, time), router_sessions.c (who comes and goes) and
 * router_messages.c (messages and their outcomes) share; nobody else includes this. */
#pragma once

#include "broker/holds.h"
#include "broker/router.h"

/* One gateway's place. */
struct slot {
    struct buffer *out; /* NULL: no connection */
    uint64_t instance_id;
    uint64_t last_seq; /* of this connection's submits */
    bool is_greeted;
    bool is_synced; /* it has attached all its sessions */
    bool is_ready;  /* it has been told to submit */
    bool is_stuck;
    bool is_urgent; /* something in `out` should not wait for more to come */
};

struct router {
    struct router_config config;
    struct directory directory;
    struct transfers transfers;
    struct calls calls;
    struct holds holds;
    uint64_t recovery_ends_ms;
    bool is_recovering;
    uint64_t last_number;  /* of the transfers that were sent */
    uint64_t own_seq;      /* of the broker's own transfers */
    struct buffer scratch; /* a record's state or a notice on its way */
    uint64_t submits;
    uint64_t delivers;
    struct slot slots[];
};

/* A record with where and when it came. */
struct router_arrival {
    uint32_t slot;
    uint64_t now_ms;
    const struct link_record *record;
};

/* False: malformed or out of order; the link ends. */
typedef bool (*router_handler_fn)(struct router *router, const struct router_arrival *arrival);

bool router_on_attach(struct router *router, const struct router_arrival *arrival);
bool router_on_detach(struct router *router, const struct router_arrival *arrival);
bool router_on_retire(struct router *router, const struct router_arrival *arrival);
bool router_on_submit(struct router *router, const struct router_arrival *arrival);
bool router_on_delivery_outcome(struct router *router, const struct router_arrival *arrival);

/* Appends a record for that gateway, which is connected. */
void router_put(struct router *router, uint32_t slot, const struct link_record *record);
void router_put_session(struct router *router, uint32_t slot, enum link_record_kind kind,
                        uint64_t session_id);

/* The session leaves the directory; a hold begins if it was its user's last one, or messages are
 * under way to it. */
void router_depart(struct router *router, struct session *session, uint64_t now_ms);
/* The user's messages that wait are sent on, if it is there and none can come back any more. */
void router_settle(struct router *router, struct user *user, uint64_t now_ms);
/* The same for all users who are there and settle. */
void router_settle_all(struct router *router, uint64_t now_ms);
/* Sends on all messages that wait in the hold, and ends it. Whoever they wait for is there. */
void router_release(struct router *router, struct hold *hold, uint64_t now_ms);
/* Answers all messages that wait in the hold, and ends it: nobody has come. May free its user. */
void router_give_up(struct router *router, struct hold *hold, uint64_t now_ms);
/* Answers all messages that are done, but for those that came back and may wait for their user. */
void router_answer_done(struct router *router, uint64_t now_ms);
/* Hands a done transfer to all whom it concerns. */
void router_send_on(struct router *router, struct transfer *transfer, uint64_t now_ms);
/* Gives it its number, if it has none yet: plain ones when they are sent, those of calls when they
 * come, since what waits for one device may have been sent to another. */
void router_number(struct router *router, struct transfer *transfer);
/* Hands it to one session. False: there is no room; that is noted. */
bool router_hand_over(struct router *router, struct transfer *transfer, struct session *session);
void router_put_submit_outcome(struct router *router, uint32_t slot, uint64_t seq,
                               enum outcome outcome, struct slice detail, bool is_awaited);
