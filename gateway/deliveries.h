/* The payloads that a broker has handed to this gateway, each for one session: those that wait in a
 * client's outbound queue, and those that are over, remembered with their outcome until their
 * deadline, so that a broker that hands one over again (it was submitted again, since a process or
 * a link died) hears what became of it, and the client does not get it twice.
 *
 * A delivery waits, then it is over, then it is forgotten. Those that are over stand in a ring, for
 * which nothing is looked up and nothing hashed: only repeats ask, and an index is made when the
 * first of them comes. `remembered_max` bounds the ring; what is forgotten before its deadline
 * leaves a mark, so that even then nothing is delivered twice. Those that wait are bounded by the
 * clients' queues. */
#pragma once

#include "common/compiler.h"
#include "common/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delivery_key {
    uint64_t source_instance_id; /* of the gateway that submitted it */
    uint64_t seq;                /* that gateway's */
    uint64_t session_id;         /* ours */
};

/* One that waits. */
struct delivery {
    struct delivery_key key;
    struct delivery *prev; /* among all that wait, the oldest first */
    struct delivery *next;
    struct delivery *next_of_session; /* in stream order */
    uint64_t end_bytes;               /* position in the client's stream behind it */
    uint64_t deadline_ms;
    bool is_awaited; /* link_codec.h */
};

/* Those that wait for one session, in stream order. */
struct session_deliveries {
    struct delivery *first; /* NULL: none waits */
    struct delivery *last;
};

/* One that is over. */
struct remembered_delivery {
    struct delivery_key key;
    uint64_t deadline_ms;
    enum outcome outcome;
};

struct delivery_index;

struct deliveries {
    struct delivery *first_waiting;
    struct delivery *last_waiting;
    struct delivery *spare; /* linked by `next` */
    size_t spare_count;
    struct remembered_delivery *ring; /* at a position modulo ring_cap */
    size_t ring_cap;                  /* a power of two; 0: no memory yet */
    uint64_t ring_begin;              /* the position of the oldest one */
    uint64_t ring_end;
    size_t remembered_max;
    uint64_t forgotten_until_ms;  /* the latest deadline of those forgotten before it */
    struct delivery_index *index; /* NULL: no repeat has asked of late */
};

/* What is known of a payload that was handed over before, perhaps. */
enum delivery_past {
    DELIVERY_IS_NEW,       /* it was never handed to the session */
    DELIVERY_WAITS,        /* its outcome follows */
    DELIVERY_IS_OVER,      /* with that outcome */
    DELIVERY_IS_OVERTAKEN, /* it was not, and later ones of its source were: it comes too late */
    DELIVERY_IS_UNKNOWN,   /* it may have been forgotten, or there is no memory to find out */
};

void deliveries_init(struct deliveries *all, size_t remembered_max);
/* Frees all of them, those that wait as well. */
void deliveries_fini(struct deliveries *all);

/* Looks into the past of a repeat; `of_session` is its session's, NULL if that is gone. `outcome`
 * is set for DELIVERY_IS_OVER. */
enum delivery_past deliveries_look_up(struct deliveries *all, const struct delivery_key *key,
                                      uint64_t deadline_ms,
                                      const struct session_deliveries *of_session,
                                      enum outcome *outcome);

/* Makes sure that the next deliveries_open has memory. False: there is none. */
MUST_CHECK bool deliveries_prepare(struct deliveries *all);
/* A new one, whose key must not be there; it waits, behind all others of its session, up to
 * `end_bytes` of the client's stream. deliveries_prepare has been called just before. */
struct delivery *deliveries_open(struct deliveries *all, const struct delivery_key *key,
                                 uint64_t deadline_ms, struct session_deliveries *of_session,
                                 uint64_t end_bytes);
/* The first one that waits for the session, of which there must be one, is over. */
void deliveries_finish_first(struct deliveries *all, struct session_deliveries *of_session,
                             enum outcome outcome);
/* Forgets those whose deadline has come. */
void deliveries_expire(struct deliveries *all, uint64_t now_ms);
/* True: none waits, and none is remembered. */
bool deliveries_are_empty(const struct deliveries *all);
/* True: they are empty, and what a burst took has been given back: deliveries_expire
 * has nothing to do. */
bool deliveries_are_at_rest(const struct deliveries *all);
