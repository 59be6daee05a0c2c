/* The ring of those that are over grows and shrinks, and its index comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/deliveries_fixture.h"

#include <stdlib.h>

enum {
    FIRST_CAP = 256,
    REMEMBERED_MAX = 5000, /* no power of two */
    FAR_SEQ = 1000000,
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

/* Each has a deadline of its own: its seq. */
static void deliver_range(struct deliveries *all, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq < to; seq++) {
        deliver(all, seq, seq);
    }
}

static void expire_until(struct deliveries *all, uint64_t seq)
{
    deliveries_expire(all, seq - 1);
}

/* These are remembered, and no others. */
static void expect_range(struct deliveries *all, uint64_t from, uint64_t to)
{
    assert_int_equal(over_count(all), to - from);
    for (uint64_t seq = from; seq < to; seq++) {
        assert_int_equal(past_of_key(all, key_of(seq), FAR_SEQ, NULL), DELIVERY_IS_OVER);
    }
    assert_int_equal(past_of_key(all, key_of(to), FAR_SEQ, NULL), DELIVERY_IS_NEW);
    assert_int_equal(past_of_key(all, key_of(from - 1), FAR_SEQ, NULL),
                     from == to ? DELIVERY_IS_NEW : DELIVERY_IS_OVERTAKEN);
}

static void the_ring_grows_with_what_it_holds(void **state)
{
    struct deliveries *all = *state;
    assert_int_equal(all->ring_cap, 0);
    deliver_range(all, 1, FIRST_CAP + 1);
    assert_int_equal(all->ring_cap, FIRST_CAP);
    deliver_range(all, FIRST_CAP + 1, 2000);
    assert_int_equal(all->ring_cap, 2048);
    expect_range(all, 1, 2000);
}

static void the_ring_grows_where_it_has_wrapped_around(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 201);
    expire_until(all, 151);
    deliver_range(all, 201, 151 + FIRST_CAP); /* full, from position 150 on */
    assert_int_equal(all->ring_cap, FIRST_CAP);
    assert_int_equal(over_count(all), FIRST_CAP);
    deliver_range(all, 151 + FIRST_CAP, 152 + FIRST_CAP);
    assert_int_equal(all->ring_cap, 2 * FIRST_CAP);
    expect_range(all, 151, 152 + FIRST_CAP);
}

static void the_ring_shrinks_step_by_step_where_it_has_wrapped_around(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 2050); /* to a cap of 4096 */
    expire_until(all, 2040);
    assert_int_equal(all->ring_cap, 2048);
    deliver_range(all, 2050, 2050 + 30); /* on either side of its end, and of any smaller one's */
    for (size_t cap = 1024; cap > FIRST_CAP; cap /= 2) {
        expire_until(all, 2040);
        assert_int_equal(all->ring_cap, cap);
        expect_range(all, 2040, 2080);
    }
    expire_until(all, 2040); /* less than an eighth of 512 */
    assert_int_equal(all->ring_cap, FIRST_CAP);
    expire_until(all, 2080);
    assert_int_equal(all->ring_cap, FIRST_CAP); /* no smaller than at first */
    expect_range(all, 2080, 2080);
    deliver_range(all, 2080, 3000);
    expect_range(all, 2080, 3000);
}

static void a_ring_that_is_used_by_an_eighth_stays(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 1025);
    assert_int_equal(all->ring_cap, 1024);
    expire_until(all, 1025 - 128);
    assert_int_equal(all->ring_cap, 1024);
    expire_until(all, 1025 - 127);
    assert_int_equal(all->ring_cap, 512);
    expect_range(all, 1025 - 127, 1025);
}

static void the_bound_holds_within_a_larger_ring(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 3 * REMEMBERED_MAX + 1);
    assert_int_equal(all->ring_cap, 8192);
    expect_range(all, 2 * REMEMBERED_MAX + 1, 3 * REMEMBERED_MAX + 1);
    assert_int_equal(past_of_key(all, key_of(1), 2 * REMEMBERED_MAX, NULL), DELIVERY_IS_UNKNOWN);
}

static void a_ring_as_large_as_the_bound_goes_round(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, FIRST_CAP);
    deliver_range(&all, 1, 1000);
    assert_int_equal(all.ring_cap, FIRST_CAP);
    expect_range(&all, 1000 - FIRST_CAP, 1000);
    deliveries_fini(&all);
}

static void an_index_is_made_for_the_first_repeat_only(void **state)
{
    struct deliveries *all = *state;
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_NEW);
    assert_null(all->index); /* nothing was there to be looked up */
    deliver_range(all, 1, 101);
    assert_null(all->index);
    expect_range(all, 1, 101);
    const struct delivery_index *index = all->index;
    assert_non_null(index);
    expect_range(all, 1, 101);
    assert_ptr_equal(all->index, index);
}

/* While all that came has room in it, it is the same one. */
static void the_index_follows_the_ring(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 101);
    expect_range(all, 1, 101);
    const struct delivery_index *index = all->index;
    for (uint64_t to = 102; to < 300; to++) {
        deliver_range(all, to - 1, to);
        expect_range(all, 1, to);
    }
    assert_true(all->ring_cap > FIRST_CAP); /* it has grown meanwhile */
    assert_ptr_equal(all->index, index);
    expire_until(all, 290);
    expect_range(all, 290, 299);
    assert_ptr_equal(all->index, index);
}

/* Each look-up leaves an entry that is soon forgotten, more than any index has room for. */
static void an_index_that_is_full_is_made_anew(void **state)
{
    struct deliveries *all = *state;
    for (uint64_t seq = 1; seq < 5000; seq++) {
        deliver(all, seq, seq);
        struct delivery_key other = {SOURCE, seq, OTHER_SESSION + seq};
        deliver_key(all, other, seq);
        deliveries_expire(all, seq < 20 ? 0 : seq - 20);
        assert_int_equal(past_of_key(all, key_of(seq), seq, NULL), DELIVERY_IS_OVER);
        assert_int_equal(past_of_key(all, other, seq, NULL), DELIVERY_IS_OVER);
        other.seq--;
        assert_int_equal(past_of_key(all, other, seq, NULL), DELIVERY_IS_OVERTAKEN);
        other.session_id = OTHER_SESSION; /* nobody's */
        assert_int_equal(past_of_key(all, other, seq, NULL), DELIVERY_IS_NEW);
    }
}

static void an_index_is_made_anew_when_many_have_come_since(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 101);
    expect_range(all, 1, 101);
    deliver_range(all, 101, 4001);
    expect_range(all, 1, 4001);
    expire_until(all, 3991);
    deliver_range(all, 4001, 8001); /* some of them forgotten before they were asked for */
    expire_until(all, 7001);
    expect_range(all, 7001, 8001);
}

static void an_index_that_nobody_uses_is_thrown_away(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 101);
    expect_range(all, 1, 101);
    deliveries_expire(all, 0);
    assert_non_null(all->index); /* someone has asked since the last time */
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_OVER);
    deliveries_expire(all, 0);
    assert_non_null(all->index);
    deliveries_expire(all, 0);
    assert_null(all->index);
    deliveries_expire(all, 0);
    expect_range(all, 1, 101);
}

static void an_index_goes_with_what_it_finds(void **state)
{
    struct deliveries *all = *state;
    deliver_range(all, 1, 101);
    expect_range(all, 1, 101);
    deliveries_expire(all, UINT64_MAX);
    assert_true(deliveries_are_empty(all));
    assert_int_equal(past_of(all, 1, NULL), DELIVERY_IS_NEW);
    deliver_range(all, 101, 111); /* it serves for them, too */
    expect_range(all, 101, 111);
}

int main(void)
{
#define DELIVERIES_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DELIVERIES_TEST(the_ring_grows_with_what_it_holds),
        DELIVERIES_TEST(the_ring_grows_where_it_has_wrapped_around),
        DELIVERIES_TEST(the_ring_shrinks_step_by_step_where_it_has_wrapped_around),
        DELIVERIES_TEST(a_ring_that_is_used_by_an_eighth_stays),
        DELIVERIES_TEST(the_bound_holds_within_a_larger_ring),
        cmocka_unit_test(a_ring_as_large_as_the_bound_goes_round),
        DELIVERIES_TEST(an_index_is_made_for_the_first_repeat_only),
        DELIVERIES_TEST(the_index_follows_the_ring),
        DELIVERIES_TEST(an_index_that_is_full_is_made_anew),
        DELIVERIES_TEST(an_index_is_made_anew_when_many_have_come_since),
        DELIVERIES_TEST(an_index_that_nobody_uses_is_thrown_away),
        DELIVERIES_TEST(an_index_goes_with_what_it_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
