#include "broker/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { START_US = 5000000, BUSY_GAP_US = PACE_WINDOW_US / PACE_BUSY_COUNT };

/* Turns of one message each, `gap_us` apart; whether the last one says busy. */
static bool run(struct pace *pace, uint64_t *now_us, uint64_t *count, uint64_t gap_us, int turns)
{
    bool is_busy = false;
    for (int i = 0; i < turns; i++) {
        *now_us += gap_us;
        (*count)++;
        is_busy = pace_is_busy(pace, *now_us, *count);
    }
    return is_busy;
}

static void test_a_lone_message_is_served_at_once(void **state)
{
    (void)state;
    struct pace pace = {0};
    assert_false(pace_is_busy(&pace, START_US, 1));
    assert_false(pace_is_busy(&pace, START_US + 1, 2));
}

static void test_many_messages_make_it_busy_and_few_end_it(void **state)
{
    (void)state;
    struct pace pace = {0};
    uint64_t now_us = START_US;
    uint64_t count = 0;
    assert_false(run(&pace, &now_us, &count, BUSY_GAP_US * 2, 500));
    assert_true(run(&pace, &now_us, &count, BUSY_GAP_US, 250));
    assert_false(run(&pace, &now_us, &count, BUSY_GAP_US * 2, 150));
}

static void test_one_large_batch_counts_as_many(void **state)
{
    (void)state;
    struct pace pace = {0};
    assert_false(pace_is_busy(&pace, START_US, 0));
    assert_true(pace_is_busy(&pace, START_US + PACE_WINDOW_US, PACE_BUSY_COUNT));
}

static void test_a_long_silence_is_part_of_the_window(void **state)
{
    (void)state;
    struct pace pace = {0};
    assert_false(pace_is_busy(&pace, START_US, 0));
    assert_false(pace_is_busy(&pace, START_US + PACE_WINDOW_US * 10, PACE_BUSY_COUNT * 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lone_message_is_served_at_once),
        cmocka_unit_test(test_many_messages_make_it_busy_and_few_end_it),
        cmocka_unit_test(test_one_large_batch_counts_as_many),
        cmocka_unit_test(test_a_long_silence_is_part_of_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
