/* nng's framing, byte by byte: what it must be, each prefix of it, and each way to spoil it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/sp_frame.h"

enum { MAX_BYTES = 0x123456 };

static void the_opening_is_that_of_pair0(void **state)
{
    (void)state;
    const uint8_t expected[] = {0x00, 0x53, 0x50, 0x00, 0x00, 0x10, 0x00, 0x00};
    assert_int_equal(sizeof sp_opening, sizeof expected);
    assert_memory_equal(sp_opening, expected, sizeof expected);
    for (size_t len = 0; len < sizeof expected; len++) {
        assert_int_equal(sp_opening_check(slice_of(expected, len)), PARSE_NEED_MORE);
    }
    assert_int_equal(sp_opening_check(slice_of(expected, sizeof expected)), PARSE_DONE);
}

static void what_comes_behind_the_opening_does_not_matter(void **state)
{
    (void)state;
    uint8_t bytes[SP_OPENING_BYTES + 1];
    memcpy(bytes, sp_opening, SP_OPENING_BYTES);
    bytes[SP_OPENING_BYTES] = 0xff;
    assert_int_equal(sp_opening_check(slice_of(bytes, sizeof bytes)), PARSE_DONE);
}

/* PAIR1, for one, differs in the sixth byte only. */
static void each_wrong_byte_of_an_opening_is_bad_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_OPENING_BYTES; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t bytes[SP_OPENING_BYTES];
            memcpy(bytes, sp_opening, sizeof bytes);
            bytes[i] = (uint8_t)(bytes[i] ^ (1U << bit));
            assert_int_equal(sp_opening_check(slice_of(bytes, i)), PARSE_NEED_MORE);
            assert_int_equal(sp_opening_check(slice_of(bytes, i + 1)), PARSE_BAD);
            assert_int_equal(sp_opening_check(slice_of(bytes, sizeof bytes)), PARSE_BAD);
        }
    }
}

static void a_head_is_one_and_the_length_in_network_order(void **state)
{
    (void)state;
    uint8_t head[SP_HEAD_BYTES];
    sp_head_put(head, UINT64_C(0x0102030405060708));
    const uint8_t expected[] = {1, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_memory_equal(head, expected, sizeof expected);
    sp_head_put(head, 150);
    const uint8_t lone[] = {1, 0, 0, 0, 0, 0, 0, 0, 150};
    assert_memory_equal(head, lone, sizeof lone);
}

static void heads_come_back_as_they_were_put_and_need_every_byte(void **state)
{
    (void)state;
    const size_t lengths[] = {0, 1, 150, 255, 256, 65535, 65536, MAX_BYTES - 1, MAX_BYTES};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t head[SP_HEAD_BYTES + 1] = {0};
        sp_head_put(head, lengths[i]);
        size_t length = SIZE_MAX;
        for (size_t len = 0; len < SP_HEAD_BYTES; len++) {
            assert_int_equal(sp_head_decode(slice_of(head, len), MAX_BYTES, &length),
                             PARSE_NEED_MORE);
        }
        assert_int_equal(length, SIZE_MAX);
        for (size_t len = SP_HEAD_BYTES; len <= sizeof head; len++) {
            assert_int_equal(sp_head_decode(slice_of(head, len), MAX_BYTES, &length), PARSE_DONE);
            assert_int_equal(length, lengths[i]);
        }
    }
}

static void a_first_byte_other_than_one_is_bad(void **state)
{
    (void)state;
    uint8_t head[SP_HEAD_BYTES] = {0};
    for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
        head[0] = (uint8_t)kind;
        size_t length = 0;
        enum parse_result first = sp_head_decode(slice_of(head, 1), MAX_BYTES, &length);
        assert_int_equal(first, kind == 1 ? PARSE_NEED_MORE : PARSE_BAD);
        enum parse_result whole = sp_head_decode(slice_of(head, sizeof head), MAX_BYTES, &length);
        assert_int_equal(whole, kind == 1 ? PARSE_DONE : PARSE_BAD);
    }
}

static void a_length_beyond_the_maximum_is_bad_at_once(void **state)
{
    (void)state;
    /* The length, and with how many bytes of the head it is known to be too great. */
    const struct {
        uint64_t length;
        size_t known_at;
    } rows[] = {
        {UINT64_MAX, 2}, {UINT64_C(1) << 63, 2}, {0x7fffffffffff, 4},  {UINT64_C(1) << 32, 5},
        {0x80000000, 6}, {MAX_BYTES + 1, 9},     {MAX_BYTES + 256, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t head[SP_HEAD_BYTES];
        sp_head_put(head, rows[i].length);
        for (size_t len = 0; len <= SP_HEAD_BYTES; len++) {
            size_t length = SIZE_MAX;
            assert_int_equal(sp_head_decode(slice_of(head, len), MAX_BYTES, &length),
                             len < rows[i].known_at ? PARSE_NEED_MORE : PARSE_BAD);
            assert_int_equal(length, SIZE_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_opening_is_that_of_pair0),
        cmocka_unit_test(what_comes_behind_the_opening_does_not_matter),
        cmocka_unit_test(each_wrong_byte_of_an_opening_is_bad_at_once),
        cmocka_unit_test(a_head_is_one_and_the_length_in_network_order),
        cmocka_unit_test(heads_come_back_as_they_were_put_and_need_every_byte),
        cmocka_unit_test(a_first_byte_other_than_one_is_bad),
        cmocka_unit_test(a_length_beyond_the_maximum_is_bad_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
