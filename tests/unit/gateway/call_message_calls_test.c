/* Messages that belong to a call: what is read of them besides, and what is said of the others. */
#include "gateway/call_message.h"

#include "common/compiler.h"
#include "gateway/json_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define REJECT "\"type\":\"call-reject\",\"to\":\"bob\""
#define CALL "\"callId\":\"c-81\""
#define X8(x) x x x x x x x x
#define X64(x) X8(X8(x))

static const char bad_scope[] = "`scope` is neither `device` nor `all`";

static int set_up(void **state)
{
    (void)state;
    return json_arena_init() ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_arena_fini();
    return 0;
}

static void assert_slice(struct slice slice, const char *expected)
{
    if (!slice_equal_string(slice, expected)) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)slice.len, (const char *)slice.data, expected);
    }
}

/* NULL for `complaint`: the message is taken. */
static struct call_message parse(const char *text, enum outcome outcome, const char *complaint)
{
    struct call_message message;
    const char *actual = "never set";
    enum outcome answer = call_message_parse(slice_from_string(text), &message, &actual);
    const char *shown = actual == NULL ? "(none)" : actual;
    if (answer != outcome || (actual == NULL) != (complaint == NULL) ||
        (complaint != NULL && strcmp(actual, complaint) != 0)) {
        fail_msg("%s: %s: %s", text, outcome_code(answer), shown);
    }
    return message;
}

static void scopes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_device_scope;
    } rows[] = {
        {"{" REJECT "," CALL "}", false},
        {"{" REJECT "," CALL ",\"scope\":\"all\"}", false},
        {"{" REJECT "," CALL ",\"scope\":\"device\"}", true},
        {"{\"scope\" : \"device\" ," CALL "," REJECT "}", true},
        {"{" REJECT "," CALL ",\"sc\\u006fpe\":\"\\u0064evice\"}", true},
        {"{" REJECT "," CALL ",\"scope\":\"\\u0061\\u006c\\u006c\"}", false},
        {"{" REJECT "," CALL ",\"Scope\":7,\"scope\\u0000\":8}", false},
        /* Of a reject only, and only in a call. */
        {"{" REJECT ",\"scope\":\"device\"}", false},
        {"{" REJECT ",\"scope\":\"nobody\"}", false},
        {"{\"type\":\"call-end\",\"to\":\"bob\"," CALL ",\"scope\":\"device\"}", false},
        {"{\"type\":\"call-cancel\",\"to\":\"bob\"," CALL ",\"scope\":{}}", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct call_message message = parse(rows[i].text, OUTCOME_DELIVERED, NULL);
        assert_int_equal(message.is_device_scope, rows[i].is_device_scope);
    }
}

static void faulty_scopes(void **state)
{
    (void)state;
    static const char *const values[] = {
        "\"\"",
        "\"Device\"",
        "\"devices\"",
        "\"al\"",
        "\"device\\u0000\"",
        "\"\\u0000all\"",
        "1",
        "null",
        "true",
        "[\"device\"]",
        "{}",
        "1.5",
        "\"" X64("all") "\"",
        "\"" X64("\\u0061") "\"",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, "{" REJECT "," CALL ",\"scope\":%s}", values[i]);
        struct call_message message = parse(text, OUTCOME_BAD_MESSAGE, bad_scope);
        assert_int_equal(message.type, CALL_TYPE_COUNT);
        assert_slice(message.call_id, "c-81");
    }
}

static void reasons(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *reason;
    } rows[] = {
        {"\"busy\"", "busy"},
        {"\"\"", ""},
        {"\"" X64("x") "\"", X64("x")},
        {"\"" X64("\\u0041") "\"", X64("A")},
        {"\"\\ud83d\\udcde\\n\\\"\"", "\xf0\x9f\x93\x9e\n\""},
        /* Only carried. */
        {"\"x" X64("x") "\"", ""},
        {"\"x" X64("\\u0041") "\"", ""},
        {"\"" X64("\xc3\xbc") "\"", ""},
        {"\"" X64(X8("\\u0041")) "\"", ""},
        {"\"busy\\u0000\"", ""},
        {"7", ""},
        {"null", ""},
        {"{\"reason\":\"busy\"}", ""},
        {"[\"busy\"]", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[8192];
        (void)snprintf(text, sizeof text, "{" REJECT "," CALL ",\"reason\":%s}", rows[i].value);
        assert_slice(parse(text, OUTCOME_DELIVERED, NULL).reason, rows[i].reason);
        (void)snprintf(text, sizeof text, "{\"reason\":%s," REJECT "}", rows[i].value);
        assert_slice(parse(text, OUTCOME_DELIVERED, NULL).reason, "");
    }
    assert_slice(parse("{" REJECT "," CALL "}", OUTCOME_DELIVERED, NULL).reason, "");
}

/* The arena holds what all of our strings decode to together. */
static void the_longest_strings_in_escapes(void **state)
{
    (void)state;
    struct call_message message =
        parse("{\"t\\u0079pe\":\"call\\u002dreject\",\"t\\u006f\":\"" X64("\\u0042")
                  X64("\\u0043") "\",\"\\u0069d\":\"" X64("\\u0044") "\",\"c\\u0061llId\":\"" X64(
                      "\\u0045") "\",\"re\\u0061son\":\"" X64("\\u0046") "\",\"scop\\u0065\":"
                                                                         "\"\\u0064\\u0065\\u0076"
                                                                         "\\u0069\\u0063\\u0065\"}",
              OUTCOME_DELIVERED, NULL);
    assert_int_equal(message.type, CALL_TYPE_REJECT);
    assert_slice(message.to, X64("B") X64("C"));
    assert_slice(message.id, "\"" X64("\\u0044") "\"");
    assert_slice(message.call_id, X64("E"));
    assert_slice(message.reason, X64("F"));
    assert_true(message.is_device_scope);
}

/* In any spelling, any two of a kind, in a call only. */
static void doubled_members(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        const char *complaint;
    } rows[] = {
        {"\"scope\":\"all\",\"scope\":\"all\"", "`scope` occurs twice"},
        {"\"scope\":1,\"sc\\u006fpe\":2", "`scope` occurs twice"},
        {"\"reason\":\"busy\",\"reason\":\"busy\"", "`reason` occurs twice"},
        {"\"reason\":1,\"\\u0072eason\":{}", "`reason` occurs twice"},
        {"\"fromDevice\":\"x\",\"fromDevice\":1", "`fromDevice` occurs twice"},
        {"\"from\\u0044evice\":1,\"fromDevice\":1", "`fromDevice` occurs twice"},
        {"\"expiresInMs\":1,\"expiresInMs\":1", "`expiresInMs` occurs twice"},
        {"\"expires\\u0049nMs\":1,\"expiresInMs\":1", "`expiresInMs` occurs twice"},
        {"\"server\":true,\"server\":true", "`server` occurs twice"},
        {"\"server\":true,\"serve\\u0072\":0", "`server` occurs twice"},
    };
    static const char *const types[] = {"call-start", "call-reject", "call-candidate"};
    for (size_t i = 0; i < ARRAY_LENGTH(rows) * ARRAY_LENGTH(types); i++) {
        const char *members = rows[i / ARRAY_LENGTH(types)].members;
        const char *type = types[i % ARRAY_LENGTH(types)];
        char text[256];
        (void)snprintf(text, sizeof text, "{%s,\"type\":\"%s\",\"to\":\"b\",\"id\":1," CALL "}",
                       members, type);
        struct call_message message =
            parse(text, OUTCOME_BAD_MESSAGE, rows[i / ARRAY_LENGTH(types)].complaint);
        assert_slice(message.to, "b");
        assert_slice(message.id, "1");
        assert_slice(message.call_id, "c-81");
        (void)snprintf(text, sizeof text, "{%s,\"type\":\"%s\",\"to\":\"b\"}", members, type);
        parse(text, OUTCOME_DELIVERED, NULL);
    }
}

/* So that an error can name the call. */
static void the_call_is_known_though_the_message_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum outcome outcome;
        const char *complaint;
        const char *call_id;
    } rows[] = {
        {"{" CALL "}", OUTCOME_BAD_MESSAGE, "`type` is missing", "c-81"},
        {"{\"type\":\"call-end\",\"to\":1," CALL "}", OUTCOME_BAD_MESSAGE, "`to` is not a string",
         "c-81"},
        {"{" REJECT ",\"id\":[]," CALL "}", OUTCOME_BAD_MESSAGE,
         "`id` is neither a string nor an integer", "c-81"},
        {"{" REJECT ",\"from\":1,\"from\":1," CALL "}", OUTCOME_BAD_MESSAGE, "`from` occurs twice",
         "c-81"},
        {"{" REJECT ",\"callId\":\"\\u0041\",\"scope\":1}", OUTCOME_BAD_MESSAGE, bad_scope, "A"},
        {"{\"type\":\"call-dance\",\"to\":\"bob\"," CALL "}", OUTCOME_UNKNOWN_TYPE,
         "the message has a type that this server does not know", "c-81"},
        {"{\"type\":\"call-dance\",\"to\":\"bob\",\"scope\":1," CALL "}", OUTCOME_UNKNOWN_TYPE,
         "the message has a type that this server does not know", "c-81"},
        {"{" REJECT "," CALL "," CALL "}", OUTCOME_BAD_MESSAGE, "`callId` occurs twice", ""},
        {"{" REJECT ",\"callId\":7}", OUTCOME_BAD_MESSAGE, "`callId` is not a string", ""},
        {"{" REJECT "," CALL, OUTCOME_BAD_JSON, "the JSON text is cut short", ""},
        /* Of two faults the one that any message can have is told. */
        {"{\"type\":7,\"to\":\"b\"," CALL ",\"server\":1,\"server\":2}", OUTCOME_BAD_MESSAGE,
         "`type` is not a string", "c-81"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct call_message message = parse(rows[i].text, rows[i].outcome, rows[i].complaint);
        assert_int_equal(message.type, CALL_TYPE_COUNT);
        assert_slice(message.call_id, rows[i].call_id);
    }
}

static void cut_short(void **state)
{
    (void)state;
    static const char whole[] =
        "{" REJECT "," CALL ",\"scope\":\"d\\u0065vice\",\"reason\":\"\\n\","
        "\"fromDevice\":[],\"expiresInMs\":1e3,\"server\":{\"server\":0}}";
    for (size_t len = 0; len < strlen(whole); len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, whole, len);
        struct call_message message;
        const char *complaint = NULL;
        assert_int_equal(call_message_parse(slice_of(copy, len), &message, &complaint),
                         OUTCOME_BAD_JSON);
        assert_non_null(complaint);
        free(copy);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes),
        cmocka_unit_test(faulty_scopes),
        cmocka_unit_test(reasons),
        cmocka_unit_test(the_longest_strings_in_escapes),
        cmocka_unit_test(doubled_members),
        cmocka_unit_test(the_call_is_known_though_the_message_is_refused),
        cmocka_unit_test(cut_short),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
