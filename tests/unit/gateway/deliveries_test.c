/* Deliveries: they wait, they are over, they are forgotten; what a repeat of them hears; and what
 * is forgotten too early leaves a mark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/deliveries_fixture.h"

#include <stdlib.h>

enum { REMEMBERED_MAX = 3 };

static int set_up(void **state)
{
    struct deliveries *all = malloc(sizeof *all);
    assert_non_null(all);
    deliveries_init(all, REMEMBERED_MAX);
    *state = all;
    return 0;
}

static int tear_down(void **state)
{
    deliveries_fini(*state);
    free(*state);
    return 0;
}

static void what_was_never_handed_over_is_new(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    assert_int_equal(past_of(all, 1, &alice), DELIVERY_IS_NEW);
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_NEW);
    assert_true(deliveries_are_empty(all));
}

static void a_delivery_waits_and_then_its_outcome_is_remembered(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    open_seq(all, &alice, 1);
    assert_int_equal(past_of(all, 1, &alice), DELIVERY_WAITS);
    assert_int_equal(alice.first->end_bytes, 10);
    assert_int_equal(alice.first->deadline_ms, DEADLINE_MS);
    assert_ptr_equal(alice.last, alice.first);
    assert_ptr_equal(all->first_waiting, alice.first);
    assert_false(deliveries_are_empty(all));
    deliveries_finish_first(all, &alice, OUTCOME_OVERLOADED);
    enum outcome outcome = OUTCOME_COUNT;
    struct delivery_key key = key_of(1);
    assert_int_equal(deliveries_look_up(all, &key, DEADLINE_MS, &alice, &outcome),
                     DELIVERY_IS_OVER);
    assert_int_equal(outcome, OUTCOME_OVERLOADED);
    assert_null(alice.first);
    assert_null(alice.last);
    assert_null(all->first_waiting);
    assert_false(deliveries_are_empty(all));
}

/* Above all, not those of before: it is not overtaken by them. */
static void another_source_seq_or_session_is_another_delivery(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    struct session_deliveries bob = {0};
    open_seq(all, &alice, 5);
    for (int i = 0; i < 2; i++) { /* while it waits, and when it is over */
        struct delivery_key other_source = {OTHER_SOURCE, 5, SESSION};
        struct delivery_key other_session = {SOURCE, 5, OTHER_SESSION};
        assert_int_equal(past_of_key(all, other_source, 1, &alice), DELIVERY_IS_NEW);
        assert_int_equal(past_of_key(all, other_session, 1, &bob), DELIVERY_IS_NEW);
        assert_int_equal(past_of(all, 6, &alice), DELIVERY_IS_NEW);
        if (i == 0) {
            finish(all, &alice);
        }
    }
    assert_int_equal(past_of(all, 5, &alice), DELIVERY_IS_OVER);
}

static void a_session_finishes_its_own_in_stream_order(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    struct session_deliveries bob = {0};
    open_seq(all, &alice, 1);
    open_key(all, &bob, (struct delivery_key){SOURCE, 2, OTHER_SESSION}, DEADLINE_MS);
    open_seq(all, &alice, 3);
    open_key(all, &bob, (struct delivery_key){SOURCE, 4, OTHER_SESSION}, DEADLINE_MS);
    finish(all, &bob); /* from the middle */
    assert_int_equal(bob.first->key.seq, 4);
    assert_int_equal(all->first_waiting->key.seq, 1);
    finish(all, &alice);
    assert_int_equal(alice.first->key.seq, 3);
    assert_int_equal(all->first_waiting->key.seq, 3); /* the oldest of all that wait */
    finish(all, &bob);                                /* the newest of them */
    assert_null(bob.first);
    assert_ptr_equal(all->last_waiting, alice.first);
    open_seq(all, &alice, 5);
    assert_int_equal(alice.first->key.seq, 3);
    assert_int_equal(alice.last->key.seq, 5);
    assert_ptr_equal(alice.last->prev, alice.first);
    finish(all, &alice);
    finish(all, &alice);
    assert_null(all->first_waiting);
    assert_null(all->last_waiting);
    open_seq(all, &alice, 6);
    assert_int_equal(alice.first->key.seq, 6);
    assert_ptr_equal(all->first_waiting, alice.first);
}

static void any_of_those_that_wait_is_found(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    static const uint64_t seqs[] = {4, 7, 5}; /* new ones need not come in order */
    for (size_t i = 0; i < ARRAY_LENGTH(seqs); i++) {
        open_seq(all, &alice, seqs[i]);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(seqs); i++) {
        assert_int_equal(past_of(all, seqs[i], &alice), DELIVERY_WAITS);
    }
    assert_int_equal(past_of(all, 6, &alice), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, 8, &alice), DELIVERY_IS_NEW);
    assert_null(all->index); /* all of that without one */
}

static void a_repeat_is_overtaken_by_a_later_one_of_its_source_that_waits(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    open_seq(all, &alice, 5);
    open_key(all, &alice, (struct delivery_key){OTHER_SOURCE, 9, SESSION}, DEADLINE_MS);
    assert_int_equal(past_of(all, 4, &alice), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, 6, &alice), DELIVERY_IS_NEW); /* the other's 9 is no matter */
    struct delivery_key others = {OTHER_SOURCE, 8, SESSION};
    assert_int_equal(past_of_key(all, others, DEADLINE_MS, &alice), DELIVERY_IS_OVERTAKEN);
    others.source_instance_id++;
    assert_int_equal(past_of_key(all, others, DEADLINE_MS, &alice), DELIVERY_IS_NEW);
}

static void a_repeat_is_overtaken_by_a_later_one_of_its_source_that_is_over(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, 5, DEADLINE_MS);
    deliver_key(all, (struct delivery_key){OTHER_SOURCE, 9, SESSION}, DEADLINE_MS);
    deliver_key(all, (struct delivery_key){SOURCE, 9, OTHER_SESSION}, DEADLINE_MS);
    assert_int_equal(past_of(all, 4, &alice), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, 4, NULL), DELIVERY_IS_OVERTAKEN); /* its session is gone */
    assert_int_equal(past_of(all, 6, &alice), DELIVERY_IS_NEW);
    struct delivery_key others = {OTHER_SOURCE, 8, SESSION};
    assert_int_equal(past_of_key(all, others, DEADLINE_MS, &alice), DELIVERY_IS_OVERTAKEN);
    others.session_id = OTHER_SESSION;
    assert_int_equal(past_of_key(all, others, DEADLINE_MS, NULL), DELIVERY_IS_NEW);
}

/* What is remembered of it is more than what others say. */
static void what_is_over_is_over_even_if_later_ones_wait_or_are_over(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    open_seq(all, &alice, 1);
    open_seq(all, &alice, 3);
    open_seq(all, &alice, 5);
    finish(all, &alice);
    assert_int_equal(past_of(all, 1, &alice), DELIVERY_IS_OVER);
    finish(all, &alice);
    assert_int_equal(past_of(all, 1, &alice), DELIVERY_IS_OVER);
    assert_int_equal(past_of(all, 2, &alice), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, 4, &alice), DELIVERY_IS_OVERTAKEN); /* by the one that waits */
    assert_int_equal(past_of(all, 5, &alice), DELIVERY_WAITS);
    assert_int_equal(past_of(all, 6, &alice), DELIVERY_IS_NEW);
}

static void what_is_over_is_forgotten_at_its_deadline(void **state)
{
    struct deliveries *all = *state;
    deliver(all, 1, DEADLINE_MS);
    deliver(all, 2, DEADLINE_MS + 1);
    deliveries_expire(all, DEADLINE_MS - 1);
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_OVER);
    deliveries_expire(all, DEADLINE_MS);
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, 2, NULL), DELIVERY_IS_OVER);
    deliveries_expire(all, UINT64_MAX);
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_NEW); /* it is late, and leaves no mark */
    assert_int_equal(past_of(all, 2, NULL), DELIVERY_IS_NEW);
    assert_true(deliveries_are_empty(all));
}

static void what_waits_is_not_forgotten_at_its_deadline(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, 1, DEADLINE_MS);
    open_seq(all, &alice, 2);
    deliveries_expire(all, UINT64_MAX);
    assert_int_equal(past_of(all, 2, &alice), DELIVERY_WAITS);
    assert_false(deliveries_are_empty(all));
    finish(all, &alice);
    assert_int_equal(past_of(all, 2, &alice), DELIVERY_IS_OVER);
}

static void one_with_a_later_deadline_keeps_those_behind_it(void **state)
{
    struct deliveries *all = *state;
    deliver(all, 1, DEADLINE_MS + 1);
    deliver(all, 2, DEADLINE_MS);
    deliveries_expire(all, DEADLINE_MS);
    assert_int_equal(past_of(all, 2, NULL), DELIVERY_IS_OVER);
    deliveries_expire(all, DEADLINE_MS + 1);
    assert_true(deliveries_are_empty(all));
}

static void beyond_the_bound_the_oldest_is_forgotten_and_leaves_a_mark(void **state)
{
    struct deliveries *all = *state;
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX; seq++) {
        deliver(all, seq, DEADLINE_MS + seq);
    }
    assert_int_equal(past_of_key(all, key_of(1), DEADLINE_MS + 1, NULL), DELIVERY_IS_OVER);
    assert_int_equal(past_of_key(all, key_of(9), DEADLINE_MS + 1, NULL), DELIVERY_IS_NEW);
    deliver(all, REMEMBERED_MAX + 1, DEADLINE_MS + REMEMBERED_MAX + 1);
    assert_int_equal(past_of_key(all, key_of(1), DEADLINE_MS + 1, NULL), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(all, key_of(9), DEADLINE_MS, NULL), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(all, key_of(9), DEADLINE_MS + 1, NULL), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(all, key_of(9), DEADLINE_MS + 2, NULL), DELIVERY_IS_NEW);
    assert_int_equal(past_of_key(all, key_of(0), DEADLINE_MS + 2, NULL), DELIVERY_IS_OVERTAKEN);
    for (uint64_t seq = 2; seq <= REMEMBERED_MAX + 1; seq++) {
        assert_int_equal(past_of(all, seq, NULL), DELIVERY_IS_OVER);
    }
    assert_int_equal(over_count(all), REMEMBERED_MAX);
}

/* It may have been handed over, so that "it was not" would be too much said. */
static void behind_the_mark_one_that_is_overtaken_is_unknown(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX + 1; seq++) {
        deliver_key(all, (struct delivery_key){SOURCE, seq, OTHER_SESSION}, DEADLINE_MS);
    }
    open_seq(all, &alice, 5);
    assert_int_equal(past_of(all, 4, &alice), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(all, key_of(4), DEADLINE_MS + 1, &alice), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, 5, &alice), DELIVERY_WAITS);
    deliveries_expire(all, UINT64_MAX); /* the mark stays */
    assert_int_equal(past_of(all, 4, &alice), DELIVERY_IS_UNKNOWN);
}

static void the_mark_is_the_latest_deadline_of_those_forgotten(void **state)
{
    struct deliveries *all = *state;
    deliver(all, 1, DEADLINE_MS + 7);
    for (uint64_t seq = 2; seq <= 2 * REMEMBERED_MAX + 1; seq++) {
        deliver(all, seq, DEADLINE_MS);
    }
    assert_int_equal(past_of_key(all, key_of(9), DEADLINE_MS + 7, NULL), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(all, key_of(9), DEADLINE_MS + 8, NULL), DELIVERY_IS_NEW);
}

static void those_that_wait_are_not_within_the_bound(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= 2 * REMEMBERED_MAX; seq++) {
        open_seq(all, &alice, seq);
    }
    for (uint64_t seq = 1; seq <= 2 * REMEMBERED_MAX; seq++) {
        assert_int_equal(past_of(all, seq, &alice), DELIVERY_WAITS);
    }
    assert_int_equal(past_of(all, 2 * REMEMBERED_MAX + 1, &alice), DELIVERY_IS_NEW);
}

static void a_bound_of_none_remembers_none(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, 0);
    struct session_deliveries alice = {0};
    open_seq(&all, &alice, 1);
    open_seq(&all, &alice, 2);
    finish(&all, &alice);
    assert_int_equal(past_of(&all, 1, NULL), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(&all, key_of(3), DEADLINE_MS + 1, NULL), DELIVERY_IS_NEW);
    assert_int_equal(past_of(&all, 2, &alice), DELIVERY_WAITS);
    finish(&all, &alice);
    assert_true(deliveries_are_empty(&all));
    deliveries_expire(&all, UINT64_MAX);
    deliveries_fini(&all);
}

static void a_bound_of_one_remembers_the_last(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, 1);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        deliver(&all, seq, DEADLINE_MS);
        assert_int_equal(past_of(&all, seq, NULL), DELIVERY_IS_OVER);
        assert_int_equal(past_of(&all, seq - 1, NULL),
                         seq == 1 ? DELIVERY_IS_OVERTAKEN : DELIVERY_IS_UNKNOWN);
    }
    assert_int_equal(over_count(&all), 1);
    deliveries_fini(&all);
}

static void memory_is_prepared_once_and_used_again(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    assert_true(deliveries_prepare(all));
    assert_true(deliveries_prepare(all));
    assert_int_equal(all->spare_count, 1);
    open_seq(all, &alice, 1);
    const struct delivery *first = alice.first;
    assert_int_equal(all->spare_count, 0);
    finish(all, &alice);
    assert_int_equal(all->spare_count, 1);
    open_seq(all, &alice, 2);
    assert_ptr_equal(alice.first, first);
    assert_null(first->prev);
    assert_null(first->next);
    assert_null(first->next_of_session);
}

/* A burst does not hold its memory for ever. */
static void there_is_a_bound_to_what_is_spare(void **state)
{
    enum { MANY = 10000 };
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= MANY; seq++) {
        open_seq(all, &alice, seq);
    }
    while (alice.first != NULL) {
        finish(all, &alice);
    }
    assert_true(all->spare_count > 0 && all->spare_count < MANY / 2);
}

/* The leak checker sees to it. */
static void those_that_are_left_are_freed(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= 5; seq++) {
        open_seq(all, &alice, seq);
    }
    finish(all, &alice);
    finish(all, &alice);
    assert_int_equal(past_of(all, 1, &alice), DELIVERY_IS_OVER);
    assert_non_null(all->index);
    assert_true(deliveries_prepare(all));
}

int main(void)
{
#define DELIVERIES_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DELIVERIES_TEST(what_was_never_handed_over_is_new),
        DELIVERIES_TEST(a_delivery_waits_and_then_its_outcome_is_remembered),
        DELIVERIES_TEST(another_source_seq_or_session_is_another_delivery),
        DELIVERIES_TEST(a_session_finishes_its_own_in_stream_order),
        DELIVERIES_TEST(any_of_those_that_wait_is_found),
        DELIVERIES_TEST(a_repeat_is_overtaken_by_a_later_one_of_its_source_that_waits),
        DELIVERIES_TEST(a_repeat_is_overtaken_by_a_later_one_of_its_source_that_is_over),
        DELIVERIES_TEST(what_is_over_is_over_even_if_later_ones_wait_or_are_over),
        DELIVERIES_TEST(what_is_over_is_forgotten_at_its_deadline),
        DELIVERIES_TEST(what_waits_is_not_forgotten_at_its_deadline),
        DELIVERIES_TEST(one_with_a_later_deadline_keeps_those_behind_it),
        DELIVERIES_TEST(beyond_the_bound_the_oldest_is_forgotten_and_leaves_a_mark),
        DELIVERIES_TEST(behind_the_mark_one_that_is_overtaken_is_unknown),
        DELIVERIES_TEST(the_mark_is_the_latest_deadline_of_those_forgotten),
        DELIVERIES_TEST(those_that_wait_are_not_within_the_bound),
        cmocka_unit_test(a_bound_of_none_remembers_none),
        cmocka_unit_test(a_bound_of_one_remembers_the_last),
        DELIVERIES_TEST(memory_is_prepared_once_and_used_again),
        DELIVERIES_TEST(there_is_a_bound_to_what_is_spare),
        DELIVERIES_TEST(those_that_are_left_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
