#include "common/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static void assert_holds(const struct buffer *buf, const char *expected)
{
    assert_int_equal(buffer_len(buf), strlen(expected));
    assert_true(slice_equal_string(buffer_slice(buf), expected));
}

static void test_new_buffer_owns_nothing(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 100);
    assert_null(buf.data);
    assert_int_equal(buffer_len(&buf), 0);
    assert_int_equal(buffer_room(&buf), 100);
    assert_int_equal(buffer_slice(&buf).len, 0);
    buffer_put(&buf, slice_of(NULL, 0));
    assert_false(buf.failed);
    assert_null(buf.data);
    buffer_fini(&buf);
}

static void test_the_maximum_is_exact(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 6);
    buffer_put_string(&buf, "abcdef");
    assert_false(buf.failed);
    assert_holds(&buf, "abcdef");
    assert_int_equal(buffer_room(&buf), 0);
    buffer_put_u8(&buf, 'g');
    assert_true(buf.failed);
    assert_holds(&buf, "abcdef");
    buffer_fini(&buf);
}

static void test_failure_sticks_until_cleared(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 4);
    buffer_put_string(&buf, "ab");
    buffer_put_string(&buf, "cde"); /* does not fit: no part of it */
    assert_true(buf.failed);
    buffer_put_u8(&buf, 'x'); /* would fit */
    assert_null(buffer_reserve(&buf, 1));
    assert_holds(&buf, "ab");
    buffer_consume(&buf, 1);
    assert_true(buf.failed);
    assert_holds(&buf, "b");
    buffer_truncate(&buf, 0);
    assert_false(buf.failed);
    buffer_put_string(&buf, "wxyz");
    assert_holds(&buf, "wxyz");
    buffer_put_u8(&buf, '!');
    buffer_clear(&buf);
    assert_false(buf.failed);
    assert_int_equal(buffer_len(&buf), 0);
    assert_non_null(buf.data);
    buffer_put_u8(&buf, '!');
    buffer_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buffer_room(&buf), 4);
    buffer_fini(&buf);
}

static void test_truncate_takes_back_the_tail(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 100);
    buffer_put_string(&buf, "skip keep drop");
    buffer_consume(&buf, 5);
    buffer_truncate(&buf, 4);
    assert_holds(&buf, "keep");
    buffer_put_string(&buf, "er");
    assert_holds(&buf, "keeper");
    buffer_fini(&buf);
}

static void test_integers_are_little_endian(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
                                       0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
    struct buffer buf;
    buffer_init(&buf, sizeof expected);
    buffer_put_u8(&buf, 0x01);
    buffer_put_u16(&buf, 0x0203);
    buffer_put_u32(&buf, 0x04050607);
    buffer_put_u64(&buf, UINT64_C(0x08090a0b0c0d0e0f));
    assert_false(buf.failed);
    assert_int_equal(buffer_len(&buf), sizeof expected);
    assert_memory_equal(buffer_slice(&buf).data, expected, sizeof expected);
    buffer_fini(&buf);
}

static void test_format_has_its_own_bound(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 10000);
    buffer_put_format(&buf, "%s=%d", "answer", 42);
    assert_holds(&buf, "answer=42");
    buffer_put_format(&buf, "%4096d", 1);
    assert_true(buf.failed);
    assert_holds(&buf, "answer=42");
    buffer_fini(&buf);
}

static void test_reserve_then_commit_less(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 1000);
    uint8_t *room = buffer_reserve(&buf, 500);
    assert_non_null(room);
    memcpy(room, "abc", 3);
    buffer_commit(&buf, 3);
    assert_holds(&buf, "abc");
    assert_null(buffer_reserve(&buf, 998));
    assert_true(buf.failed);
    buffer_fini(&buf);
}

/* A queue that is always partly full stays in the memory that its content needs. */
static void test_consumed_bytes_are_reused(void **state)
{
    (void)state;
    struct buffer buf;
    buffer_init(&buf, 1024);
    for (int i = 0; i < 100000; i++) {
        buffer_put_string(&buf, "0123456789");
        if (i >= 20) {
            assert_memory_equal(buffer_slice(&buf).data, "0123456789", 10);
            buffer_consume(&buf, 10);
        }
    }
    assert_false(buf.failed);
    assert_int_equal(buffer_len(&buf), 200);
    assert_true(buf.cap <= 2048);
    buffer_fini(&buf);
}

enum { MODEL_MAX_BYTES = 700 };

struct model {
    uint8_t bytes[MODEL_MAX_BYTES];
    size_t len;
    bool failed;
};

static void put_both(struct buffer *buf, struct model *model, size_t count, uint8_t first)
{
    uint8_t bytes[MODEL_MAX_BYTES];
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
    buffer_put(buf, slice_of(bytes, count));
    if (count == 0) {
        return;
    }
    if (model->failed || count > MODEL_MAX_BYTES - model->len) {
        model->failed = true;
        return;
    }
    memcpy(model->bytes + model->len, bytes, count);
    model->len += count;
}

static void consume_both(struct buffer *buf, struct model *model, size_t count)
{
    buffer_consume(buf, count);
    memmove(model->bytes, model->bytes + count, model->len - count);
    model->len -= count;
}

static void step_both(struct buffer *buf, struct model *model)
{
    size_t amount = (size_t)random();
    switch (random() % 8) {
    case 0:
        buffer_truncate(buf, model->len - amount % (model->len + 1));
        model->len -= amount % (model->len + 1);
        model->failed = false;
        break;
    case 1:
    case 2:
    case 3:
        consume_both(buf, model, amount % (model->len + 1));
        break;
    default:
        put_both(buf, model, amount % (MODEL_MAX_BYTES / 4), (uint8_t)random());
        break;
    }
}

static void test_random_against_a_model(void **state)
{
    (void)state;
    for (unsigned int seed = 1; seed <= 20; seed++) {
        srandom(seed);
        struct buffer buf;
        struct model model = {0};
        buffer_init(&buf, MODEL_MAX_BYTES);
        for (int i = 0; i < 2000; i++) {
            step_both(&buf, &model);
            assert_int_equal(buf.failed, model.failed);
            assert_int_equal(buffer_len(&buf), model.len);
            assert_int_equal(buffer_room(&buf), MODEL_MAX_BYTES - model.len);
            assert_true(slice_equal(buffer_slice(&buf), slice_of(model.bytes, model.len)));
        }
        buffer_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_buffer_owns_nothing),
        cmocka_unit_test(test_the_maximum_is_exact),
        cmocka_unit_test(test_failure_sticks_until_cleared),
        cmocka_unit_test(test_truncate_takes_back_the_tail),
        cmocka_unit_test(test_integers_are_little_endian),
        cmocka_unit_test(test_format_has_its_own_bound),
        cmocka_unit_test(test_reserve_then_commit_less),
        cmocka_unit_test(test_consumed_bytes_are_reused),
        cmocka_unit_test(test_random_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
