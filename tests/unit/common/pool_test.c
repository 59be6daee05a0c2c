/* The pool: blocks are reused within their size class, and what it keeps is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/pool.h"

#include <string.h>

enum { KEPT_MAX_BYTES = 64 * 1024 };

static void a_returned_block_is_taken_again(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, KEPT_MAX_BYTES);
    void *first = pool_take(&pool, 200);
    pool_return(&pool, first, 200);
    assert_int_equal(pool.kept_bytes, 256);
    void *second = pool_take(&pool, 129);
    assert_ptr_equal(first, second);
    assert_int_equal(pool.kept_bytes, 0);
    pool_return(&pool, second, 129);
    pool_fini(&pool);
}

static void every_size_can_be_written_in_full(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, KEPT_MAX_BYTES);
    static const size_t sizes[] = {1, 127, 128, 129, 65535, 65536, 65537, 1000000};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        void *block = pool_take(&pool, sizes[i]);
        assert_non_null(block);
        memset(block, 0xa5, sizes[i]);
        pool_return(&pool, block, sizes[i]);
    }
    pool_fini(&pool);
}

static void what_is_kept_is_bounded(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, 1024);
    void *blocks[16];
    for (size_t i = 0; i < ARRAY_LENGTH(blocks); i++) {
        blocks[i] = pool_take(&pool, 128);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(blocks); i++) {
        pool_return(&pool, blocks[i], 128);
        assert_true(pool.kept_bytes <= 1024);
    }
    assert_int_equal(pool.kept_bytes, 1024);
    pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_returned_block_is_taken_again),
        cmocka_unit_test(every_size_can_be_written_in_full),
        cmocka_unit_test(what_is_kept_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
