/* The server's own messages, byte for byte, and strings that need escapes. */
#include "gateway/server_message.h"

#include "common/json_string.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define TEXT(literal)                                                  \
    {                                                                  \
        .data = (const uint8_t *)(literal), .len = sizeof(literal) - 1 \
    }

static struct buffer out;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&out, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

static void assert_written(const char *expected)
{
    assert_false(out.failed);
    struct slice written = buffer_slice(&out);
    assert_int_equal(written.len, strlen(expected));
    assert_memory_equal(written.data, expected, written.len);
}

static struct slice text(const char *string)
{
    return slice_from_string(string);
}

static const struct slice none;

static void errors(void **state)
{
    (void)state;
    static const struct {
        struct server_error error;
        const char *expected;
    } rows[] = {
        {{.outcome = OUTCOME_USER_OFFLINE, .to = TEXT("bob"), .id = TEXT("\"m-1\"")},
         "{\"type\":\"error\",\"code\":\"user-offline\",\"message\":\"nobody by that userId is "
         "connected\",\"to\":\"bob\",\"id\":\"m-1\"}"},
        {{.outcome = OUTCOME_BAD_JSON, .sentence = "the message is empty"},
         "{\"type\":\"error\",\"code\":\"bad-json\",\"message\":\"the message is empty\"}"},
        {{.outcome = OUTCOME_BAD_MESSAGE, .sentence = "`to` is \"bad\"", .id = TEXT("-17")},
         "{\"type\":\"error\",\"code\":\"bad-message\",\"message\":\"`to` is "
         "\\\"bad\\\"\",\"id\":-17}"},
        {{.outcome = OUTCOME_OVERLOADED, .sentence = "s", .to = TEXT("a\"b\\c")},
         "{\"type\":\"error\",\"code\":\"overloaded\",\"message\":\"s\","
         "\"to\":\"a\\\"b\\\\c\"}"},
        {{.outcome = OUTCOME_GLARE, .sentence = "s", .to = TEXT("bob"), .call_id = TEXT("c\"1\n")},
         "{\"type\":\"error\",\"code\":\"glare\",\"message\":\"s\",\"to\":\"bob\","
         "\"callId\":\"c\\\"1\\n\"}"},
        {{.outcome = OUTCOME_BAD_STATE,
          .sentence = "s",
          .to = TEXT("bob"),
          .id = TEXT("1"),
          .call_id = TEXT("c1"),
          .state = TEXT("ringing")},
         "{\"type\":\"error\",\"code\":\"bad-state\",\"message\":\"s\",\"to\":\"bob\",\"id\":1,"
         "\"callId\":\"c1\",\"state\":\"ringing\"}"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        buffer_clear(&out);
        server_message_put_error(&out, &rows[i].error);
        assert_written(rows[i].expected);
    }
}

static void each_outcome_has_its_words(void **state)
{
    (void)state;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        enum outcome outcome = (enum outcome)i;
        buffer_clear(&out);
        server_message_put_error(
            &out, &(struct server_error){.outcome = outcome, .to = text("b"), .id = text("1")});
        struct slice written = buffer_slice(&out);
        cJSON *error = cJSON_ParseWithLength((const char *)written.data, written.len);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "code")),
                            outcome_code(outcome));
        assert_string_equal(
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message")),
            outcome_sentence(outcome));
        cJSON_Delete(error);
    }
}

static void acks(void **state)
{
    (void)state;
    server_message_put_ack(&out, text("bob"), text("\"\\u0041\""));
    assert_written("{\"type\":\"ack\",\"id\":\"\\u0041\",\"to\":\"bob\"}");
    buffer_clear(&out);
    server_message_put_ack(&out, text("J\xc3\xbcrgen \"J\""), text("123456789012345678901"));
    assert_written("{\"type\":\"ack\",\"id\":123456789012345678901,"
                   "\"to\":\"J\xc3\xbcrgen \\\"J\\\"\"}");
}

static void welcomes(void **state)
{
    (void)state;
    server_message_put_welcome(&out, text("alice"), none, 0x1234, 0xfedcba9876543210);
    assert_written("{\"type\":\"welcome\",\"userId\":\"alice\",\"deviceId\":\"\","
                   "\"sessionId\":\"0000000000001234-fedcba9876543210\"}");
    buffer_clear(&out);
    server_message_put_welcome(&out, text("a\\b"), text("\"tab\""), UINT64_MAX, 0);
    assert_written("{\"type\":\"welcome\",\"userId\":\"a\\\\b\",\"deviceId\":\"\\\"tab\\\"\","
                   "\"sessionId\":\"ffffffffffffffff-0\"}");
}

static void strings(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *json;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"\"", "\"\\\"\""},
        {"\\\\", "\"\\\\\\\\\""},
        {"a\bb\fc\nd\re\tf", "\"a\\bb\\fc\\nd\\re\\tf\""},
        {"\x01\x1f", "\"\\u0001\\u001f\""},
        {"/\x7f", "\"/\x7f\""},
        {"\xe2\x80\xa8\xf0\x9f\x93\x9e", "\"\xe2\x80\xa8\xf0\x9f\x93\x9e\""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        buffer_clear(&out);
        json_put_string(&out, text(rows[i].bytes));
        assert_written(rows[i].json);
    }
    buffer_clear(&out);
    json_put_string(&out, slice_of("a\0b", 3));
    assert_written("\"a\\u0000b\"");
}

/* What every other reader makes of it is the string again. */
static void every_byte_survives(void **state)
{
    (void)state;
    for (char byte = 1; byte > 0 && byte < 0x7f; byte++) {
        char string[] = {'<', byte, '>', '\0'};
        buffer_clear(&out);
        json_put_string(&out, text(string));
        struct slice written = buffer_slice(&out);
        cJSON *item = cJSON_ParseWithLength((const char *)written.data, written.len);
        assert_non_null(item);
        assert_string_equal(item->valuestring, string);
        cJSON_Delete(item);
    }
}

static void failure_sticks(void **state)
{
    (void)state;
    struct buffer tight;
    buffer_init(&tight, 20);
    server_message_put_ack(&tight, text("bob"), text("1"));
    assert_true(tight.failed);
    assert_true(buffer_len(&tight) <= 20);
    buffer_fini(&tight);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_outcome_has_its_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(acks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(welcomes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_byte_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failure_sticks, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
