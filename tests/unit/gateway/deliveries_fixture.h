/* Deliveries of one session of one source, told apart by their seq, with an outcome that tells
 * whose it is; and what a repeat of them hears. */
#pragma once

#include "gateway/deliveries.h"

enum { SOURCE = 11, OTHER_SOURCE = 12, SESSION = 1, OTHER_SESSION = 2, DEADLINE_MS = 100 };

static inline struct delivery_key key_of(uint64_t seq)
{
    return (struct delivery_key){SOURCE, seq, SESSION};
}

static inline enum outcome outcome_of(uint64_t seq)
{
    return (enum outcome)(seq % OUTCOME_COUNT);
}

static inline void open_key(struct deliveries *all, struct session_deliveries *of_session,
                            struct delivery_key key, uint64_t deadline_ms)
{
    assert_true(deliveries_prepare(all));
    deliveries_open(all, &key, deadline_ms, of_session, 10 * key.seq);
}

static inline void open_seq(struct deliveries *all, struct session_deliveries *of_session,
                            uint64_t seq)
{
    open_key(all, of_session, key_of(seq), DEADLINE_MS);
}

static inline void finish(struct deliveries *all, struct session_deliveries *of_session)
{
    assert_non_null(of_session->first);
    deliveries_finish_first(all, of_session, outcome_of(of_session->first->key.seq));
}

/* Opens one and finishes it. */
static inline void deliver_key(struct deliveries *all, struct delivery_key key,
                               uint64_t deadline_ms)
{
    struct session_deliveries of_session = {0};
    open_key(all, &of_session, key, deadline_ms);
    finish(all, &of_session);
    assert_null(of_session.first);
}

static inline void deliver(struct deliveries *all, uint64_t seq, uint64_t deadline_ms)
{
    deliver_key(all, key_of(seq), deadline_ms);
}

/* One that is over must have its own outcome, and nothing else may have one. */
static inline enum delivery_past past_of_key(struct deliveries *all, struct delivery_key key,
                                             uint64_t deadline_ms,
                                             const struct session_deliveries *of_session)
{
    enum outcome outcome = OUTCOME_COUNT;
    enum delivery_past past = deliveries_look_up(all, &key, deadline_ms, of_session, &outcome);
    assert_int_equal(outcome, past == DELIVERY_IS_OVER ? outcome_of(key.seq) : OUTCOME_COUNT);
    return past;
}

static inline enum delivery_past past_of(struct deliveries *all, uint64_t seq,
                                         const struct session_deliveries *of_session)
{
    return past_of_key(all, key_of(seq), DEADLINE_MS, of_session);
}

static inline size_t over_count(const struct deliveries *all)
{
    return (size_t)(all->ring_end - all->ring_begin);
}
