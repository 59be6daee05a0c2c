/* Sessions that are handed deliveries, and what is known of them afterwards. */
#pragma once

#include "gateway/deliveries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SOURCE = 11, OTHER_SOURCE = 12, DEADLINE_MS = 100 };

struct recipient {
    uint64_t id;
    struct session_deliveries waiting;
};

static inline struct delivery_key key_of(const struct recipient *recipient,
                                         uint64_t source_instance_id, uint64_t seq)
{
    return (struct delivery_key){source_instance_id, seq, recipient->id};
}

static inline void open_from(struct deliveries *all, struct recipient *recipient,
                             uint64_t source_instance_id, uint64_t seq)
{
    struct delivery_key key = key_of(recipient, source_instance_id, seq);
    assert_true(deliveries_prepare(all));
    deliveries_open(all, &key, DEADLINE_MS, &recipient->waiting, 10 * seq);
}

static inline void open_seq(struct deliveries *all, struct recipient *recipient, uint64_t seq)
{
    open_from(all, recipient, SOURCE, seq);
}

static inline void finish(struct deliveries *all, struct recipient *recipient, enum outcome outcome)
{
    deliveries_finish_first(all, &recipient->waiting, outcome);
}

/* Opens one and finishes it, with an outcome that goes with its seq. */
static inline void deliver(struct deliveries *all, struct recipient *recipient, uint64_t seq,
                           uint64_t deadline_ms)
{
    struct delivery_key key = key_of(recipient, SOURCE, seq);
    assert_true(deliveries_prepare(all));
    deliveries_open(all, &key, deadline_ms, &recipient->waiting, 10 * seq);
    finish(all, recipient, (enum outcome)(seq % OUTCOME_COUNT));
}

static inline enum delivery_past past_from(struct deliveries *all,
                                           const struct recipient *recipient,
                                           uint64_t source_instance_id, uint64_t seq,
                                           uint64_t deadline_ms)
{
    struct delivery_key key = key_of(recipient, source_instance_id, seq);
    enum outcome outcome = OUTCOME_COUNT;
    enum delivery_past past =
        deliveries_look_up(all, &key, deadline_ms, &recipient->waiting, &outcome);
    if (past == DELIVERY_IS_OVER && source_instance_id == SOURCE) {
        assert_int_equal(outcome, seq % OUTCOME_COUNT);
    } else if (past != DELIVERY_IS_OVER) {
        assert_int_equal(outcome, OUTCOME_COUNT);
    }
    return past;
}

/* Of one that is handed over again. */
static inline enum delivery_past past_of(struct deliveries *all, const struct recipient *recipient,
                                         uint64_t seq)
{
    return past_from(all, recipient, SOURCE, seq, DEADLINE_MS);
}

static inline void expect_over(struct deliveries *all, const struct recipient *recipient,
                               uint64_t first_seq, uint64_t last_seq)
{
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        assert_int_equal(past_of(all, recipient, seq), DELIVERY_IS_OVER);
    }
}
