/* The records' parts that concern calls, where the samples do not have them: left out, at their
 * bounds, beyond. */
#include "common/link_codec.h"

#include "common/compiler.h"
#include "common/identity.h"
#include "tests/unit/common/link_codec_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum {
    OUT_MAX_BYTES = 4096,
    /* Where the party of the sample stands. */
    PARTY_OFFSET = SUBMIT_TYPE_OFFSET + 1 + 4 + 3,
    EXPIRES_OFFSET = DELIVER_FLAGS_OFFSET + 1,
    DETAIL_OFFSET = SUBMIT_OUTCOME_OFFSET + 1,
    LEG_CALL_ID_OFFSET = LINK_RECORD_HEADER_BYTES + 8,
};

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

/* Decodes a copy of exactly that size; the record's slices are gone with it. */
static enum parse_result decode_copy(const uint8_t *bytes, size_t len, struct link_record *record)
{
    uint8_t *exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    struct slice batch = slice_of(exact, len);
    enum parse_result result = link_record_decode(&batch, record);
    assert_true(result != PARSE_DONE || batch.len == 0);
    free(exact);
    return result;
}

static void assert_bad(const uint8_t *bytes, size_t len)
{
    struct link_record record;
    assert_int_equal(decode_copy(bytes, len, &record), PARSE_BAD);
}

/* Each way in which a part may be missing. */
static const struct variant {
    struct link_record record;
    struct slice bytes;
} variants[] = {
    /* A message that belongs to no call: as short as ever. */
    {{.kind = LINK_SUBMIT,
      .submit = {.seq = 1,
                 .session_id = BIG,
                 .deadline_ms = 9,
                 .is_awaited = true,
                 .type = CALL_TYPE_CANDIDATE,
                 .to = TEXT("bob"),
                 .payload = TEXT("{}")}},
     TEXT(HEADER("\x21", "\x06") U64_BYTES("\x01") BIG_BYTES U64_BYTES("\x09") "\x02\x08\x03"
                                                                               "bob\0{}")},
    /* The device without a name, no reason, no id. */
    {{.kind = LINK_SUBMIT,
      .submit = {.seq = 1,
                 .session_id = BIG,
                 .deadline_ms = 9,
                 .type = CALL_TYPE_START,
                 .to = TEXT("b"),
                 .call_id = TEXT("c"),
                 .party = {.user_id = TEXT("a")}}},
     TEXT(HEADER("\x2a", "\x06") U64_BYTES("\x01")
              BIG_BYTES U64_BYTES("\x09") "\0\0\x01"
                                          "b\x01"
                                          "c\x01"
                                          "a\0\0" U64_BYTES("\0"))},
    {{.kind = LINK_DELIVER,
      .deliver = {.source_instance_id = BIG,
                  .seq = 2,
                  .session_id = 3,
                  .deadline_ms = 9,
                  .is_repeat = true,
                  .payload = TEXT("{}")}},
     TEXT(HEADER("\x23", "\x0c") BIG_BYTES U64_BYTES("\x02") U64_BYTES("\x03")
              U64_BYTES("\x09") "\x01{}")},
    {{.kind = LINK_SUBMIT_OUTCOME,
      .submit_outcome = {.seq = BIG, .outcome = OUTCOME_TOO_MANY_CALLS}},
     TEXT(HEADER("\x0a", "\x0d") BIG_BYTES "\x0f\0")},
    {{.kind = LINK_LEG, .leg = {.session_id = BIG, .call_id = TEXT("c")}},
     TEXT(HEADER("\x0a", "\x0f") BIG_BYTES "\x01"
                                           "c")},
};

static void test_layout_without_the_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(variants); i++) {
        size_t len = 0;
        uint8_t *bytes = encode_exact(&variants[i].record, &len);
        assert_true(slice_equal(slice_of(bytes, len), variants[i].bytes));
        struct link_record decoded;
        struct slice batch = slice_of(bytes, len);
        assert_int_equal(link_record_decode(&batch, &decoded), PARSE_DONE);
        size_t again_len = 0;
        uint8_t *again = encode_exact(&decoded, &again_len);
        assert_true(slice_equal(slice_of(again, again_len), variants[i].bytes));
        free(again);
        free(bytes);
    }
}

static size_t payload_bytes(const struct link_record *record)
{
    switch (record->kind) {
    case LINK_SUBMIT:
        return record->submit.payload.len;
    case LINK_DELIVER:
        return record->deliver.payload.len;
    default:
        return 0;
    }
}

/* Cut anywhere, with the length that was announced, and with the one that is left. */
static void test_cut_short_without_the_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(variants); i++) {
        struct slice whole = variants[i].bytes;
        for (size_t cut = 1; cut < whole.len; cut++) {
            assert_bad(whole.data, cut);
        }
        size_t fixed_bytes = whole.len - payload_bytes(&variants[i].record);
        for (size_t len = LINK_RECORD_HEADER_BYTES; len < fixed_bytes; len++) {
            uint8_t bytes[64];
            assert_true(whole.len <= sizeof bytes);
            memcpy(bytes, whole.data, len);
            bytes[0] = (uint8_t)(len - LINK_RECORD_HEADER_BYTES);
            assert_bad(bytes, len);
        }
    }
}

/* Puts a string of another length into a record; `at` is where its length stands. */
static uint8_t *with_string(const struct link_record *record, size_t at, size_t string_len,
                            size_t *len)
{
    uint8_t *bytes = encode_exact(record, len);
    size_t behind = at + 1 + bytes[at];
    size_t rest = *len - behind;
    uint8_t *changed = malloc(at + 1 + string_len + rest);
    assert_non_null(changed);
    memcpy(changed, bytes, at);
    changed[at] = (uint8_t)string_len;
    memset(changed + at + 1, 'x', string_len);
    memcpy(changed + at + 1 + string_len, bytes + behind, rest);
    *len = at + 1 + string_len + rest;
    changed[0] = (uint8_t)(*len - LINK_RECORD_HEADER_BYTES);
    changed[1] = (uint8_t)((*len - LINK_RECORD_HEADER_BYTES) >> 8);
    free(bytes);
    return changed;
}

static void assert_string_bound(enum link_record_kind kind, size_t at, size_t min_bytes,
                                size_t max_bytes)
{
    for (size_t string_len = 0; string_len <= UINT8_MAX; string_len++) {
        size_t len = 0;
        uint8_t *bytes = with_string(&samples[kind], at, string_len, &len);
        struct link_record record;
        bool is_good = string_len >= min_bytes && string_len <= max_bytes;
        assert_int_equal(decode_copy(bytes, len, &record), is_good ? PARSE_DONE : PARSE_BAD);
        free(bytes);
    }
}

static void test_string_bounds(void **state)
{
    (void)state;
    assert_string_bound(LINK_SUBMIT, PARTY_OFFSET, 1, USER_ID_MAX_BYTES);
    assert_string_bound(LINK_SUBMIT, PARTY_OFFSET + 6, 0, DEVICE_ID_MAX_BYTES);
    assert_string_bound(LINK_SUBMIT, PARTY_OFFSET + 12, 0, CALL_REASON_MAX_BYTES);
    assert_string_bound(LINK_SUBMIT_OUTCOME, DETAIL_OFFSET, 0, CALL_ID_MAX_BYTES);
    assert_string_bound(LINK_LEG, LEG_CALL_ID_OFFSET, 1, CALL_ID_MAX_BYTES);
}

static void test_a_state_has_a_bound(void **state)
{
    (void)state;
    static const uint8_t leg_state[LINK_LEG_STATE_MAX_BYTES];
    struct link_record record = {.kind = LINK_LEG, .leg = {.call_id = TEXT("c")}};
    record.leg.state = slice_of(leg_state, sizeof leg_state);
    size_t len = 0;
    uint8_t *bytes = encode_exact(&record, &len);
    struct link_record decoded;
    assert_int_equal(decode_copy(bytes, len, &decoded), PARSE_DONE);
    uint8_t *longer = calloc(1, len + 1);
    assert_non_null(longer);
    memcpy(longer, bytes, len);
    longer[0]++; /* no carry: a body of 434 bytes ends in 0xb2 */
    assert_bad(longer, len + 1);
    free(longer);
    free(bytes);
}

static void test_only_a_call_s_message_has_a_scope(void **state)
{
    (void)state;
    for (unsigned int flags = 0; flags <= UINT8_MAX; flags++) {
        uint8_t bytes[64];
        memcpy(bytes, variants[0].bytes.data, variants[0].bytes.len);
        bytes[SUBMIT_FLAGS_OFFSET] = (uint8_t)flags;
        struct link_record record;
        assert_int_equal(decode_copy(bytes, variants[0].bytes.len, &record),
                         flags < 4 ? PARSE_DONE : PARSE_BAD);
    }
    /* A party is not looked at where there is no call. */
    struct link_record record = variants[0].record;
    record.submit.party = samples[LINK_SUBMIT].submit.party;
    size_t len = 0;
    uint8_t *bytes = encode_exact(&record, &len);
    assert_true(slice_equal(slice_of(bytes, len), variants[0].bytes));
    free(bytes);
}

/* That is said by the flag, and in no other way. */
static void test_an_expiry_of_zero_is_bad(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *bytes = encode_exact(&samples[LINK_DELIVER], &len);
    bytes[EXPIRES_OFFSET] = 0;
    assert_bad(bytes, len);
    bytes[EXPIRES_OFFSET + 7] = 1;
    struct link_record record;
    assert_int_equal(decode_copy(bytes, len, &record), PARSE_DONE);
    assert_int_equal(record.deliver.expires_ms, UINT64_C(1) << 56);
    free(bytes);
}

static void test_the_overhead_covers_the_longest(void **state)
{
    (void)state;
    static const uint8_t text[LINK_LEG_STATE_MAX_BYTES];
    struct link_record submit = {.kind = LINK_SUBMIT};
    submit.submit.to = slice_of(text, USER_ID_MAX_BYTES);
    submit.submit.call_id = slice_of(text, CALL_ID_MAX_BYTES);
    submit.submit.party.user_id = slice_of(text, USER_ID_MAX_BYTES);
    submit.submit.party.device_id = slice_of(text, DEVICE_ID_MAX_BYTES);
    submit.submit.party.reason = slice_of(text, CALL_REASON_MAX_BYTES);
    struct link_record leg = {.kind = LINK_LEG};
    leg.leg.call_id = slice_of(text, CALL_ID_MAX_BYTES);
    leg.leg.state = slice_of(text, LINK_LEG_STATE_MAX_BYTES);
    struct link_record outcome = {.kind = LINK_SUBMIT_OUTCOME};
    outcome.submit_outcome.detail = slice_of(text, CALL_ID_MAX_BYTES);
    const struct link_record *const records[] = {&submit, &leg, &outcome};
    for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
        size_t len = 0;
        uint8_t *bytes = encode_exact(records[i], &len);
        assert_true(len <= LINK_RECORD_OVERHEAD_BYTES);
        struct link_record decoded;
        assert_int_equal(decode_copy(bytes, len, &decoded), PARSE_DONE);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_without_the_parts),
        cmocka_unit_test(test_cut_short_without_the_parts),
        cmocka_unit_test(test_string_bounds),
        cmocka_unit_test(test_a_state_has_a_bound),
        cmocka_unit_test(test_only_a_call_s_message_has_a_scope),
        cmocka_unit_test(test_an_expiry_of_zero_is_bad),
        cmocka_unit_test(test_the_overhead_covers_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
