/* The payloads that a broker has handed to this gateway, each for one session: those that wait in a
 * client's outbound queue, and those that are over, remembered with their outcome until their
 * deadline, so that a broker that hands one over again (it was submitted again, since a process or
 * a link died) hears what became of it, and the client does not get it twice.
 *
 * A delivery waits, then it is over, then it is forgotten. `remembered_max` bounds those that are
 * over; what is forgotten before its deadline leaves a mark (deliveries_may_be_forgotten), so that
 * even then nothing is delivered twice. Those that wait are bounded by the clients' queues. */
#pragma once

#include "common/map.h"
#include "common/outcome.h"

struct delivery_key {
    uint64_t source_instance_id; /* of the gateway that submitted it */
    uint64_t seq;                /* that gateway's */
    uint64_t session_id;         /* ours */
};

struct delivery {
    struct map_node by_key;
    struct delivery_key key;
    struct delivery *prev; /* among those that wait, or those that are over, the oldest first */
    struct delivery *next;
    struct session_deliveries *of_session; /* NULL: it is over, and so is the session */
    struct delivery *prev_of_session;      /* in stream order */
    struct delivery *next_of_session;
    uint64_t end_bytes; /* while it waits: position in the client's stream behind it */
    uint64_t deadline_ms;
    enum outcome outcome; /* once it is over */
    bool is_over;
};

struct delivery_list {
    struct delivery *first;
    struct delivery *last;
};

/* One session's: those that are over and remembered, then those that wait, in stream order. */
struct session_deliveries {
    struct delivery *first_waiting; /* NULL: none waits */
    struct delivery *newest;        /* NULL: none is there */
};

struct deliveries {
    struct map by_key;
    struct delivery_list waiting;
    struct delivery_list over;
    size_t over_count;
    size_t remembered_max;
    uint64_t forgotten_until_ms; /* the latest deadline of those forgotten before it */
    struct delivery *spare;      /* linked by `next` */
    size_t spare_count;
};

/* False: no memory. */
MUST_CHECK bool deliveries_init(struct deliveries *all, size_t remembered_max,
                                const uint8_t hash_key[16]);
/* Frees all of them, those that wait as well: the queues must not be used any more. */
void deliveries_fini(struct deliveries *all);

/* NULL: never seen, or forgotten. */
struct delivery *deliveries_find(const struct deliveries *all, const struct delivery_key *key);
/* True: a delivery with that deadline may have been forgotten before it. */
bool deliveries_may_be_forgotten(const struct deliveries *all, uint64_t deadline_ms);

/* True: the session has already been handed a later message of that source. */
bool deliveries_are_ahead(const struct session_deliveries *of_session,
                          const struct delivery_key *key);

/* Makes sure that the next deliveries_open has memory. False: there is none. */
MUST_CHECK bool deliveries_prepare(struct deliveries *all);
/* A new one, whose key must not be there; it waits, behind all others of its session, up to
 * `end_bytes` of the client's stream. deliveries_prepare has been called just before. */
void deliveries_open(struct deliveries *all, const struct delivery_key *key, uint64_t deadline_ms,
                     struct session_deliveries *of_session, uint64_t end_bytes);
/* The first one that waits for the session, of which there must be one, is over. */
void deliveries_finish_first(struct deliveries *all, struct session_deliveries *of_session,
                             enum outcome outcome);
/* The session, for which none waits, is gone; what it had is still remembered. */
void deliveries_leave(struct session_deliveries *of_session);
/* Forgets those whose deadline has come. */
void deliveries_expire(struct deliveries *all, uint64_t now_ms);
