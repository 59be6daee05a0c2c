#include "common/link_codec.h"

#include "common/identity.h"
#include "tests/unit/common/link_codec_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum { OUT_MAX_BYTES = 32 * 1024 * 1024 };

/* That `record` is the sample of its kind: by its bytes, since these hold every field. */
static void assert_is_sample(const struct link_record *record)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX_BYTES);
    link_record_put(&out, record);
    assert_true(slice_equal(buffer_slice(&out), sample_bytes[record->kind]));
    buffer_fini(&out);
}

/* The bytes of one record in memory of exactly their size, so that ASan sees a read behind them. */
static uint8_t *encode_exact(const struct link_record *record, size_t *len)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX_BYTES);
    link_record_put(&out, record);
    assert_false(out.failed);
    *len = buffer_len(&out);
    uint8_t *bytes = malloc(*len);
    assert_non_null(bytes);
    memcpy(bytes, buffer_slice(&out).data, *len);
    buffer_fini(&out);
    return bytes;
}

static enum parse_result decode_one(const uint8_t *bytes, size_t len)
{
    struct slice batch = slice_of(bytes, len);
    struct link_record record;
    return link_record_decode(&batch, &record);
}

/* Bytes that must decode to nothing, from memory of exactly their size. */
static void assert_bad(const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    assert_int_equal(decode_one(exact, len), PARSE_BAD);
    free(exact);
}

static void test_layout_is_as_written_down(void **state)
{
    (void)state;
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        assert_is_sample(&samples[kind]);
    }
}

static void test_each_kind_comes_back(void **state)
{
    (void)state;
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        struct link_record decoded;
        size_t len = 0;
        uint8_t *bytes = encode_exact(&samples[kind], &len);
        struct slice batch = slice_of(bytes, len);
        assert_int_equal(link_record_decode(&batch, &decoded), PARSE_DONE);
        assert_int_equal(decoded.kind, kind);
        assert_is_sample(&decoded);
        assert_int_equal(batch.len, 0);
        assert_int_equal(link_record_decode(&batch, &decoded), PARSE_NEED_MORE);
        free(bytes);
    }
}

static void test_a_batch_of_all_kinds(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, OUT_MAX_BYTES);
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        link_record_put(&out, &samples[kind]);
    }
    assert_false(out.failed);
    struct slice batch = buffer_slice(&out);
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        struct link_record decoded;
        assert_int_equal(link_record_decode(&batch, &decoded), PARSE_DONE);
        assert_int_equal(decoded.kind, kind);
        assert_is_sample(&decoded);
    }
    assert_int_equal(batch.len, 0);
    buffer_fini(&out);
}

static void test_cut_short_anywhere_is_bad(void **state)
{
    (void)state;
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        for (size_t cut = 1; cut < sample_bytes[kind].len; cut++) {
            assert_bad(sample_bytes[kind].data, cut);
        }
    }
}

/* The body's length says more or less than the kind allows; payloads and states end with the body,
 * so there only what stands before them counts. */
static void test_body_of_another_length_is_bad(void **state)
{
    (void)state;
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        struct link_record record = samples[kind];
        record.submit.payload = kind == LINK_SUBMIT ? slice_of(NULL, 0) : record.submit.payload;
        record.deliver.payload = kind == LINK_DELIVER ? slice_of(NULL, 0) : record.deliver.payload;
        record.leg.state = kind == LINK_LEG ? slice_of(NULL, 0) : record.leg.state;
        size_t len = 0;
        uint8_t *bytes = encode_exact(&record, &len);
        assert_int_equal(decode_one(bytes, len), PARSE_DONE);
        for (size_t body_len = 0; body_len < len - LINK_RECORD_HEADER_BYTES; body_len++) {
            bytes[0] = (uint8_t)body_len;
            assert_bad(bytes, LINK_RECORD_HEADER_BYTES + body_len);
        }
        bytes = realloc(bytes, len + 1);
        assert_non_null(bytes);
        bytes[len] = 0;
        bytes[0] = (uint8_t)(len + 1 - LINK_RECORD_HEADER_BYTES);
        bool has_rest = kind == LINK_SUBMIT || kind == LINK_DELIVER || kind == LINK_LEG;
        assert_int_equal(decode_one(bytes, len + 1), has_rest ? PARSE_DONE : PARSE_BAD);
        free(bytes);
    }
}

static void test_unknown_kinds_are_bad(void **state)
{
    (void)state;
    for (unsigned int kind = 0; kind <= UINT8_MAX; kind++) {
        if (kind >= LINK_HELLO && kind < LINK_RECORD_KIND_COUNT) {
            continue;
        }
        for (uint8_t body_len = 0; body_len < 40; body_len++) {
            uint8_t bytes[64] = {body_len, 0, 0, 0, (uint8_t)kind};
            assert_bad(bytes, (size_t)LINK_RECORD_HEADER_BYTES + body_len);
        }
    }
}

static void test_lengths_beyond_the_batch_are_bad(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, LINK_DETACH, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_bad(huge, sizeof huge);
}

/* All 256 values of one byte of a kind's sample: those below `bound` decode, and no other. */
static void assert_bound(enum link_record_kind kind, size_t at, unsigned int bound)
{
    size_t len = 0;
    uint8_t *bytes = encode_exact(&samples[kind], &len);
    for (unsigned int value = 0; value <= UINT8_MAX; value++) {
        bytes[at] = (uint8_t)value;
        assert_int_equal(decode_one(bytes, len), value < bound ? PARSE_DONE : PARSE_BAD);
    }
    free(bytes);
}

static void test_enums_are_checked(void **state)
{
    (void)state;
    assert_bound(LINK_SUBMIT_OUTCOME, SUBMIT_OUTCOME_OFFSET, OUTCOME_COUNT);
    assert_bound(LINK_DELIVERY_OUTCOME, sample_bytes[LINK_DELIVERY_OUTCOME].len - 1, OUTCOME_COUNT);
    assert_bound(LINK_SUBMIT, SUBMIT_TYPE_OFFSET, CALL_TYPE_COUNT);
}

static void test_flags_are_checked(void **state)
{
    (void)state;
    assert_bound(LINK_ATTACH, ATTACH_FLAG_OFFSET, 2);
    assert_bound(LINK_SUBMIT, SUBMIT_FLAGS_OFFSET, 8); /* three, a bit each */
    assert_bound(LINK_DELIVER, DELIVER_FLAGS_OFFSET, 8);
}

static void test_an_attach_s_flag_comes_back(void **state)
{
    (void)state;
    for (int flag = 0; flag < 2; flag++) {
        struct link_record record = samples[LINK_ATTACH];
        record.attach.was_attached = flag != 0;
        size_t len = 0;
        uint8_t *bytes = encode_exact(&record, &len);
        assert_int_equal(bytes[ATTACH_FLAG_OFFSET], flag);
        struct slice batch = slice_of(bytes, len);
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.attach.was_attached, flag);
        free(bytes);
    }
}

static void test_a_submit_s_flags_come_back_each_in_its_bit(void **state)
{
    (void)state;
    for (int flags = 0; flags < 8; flags++) {
        struct link_record record = samples[LINK_SUBMIT];
        record.submit.is_repeat = (flags & 1) != 0;
        record.submit.is_awaited = (flags & 2) != 0;
        record.submit.party.is_device_scope = (flags & 4) != 0;
        size_t len = 0;
        uint8_t *bytes = encode_exact(&record, &len);
        assert_int_equal(bytes[SUBMIT_FLAGS_OFFSET], flags);
        struct slice batch = slice_of(bytes, len);
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.submit.is_repeat, (flags & 1) != 0);
        assert_int_equal(record.submit.is_awaited, (flags & 2) != 0);
        assert_int_equal(record.submit.party.is_device_scope, (flags & 4) != 0);
        assert_int_equal(record.submit.deadline_ms, 9);
        free(bytes);
    }
}

static void test_a_deliver_s_flags_come_back_each_in_its_bit(void **state)
{
    (void)state;
    for (int flags = 0; flags < 8; flags++) {
        struct link_record record = samples[LINK_DELIVER];
        record.deliver.is_repeat = (flags & 1) != 0;
        record.deliver.is_awaited = (flags & 2) != 0;
        record.deliver.expires_ms = (flags & 4) != 0 ? BIG : 0;
        size_t len = 0;
        uint8_t *bytes = encode_exact(&record, &len);
        assert_int_equal(bytes[DELIVER_FLAGS_OFFSET], flags);
        struct slice batch = slice_of(bytes, len);
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.deliver.is_repeat, (flags & 1) != 0);
        assert_int_equal(record.deliver.is_awaited, (flags & 2) != 0);
        assert_int_equal(record.deliver.expires_ms, (flags & 4) != 0 ? BIG : 0);
        assert_int_equal(record.deliver.deadline_ms, 9);
        assert_true(slice_equal_string(record.deliver.payload, "{}"));
        free(bytes);
    }
}

/* Of whatever content, and it may be one already: the flag is all that changes. */
static void test_a_submit_becomes_a_repeat(void **state)
{
    (void)state;
    for (int flags = 0; flags < 8; flags++) {
        struct link_record record = samples[LINK_SUBMIT];
        record.submit.is_repeat = (flags & 1) != 0;
        record.submit.is_awaited = (flags & 2) != 0;
        record.submit.party.is_device_scope = (flags & 4) != 0;
        size_t len = 0;
        uint8_t *bytes = encode_exact(&record, &len);
        link_submit_set_repeat(bytes, len);
        record.submit.is_repeat = true;
        size_t expected_len = 0;
        uint8_t *expected = encode_exact(&record, &expected_len);
        assert_true(slice_equal(slice_of(bytes, len), slice_of(expected, expected_len)));
        free(expected);
        free(bytes);
    }
    struct link_record shortest = {.kind = LINK_SUBMIT};
    shortest.submit.to = slice_from_string("b");
    size_t len = 0;
    uint8_t *bytes = encode_exact(&shortest, &len);
    link_submit_set_repeat(bytes, len);
    struct slice batch = slice_of(bytes, len);
    struct link_record decoded;
    assert_int_equal(link_record_decode(&batch, &decoded), PARSE_DONE);
    assert_true(decoded.submit.is_repeat);
    assert_false(decoded.submit.is_awaited);
    assert_true(slice_equal_string(decoded.submit.to, "b"));
    assert_int_equal(decoded.submit.deadline_ms, 0);
    free(bytes);
}

static size_t put_attach_bytes(uint8_t *bytes, size_t user_len, size_t device_len)
{
    size_t body_len = 16 + 1 + 1 + user_len + 1 + device_len;
    memset(bytes, 'x', LINK_RECORD_HEADER_BYTES + body_len);
    bytes[0] = (uint8_t)body_len;
    bytes[1] = (uint8_t)(body_len >> 8);
    bytes[2] = 0;
    bytes[3] = 0;
    bytes[4] = LINK_ATTACH;
    bytes[ATTACH_FLAG_OFFSET] = 0;
    bytes[ATTACH_FLAG_OFFSET + 1] = (uint8_t)user_len;
    bytes[ATTACH_FLAG_OFFSET + 1 + 1 + user_len] = (uint8_t)device_len;
    return LINK_RECORD_HEADER_BYTES + body_len;
}

static void test_string_bounds(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    for (size_t user_len = 0; user_len <= UINT8_MAX; user_len++) {
        size_t len = put_attach_bytes(bytes, user_len, 0);
        bool is_good = user_len >= 1 && user_len <= USER_ID_MAX_BYTES;
        assert_int_equal(decode_one(bytes, len), is_good ? PARSE_DONE : PARSE_BAD);
    }
    for (size_t device_len = 0; device_len <= UINT8_MAX; device_len++) {
        size_t len = put_attach_bytes(bytes, 3, device_len);
        bool is_good = device_len <= DEVICE_ID_MAX_BYTES;
        assert_int_equal(decode_one(bytes, len), is_good ? PARSE_DONE : PARSE_BAD);
    }
}

static void test_payload_bounds(void **state)
{
    (void)state;
    uint8_t *payload = calloc(1, LINK_PAYLOAD_MAX_BYTES);
    assert_non_null(payload);
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.payload = slice_of(payload, LINK_PAYLOAD_MAX_BYTES);
    size_t len = 0;
    uint8_t *bytes = encode_exact(&record, &len);
    assert_true(len <= LINK_PAYLOAD_MAX_BYTES + LINK_RECORD_OVERHEAD_BYTES);
    assert_int_equal(decode_one(bytes, len), PARSE_DONE);
    uint8_t *longer = calloc(1, len + 1);
    assert_non_null(longer);
    memcpy(longer, bytes, len);
    longer[0]++; /* the body's length: no carry, since 17 MiB end in zeros */
    assert_int_equal(decode_one(longer, len + 1), PARSE_BAD);
    free(longer);
    free(bytes);
    free(payload);
}

static void test_what_does_not_fit_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        size_t len = sample_bytes[kind].len;
        for (size_t room = 0; room <= len; room++) {
            struct buffer out;
            buffer_init(&out, 3 + room);
            buffer_put_string(&out, "abc");
            link_record_put(&out, &samples[kind]);
            assert_int_equal(out.failed, room < len);
            assert_int_equal(buffer_len(&out), room < len ? 3 : 3 + len);
            assert_memory_equal(buffer_slice(&out).data, "abc", 3);
            buffer_fini(&out);
        }
    }
}

/* The record's length is patched where the buffer's unread bytes are, not at its start. */
static void test_put_behind_consumed_bytes(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 10000);
    buffer_put_string(&out, "consumed");
    link_record_put(&out, &samples[LINK_SUBMIT]);
    buffer_consume(&out, strlen("consumed"));
    link_record_put(&out, &samples[LINK_SUBMIT]);
    struct slice batch = buffer_slice(&out);
    for (int i = 0; i < 2; i++) {
        struct link_record decoded;
        assert_int_equal(link_record_decode(&batch, &decoded), PARSE_DONE);
        assert_is_sample(&decoded);
    }
    assert_int_equal(batch.len, 0);
    buffer_fini(&out);
}

static void test_cut_takes_whole_records(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 10000);
    size_t ends[LINK_RECORD_KIND_COUNT] = {0};
    for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
        link_record_put(&out, &samples[kind]);
        ends[kind] = buffer_len(&out);
    }
    for (size_t max = 0; max <= buffer_len(&out) + 1; max++) {
        size_t expected = ends[LINK_HELLO];
        for (int kind = LINK_HELLO; kind < LINK_RECORD_KIND_COUNT; kind++) {
            expected = ends[kind] <= max ? ends[kind] : expected;
        }
        assert_int_equal(link_batch_cut(buffer_slice(&out), max), expected);
    }
    assert_int_equal(link_batch_cut(slice_of(NULL, 0), 100), 0);
    buffer_fini(&out);
}

static void test_random_bytes_never_read_beyond(void **state)
{
    (void)state;
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)random() % 80 + 1;
        uint8_t *bytes = malloc(len);
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)random();
        }
        if (len > LINK_RECORD_HEADER_BYTES) {
            memset(bytes, 0, 4);
            bytes[0] = (uint8_t)(len - LINK_RECORD_HEADER_BYTES);
            bytes[4] = (uint8_t)(random() % LINK_RECORD_KIND_COUNT);
        }
        struct slice batch = slice_of(bytes, len);
        struct link_record record;
        enum parse_result result = link_record_decode(&batch, &record);
        assert_true(result == PARSE_BAD || (result == PARSE_DONE && batch.len < len));
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_is_as_written_down),
        cmocka_unit_test(test_each_kind_comes_back),
        cmocka_unit_test(test_a_batch_of_all_kinds),
        cmocka_unit_test(test_cut_short_anywhere_is_bad),
        cmocka_unit_test(test_body_of_another_length_is_bad),
        cmocka_unit_test(test_unknown_kinds_are_bad),
        cmocka_unit_test(test_lengths_beyond_the_batch_are_bad),
        cmocka_unit_test(test_enums_are_checked),
        cmocka_unit_test(test_flags_are_checked),
        cmocka_unit_test(test_an_attach_s_flag_comes_back),
        cmocka_unit_test(test_a_submit_s_flags_come_back_each_in_its_bit),
        cmocka_unit_test(test_a_deliver_s_flags_come_back_each_in_its_bit),
        cmocka_unit_test(test_a_submit_becomes_a_repeat),
        cmocka_unit_test(test_string_bounds),
        cmocka_unit_test(test_payload_bounds),
        cmocka_unit_test(test_what_does_not_fit_leaves_nothing_behind),
        cmocka_unit_test(test_put_behind_consumed_bytes),
        cmocka_unit_test(test_cut_takes_whole_records),
        cmocka_unit_test(test_random_bytes_never_read_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
