/* Receipts: first in, first out; and the pool gives back what it got. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/receipts.h"

static void receipts_leave_in_the_order_they_came(void **state)
{
    (void)state;
    struct receipt_pool pool = {0};
    struct receipt_queue queue = {0};
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct receipt *receipt = receipt_take(&pool);
        assert_non_null(receipt);
        receipt->seq = seq;
        receipt_queue_push(&queue, receipt);
    }
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct receipt *receipt = receipt_queue_pop(&queue);
        assert_int_equal(receipt->seq, seq);
        receipt_return(&pool, receipt);
    }
    assert_null(queue.first);
    assert_null(queue.last);
    assert_int_equal(pool.spare_count, 3);
    receipt_pool_fini(&pool);
}

static void a_returned_receipt_is_taken_again(void **state)
{
    (void)state;
    struct receipt_pool pool = {0};
    struct receipt *receipt = receipt_take(&pool);
    receipt_return(&pool, receipt);
    assert_ptr_equal(receipt_take(&pool), receipt);
    assert_int_equal(pool.spare_count, 0);
    receipt_return(&pool, receipt);
    receipt_pool_fini(&pool);
}

static void what_is_left_in_a_queue_is_freed(void **state)
{
    (void)state;
    struct receipt_pool pool = {0};
    struct receipt_queue queue = {0};
    receipt_queue_push(&queue, receipt_take(&pool));
    receipt_queue_push(&queue, receipt_take(&pool));
    receipt_queue_fini(&queue);
    assert_null(queue.first);
    receipt_queue_fini(&queue);
    receipt_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_leave_in_the_order_they_came),
        cmocka_unit_test(a_returned_receipt_is_taken_again),
        cmocka_unit_test(what_is_left_in_a_queue_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
