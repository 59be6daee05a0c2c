/* The grammar of JSON as the scan knows it: values good and bad, wherever values stand. */
#include "gateway/json_scan.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static bool is_taken(struct slice text)
{
    struct json_scan scan;
    struct json_member member;
    json_scan_init(&scan, text);
    enum json_step step = json_scan_next(&scan, &member);
    while (step == JSON_STEP_MEMBER) {
        step = json_scan_next(&scan, &member);
    }
    return step == JSON_STEP_END;
}

/* Values that stand in `{"a":VALUE}`, `{"a":[0,VALUE]}` and `{"a":{"b":VALUE}}`. */
static const char *const good_values[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-12",
    "1234567890",
    "0.5",
    "-0.0",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "0e0",
    "0E+00",
    "12.34e56",
    "1e999999999999",
    "\"\"",
    "\"x\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\"",
    "\"\\uABCD\\uabcd\"",
    "\"\\uD83D\\uDCDE\"",
    "\"\\ud83d\\udcde\"",
    "\"\\udbff\\udfff\"",
    "\"\x7f\"",
    "\"\xc2\x80\xe2\x80\xa8\xf4\x8f\xbf\xbf\"",
    "\"{[,]}:\"",
    "\"\\\\\"",
    "\"\\\\u0000\"",
    "[]",
    "{}",
    "[ ]",
    "{ }",
    "[[],{}]",
    "[[[[]]]]",
    "[1,2,3]",
    "[ 1 , 2 ]",
    "{\"a\":1,\"a\":2}",
    "{\"\":{}}",
    "{ \"a\" : [ { } ] }",
    "[\r\n\t 1\r\n\t ]",
    "[{\"a\":[]},[{}],0]",
    "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
    "-0.000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
};

static const char *const bad_values[] = {
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "TRUE",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "-",
    "+1",
    "01",
    "-01",
    "00",
    "1.",
    ".5",
    "-.5",
    "1.e1",
    "1e",
    "1e+",
    "1e-",
    "1E",
    "1ee1",
    "1.2.3",
    "0x1",
    "1_0",
    "1 2",
    "--1",
    "1e1.5",
    "'x'",
    "\"",
    "\"x",
    "x\"",
    "\"\\\"",
    "\"\\x41\"",
    "\"\\a\"",
    "\"\\v\"",
    "\"\\0\"",
    "\"\\'\"",
    "\"\\U0041\"",
    "\"\\u\"",
    "\"\\u004\"",
    "\"\\u004g\"",
    "\"\\u 041\"",
    "\"\\u+041\"",
    "\"\\uD83D\"",
    "\"\\uDCDE\"",
    "\"\\uDCDE\\uD83D\"",
    "\"\\uD83Dx\"",
    "\"\\uD83D\\n\"",
    "\"\\uD83D\\u0041\"",
    "\"\\uD83D\\uD83D\"",
    "\"\\uD83D\\uDC\"",
    "\"\n\"",
    "\"\t\"",
    "\"\x1f\"",
    "\"\x01\"",
    "[",
    "]",
    "[1",
    "[1,",
    "[,",
    "[,]",
    "[,1]",
    "[1,]",
    "[1,,2]",
    "[1 2]",
    "[1;2]",
    "[1}",
    "{",
    "}",
    "{]",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{,\"a\":1}",
    "{\"a\"}",
    "{\"a\",1}",
    "{\"a\":}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1]",
    "{a:1}",
    "{1:1}",
    "{'a':1}",
    "{null:1}",
    "{\"a\"::1}",
    "{\"a\":1,,\"b\":2}",
    "{[]:1}",
    "[[]",
    "[]]",
    "{}}",
    "[{}",
    "[\"a\":1]",
    "1,",
    "/**/1",
    "1//",
    "#",
    "\f1",
    "\v1",
    "\xc2\xa0,",
    "\xef\xbb\xbf-1",
    "@",
    "\x7f",
};

static struct slice put_into(char *text, size_t text_bytes, const char *format, const char *value)
{
    static const char mark = '@';
    size_t len = 0;
    for (; *format != '\0'; format++) {
        const char *piece = *format == mark ? value : format;
        size_t piece_len = *format == mark ? strlen(value) : 1;
        assert_true(len + piece_len <= text_bytes);
        memcpy(text + len, piece, piece_len);
        len += piece_len;
    }
    return slice_of(text, len);
}

static const char *const places[] = {
    "{\"a\":@}",
    " \t\r\n{ \"a\" : @ } \n",
    "{\"a\":[0,@]}",
    "{\"a\":{\"b\":@,\"c\":@},\"d\":@}",
};

static void values(void **state)
{
    (void)state;
    char text[1024];
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        for (size_t j = 0; j < ARRAY_LENGTH(good_values); j++) {
            if (!is_taken(put_into(text, sizeof text, places[i], good_values[j]))) {
                fail_msg("refused: %s in %s", good_values[j], places[i]);
            }
        }
        for (size_t j = 0; j < ARRAY_LENGTH(bad_values); j++) {
            if (is_taken(put_into(text, sizeof text, places[i], bad_values[j]))) {
                fail_msg("taken: %s in %s", bad_values[j], places[i]);
            }
        }
    }
}

/* A second opinion; some versions of cJSON cannot read numbers of more than 63 characters. */
static void cjson_agrees(void **state)
{
    (void)state;
    char text[1024];
    for (size_t i = 0; i < ARRAY_LENGTH(good_values); i++) {
        if (strlen(good_values[i]) > 63) {
            continue;
        }
        struct slice whole = put_into(text, sizeof text, places[3], good_values[i]);
        cJSON *item = cJSON_ParseWithLength((const char *)whole.data, whole.len);
        assert_non_null(item);
        cJSON_Delete(item);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(cjson_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
