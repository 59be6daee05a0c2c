/* Without memory less is remembered, which is known to be so: nothing is delivered twice. And a
 * steady stream of deliveries asks for none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/allocation_count.h"
#include "tests/unit/gateway/deliveries_fixture.h"

enum { FIRST_CAP = 256, REMEMBERED_MAX = 10000 };

static void without_memory_none_is_prepared(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, REMEMBERED_MAX);
    allocations_fail = true;
    assert_false(deliveries_prepare(&all));
    allocations_fail = false;
    assert_true(deliveries_prepare(&all));
    allocations_fail = true;
    assert_true(deliveries_prepare(&all));
    allocations_fail = false;
    deliveries_fini(&all);
}

static void without_memory_for_a_ring_what_is_over_leaves_its_mark(void **state)
{
    (void)state;
    struct deliveries all;
    struct session_deliveries alice = {0};
    deliveries_init(&all, REMEMBERED_MAX);
    open_seq(&all, &alice, 1);
    allocations_fail = true;
    finish(&all, &alice);
    assert_int_equal(past_of(&all, 1, &alice), DELIVERY_IS_UNKNOWN);
    assert_int_equal(past_of_key(&all, key_of(2), DEADLINE_MS + 1, &alice), DELIVERY_IS_NEW);
    allocations_fail = false;
    deliver(&all, 2, DEADLINE_MS + 1);
    assert_int_equal(past_of_key(&all, key_of(2), DEADLINE_MS + 1, &alice), DELIVERY_IS_OVER);
    deliveries_fini(&all);
}

static void without_memory_for_a_larger_ring_the_oldest_is_forgotten(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, REMEMBERED_MAX);
    for (uint64_t seq = 1; seq <= FIRST_CAP; seq++) {
        deliver(&all, seq, seq);
    }
    allocations_fail = true;
    deliver(&all, FIRST_CAP + 1, FIRST_CAP + 1); /* with what is spare */
    allocations_fail = false;
    assert_int_equal(over_count(&all), FIRST_CAP);
    assert_int_equal(past_of_key(&all, key_of(1), 1, NULL), DELIVERY_IS_UNKNOWN);
    for (uint64_t seq = 2; seq <= FIRST_CAP + 1; seq++) {
        assert_int_equal(past_of_key(&all, key_of(seq), seq, NULL), DELIVERY_IS_OVER);
    }
    assert_int_equal(past_of_key(&all, key_of(FIRST_CAP + 2), 2, NULL), DELIVERY_IS_NEW);
    deliver(&all, FIRST_CAP + 2, FIRST_CAP + 2);
    assert_int_equal(over_count(&all), FIRST_CAP + 1);
    deliveries_fini(&all);
}

static void without_memory_for_a_smaller_ring_the_large_one_stays(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, REMEMBERED_MAX);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        deliver(&all, seq, seq);
    }
    allocations_fail = true;
    deliveries_expire(&all, 999);
    allocations_fail = false;
    assert_int_equal(all.ring_cap, 1024);
    assert_int_equal(past_of_key(&all, key_of(1000), 1000, NULL), DELIVERY_IS_OVER);
    deliveries_fini(&all);
}

static void without_memory_for_an_index_all_is_unknown_but_what_waits(void **state)
{
    (void)state;
    struct deliveries all;
    struct session_deliveries alice = {0};
    deliveries_init(&all, REMEMBERED_MAX);
    deliver(&all, 1, DEADLINE_MS);
    open_seq(&all, &alice, 3);
    allocations_fail = true;
    for (uint64_t seq = 1; seq <= 4; seq++) {
        assert_int_equal(past_of(&all, seq, &alice),
                         seq == 3 ? DELIVERY_WAITS : DELIVERY_IS_UNKNOWN);
    }
    allocations_fail = false;
    assert_int_equal(past_of(&all, 1, &alice), DELIVERY_IS_OVER);
    assert_int_equal(past_of(&all, 2, &alice), DELIVERY_IS_OVERTAKEN);
    assert_int_equal(past_of(&all, 4, &alice), DELIVERY_IS_NEW);
    finish(&all, &alice);
    deliveries_fini(&all);
}

/* It is full, and there is no memory for another. */
static void an_index_that_cannot_be_made_anew_is_not_used(void **state)
{
    (void)state;
    struct deliveries all;
    deliveries_init(&all, REMEMBERED_MAX);
    deliver(&all, 1, DEADLINE_MS);
    assert_int_equal(past_of(&all, 1, NULL), DELIVERY_IS_OVER);
    for (uint64_t seq = 2; seq <= 2000; seq++) {
        deliver(&all, seq, DEADLINE_MS);
    }
    allocations_fail = true;
    assert_int_equal(past_of(&all, 1, NULL), DELIVERY_IS_UNKNOWN);
    assert_null(all.index);
    allocations_fail = false;
    assert_int_equal(past_of(&all, 1, NULL), DELIVERY_IS_OVER);
    deliveries_fini(&all);
}

/* At any rate, also at one whose ring is now more, now less than half full. */
static void a_steady_stream_asks_for_nothing(void **state)
{
    (void)state;
    enum { LIFE_TICKS = 10, WARM_UP_TICKS = 20, TICKS = 100, RATE_MAX = 200 };
    for (uint64_t rate = 1; rate <= RATE_MAX; rate++) {
        struct deliveries all;
        deliveries_init(&all, REMEMBERED_MAX);
        uint64_t seq = 0;
        size_t count_before = 0;
        for (uint64_t tick = 0; tick < TICKS; tick++) {
            if (tick == WARM_UP_TICKS) {
                count_before = allocation_count;
            }
            for (uint64_t i = 0; i < rate; i++) {
                deliver(&all, ++seq, tick + LIFE_TICKS);
            }
            deliveries_expire(&all, tick);
        }
        assert_int_equal(allocation_count - count_before, 0);
        assert_int_equal(over_count(&all), rate * LIFE_TICKS);
        deliveries_fini(&all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_none_is_prepared),
        cmocka_unit_test(without_memory_for_a_ring_what_is_over_leaves_its_mark),
        cmocka_unit_test(without_memory_for_a_larger_ring_the_oldest_is_forgotten),
        cmocka_unit_test(without_memory_for_a_smaller_ring_the_large_one_stays),
        cmocka_unit_test(without_memory_for_an_index_all_is_unknown_but_what_waits),
        cmocka_unit_test(an_index_that_cannot_be_made_anew_is_not_used),
        cmocka_unit_test(a_steady_stream_asks_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
