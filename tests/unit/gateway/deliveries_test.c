/* Deliveries: they wait, they are over, they are forgotten; and what is forgotten too early leaves
 * a mark. */
#include "tests/unit/gateway/deliveries_fixture.h"

#include <stdlib.h>

enum { REMEMBERED_MAX = 3, SPARE_MAX = 4096 };

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
    struct recipient alice = {.id = 1};
    assert_true(deliveries_are_empty(all));
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_NEW);
    open_seq(all, &alice, 1);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_IS_NEW);
    finish(all, &alice, OUTCOME_DELIVERED);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_IS_NEW);
}

static void a_delivery_waits_and_then_its_outcome_is_remembered(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    open_seq(all, &alice, OUTCOME_OVERLOADED);
    assert_int_equal(past_of(all, &alice, OUTCOME_OVERLOADED), DELIVERY_WAITS);
    const struct delivery *delivery = alice.waiting.first;
    assert_ptr_equal(alice.waiting.last, delivery);
    assert_ptr_equal(all->first_waiting, delivery);
    assert_int_equal(delivery->end_bytes, 10 * OUTCOME_OVERLOADED);
    assert_int_equal(delivery->deadline_ms, DEADLINE_MS);
    assert_false(delivery->is_awaited);
    assert_false(deliveries_are_empty(all));
    finish(all, &alice, OUTCOME_OVERLOADED);
    assert_int_equal(past_of(all, &alice, OUTCOME_OVERLOADED), DELIVERY_IS_OVER);
    assert_null(alice.waiting.first);
    assert_null(alice.waiting.last);
    assert_null(all->first_waiting);
    assert_null(all->last_waiting);
    assert_false(deliveries_are_empty(all));
}

static void one_that_waits_is_found_wherever_it_stands(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    for (uint64_t seq = 2; seq <= 10; seq += 2) {
        open_seq(all, &alice, seq);
        open_from(all, &alice, OTHER_SOURCE, seq + 1);
    }
    for (uint64_t seq = 2; seq <= 10; seq += 2) {
        assert_int_equal(past_of(all, &alice, seq), DELIVERY_WAITS);
        assert_int_equal(past_from(all, &alice, OTHER_SOURCE, seq + 1, DEADLINE_MS),
                         DELIVERY_WAITS);
    }
    open_seq(all, &alice, 1); /* behind later ones: the broker's order */
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_WAITS);
}

/* Above all, not those of before: it is not overtaken by them. */
static void another_source_seq_or_session_is_another_delivery(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    struct recipient bob = {.id = 2};
    open_seq(all, &alice, 1);
    for (int is_over = 0; is_over < 2; is_over++) {
        assert_int_equal(past_from(all, &alice, OTHER_SOURCE, 1, DEADLINE_MS), DELIVERY_IS_NEW);
        assert_int_equal(past_of(all, &alice, 2), DELIVERY_IS_NEW);
        assert_int_equal(past_of(all, &bob, 1), DELIVERY_IS_NEW);
        assert_int_equal(past_of(all, &alice, 1), is_over ? DELIVERY_IS_OVER : DELIVERY_WAITS);
        if (!is_over) {
            finish(all, &alice, 1 % OUTCOME_COUNT);
        }
    }
}

static void a_session_finishes_its_own_in_stream_order(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    struct recipient bob = {.id = 2};
    open_seq(all, &alice, 1);
    open_key(all, &bob, (struct delivery_key){SOURCE, 2, OTHER_SESSION}, DEADLINE_MS);
    open_seq(all, &alice, 3);
    open_seq(all, &bob, 4);
    finish(all, &bob, 2 % OUTCOME_COUNT);
    assert_int_equal(past_of(all, &bob, 2), DELIVERY_IS_OVER);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_WAITS);
    assert_int_equal(bob.waiting.first->key.seq, 4);
    assert_int_equal(all->first_waiting->key.seq, 1); /* the oldest of all that wait */
    finish(all, &alice, OUTCOME_DELIVERED);
    assert_int_equal(alice.waiting.first->key.seq, 3);
    assert_int_equal(all->first_waiting->key.seq, 3);
    finish(all, &bob, OUTCOME_DELIVERED);
    assert_int_equal(all->last_waiting->key.seq, 3);
    open_seq(all, &bob, 5);
    assert_ptr_equal(all->first_waiting->next, bob.waiting.first);
    finish(all, &alice, OUTCOME_DELIVERED);
    assert_null(alice.waiting.first);
    assert_int_equal(all->first_waiting->key.seq, 5);
    assert_null(all->first_waiting->prev);
    open_seq(all, &alice, 6);
    assert_ptr_equal(alice.waiting.first, alice.waiting.last);
    assert_int_equal(alice.waiting.first->key.seq, 6);
}

static void a_later_one_that_waits_has_overtaken_it(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    struct recipient bob = {.id = 2};
    open_seq(all, &alice, 5);
    open_from(all, &alice, OTHER_SOURCE, 9);
    open_seq(all, &bob, 20);
    assert_int_equal(past_of(all, &alice, 4), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, &alice, 6), DELIVERY_IS_NEW);
    assert_int_equal(past_from(all, &alice, OTHER_SOURCE, 8, DEADLINE_MS), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_from(all, &alice, OTHER_SOURCE, 10, DEADLINE_MS), DELIVERY_IS_NEW);
    assert_int_equal(past_from(all, &alice, OTHER_SOURCE + 1, 1, DEADLINE_MS), DELIVERY_IS_NEW);
    assert_int_equal(past_of(all, &bob, 19), DELIVERY_IS_OVERTAKEN);
}

static void a_later_one_that_is_remembered_has_overtaken_it(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    struct recipient bob = {.id = 2};
    open_seq(all, &alice, 5);
    open_from(all, &alice, OTHER_SOURCE, 9);
    open_seq(all, &bob, 20);
    finish(all, &alice, OUTCOME_DELIVERED);
    finish(all, &alice, OUTCOME_DELIVERED);
    finish(all, &bob, OUTCOME_DELIVERED);
    assert_int_equal(past_of(all, &alice, 4), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, &alice, 6), DELIVERY_IS_NEW);
    assert_int_equal(past_from(all, &alice, OTHER_SOURCE, 8, DEADLINE_MS), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_from(all, &alice, OTHER_SOURCE, 10, DEADLINE_MS), DELIVERY_IS_NEW);
    assert_int_equal(past_from(all, &alice, OTHER_SOURCE + 1, 1, DEADLINE_MS), DELIVERY_IS_NEW);
    assert_int_equal(past_of(all, &bob, 19), DELIVERY_IS_OVERTAKEN);
    deliveries_expire(all, DEADLINE_MS);
    assert_int_equal(past_of(all, &alice, 4), DELIVERY_IS_NEW); /* too late by now in any case */
}

static void the_latest_that_is_remembered_counts(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 2, DEADLINE_MS);
    assert_int_equal(past_of(all, &alice, 5), DELIVERY_IS_NEW);
    deliver(all, &alice, 6, DEADLINE_MS); /* the index knows of the first */
    assert_int_equal(past_of(all, &alice, 5), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, &alice, 7), DELIVERY_IS_NEW);
}

static void what_is_known_for_sure_comes_before_what_is_overtaken(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    deliver(all, &alice, 2, DEADLINE_MS);
    open_seq(all, &alice, 4);
    open_seq(all, &alice, 5);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_OVER);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_IS_OVER);
    assert_int_equal(past_of(all, &alice, 3), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, &alice, 4), DELIVERY_WAITS);
}

/* On the heap, so that a later look at it would be noticed. */
static void what_a_session_had_is_remembered_without_it(void **state)
{
    struct deliveries *all = *state;
    struct recipient *alice = calloc(1, sizeof *alice);
    assert_non_null(alice);
    alice->id = 1;
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX + 1; seq++) {
        deliver(all, alice, 2 * seq, DEADLINE_MS + seq);
    }
    free(alice);
    enum outcome outcome = OUTCOME_COUNT;
    for (uint64_t seq = 2; seq <= REMEMBERED_MAX + 1; seq++) {
        struct delivery_key key = {SOURCE, 2 * seq, 1};
        assert_int_equal(deliveries_look_up(all, &key, DEADLINE_MS + seq, NULL, &outcome),
                         DELIVERY_IS_OVER);
        assert_int_equal(outcome, 2 * seq % OUTCOME_COUNT);
        key.seq--;
        assert_int_equal(deliveries_look_up(all, &key, DEADLINE_MS + seq, NULL, &outcome),
                         DELIVERY_IS_OVERTAKEN);
    }
    struct delivery_key key = {SOURCE, 2 * REMEMBERED_MAX + 3, 1};
    assert_int_equal(deliveries_look_up(all, &key, UINT64_MAX, NULL, &outcome), DELIVERY_IS_NEW);
    key.seq = 2;
    assert_int_equal(deliveries_look_up(all, &key, DEADLINE_MS, NULL, &outcome),
                     DELIVERY_IS_UNKNOWN);
}

static void what_is_over_is_forgotten_at_its_deadline(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    deliver(all, &alice, 2, DEADLINE_MS + 1);
    deliveries_expire(all, DEADLINE_MS - 1);
    expect_over(all, &alice, 1, 2);
    deliveries_expire(all, DEADLINE_MS);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_OVERTAKEN);
    expect_over(all, &alice, 2, 2);
    deliveries_expire(all, UINT64_MAX);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_NEW);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_IS_NEW);
    assert_true(deliveries_are_empty(all));
}

static void what_waits_is_not_forgotten_at_its_deadline(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    open_seq(all, &alice, 2);
    deliveries_expire(all, UINT64_MAX);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_WAITS);
    assert_false(deliveries_are_empty(all));
    finish(all, &alice, 2 % OUTCOME_COUNT);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_IS_OVER);
}

static void one_with_a_later_deadline_keeps_those_behind_it(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS + 1);
    deliver(all, &alice, 2, DEADLINE_MS);
    deliveries_expire(all, DEADLINE_MS);
    expect_over(all, &alice, 1, 2);
    deliveries_expire(all, DEADLINE_MS + 1);
    assert_true(deliveries_are_empty(all));
}

/* The deadlines rise with the seqs. */
static void check_bound(size_t remembered_max)
{
    struct deliveries all;
    deliveries_init(&all, remembered_max);
    struct recipient alice = {.id = 1};
    for (uint64_t seq = 1; seq <= remembered_max; seq++) {
        deliver(&all, &alice, seq, DEADLINE_MS + seq);
    }
    expect_over(&all, &alice, 1, remembered_max);
    assert_int_equal(past_of(&all, &alice, remembered_max + 1), DELIVERY_IS_NEW);
    for (uint64_t past_max = 1; past_max <= 2 * remembered_max + 3; past_max++) {
        deliver(&all, &alice, remembered_max + past_max, DEADLINE_MS + remembered_max + past_max);
        uint64_t deadline_ms = DEADLINE_MS + past_max;
        assert_int_equal(past_from(&all, &alice, SOURCE, past_max, deadline_ms),
                         DELIVERY_IS_UNKNOWN);
        assert_int_equal(past_from(&all, &alice, SOURCE, UINT64_MAX, deadline_ms),
                         DELIVERY_IS_UNKNOWN);
        assert_int_equal(past_from(&all, &alice, SOURCE, UINT64_MAX, deadline_ms + 1),
                         DELIVERY_IS_NEW);
        if (remembered_max > 0) {
            expect_over(&all, &alice, past_max + 1, past_max + 1);
            expect_over(&all, &alice, remembered_max + past_max, remembered_max + past_max);
        }
    }
    assert_int_equal(deliveries_are_empty(&all), remembered_max == 0);
    assert_true(all.ring_end - all.ring_begin == remembered_max);
    deliveries_fini(&all);
}

static void beyond_the_bound_the_oldest_is_forgotten_and_leaves_a_mark(void **state)
{
    (void)state;
    const size_t bounds[] = {0, 1, 2, REMEMBERED_MAX, 255, 256, 257, 300, 512, 1000};
    for (size_t i = 0; i < ARRAY_LENGTH(bounds); i++) {
        check_bound(bounds[i]);
    }
}

static void the_mark_is_the_latest_deadline_of_those_forgotten(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS + 7);
    for (uint64_t seq = 2; seq <= 2 * REMEMBERED_MAX + 1; seq++) {
        deliver(all, &alice, seq, DEADLINE_MS);
    }
    assert_int_equal(past_from(all, &alice, SOURCE, 99, DEADLINE_MS + 7), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_from(all, &alice, SOURCE, 99, DEADLINE_MS + 8), DELIVERY_IS_NEW);
}

static void the_mark_hides_nothing_that_is_known(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX + 1; seq++) {
        deliver(all, &alice, 2 * seq, DEADLINE_MS);
    }
    open_seq(all, &alice, 100);
    expect_over(all, &alice, 4, 4);
    assert_int_equal(past_of(all, &alice, 100), DELIVERY_WAITS);
    assert_int_equal(past_of(all, &alice, 3), DELIVERY_IS_UNKNOWN); /* not only overtaken */
    assert_int_equal(past_of(all, &alice, 99), DELIVERY_IS_UNKNOWN);
}

static void what_time_forgets_leaves_no_mark(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    deliveries_expire(all, DEADLINE_MS);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_NEW);
}

static void those_that_wait_are_not_within_the_bound(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    for (uint64_t seq = 1; seq <= 2 * REMEMBERED_MAX; seq++) {
        open_seq(all, &alice, seq);
    }
    for (uint64_t seq = 1; seq <= 2 * REMEMBERED_MAX; seq++) {
        assert_int_equal(past_of(all, &alice, seq), DELIVERY_WAITS);
    }
    assert_int_equal(past_of(all, &alice, 2 * REMEMBERED_MAX + 1), DELIVERY_IS_NEW);
}

static void memory_is_prepared_once_and_used_again(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    assert_true(deliveries_prepare(all));
    assert_true(deliveries_prepare(all));
    assert_int_equal(all->spare_count, 1);
    open_seq(all, &alice, 1);
    const struct delivery *first = alice.waiting.first;
    alice.waiting.first->is_awaited = true;
    assert_int_equal(all->spare_count, 0);
    finish(all, &alice, OUTCOME_DELIVERED);
    assert_int_equal(all->spare_count, 1);
    open_seq(all, &alice, 2);
    assert_ptr_equal(alice.waiting.first, first);
    assert_false(first->is_awaited);
}

static void memory_for_a_flood_is_given_back(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    for (uint64_t seq = 1; seq <= SPARE_MAX + 10; seq++) {
        open_seq(all, &alice, seq);
    }
    while (alice.waiting.first != NULL) {
        finish(all, &alice, OUTCOME_DELIVERED);
    }
    assert_int_equal(all->spare_count, SPARE_MAX);
}

/* The leak checker sees to it. */
static void those_that_are_left_are_freed(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    for (uint64_t seq = 2; seq <= 5; seq++) {
        open_seq(all, &alice, seq);
    }
    expect_over(all, &alice, 1, 1);
    assert_true(deliveries_prepare(all));
    finish(all, &alice, OUTCOME_DELIVERED);
}

int main(void)
{
#define DELIVERIES_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DELIVERIES_TEST(what_was_never_handed_over_is_new),
        DELIVERIES_TEST(a_delivery_waits_and_then_its_outcome_is_remembered),
        DELIVERIES_TEST(one_that_waits_is_found_wherever_it_stands),
        DELIVERIES_TEST(another_source_seq_or_session_is_another_delivery),
        DELIVERIES_TEST(a_session_finishes_its_own_in_stream_order),
        DELIVERIES_TEST(a_later_one_that_waits_has_overtaken_it),
        DELIVERIES_TEST(a_later_one_that_is_remembered_has_overtaken_it),
        DELIVERIES_TEST(the_latest_that_is_remembered_counts),
        DELIVERIES_TEST(what_is_known_for_sure_comes_before_what_is_overtaken),
        DELIVERIES_TEST(what_a_session_had_is_remembered_without_it),
        DELIVERIES_TEST(what_is_over_is_forgotten_at_its_deadline),
        DELIVERIES_TEST(what_waits_is_not_forgotten_at_its_deadline),
        DELIVERIES_TEST(one_with_a_later_deadline_keeps_those_behind_it),
        cmocka_unit_test(beyond_the_bound_the_oldest_is_forgotten_and_leaves_a_mark),
        DELIVERIES_TEST(the_mark_is_the_latest_deadline_of_those_forgotten),
        DELIVERIES_TEST(the_mark_hides_nothing_that_is_known),
        DELIVERIES_TEST(what_time_forgets_leaves_no_mark),
        DELIVERIES_TEST(those_that_wait_are_not_within_the_bound),
        DELIVERIES_TEST(memory_is_prepared_once_and_used_again),
        DELIVERIES_TEST(memory_for_a_flood_is_given_back),
        DELIVERIES_TEST(those_that_are_left_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
