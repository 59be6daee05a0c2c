#include "broker/leg_state.h"

#include "common/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct leg_state sample = {
    .is_callers = true,
    .is_answered = true,
    .start_ms = 1,
    .ring_ends_ms = UINT64_MAX,
    .answered_ms = UINT64_C(0x0102030405060708),
    .last_move = 4,
    .caller = {(const uint8_t *)"alice", 5},
    .caller_device = {(const uint8_t *)"phone", 5},
    .callee = {(const uint8_t *)"bob", 3},
    .answered_device = {NULL, 0},
};

static void put(struct buffer *out, const struct leg_state *state)
{
    buffer_init(out, LINK_LEG_STATE_MAX_BYTES);
    leg_state_put(out, state);
    assert_false(out->failed);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct buffer out;
    struct leg_state read;
    put(&out, &sample);
    assert_int_equal(leg_state_parse(buffer_slice(&out), &read), PARSE_DONE);
    assert_true(read.is_callers && read.is_answered);
    assert_int_equal(read.start_ms, sample.start_ms);
    assert_int_equal(read.ring_ends_ms, sample.ring_ends_ms);
    assert_int_equal(read.answered_ms, sample.answered_ms);
    assert_int_equal(read.last_move, sample.last_move);
    assert_true(slice_equal(read.caller, sample.caller));
    assert_true(slice_equal(read.caller_device, sample.caller_device));
    assert_true(slice_equal(read.callee, sample.callee));
    assert_int_equal(read.answered_device.len, 0);
    buffer_fini(&out);
}

static void test_the_largest_fits_its_record(void **state)
{
    (void)state;
    static const uint8_t name[USER_ID_MAX_BYTES] = {'x'};
    struct leg_state largest = sample;
    largest.caller = slice_of(name, USER_ID_MAX_BYTES);
    largest.callee = slice_of(name, USER_ID_MAX_BYTES);
    largest.caller_device = slice_of(name, DEVICE_ID_MAX_BYTES);
    largest.answered_device = slice_of(name, DEVICE_ID_MAX_BYTES);
    struct buffer out;
    struct leg_state read;
    put(&out, &largest);
    assert_int_equal(leg_state_parse(buffer_slice(&out), &read), PARSE_DONE);
    assert_int_equal(read.answered_device.len, DEVICE_ID_MAX_BYTES);
    buffer_fini(&out);
}

static void test_every_cut_is_bad(void **state)
{
    (void)state;
    struct buffer out;
    struct leg_state read;
    put(&out, &sample);
    struct slice whole = buffer_slice(&out);
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(leg_state_parse(slice_of(whole.data, len), &read), PARSE_BAD);
    }
    buffer_fini(&out);
}

static void test_what_is_not_a_leg_is_bad(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } changes[] = {
        {0, 2},                                   /* version */
        {1, 4},                                   /* flags */
        {2 + 4 * 8, 0},                           /* no caller */
        {2 + 4 * 8, USER_ID_MAX_BYTES + 1},       /* too long a caller */
        {2 + 4 * 8 + 6, DEVICE_ID_MAX_BYTES + 1}, /* too long a device */
    };
    struct leg_state read;
    for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
        struct buffer out;
        put(&out, &sample);
        out.data[out.begin + changes[i].at] = changes[i].byte;
        assert_int_equal(leg_state_parse(buffer_slice(&out), &read), PARSE_BAD);
        buffer_fini(&out);
    }
    struct buffer out;
    put(&out, &sample);
    buffer_put_u8(&out, 0);
    assert_int_equal(leg_state_parse(buffer_slice(&out), &read), PARSE_BAD);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_the_largest_fits_its_record),
        cmocka_unit_test(test_every_cut_is_bad),
        cmocka_unit_test(test_what_is_not_a_leg_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
