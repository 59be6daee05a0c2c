/* Which parts sessions have in calls, as the broker tells it (LINK_LEG): kept here so that a broker
 * that comes after it can be told. A leg is a callId and a state, of which only brokers know what
 * it says. Sessions without a part in any call cost nothing.
 *
 * What cannot be kept is dropped, without a word: for want of memory, or since the session has
 * SESSION_LEGS_MAX of them. It is missed only if the broker dies while that call lasts. */
#pragma once

#include "common/map.h"
#include "common/pool.h"

enum { SESSION_LEGS_MAX = 64 };

struct session_leg {
    struct session_leg *next; /* of the session */
    uint64_t number;          /* of two legs the one that came later has the higher one */
    uint16_t state_len;
    uint8_t call_id_len;
    uint8_t bytes[]; /* callId, state */
};

struct leg_list;

struct session_legs {
    struct map lists; /* a leg_list for each session that has legs, by the session's id */
    struct leg_list *first;
    uint64_t last_number;
    struct pool pool;
};

/* False: no memory. */
MUST_CHECK bool session_legs_init(struct session_legs *all);
/* Frees the legs that are left. Also for one that is all zeros. */
void session_legs_fini(struct session_legs *all);

/* The session's part in that call from now on; an empty state: it has none. Copies both. */
void session_legs_set(struct session_legs *all, uint64_t session_id, struct slice call_id,
                      struct slice state);
/* The session is gone, and its legs with it. */
void session_legs_forget(struct session_legs *all, uint64_t session_id);

/* The session's first leg whose number is higher, whatever has come and gone meanwhile; NULL: that
 * was all. Lasts until the next change. */
const struct session_leg *session_legs_next(const struct session_legs *all, uint64_t session_id,
                                            uint64_t number);

static inline struct slice session_leg_call_id(const struct session_leg *leg)
{
    return slice_of(leg->bytes, leg->call_id_len);
}

static inline struct slice session_leg_state(const struct session_leg *leg)
{
    return slice_of(leg->bytes + leg->call_id_len, leg->state_len);
}
