#include "tests/load/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_in_order(void **state)
{
    (void)state;
    struct sequence sequence = {0};
    for (uint64_t n = 1; n <= 1000; n++) {
        assert_int_equal(sequence_take(&sequence, n), SEQUENCE_IN_ORDER);
    }
    assert_int_equal(sequence.distinct, 1000);
}

static void test_again(void **state)
{
    (void)state;
    struct sequence sequence = {0};
    for (uint64_t n = 1; n <= 1000; n++) {
        (void)sequence_take(&sequence, n);
        assert_int_equal(sequence_take(&sequence, n), SEQUENCE_AGAIN);
    }
    assert_int_equal(sequence_take(&sequence, 1000 - SEQUENCE_MEMORY + 1), SEQUENCE_AGAIN);
    assert_int_equal(sequence.distinct, 1000);
}

static void test_late_then_again(void **state)
{
    (void)state;
    struct sequence sequence = {0};
    assert_int_equal(sequence_take(&sequence, 1), SEQUENCE_IN_ORDER);
    assert_int_equal(sequence_take(&sequence, 3), SEQUENCE_IN_ORDER);
    assert_int_equal(sequence_take(&sequence, 2), SEQUENCE_LATE);
    assert_int_equal(sequence_take(&sequence, 2), SEQUENCE_AGAIN);
    assert_int_equal(sequence.distinct, 3);
}

static void test_older_than_the_memory_is_late(void **state)
{
    (void)state;
    struct sequence sequence = {0};
    (void)sequence_take(&sequence, SEQUENCE_MEMORY + 1);
    assert_int_equal(sequence_take(&sequence, 1), SEQUENCE_LATE);
    assert_int_equal(sequence_take(&sequence, 2), SEQUENCE_LATE);
    assert_int_equal(sequence_take(&sequence, 2), SEQUENCE_AGAIN);
}

/* A place in the memory is shared by many numbers: none may be taken for another. */
static void test_gaps_of_every_size(void **state)
{
    (void)state;
    for (uint64_t gap = 1; gap <= 3 * SEQUENCE_MEMORY; gap++) {
        struct sequence sequence = {0};
        for (uint64_t n = 1; n <= 2 * SEQUENCE_MEMORY; n++) {
            (void)sequence_take(&sequence, n);
        }
        uint64_t last = 2 * SEQUENCE_MEMORY + gap + 1;
        assert_int_equal(sequence_take(&sequence, last), SEQUENCE_IN_ORDER);
        for (uint64_t n = last - 1; n > last - SEQUENCE_MEMORY && n > 0; n--) {
            bool came = n <= 2 * SEQUENCE_MEMORY;
            assert_int_equal(sequence_take(&sequence, n), came ? SEQUENCE_AGAIN : SEQUENCE_LATE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_late_then_again),
        cmocka_unit_test(test_older_than_the_memory_is_late),
        cmocka_unit_test(test_gaps_of_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
