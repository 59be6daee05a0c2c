/* What the target of a call message reads: the sender's bytes, with a `from` that is true. */
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
#include <stdlib.h>

#define OK "\"type\":\"call-offer\",\"to\":\"bob\""
#define FROM "\"from\":\"alice\","
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
static struct slice payload_of(struct slice text, const char *from)
{
    struct call_message message;
    const char *complaint = NULL;
    enum outcome outcome = call_message_parse(text, &message, &complaint);
    assert_int_equal(outcome, OUTCOME_DELIVERED);
    buffer_clear(&out);
    call_message_put_payload(&out, &message, slice_from_string(from));
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
        struct slice payload = payload_of(slice_from_string(rows[i].text), "alice");
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
        {"{" OK ",\"id\":1,\"callId\":\"c\"}", "{" FROM OK ",\"id\":1,\"callId\":\"c\"}"},
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
        struct slice payload = payload_of(text, name);
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
    struct slice payload = payload_of(text, from);
    assert_int_equal(payload.len,
                     text.len + strlen("\"from\":\"\",") + (size_t)2 * USER_ID_MAX_BYTES);
    memset(from, 1, USER_ID_MAX_BYTES);
    assert_int_equal(payload_of(text, from).len, call_message_payload_max_bytes(text.len));
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
    call_message_put_payload(&tight, &message, slice_from_string("alice"));
    assert_true(tight.failed);
    buffer_fini(&tight);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_as_sent),
        cmocka_unit_test(forged_from_is_taken_out),
        cmocka_unit_test(lookalikes_stay),
        cmocka_unit_test(reads_as_the_same_members),
        cmocka_unit_test(longest),
        cmocka_unit_test(full_buffer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
