/* What the target of a call message reads: the sender's bytes, with a `from` that is true, and in a
 * call a `fromDevice`. */
#include "gateway/call_message.h"

#include "common/compiler.h"
#include "gateway/json_arena.h"
#include "gateway/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define OK "\"type\":\"call-offer\",\"to\":\"bob\""
#define FROM "\"from\":\"alice\","
#define CALL ",\"callId\":\"c\""
#define CALL_FIRST "\"callId\":\"c\""
#define FROM_DEVICE FROM "\"fromDevice\":\"phone\","
#define X8(x) x x x x x x x x
#define X64(x) X8(X8(x))

static struct buffer out;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&out, 1 << 20);
    return json_arena_init() ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_arena_fini();
    buffer_fini(&out);
    return 0;
}

/* The payload of a message that is taken. */
static struct slice payload_of(struct slice text, const char *from, const char *from_device)
{
    struct call_message message;
    const char *complaint = NULL;
    enum outcome outcome = call_message_parse(text, &message, &complaint);
    assert_int_equal(outcome, OUTCOME_DELIVERED);
    buffer_clear(&out);
    call_message_put_payload(&out, &message, slice_from_string(from),
                             slice_from_string(from_device));
    assert_false(out.failed);
    assert_true(buffer_len(&out) <= call_message_payload_max_bytes(text.len));
    return buffer_slice(&out);
}

struct splice {
    const char *text;
    const char *payload;
};

static void assert_spliced(const struct splice *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice payload = payload_of(slice_from_string(rows[i].text), "alice", "phone");
        if (payload.data == NULL || !slice_equal_string(payload, rows[i].payload)) {
            fail_msg("%s became %.*s", rows[i].text, (int)payload.len, (const char *)payload.data);
        }
    }
}

static void bytes_stay_as_sent(void **state)
{
    (void)state;
    static const struct splice rows[] = {
        {"{" OK "}", "{" FROM OK "}"},
        {" \n{\t" OK " } \r\n", " \n{" FROM "\t" OK " } \r\n"},
        {"{ \"to\" : \"b\" , \"type\" : \"call-end\" }",
         "{" FROM " \"to\" : \"b\" , \"type\" : \"call-end\" }"},
        {"{\"z\":1," OK ",\"a\":2,\"a\":3}", "{" FROM "\"z\":1," OK ",\"a\":2,\"a\":3}"},
        {"{" OK ",\"n\":1e999,\"m\":12345678901234567890.10,\"o\":-0,\"p\":1E+2}",
         "{" FROM OK ",\"n\":1e999,\"m\":12345678901234567890.10,\"o\":-0,\"p\":1E+2}"},
        {"{" OK ",\"n\":" X64("9") X64("8") "." X64("7") "}",
         "{" FROM OK ",\"n\":" X64("9") X64("8") "." X64("7") "}"},
        {"{" OK ",\"s\":\"\\u0041\\/\\u0000\xe2\x80\xa8\"}",
         "{" FROM OK ",\"s\":\"\\u0041\\/\\u0000\xe2\x80\xa8\"}"},
        {"{\"t\\u006f\":\"\\u0062\",\"\\u0074ype\":\"call-end\"}",
         "{" FROM "\"t\\u006f\":\"\\u0062\",\"\\u0074ype\":\"call-end\"}"},
        {"{" OK ",\"id\":1" CALL "}", "{" FROM_DEVICE OK ",\"id\":1" CALL "}"},
        {" { " CALL_FIRST " , " OK " } ", " {" FROM_DEVICE " " CALL_FIRST " , " OK " } "},
    };
    assert_spliced(rows, ARRAY_LENGTH(rows));
}

static void forged_from_is_taken_out(void **state)
{
    (void)state;
    static const struct splice rows[] = {
        {"{\"from\":\"eve\"," OK "}", "{" FROM OK "}"},
        {"{" OK ",\"from\":\"eve\"}", "{" FROM OK "}"},
        {"{\"to\":\"b\",\"from\":\"eve\",\"type\":\"call-end\"}",
         "{" FROM "\"to\":\"b\",\"type\":\"call-end\"}"},
        /* White space stays where it belongs to a neighbour. */
        {"{ \"from\" : \"eve\" , " OK " }", "{" FROM "  " OK " }"},
        {"{ " OK " , \"from\" : \"eve\" }", "{" FROM " " OK "  }"},
        {"{\n" OK "\n,\n\"from\"\n:\n1\n}", "{" FROM "\n" OK "\n\n}"},
        {"{" OK " ,\n\"from\":1\n,\n\"x\":2}", "{" FROM OK " ,\n\n\"x\":2}"},
        /* Of any type, in any spelling. */
        {"{\"from\":null," OK "}", "{" FROM OK "}"},
        {"{\"from\":-1.5e3," OK "}", "{" FROM OK "}"},
        {"{\"from\":[\"},\",{\"from\":1}]," OK "}", "{" FROM OK "}"},
        {"{" OK ",\"from\":{\"from\":\"a,b\",\"x\":[]}}", "{" FROM OK "}"},
        {"{\"fr\\u006fm\":\"eve\"," OK "}", "{" FROM OK "}"},
        {"{" OK ",\"\\u0066\\u0072\\u006F\\u006d\":\"\\u0000\"}", "{" FROM OK "}"},
        {"{\"from\":\"\"," OK "}", "{" FROM OK "}"},
        {"{\"from\":\"alice\"," OK "}", "{" FROM OK "}"},
    };
    assert_spliced(rows, ARRAY_LENGTH(rows));
}

/* A message without a `callId` is not looked at any further. */
static void plain_messages_keep_what_only_calls_have(void **state)
{
    (void)state;
    static const char *const members[] = {
        ",\"fromDevice\":\"x\",\"expiresInMs\":1,\"server\":true,\"scope\":7,\"reason\":[]",
        ",\"server\":1,\"server\":2,\"fromDevice\":3,\"fromDevice\":4",
        ",\"scope\":1,\"scope\":2,\"reason\":1,\"reason\":2,\"expiresInMs\":1,\"expiresInMs\":1",
        ",\"callid\":\"c\",\"server\":true",
        ",\"x\":{\"callId\":\"c\"},\"server\":true",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
        char text[256];
        char expected[256];
        (void)snprintf(text, sizeof text, "{" OK "%s}", members[i]);
        (void)snprintf(expected, sizeof expected, "{" FROM OK "%s}", members[i]);
        assert_spliced(&(struct splice){text, expected}, 1);
        (void)snprintf(text, sizeof text, "{\"from\":1," OK "%s}", members[i]);
        assert_spliced(&(struct splice){text, expected}, 1);
    }
}

static void in_a_call_all_the_server_s_words_are_taken_out(void **state)
{
    (void)state;
    static const struct splice rows[] = {
        {"{" OK CALL "}", "{" FROM_DEVICE OK CALL "}"},
        {"{\"fromDevice\":\"x\"," OK CALL "}", "{" FROM_DEVICE OK CALL "}"},
        {"{" OK CALL ",\"server\":true}", "{" FROM_DEVICE OK CALL "}"},
        {"{" OK ",\"expiresInMs\":1" CALL "}", "{" FROM_DEVICE OK CALL "}"},
        {"{\"server\":1,\"from\":2,\"expiresInMs\":3,\"fromDevice\":4," OK CALL "}",
         "{" FROM_DEVICE OK CALL "}"},
        {"{" OK CALL ",\"from\":{},\"expiresInMs\":[1,2],\"fromDevice\":null,\"server\":\"\"}",
         "{" FROM_DEVICE OK CALL "}"},
        {"{\"server\":1,\"from\":2," OK ",\"fromDevice\":4,\"expiresInMs\":3" CALL "}",
         "{" FROM_DEVICE OK CALL "}"},
        {"{\"from\":1," OK ",\"server\":2" CALL ",\"fromDevice\":3,\"x\":4,\"expiresInMs\":5}",
         "{" FROM_DEVICE OK CALL ",\"x\":4}"},
        {"{ \"from\" : 1 , \"server\" : 2 , " OK CALL
         " , \"fromDevice\" : 3\n,\n\"expiresInMs\" : 4 }",
         "{" FROM_DEVICE "  " OK CALL "  }"},
        {"{" OK CALL ",\"s\\u0065rver\":1,\"from\\u0044evice\":2,\"\\u0065xpiresInMs\":3}",
         "{" FROM_DEVICE OK CALL "}"},
        /* What a call has besides is carried. */
        {"{" OK CALL ",\"scope\":\"device\",\"reason\":\"busy\"}",
         "{" FROM_DEVICE OK CALL ",\"scope\":\"device\",\"reason\":\"busy\"}"},
        {"{" OK CALL ",\"Server\":1,\"server\\u0000\":2,\"x\":{\"server\":3}}",
         "{" FROM_DEVICE OK CALL ",\"Server\":1,\"server\\u0000\":2,\"x\":{\"server\":3}}"},
    };
    assert_spliced(rows, ARRAY_LENGTH(rows));
}

static void devices_need_escapes_as_users_do(void **state)
{
    (void)state;
    struct slice text = slice_from_string("{" OK CALL "}");
    struct slice payload = payload_of(text, "a\"b", "\\\x01\xc3\xbc");
    assert_true(slice_equal_string(payload, "{\"from\":\"a\\\"b\",\"fromDevice\":"
                                            "\"\\\\\\u0001\xc3\xbc\"," OK CALL "}"));
    payload = payload_of(text, "alice", "");
    assert_true(slice_equal_string(payload, "{" FROM "\"fromDevice\":\"\"," OK CALL "}"));
}

/* Other keys than `from` to every reader of JSON. */
static void lookalikes_stay(void **state)
{
    (void)state;
    static const struct splice rows[] = {
        {"{\"From\":\"eve\",\"FROM\":1," OK "}", "{" FROM "\"From\":\"eve\",\"FROM\":1," OK "}"},
        {"{\"from\\u0000\":\"eve\"," OK "}", "{" FROM "\"from\\u0000\":\"eve\"," OK "}"},
        {"{\"from\\u0000\":1,\"from\":2," OK "}", "{" FROM "\"from\\u0000\":1," OK "}"},
        {"{\"from \":\"eve\",\"\\\\u0066rom\":1," OK "}",
         "{" FROM "\"from \":\"eve\",\"\\\\u0066rom\":1," OK "}"},
        {"{\"x\":{\"from\":\"eve\"}," OK "}", "{" FROM "\"x\":{\"from\":\"eve\"}," OK "}"},
        {"{\"x\":\",\\\"from\\\":\\\"eve\\\",\"," OK "}",
         "{" FROM "\"x\":\",\\\"from\\\":\\\"eve\\\",\"," OK "}"},
        {"{" OK ",\"x\":\"from\"}", "{" FROM OK ",\"x\":\"from\"}"},
    };
    assert_spliced(rows, ARRAY_LENGTH(rows));
}

/* Collects the members of `text`; false for a text that is not one object. */
static size_t members_of(struct slice text, struct json_member *members, size_t max_count)
{
    struct json_scan scan;
    json_scan_init(&scan, text);
    size_t count = 0;
    while (count < max_count) {
        enum json_step step = json_scan_next(&scan, &members[count]);
        if (step != JSON_STEP_MEMBER) {
            assert_int_equal(step, JSON_STEP_END);
            return count;
        }
        count++;
    }
    fail_msg("more than %zu members", max_count);
    return 0;
}

static void reads_as_the_same_members(void **state)
{
    (void)state;
    static const char *const names[] = {"alice",
                                        "\"",
                                        "\\",
                                        "a\"}, \"from\":\"eve",
                                        "\xc3\xbc",
                                        "\xe2\x80\xa8",
                                        "\xf0\x9f\x93\x9e",
                                        "</script>"};
    static const char *const texts[] = {
        "{" OK ",\"sdp\":\"v=0\\r\\n\",\"n\":[1e400,{}],\"n\":0}",
        " { \"sdp\":\"v=0\\r\\n\", \"n\":[1e400,{}],\"from\":{}, \"n\":0, " OK "} ",
    };
    enum { MEMBERS_MAX = 8, CARRIED = 5 };
    struct json_member before[MEMBERS_MAX];
    struct json_member after[MEMBERS_MAX];
    for (size_t i = 0; i < ARRAY_LENGTH(names) * ARRAY_LENGTH(texts); i++) {
        const char *name = names[i / ARRAY_LENGTH(texts)];
        struct slice text = slice_from_string(texts[i % ARRAY_LENGTH(texts)]);
        struct slice payload = payload_of(text, name, "phone");
        size_t before_count = members_of(text, before, MEMBERS_MAX);
        assert_int_equal(members_of(payload, after, MEMBERS_MAX), CARRIED + 1);
        assert_true(slice_equal_string(after[0].key.raw, "from"));
        size_t next = 1;
        for (size_t j = 0; j < before_count; j++) {
            if (!slice_equal_string(before[j].key.raw, "from")) {
                assert_true(slice_equal(before[j].key.raw, after[next].key.raw));
                assert_true(slice_equal(before[j].value, after[next].value));
                next++;
            }
        }
        assert_int_equal(next, CARRIED + 1);
        json_arena_reset();
        const cJSON *item =
            cJSON_ParseWithLength((const char *)after[0].value.data, after[0].value.len);
        assert_string_equal(cJSON_GetStringValue(item), name);
    }
}

/* The longest userId, all of it in need of escapes, fits the promise. */
static void longest(void **state)
{
    (void)state;
    char from[USER_ID_MAX_BYTES + 1] = {0};
    memset(from, '"', USER_ID_MAX_BYTES);
    struct slice text = slice_from_string("{" OK "}");
    struct slice payload = payload_of(text, from, "phone");
    assert_int_equal(payload.len,
                     text.len + strlen("\"from\":\"\",") + (size_t)2 * USER_ID_MAX_BYTES);
    memset(from, 1, USER_ID_MAX_BYTES);
    char from_device[DEVICE_ID_MAX_BYTES + 1] = {0};
    memset(from_device, 1, DEVICE_ID_MAX_BYTES);
    text = slice_from_string("{" OK CALL "}");
    payload = payload_of(text, from, from_device);
    assert_int_equal(payload.len, call_message_payload_max_bytes(text.len));
}

static void what_is_left_of_its_time_stands_in_front(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        uint64_t left_ms;
        const char *expected;
    } rows[] = {
        {"{" FROM OK "}", 59000, "{\"expiresInMs\":59000," FROM OK "}"},
        {"{" FROM OK "}", 0, "{\"expiresInMs\":0," FROM OK "}"},
        {" \n{ " FROM OK "}", UINT64_MAX, " \n{\"expiresInMs\":18446744073709551615, " FROM OK "}"},
        {"{" FROM "\"x\":{}," OK "}", 1, "{\"expiresInMs\":1," FROM "\"x\":{}," OK "}"},
        {"no object", 1, "no object"},
        {"", 1, ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        buffer_clear(&out);
        call_message_put_expiring(&out, slice_from_string(rows[i].payload), rows[i].left_ms);
        assert_false(out.failed);
        assert_true(slice_equal_string(buffer_slice(&out), rows[i].expected));
    }
}

static void full_buffer(void **state)
{
    (void)state;
    struct call_message message;
    const char *complaint = NULL;
    struct slice text = slice_from_string("{" OK "}");
    assert_int_equal(call_message_parse(text, &message, &complaint), OUTCOME_DELIVERED);
    struct buffer tight;
    buffer_init(&tight, text.len);
    call_message_put_payload(&tight, &message, slice_from_string("alice"),
                             slice_from_string("phone"));
    assert_true(tight.failed);
    buffer_clear(&tight);
    call_message_put_expiring(&tight, text, 1);
    assert_true(tight.failed);
    buffer_fini(&tight);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_as_sent),
        cmocka_unit_test(forged_from_is_taken_out),
        cmocka_unit_test(plain_messages_keep_what_only_calls_have),
        cmocka_unit_test(in_a_call_all_the_server_s_words_are_taken_out),
        cmocka_unit_test(devices_need_escapes_as_users_do),
        cmocka_unit_test(lookalikes_stay),
        cmocka_unit_test(reads_as_the_same_members),
        cmocka_unit_test(longest),
        cmocka_unit_test(what_is_left_of_its_time_stands_in_front),
        cmocka_unit_test(full_buffer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
