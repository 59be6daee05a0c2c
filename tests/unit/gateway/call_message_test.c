/* Call messages: which are taken, and what is said of the others. */
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

#define OK "\"type\":\"call-offer\",\"to\":\"bob\""
#define X8(x) x x x x x x x x
#define X64(x) X8(X8(x))

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
static struct call_message parse(struct slice text, enum outcome outcome, const char *complaint)
{
    struct call_message message;
    const char *actual = "never set";
    enum outcome answer = call_message_parse(text, &message, &actual);
    const char *shown = actual == NULL ? "(none)" : actual;
    if (answer != outcome || (actual == NULL) != (complaint == NULL) ||
        (complaint != NULL && strcmp(actual, complaint) != 0)) {
        fail_msg("%.*s: %s: %s", (int)text.len, (const char *)text.data, outcome_code(answer),
                 shown);
    }
    return message;
}

static void fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *to;
        const char *id;
        const char *call_id;
    } rows[] = {
        {"{" OK "}", "bob", "", ""},
        {" \r\n\t{ \"to\" : \"bob\" , \"type\" : \"call-offer\" } \n", "bob", "", ""},
        {"{" OK ",\"id\":\"m-1\",\"callId\":\"c-1\"}", "bob", "\"m-1\"", "c-1"},
        {"{" OK ",\"id\":0}", "bob", "0", ""},
        {"{" OK ",\"id\":-12}", "bob", "-12", ""},
        {"{" OK ",\"id\" : 123456789012345678901234567890 }", "bob",
         "123456789012345678901234567890", ""},
        {"{" OK ",\"id\":" X64("9") "}", "bob", X64("9"), ""},
        {"{" OK ",\"id\":\"\"}", "bob", "\"\"", ""},
        {"{" OK ",\"id\":\"" X64("x") "\"}", "bob", "\"" X64("x") "\"", ""},
        {"{" OK ",\"id\":\"" X64("\\u0041") "\"}", "bob", "\"" X64("\\u0041") "\"", ""},
        {"{" OK ",\"id\":\"\\u001f\\n\"}", "bob", "\"\\u001f\\n\"", ""},
        {"{" OK ",\"callId\":\"" X64("x") "\"}", "bob", "", X64("x")},
        {"{" OK ",\"callId\":\"" X64("\\u0041") "\"}", "bob", "", X64("A")},
        {"{\"t\\u006f\":\"b\\u006fb\",\"\\u0074ype\":\"call\\u002doffer\"}", "bob", "", ""},
        {"{\"type\":\"call-offer\",\"to\":\"\\\"\\\\\\/\"}", "\"\\/", "", ""},
        {"{\"type\":\"call-offer\",\"to\":\"\\ud83d\\udcde \xc3\xbc\"}",
         "\xf0\x9f\x93\x9e \xc3\xbc", "", ""},
        {"{\"type\":\"call-offer\",\"to\":\"" X64("\\u0041") X64("\\u0042") "\"}",
         X64("A") X64("B"), "", ""},
        {"{\"type\":\"call-offer\",\"to\":\"\\u00a0\xc2\xa0\"}", "\xc2\xa0\xc2\xa0", "", ""},
        /* Keys that only look like ours are carried through. */
        {"{" OK ",\"To\":1,\"TYPE\":2,\"ID\":[],\"callid\":0,\"CallId\":\"\"}", "bob", "", ""},
        {"{" OK ",\"to\\u0000\":1,\"to\\u0000\":2,\"type\\u0000x\":3,\"id\\u0000\":4}", "bob", "",
         ""},
        {"{" OK ",\"to \":1,\" to\":2,\"\":3,\"t\":4,\"too\":5,\"type\\\\\":6}", "bob", "", ""},
        {"{" OK ",\"x\":1,\"x\":2,\"sdp\":{\"to\":1,\"to\":2,\"id\":{}}}", "bob", "", ""},
        {"{\"x\":{\"to\":\"eve\",\"type\":\"x\"}," OK ",\"y\":[{\"id\":1.5}]}", "bob", "", ""},
        {"{" OK ",\"" X64("\\u0074") "\":1,\"\\\\u0074o\":2}", "bob", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct slice text = slice_from_string(rows[i].text);
        struct call_message message = parse(text, OUTCOME_DELIVERED, NULL);
        assert_int_equal(message.type, CALL_TYPE_OFFER);
        assert_slice(message.to, rows[i].to);
        assert_slice(message.id, rows[i].id);
        assert_slice(message.call_id, rows[i].call_id);
        assert_int_equal(message.cut_count, 0);
    }
}

static void each_type(void **state)
{
    (void)state;
    for (int i = 0; i < CALL_TYPE_COUNT; i++) {
        char text[128];
        int len = snprintf(text, sizeof text, "{\"to\":\"b\",\"type\":\"%s\"}",
                           call_type_name((enum call_type)i));
        struct call_message message = parse(slice_of(text, (size_t)len), OUTCOME_DELIVERED, NULL);
        assert_int_equal(message.type, i);
    }
}

struct refusal {
    const char *text;
    const char *complaint;
    const char *to; /* what the error can name all the same */
    const char *id;
};

static void assert_refused(const struct refusal *row, enum outcome outcome)
{
    struct call_message message = parse(slice_from_string(row->text), outcome, row->complaint);
    assert_int_equal(message.type, CALL_TYPE_COUNT);
    assert_slice(message.to, row->to);
    assert_slice(message.id, row->id);
}

static const struct refusal bad_message_rows[] = {
    {"{}", "`type` is missing", "", ""},
    {"{\"to\":\"bob\",\"id\":7}", "`type` is missing", "bob", "7"},
    {"{\"Type\":\"call-offer\",\"to\":\"bob\"}", "`type` is missing", "bob", ""},
    {"{\"type\":null,\"to\":\"bob\"}", "`type` is not a string", "bob", ""},
    {"{\"type\":[\"call-offer\"],\"to\":\"bob\"}", "`type` is not a string", "bob", ""},
    {"{\"type\":7,\"id\":\"m\"}", "`type` is not a string", "", "\"m\""},
    {"{\"type\":\"call-offer\\u0000\",\"to\":\"b\"}", "`type` contains a NUL character", "b", ""},
    {"{" OK ",\"type\":\"call-offer\"}", "`type` occurs twice", "bob", ""},
    {"{" OK ",\"t\\u0079pe\":1,\"id\":1}", "`type` occurs twice", "bob", "1"},
    {"{\"type\":\"call-offer\",\"id\":1}", "`to` is missing", "", "1"},
    {"{\"type\":\"call-offer\",\"to\\u0000\":\"b\"}", "`to` is missing", "", ""},
    {"{\"type\":\"call-offer\",\"TO\":\"b\"}", "`to` is missing", "", ""},
    {"{\"type\":\"call-offer\",\"x\":{\"to\":\"b\"}}", "`to` is missing", "", ""},
    {"{\"type\":\"call-offer\",\"to\":1}", "`to` is not a string", "", ""},
    {"{\"type\":\"call-offer\",\"to\":null}", "`to` is not a string", "", ""},
    {"{\"type\":\"call-offer\",\"to\":[\"b\"]}", "`to` is not a string", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"\"}", "`to` is empty", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"" X64("a") X64("b") "c\"}", "`to` is longer than 128 bytes",
     "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"" X64("\\u0041") X64("\\u0041") "c\"}",
     "`to` is longer than 128 bytes", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"" X64("\\u00fc") "c\\n\"}", "`to` is longer than 128 bytes",
     "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"bob\\u0000\"}", "`to` contains a NUL character", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"\\u0000\"}", "`to` contains a NUL character", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"b\\n\"}", "`to` contains a control character", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"\x7f\"}", "`to` contains a control character", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"\\u007f\"}", "`to` contains a control character", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"\\u009f\"}", "`to` contains a control character", "", ""},
    {"{\"type\":\"call-offer\",\"to\":\"\xc2\x80\"}", "`to` contains a control character", "", ""},
    {"{" OK ",\"to\":\"bob\",\"id\":1}", "`to` occurs twice", "", "1"},
    {"{" OK ",\"t\\u006f\":\"bob\"}", "`to` occurs twice", "", ""},
    {"{" OK ",\"\\u0074\\u006F\":{}}", "`to` occurs twice", "", ""},
    {"{\"t\\u006f\":\"bob\",\"type\":\"call-end\",\"\\u0074o\":\"bob\",\"to\":1}",
     "`to` occurs twice", "", ""},
    {"{" OK ",\"id\":1,\"id\":1}", "`id` occurs twice", "bob", ""},
    {"{" OK ",\"id\":\"a\",\"\\u0069d\":\"b\"}", "`id` occurs twice", "bob", ""},
    {"{" OK ",\"id\":1.5}", "`id` is neither a string nor an integer", "bob", ""},
    {"{" OK ",\"id\":1.0}", "`id` is neither a string nor an integer", "bob", ""},
    {"{" OK ",\"id\":1e3}", "`id` is neither a string nor an integer", "bob", ""},
    {"{" OK ",\"id\":null}", "`id` is neither a string nor an integer", "bob", ""},
    {"{" OK ",\"id\":true}", "`id` is neither a string nor an integer", "bob", ""},
    {"{" OK ",\"id\":{}}", "`id` is neither a string nor an integer", "bob", ""},
    {"{" OK ",\"id\":\"a\\u0000\"}", "`id` contains a NUL character", "bob", ""},
    {"{" OK ",\"id\":1" X64("0") "}", "`id` is longer than 64 bytes", "bob", ""},
    {"{" OK ",\"id\":\"x" X64("x") "\"}", "`id` is longer than 64 bytes", "bob", ""},
    {"{" OK ",\"id\":\"x" X64("\\u0078") "\"}", "`id` is longer than 64 bytes", "bob", ""},
    {"{" OK ",\"callId\":\"a\",\"call\\u0049d\":\"a\"}", "`callId` occurs twice", "bob", ""},
    {"{" OK ",\"callId\":1}", "`callId` is not a string", "bob", ""},
    {"{" OK ",\"callId\":null}", "`callId` is not a string", "bob", ""},
    {"{" OK ",\"callId\":\"\"}", "`callId` is empty", "bob", ""},
    {"{" OK ",\"callId\":\"a\\u0000\"}", "`callId` contains a NUL character", "bob", ""},
    {"{" OK ",\"callId\":\"x" X64("x") "\"}", "`callId` is longer than 64 bytes", "bob", ""},
    {"{" OK ",\"callId\":\"x" X64("\\n") "\"}", "`callId` is longer than 64 bytes", "bob", ""},
    {"{" OK ",\"from\":1,\"from\":2}", "`from` occurs twice", "bob", ""},
    {"{" OK ",\"fr\\u006fm\":1,\"from\":2}", "`from` occurs twice", "bob", ""},
    /* Of two faults the type is told last. */
    {"{\"type\":\"x\",\"to\":\"b\",\"id\":[]}", "`id` is neither a string nor an integer", "b", ""},
};

static void bad_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad_message_rows); i++) {
        assert_refused(&bad_message_rows[i], OUTCOME_BAD_MESSAGE);
    }
}

static void unknown_types(void **state)
{
    (void)state;
    const char *complaint = outcome_sentence(OUTCOME_UNKNOWN_TYPE);
    const struct refusal rows[] = {
        {"{\"type\":\"call-dance\",\"to\":\"bob\",\"id\":3}", complaint, "bob", "3"},
        {"{\"type\":\"\",\"to\":\"bob\"}", complaint, "bob", ""},
        {"{\"type\":\"Call-Offer\",\"to\":\"bob\"}", complaint, "bob", ""},
        {"{\"type\":\"call-offer \",\"to\":\"bob\"}", complaint, "bob", ""},
        {"{\"type\":\"call-offe\",\"to\":\"bob\"}", complaint, "bob", ""},
        {"{\"type\":\"error\",\"to\":\"bob\",\"from\":1}", complaint, "bob", ""},
        {"{\"type\":\"" X64("call-offer") "\",\"to\":\"bob\"}", complaint, "bob", ""},
        {"{\"type\":\"" X64("\\u0063") "\",\"to\":\"bob\"}", complaint, "bob", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_refused(&rows[i], OUTCOME_UNKNOWN_TYPE);
    }
}

static void bad_json(void **state)
{
    (void)state;
    static const struct refusal rows[] = {
        {"", "the message is empty", "", ""},
        {"[{" OK "}]", "the message is not a JSON object", "", ""},
        {"hello", "the message is not a JSON object", "", ""},
        {"\xef\xbb\xbf{" OK "}", "the message is not a JSON object", "", ""},
        {"{" OK "}x", "something follows the JSON object", "", ""},
        {"{" OK "}{" OK "}", "something follows the JSON object", "", ""},
        {"{" OK ",\"id\":7", "the JSON text is cut short", "", ""},
        {"{" OK ",\"x\":\"\\ud83d\"}", "a string escapes half of a surrogate pair", "", ""},
        {"{" OK ",\"x\":\"\n\"}", "a string has a raw control character", "", ""},
        {"{" OK ",\"x\":01}", "the JSON text has a byte out of place", "", ""},
        {"{" OK ",}", "the JSON text has a byte out of place", "", ""},
        /* Whatever is wrong with the members, text that is not JSON is told first. */
        {"{" OK "," OK ",\"x\":nul}", "the JSON text has a byte out of place", "", ""},
        {"{" OK ",\"x\":" X64("[") X64("]") "}", "the JSON text is nested deeper than 64 levels",
         "", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_refused(&rows[i], OUTCOME_BAD_JSON);
    }
    static const char nul_behind[] = "{" OK "}";
    parse(slice_of(nul_behind, sizeof nul_behind), OUTCOME_BAD_JSON,
          "something follows the JSON object");
}

static void cut_short(void **state)
{
    (void)state;
    static const char whole[] = "{" OK ",\"id\":\"\\u0041\",\"callId\":\"c\",\"from\":[1,{}]}";
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

/* However many keys and members there are, the arena holds. */
static void many_members(void **state)
{
    (void)state;
    static const char member[] = "\"\\u0061\":0,";
    static const char end[] = "\"\\u0074o\":\"b\\u006fb\",\"type\":\"call\\u002dend\"}";
    enum { COUNT = 10000 };
    size_t member_bytes = sizeof member - 1;
    size_t text_bytes = 1 + COUNT * member_bytes + sizeof end - 1;
    char *text = malloc(text_bytes);
    assert_non_null(text);
    text[0] = '{';
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(text + 1 + i * member_bytes, member, member_bytes);
    }
    memcpy(text + text_bytes - (sizeof end - 1), end, sizeof end - 1);
    struct call_message message = parse(slice_of(text, text_bytes), OUTCOME_DELIVERED, NULL);
    assert_slice(message.to, "bob");
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),       cmocka_unit_test(each_type),
        cmocka_unit_test(bad_messages), cmocka_unit_test(unknown_types),
        cmocka_unit_test(bad_json),     cmocka_unit_test(cut_short),
        cmocka_unit_test(many_members),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
