/* Deliveries: they wait, they are over, they are forgotten; and what is forgotten too early leaves
 * a mark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/deliveries.h"

#include <stdlib.h>

enum { SOURCE = 11, OTHER_SOURCE = 12, SESSION = 1, REMEMBERED_MAX = 3, DEADLINE_MS = 100 };

static const uint8_t hash_key[16] = {7};

static struct delivery_key key_of(uint64_t source_instance_id, uint64_t seq)
{
    return (struct delivery_key){source_instance_id, seq, SESSION};
}

static int set_up(void **state)
{
    struct deliveries *all = malloc(sizeof *all);
    assert_non_null(all);
    assert_true(deliveries_init(all, REMEMBERED_MAX, hash_key));
    *state = all;
    return 0;
}

static int tear_down(void **state)
{
    deliveries_fini(*state);
    free(*state);
    return 0;
}

static void open_at(struct deliveries *all, struct session_deliveries *of_session,
                    struct delivery_key key, uint64_t deadline_ms)
{
    assert_true(deliveries_prepare(all));
    deliveries_open(all, &key, deadline_ms, of_session, 10 * key.seq);
}

static void open_seq(struct deliveries *all, struct session_deliveries *of_session, uint64_t seq)
{
    open_at(all, of_session, key_of(SOURCE, seq), DEADLINE_MS);
}

static struct delivery *find_seq(const struct deliveries *all, uint64_t seq)
{
    struct delivery_key key = key_of(SOURCE, seq);
    return deliveries_find(all, &key);
}

/* Opens one and finishes it. */
static void deliver(struct deliveries *all, struct session_deliveries *of_session, uint64_t seq,
                    uint64_t deadline_ms)
{
    open_at(all, of_session, key_of(SOURCE, seq), deadline_ms);
    deliveries_finish_first(all, of_session, OUTCOME_DELIVERED);
}

static bool are_ahead(const struct session_deliveries *of_session, uint64_t source_instance_id,
                      uint64_t seq)
{
    struct delivery_key key = key_of(source_instance_id, seq);
    return deliveries_are_ahead(of_session, &key);
}

static void a_delivery_waits_and_then_its_outcome_is_remembered(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    assert_null(find_seq(all, 1));
    open_seq(all, &alice, 1);
    const struct delivery *delivery = find_seq(all, 1);
    assert_non_null(delivery);
    assert_false(delivery->is_over);
    assert_int_equal(delivery->end_bytes, 10);
    assert_int_equal(delivery->deadline_ms, DEADLINE_MS);
    assert_ptr_equal(alice.first_waiting, delivery);
    assert_ptr_equal(all->waiting.first, delivery);
    deliveries_finish_first(all, &alice, OUTCOME_OVERLOADED);
    assert_ptr_equal(find_seq(all, 1), delivery);
    assert_true(delivery->is_over);
    assert_int_equal(delivery->outcome, OUTCOME_OVERLOADED);
    assert_null(alice.first_waiting);
    assert_null(all->waiting.first);
}

static void another_source_seq_or_session_is_another_delivery(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    open_seq(all, &alice, 1);
    const struct delivery_key others[] = {
        {OTHER_SOURCE, 1, SESSION}, {SOURCE, 2, SESSION}, {SOURCE, 1, SESSION + 1}};
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        assert_null(deliveries_find(all, &others[i]));
    }
    assert_non_null(find_seq(all, 1));
}

static void a_session_finishes_its_own_in_stream_order(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    struct session_deliveries bob = {0};
    open_seq(all, &alice, 1);
    open_seq(all, &bob, 2);
    open_seq(all, &alice, 3);
    open_seq(all, &bob, 4);
    deliveries_finish_first(all, &bob, OUTCOME_DELIVERED);
    assert_true(find_seq(all, 2)->is_over);
    assert_false(find_seq(all, 1)->is_over);
    assert_int_equal(bob.first_waiting->key.seq, 4);
    deliveries_finish_first(all, &alice, OUTCOME_DELIVERED);
    assert_int_equal(alice.first_waiting->key.seq, 3);
    assert_int_equal(all->waiting.first->key.seq, 3); /* the oldest of all that wait */
    deliveries_finish_first(all, &alice, OUTCOME_DELIVERED);
    assert_null(alice.first_waiting);
    open_seq(all, &alice, 5);
    assert_int_equal(alice.first_waiting->key.seq, 5);
}

static void what_is_over_is_forgotten_at_its_deadline(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, &alice, 1, DEADLINE_MS);
    deliver(all, &alice, 2, DEADLINE_MS + 1);
    deliveries_expire(all, DEADLINE_MS - 1);
    assert_non_null(find_seq(all, 1));
    deliveries_expire(all, DEADLINE_MS);
    assert_null(find_seq(all, 1));
    assert_non_null(find_seq(all, 2));
    deliveries_expire(all, UINT64_MAX);
    assert_null(find_seq(all, 2));
    assert_null(alice.newest);
    assert_int_equal(all->by_key.count, 0);
}

static void what_waits_is_not_forgotten_at_its_deadline(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, &alice, 1, DEADLINE_MS);
    open_seq(all, &alice, 2);
    deliveries_expire(all, UINT64_MAX);
    assert_null(find_seq(all, 1));
    assert_ptr_equal(alice.first_waiting, find_seq(all, 2));
    assert_ptr_equal(alice.newest, find_seq(all, 2));
    deliveries_finish_first(all, &alice, OUTCOME_DELIVERED);
    assert_true(find_seq(all, 2)->is_over);
}

static void one_with_a_later_deadline_keeps_those_behind_it(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, &alice, 1, DEADLINE_MS + 1);
    deliver(all, &alice, 2, DEADLINE_MS);
    deliveries_expire(all, DEADLINE_MS);
    assert_non_null(find_seq(all, 2));
    deliveries_expire(all, DEADLINE_MS + 1);
    assert_null(find_seq(all, 1));
    assert_null(find_seq(all, 2));
}

static void beyond_the_bound_the_oldest_is_forgotten_and_leaves_a_mark(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX; seq++) {
        deliver(all, &alice, seq, DEADLINE_MS + seq);
    }
    assert_non_null(find_seq(all, 1));
    assert_false(deliveries_may_be_forgotten(all, DEADLINE_MS + 1));
    deliver(all, &alice, REMEMBERED_MAX + 1, DEADLINE_MS + REMEMBERED_MAX + 1);
    assert_null(find_seq(all, 1));
    assert_non_null(find_seq(all, 2));
    assert_int_equal(all->over_count, REMEMBERED_MAX);
    assert_true(deliveries_may_be_forgotten(all, DEADLINE_MS));
    assert_true(deliveries_may_be_forgotten(all, DEADLINE_MS + 1));
    assert_false(deliveries_may_be_forgotten(all, DEADLINE_MS + 2));
}

static void the_mark_is_the_latest_deadline_of_those_forgotten(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, &alice, 1, DEADLINE_MS + 7);
    for (uint64_t seq = 2; seq <= 2 * REMEMBERED_MAX + 1; seq++) {
        deliver(all, &alice, seq, DEADLINE_MS);
    }
    assert_true(deliveries_may_be_forgotten(all, DEADLINE_MS + 7));
    assert_false(deliveries_may_be_forgotten(all, DEADLINE_MS + 8));
}

static void what_time_forgets_leaves_no_mark(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    deliver(all, &alice, 1, DEADLINE_MS);
    deliveries_expire(all, DEADLINE_MS);
    assert_false(deliveries_may_be_forgotten(all, DEADLINE_MS));
}

static void those_that_wait_are_not_within_the_bound(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= 2 * REMEMBERED_MAX; seq++) {
        open_seq(all, &alice, seq);
    }
    for (uint64_t seq = 1; seq <= 2 * REMEMBERED_MAX; seq++) {
        assert_non_null(find_seq(all, seq));
    }
    assert_false(deliveries_may_be_forgotten(all, DEADLINE_MS));
}

static void a_bound_of_none_remembers_none(void **state)
{
    (void)state;
    struct deliveries all;
    assert_true(deliveries_init(&all, 0, hash_key));
    struct session_deliveries alice = {0};
    open_seq(&all, &alice, 1);
    open_seq(&all, &alice, 2);
    deliveries_finish_first(&all, &alice, OUTCOME_DELIVERED);
    assert_null(find_seq(&all, 1));
    assert_true(deliveries_may_be_forgotten(&all, DEADLINE_MS));
    assert_int_equal(alice.first_waiting->key.seq, 2);
    deliveries_finish_first(&all, &alice, OUTCOME_DELIVERED);
    assert_null(alice.newest);
    deliveries_leave(&alice);
    deliveries_fini(&all);
}

static void a_session_is_ahead_of_what_is_older_from_the_same_source(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    assert_false(are_ahead(&alice, SOURCE, 1));
    open_at(all, &alice, key_of(SOURCE, 5), DEADLINE_MS);
    open_at(all, &alice, key_of(OTHER_SOURCE, 9), DEADLINE_MS);
    assert_true(are_ahead(&alice, SOURCE, 4));
    assert_false(are_ahead(&alice, SOURCE, 5));
    assert_false(are_ahead(&alice, SOURCE, 6)); /* the other source's 9 is no matter */
    assert_true(are_ahead(&alice, OTHER_SOURCE, 8));
    assert_false(are_ahead(&alice, OTHER_SOURCE + 1, 1));
    deliveries_finish_first(all, &alice, OUTCOME_DELIVERED);
    assert_true(are_ahead(&alice, SOURCE, 4));
    deliveries_expire(all, DEADLINE_MS);
    assert_false(are_ahead(&alice, SOURCE, 4)); /* which is too late by now in any case */
    assert_true(are_ahead(&alice, OTHER_SOURCE, 8));
}

/* On the heap, so that a later look at it would be noticed. */
static void what_a_session_had_is_remembered_without_it(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries *alice = calloc(1, sizeof *alice);
    assert_non_null(alice);
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX + 1; seq++) {
        deliver(all, alice, seq, DEADLINE_MS + seq);
    }
    deliveries_leave(alice);
    assert_null(alice->newest);
    free(alice);
    assert_null(find_seq(all, 1));
    for (uint64_t seq = 2; seq <= REMEMBERED_MAX + 1; seq++) {
        assert_int_equal(find_seq(all, seq)->outcome, OUTCOME_DELIVERED);
        assert_null(find_seq(all, seq)->of_session);
    }
    struct session_deliveries bob = {0};
    deliver(all, &bob, REMEMBERED_MAX + 2, UINT64_MAX);
    assert_null(find_seq(all, 2));
    deliveries_expire(all, UINT64_MAX - 1);
    assert_null(find_seq(all, REMEMBERED_MAX + 1));
    assert_ptr_equal(bob.newest, find_seq(all, REMEMBERED_MAX + 2));
}

static void a_session_that_had_nothing_may_leave(void **state)
{
    (void)state;
    struct session_deliveries alice = {0};
    deliveries_leave(&alice);
    assert_null(alice.newest);
}

static void memory_is_prepared_once_and_used_again(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    assert_true(deliveries_prepare(all));
    assert_true(deliveries_prepare(all));
    assert_int_equal(all->spare_count, 1);
    deliver(all, &alice, 1, DEADLINE_MS);
    const struct delivery *first = find_seq(all, 1);
    assert_int_equal(all->spare_count, 0);
    deliveries_expire(all, DEADLINE_MS);
    assert_int_equal(all->spare_count, 1);
    open_seq(all, &alice, 2);
    assert_ptr_equal(find_seq(all, 2), first);
    assert_false(first->is_over);
}

/* The leak checker sees to it. */
static void those_that_are_left_are_freed(void **state)
{
    struct deliveries *all = *state;
    struct session_deliveries alice = {0};
    for (uint64_t seq = 1; seq <= 5; seq++) {
        open_seq(all, &alice, seq);
    }
    deliveries_finish_first(all, &alice, OUTCOME_DELIVERED);
    deliveries_finish_first(all, &alice, OUTCOME_DELIVERED);
    assert_true(deliveries_prepare(all));
}

int main(void)
{
#define DELIVERIES_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DELIVERIES_TEST(a_delivery_waits_and_then_its_outcome_is_remembered),
        DELIVERIES_TEST(another_source_seq_or_session_is_another_delivery),
        DELIVERIES_TEST(a_session_finishes_its_own_in_stream_order),
        DELIVERIES_TEST(what_is_over_is_forgotten_at_its_deadline),
        DELIVERIES_TEST(what_waits_is_not_forgotten_at_its_deadline),
        DELIVERIES_TEST(one_with_a_later_deadline_keeps_those_behind_it),
        DELIVERIES_TEST(beyond_the_bound_the_oldest_is_forgotten_and_leaves_a_mark),
        DELIVERIES_TEST(the_mark_is_the_latest_deadline_of_those_forgotten),
        DELIVERIES_TEST(what_time_forgets_leaves_no_mark),
        DELIVERIES_TEST(those_that_wait_are_not_within_the_bound),
        cmocka_unit_test(a_bound_of_none_remembers_none),
        DELIVERIES_TEST(a_session_is_ahead_of_what_is_older_from_the_same_source),
        DELIVERIES_TEST(what_a_session_had_is_remembered_without_it),
        cmocka_unit_test(a_session_that_had_nothing_may_leave),
        DELIVERIES_TEST(memory_is_prepared_once_and_used_again),
        DELIVERIES_TEST(those_that_are_left_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
