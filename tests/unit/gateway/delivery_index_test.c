/* The ring of those that are over, which grows and shrinks, and the index that repeats make of it.
 */
#include "tests/unit/gateway/deliveries_fixture.h"

#include "gateway/delivery_index.h"

#include <stdlib.h>

enum {
    REMEMBERED_MAX = 2000,
    RING_FIRST_CAP = 256,
    INDEX_FIRST_MAX = 256, /* deliveries, each of a source of its own, that fill the first index */
};

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

/* Each until a time that is its seq. */
static void deliver_range(struct deliveries *all, struct recipient *recipient, uint64_t first_seq,
                          uint64_t last_seq)
{
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        deliver(all, recipient, seq, seq);
    }
}

static void expect_ring(struct deliveries *all, const struct recipient *recipient,
                        uint64_t first_seq, uint64_t last_seq, size_t cap)
{
    assert_int_equal(all->ring_cap, cap);
    assert_true(all->ring_end - all->ring_begin == last_seq - first_seq + 1);
    expect_over(all, recipient, first_seq, last_seq);
    assert_int_equal(past_of(all, recipient, last_seq + 1), DELIVERY_IS_NEW);
    for (uint64_t seq = 1; seq < first_seq; seq++) {
        assert_int_equal(past_of(all, recipient, seq), DELIVERY_IS_OVERTAKEN);
    }
}

static void the_ring_grows_with_those_that_wrap_around(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    assert_int_equal(all->ring_cap, 0);
    deliver_range(all, &alice, 1, 200);
    deliveries_expire(all, 150);
    deliver_range(all, &alice, 201, 150 + RING_FIRST_CAP);
    expect_ring(all, &alice, 151, 150 + RING_FIRST_CAP, RING_FIRST_CAP);
    deliver_range(all, &alice, 151 + RING_FIRST_CAP, 151 + RING_FIRST_CAP);
    expect_ring(all, &alice, 151, 151 + RING_FIRST_CAP, 2 * RING_FIRST_CAP);
    deliver_range(all, &alice, 152 + RING_FIRST_CAP, 150 + REMEMBERED_MAX);
    expect_ring(all, &alice, 151, 150 + REMEMBERED_MAX, 8 * RING_FIRST_CAP);
}

static void the_ring_shrinks_with_those_that_wrap_around(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    uint64_t end = 4 * RING_FIRST_CAP;
    deliver_range(all, &alice, 1, end);
    deliveries_expire(all, end - 20);
    deliver_range(all, &alice, end + 1, end + 50); /* across the end of every ring */
    expect_ring(all, &alice, end - 19, end + 50, 2 * RING_FIRST_CAP);
    deliveries_expire(all, end - 13); /* 63 are left: less than an eighth */
    expect_ring(all, &alice, end - 12, end + 50, RING_FIRST_CAP);
    deliveries_expire(all, end + 49);
    deliveries_expire(all, end + 49);
    expect_ring(all, &alice, end + 50, end + 50, RING_FIRST_CAP); /* and no smaller */
    deliver_range(all, &alice, end + 51, end + 50 + RING_FIRST_CAP);
    expect_ring(all, &alice, end + 50, end + 50 + RING_FIRST_CAP, 2 * RING_FIRST_CAP);
}

static void a_ring_that_is_an_eighth_full_stays(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver_range(all, &alice, 1, 2 * RING_FIRST_CAP);
    deliveries_expire(all, 2 * RING_FIRST_CAP - 64);
    assert_int_equal(all->ring_cap, 2 * RING_FIRST_CAP);
    deliveries_expire(all, 2 * RING_FIRST_CAP - 63);
    assert_int_equal(all->ring_cap, RING_FIRST_CAP);
}

static void no_index_is_made_before_there_is_something_to_find(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_IS_NEW);
    open_seq(all, &alice, 1);
    assert_int_equal(past_of(all, &alice, 1), DELIVERY_WAITS);
    finish(all, &alice, OUTCOME_DELIVERED);
    open_seq(all, &alice, 2);
    assert_int_equal(past_of(all, &alice, 2), DELIVERY_WAITS);
    deliveries_expire(all, 0);
    assert_null(all->index); /* nobody has asked for what is over */
    assert_int_equal(past_of(all, &alice, 3), DELIVERY_IS_NEW);
    assert_non_null(all->index);
}

static void an_index_that_nobody_asks_is_thrown_away(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    for (int round = 0; round < 3; round++) {
        expect_over(all, &alice, 1, 1);
        const struct delivery_index *index = all->index;
        deliveries_expire(all, 0);
        assert_ptr_equal(all->index, index);
        expect_over(all, &alice, 1, 1);
        deliveries_expire(all, 0);
        assert_ptr_equal(all->index, index); /* it was asked in between */
        deliveries_expire(all, 0);
        assert_null(all->index);
        deliveries_expire(all, 0);
    }
}

static void what_is_over_after_the_index_was_made_is_found(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver(all, &alice, 1, DEADLINE_MS);
    expect_over(all, &alice, 1, 1);
    const struct delivery_index *index = all->index;
    for (uint64_t seq = 2; seq <= 100; seq++) {
        assert_int_equal(past_of(all, &alice, seq), DELIVERY_IS_NEW);
        open_seq(all, &alice, seq);
        assert_int_equal(past_of(all, &alice, seq), DELIVERY_WAITS);
        finish(all, &alice, (enum outcome)(seq % OUTCOME_COUNT));
        expect_over(all, &alice, 1, seq);
        assert_ptr_equal(all->index, index);
    }
}

/* One of each of `count` sources, so that each takes two of the index's slots. */
static void deliver_from_many(struct deliveries *all, struct recipient *recipient,
                              uint64_t first_source, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        open_from(all, recipient, first_source + i, 7);
        finish(all, recipient, OUTCOME_UNCONFIRMED);
    }
}

static void an_index_says_when_it_is_full(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver_from_many(all, &alice, 1000, 1);
    struct delivery_index *index = delivery_index_new(all);
    assert_non_null(index);
    deliver_from_many(all, &alice, 1001, INDEX_FIRST_MAX - 1);
    assert_true(delivery_index_update(index, all));
    assert_true(delivery_index_update(index, all));
    struct delivery_key last = {1000 + INDEX_FIRST_MAX - 1, 7, 1};
    assert_ptr_equal(delivery_index_find(index, all, &last), deliveries_at(all, all->ring_end - 1));
    deliver_from_many(all, &alice, 1000 + INDEX_FIRST_MAX, 1);
    assert_false(delivery_index_update(index, all));
    delivery_index_free(index);
    index = delivery_index_new(all);
    assert_non_null(index);
    last.source_instance_id++;
    assert_ptr_equal(delivery_index_find(index, all, &last), deliveries_at(all, all->ring_end - 1));
    last.seq = 0;
    assert_null(delivery_index_find(index, all, &last));
    assert_ptr_equal(delivery_index_find_latest(index, all, &last),
                     deliveries_at(all, all->ring_end - 1));
    last.session_id = 2;
    assert_null(delivery_index_find_latest(index, all, &last));
    delivery_index_free(index);
}

/* Room for as many again as there are when it is made. */
static void an_index_has_room_for_twice_as_many(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    enum { COUNT = 512 };
    deliver_from_many(all, &alice, 1000, COUNT);
    struct delivery_index *index = delivery_index_new(all);
    assert_non_null(index);
    deliver_from_many(all, &alice, 1000 + COUNT, COUNT);
    assert_true(delivery_index_update(index, all));
    deliver_from_many(all, &alice, 1000 + 2 * COUNT, 1);
    assert_false(delivery_index_update(index, all));
    delivery_index_free(index);
}

static void a_full_index_is_made_anew_and_knows_them_all(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    for (uint64_t i = 0; i < REMEMBERED_MAX; i++) {
        deliver_from_many(all, &alice, 1000 + i, 1);
        assert_int_equal(past_from(all, &alice, 1000 + i, 7, DEADLINE_MS), DELIVERY_IS_OVER);
        assert_int_equal(past_from(all, &alice, 1000 + i / 2, 7, DEADLINE_MS), DELIVERY_IS_OVER);
        assert_int_equal(past_from(all, &alice, 1000 + i / 3, 6, DEADLINE_MS),
                         DELIVERY_IS_OVERTAKEN);
        assert_int_equal(past_from(all, &alice, 1001 + i, 7, DEADLINE_MS), DELIVERY_IS_NEW);
    }
}

/* What the index says of them points into the ring, where others stand by now. */
static void what_the_ring_has_forgotten_the_index_does_not_find(void **state)
{
    (void)state;
    enum { MAX = 3, COUNT = 3000, SOURCES = 7 };
    struct deliveries all;
    deliveries_init(&all, MAX);
    struct recipient alice = {.id = 1};
    for (uint64_t seq = 1; seq <= COUNT; seq++) {
        struct delivery_key key = key_of(&alice, 100 + seq % SOURCES, seq);
        assert_true(deliveries_prepare(&all));
        deliveries_open(&all, &key, DEADLINE_MS, &alice.waiting, seq);
        finish(&all, &alice, OUTCOME_DELIVERED);
        for (uint64_t back = 0; back < SOURCES && back < seq; back++) {
            uint64_t source = 100 + (seq - back) % SOURCES;
            bool is_there = back < MAX;
            assert_int_equal(past_from(&all, &alice, source, seq - back, UINT64_MAX),
                             is_there ? DELIVERY_IS_OVER : DELIVERY_IS_NEW);
            assert_int_equal(past_from(&all, &alice, source, 0, UINT64_MAX),
                             is_there ? DELIVERY_IS_OVERTAKEN : DELIVERY_IS_NEW);
        }
    }
    deliveries_fini(&all);
}

/* All that it knew, and some that it never heard of, are forgotten when it is asked again. */
static void an_index_may_fall_behind_the_ring(void **state)
{
    (void)state;
    enum { MAX = 10 };
    struct deliveries all;
    deliveries_init(&all, MAX);
    struct recipient alice = {.id = 1};
    deliver_range(&all, &alice, 1, 5);
    expect_over(&all, &alice, 1, 5);
    const struct delivery_index *index = all.index;
    deliver_range(&all, &alice, 6, 100);
    expect_over(&all, &alice, 91, 100);
    assert_ptr_equal(all.index, index);
    assert_int_equal(past_of(&all, &alice, 90), DELIVERY_IS_OVERTAKEN);
    deliveries_expire(&all, 100);
    assert_int_equal(past_of(&all, &alice, 95), DELIVERY_IS_NEW);
    deliver_range(&all, &alice, 101, 102);
    expect_over(&all, &alice, 101, 102);
    deliveries_fini(&all);
}

static void the_index_outlives_a_ring_of_another_size(void **state)
{
    struct deliveries *all = *state;
    struct recipient alice = {.id = 1};
    deliver_range(all, &alice, 1, 100);
    expect_over(all, &alice, 1, 100);
    const struct delivery_index *index = all->index;
    deliver_range(all, &alice, 101, 300);
    assert_int_equal(all->ring_cap, 2 * RING_FIRST_CAP);
    expect_over(all, &alice, 1, 300);
    deliveries_expire(all, 290);
    assert_int_equal(all->ring_cap, RING_FIRST_CAP);
    expect_over(all, &alice, 291, 300);
    assert_ptr_equal(all->index, index);
}

int main(void)
{
#define INDEX_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        INDEX_TEST(the_ring_grows_with_those_that_wrap_around),
        INDEX_TEST(the_ring_shrinks_with_those_that_wrap_around),
        INDEX_TEST(a_ring_that_is_an_eighth_full_stays),
        INDEX_TEST(no_index_is_made_before_there_is_something_to_find),
        INDEX_TEST(an_index_that_nobody_asks_is_thrown_away),
        INDEX_TEST(what_is_over_after_the_index_was_made_is_found),
        INDEX_TEST(an_index_says_when_it_is_full),
        INDEX_TEST(an_index_has_room_for_twice_as_many),
        INDEX_TEST(a_full_index_is_made_anew_and_knows_them_all),
        cmocka_unit_test(what_the_ring_has_forgotten_the_index_does_not_find),
        cmocka_unit_test(an_index_may_fall_behind_the_ring),
        INDEX_TEST(the_index_outlives_a_ring_of_another_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
