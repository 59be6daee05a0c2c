#include "tests/load/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct histogram histogram; /* too large for the stack */
static struct histogram other;

static int clear(void **state)
{
    (void)state;
    histogram = (struct histogram){0};
    other = (struct histogram){0};
    return 0;
}

static void test_empty(void **state)
{
    (void)state;
    assert_int_equal(histogram_value_at(&histogram, 0.5), 0);
    assert_int_equal(histogram_value_at(&histogram, 1), 0);
    assert_true(histogram_mean(&histogram) == 0);
}

static void test_one_value(void **state)
{
    (void)state;
    histogram_add(&histogram, 123456789);
    assert_int_equal(histogram_value_at(&histogram, 0), 123456789);
    assert_int_equal(histogram_value_at(&histogram, 0.5), 123456789);
    assert_int_equal(histogram_value_at(&histogram, 1), 123456789);
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 200; value++) {
        histogram_add(&histogram, value);
    }
    assert_int_equal(histogram_value_at(&histogram, 0.5), 100);
    assert_int_equal(histogram_value_at(&histogram, 0.9), 180);
    assert_int_equal(histogram_value_at(&histogram, 0.99), 198);
    assert_int_equal(histogram_value_at(&histogram, 1), 200);
    assert_true(histogram_mean(&histogram) == 100.5);
}

/* Around every power of two, and in between. */
static void test_values_are_less_than_one_percent_too_large(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < HISTOGRAM_VALUE_BITS; bit++) {
        for (uint64_t eighth = 7; eighth <= 15; eighth++) {
            uint64_t value = (eighth << bit) / 8;
            (void)clear(state);
            histogram_add(&histogram, value);
            histogram_add(&histogram, HISTOGRAM_VALUE_MAX);
            uint64_t seen = histogram_value_at(&histogram, 0.5);
            assert_true(seen >= value);
            assert_true(seen - value <= value / 100);
        }
    }
}

static void test_too_large_values_count_as_the_largest(void **state)
{
    (void)state;
    histogram_add(&histogram, UINT64_MAX);
    histogram_add(&histogram, HISTOGRAM_VALUE_MAX);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram_value_at(&histogram, 1), HISTOGRAM_VALUE_MAX);
}

static void test_merged_is_as_if_added_to_one(void **state)
{
    (void)state;
    static struct histogram all;
    all = (struct histogram){0};
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t value = i * i * 37;
        histogram_add(i % 3 == 0 ? &histogram : &other, value);
        histogram_add(&all, value);
    }
    histogram_merge(&histogram, &other);
    assert_memory_equal(&histogram, &all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, clear),
        cmocka_unit_test_setup(test_one_value, clear),
        cmocka_unit_test_setup(test_small_values_are_exact, clear),
        cmocka_unit_test_setup(test_values_are_less_than_one_percent_too_large, clear),
        cmocka_unit_test_setup(test_too_large_values_count_as_the_largest, clear),
        cmocka_unit_test_setup(test_merged_is_as_if_added_to_one, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
