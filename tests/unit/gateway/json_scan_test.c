/* The scan over JSON: whole texts and what it says of them, and where the members are. */
#include "gateway/json_scan.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

/* Scans a copy that ends where the text ends, so that the sanitizer sees a read beyond. */
static enum json_step scan_all(struct slice text, const char **complaint)
{
    uint8_t *copy = malloc(text.len > 0 ? text.len : 1);
    assert_non_null(copy);
    memcpy(copy, text.data, text.len);
    struct json_scan scan;
    json_scan_init(&scan, slice_of(copy, text.len));
    struct json_member member;
    enum json_step step = json_scan_next(&scan, &member);
    while (step == JSON_STEP_MEMBER) {
        assert_in_range((uintptr_t)member.key.raw.data, (uintptr_t)copy,
                        (uintptr_t)copy + text.len);
        assert_in_range((uintptr_t)member.value.data, (uintptr_t)copy, (uintptr_t)copy + text.len);
        step = json_scan_next(&scan, &member);
    }
    *complaint = scan.complaint;
    free(copy);
    return step;
}

static bool is_taken(struct slice text)
{
    const char *complaint;
    enum json_step step = scan_all(text, &complaint);
    assert_int_equal(step == JSON_STEP_BAD, complaint != NULL);
    return step == JSON_STEP_END;
}

static void whole_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *complaint; /* NULL: taken */
    } rows[] = {
        {"{}", NULL},
        {" \r\n\t{ \r\n\t} \r\n\t", NULL},
        {"{\"\":0}", NULL},
        {"", "the message is empty"},
        {" ", "the message is not a JSON object"},
        {"[]", "the message is not a JSON object"},
        {"[{}]", "the message is not a JSON object"},
        {"\"{}\"", "the message is not a JSON object"},
        {"null", "the message is not a JSON object"},
        {"1", "the message is not a JSON object"},
        {"\xef\xbb\xbf{}", "the message is not a JSON object"},
        {"}", "the message is not a JSON object"},
        {"{}{}", "something follows the JSON object"},
        {"{},", "something follows the JSON object"},
        {"{}\f", "something follows the JSON object"},
        {"{} x", "something follows the JSON object"},
        {"{}\xef\xbb\xbf", "something follows the JSON object"},
        {"{\"a\":1}}", "something follows the JSON object"},
        {"{", "the JSON text is cut short"},
        {"{\"a\":tru", "the JSON text is cut short"},
        {"{\"a\":\"\\", "a string has an invalid escape"},
        {"{\"a\":1 1}", "the JSON text has a byte out of place"},
        {"{\"a\":1,}", "the JSON text has a byte out of place"},
        {"{,}", "the JSON text has a byte out of place"},
        {"{\"a\n\":1}", "a string has a raw control character"},
        {"{\"\\x\":1}", "a string has an invalid escape"},
        {"{\"\\ud800\":1}", "a string escapes half of a surrogate pair"},
        {"{\"a\":-}", "a number is malformed"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *complaint;
        scan_all(slice_from_string(rows[i].text), &complaint);
        if (rows[i].complaint == NULL) {
            assert_null(complaint);
        } else {
            assert_non_null(complaint);
            assert_string_equal(complaint, rows[i].complaint);
        }
    }
    static const char with_nul[] = "{}\0";
    assert_false(is_taken(slice_of(with_nul, 3)));
    assert_false(is_taken(slice_of("{\0}", 3)));
    assert_false(is_taken(slice_of("{\"a\":\"\0\"}", 9)));
    assert_false(is_taken(slice_of("{\"a\":\"\\\0\"}", 10)));
}

static void assert_member(struct json_scan *scan, const char *key, const char *value,
                          enum json_kind kind)
{
    struct json_member member;
    assert_int_equal(json_scan_next(scan, &member), JSON_STEP_MEMBER);
    assert_true(slice_equal_string(member.key.raw, key));
    assert_true(slice_equal_string(member.value, value));
    assert_int_equal(member.kind, kind);
    assert_int_equal(member.key.has_escape, strchr(key, '\\') != NULL);
    assert_int_equal(member.key.has_nul, strcmp(key, "n\\u0000") == 0);
    if (kind == JSON_STRING) {
        assert_ptr_equal(member.string.raw.data, member.value.data + 1);
        assert_int_equal(member.string.raw.len, member.value.len - 2);
        assert_int_equal(member.string.has_escape, strchr(value, '\\') != NULL);
    }
}

static void members_in_order(void **state)
{
    (void)state;
    struct json_scan scan;
    json_scan_init(&scan, slice_from_string(" { \"a\" : \"x\" ,\"a\":-1,\"b\\n\": 1.0 , "
                                            "\"n\\u0000\":[ {\"z\":1} ]\t,\"\":{ \"a\":[]}\n,"
                                            "\"t\":true,\"e\":1e2,\"s\":\"\\\\u0000\" }"));
    assert_member(&scan, "a", "\"x\"", JSON_STRING);
    assert_member(&scan, "a", "-1", JSON_INTEGER);
    assert_member(&scan, "b\\n", "1.0", JSON_NUMBER);
    assert_member(&scan, "n\\u0000", "[ {\"z\":1} ]", JSON_ARRAY);
    assert_member(&scan, "", "{ \"a\":[]}", JSON_OBJECT);
    assert_member(&scan, "t", "true", JSON_LITERAL);
    assert_member(&scan, "e", "1e2", JSON_NUMBER);
    assert_member(&scan, "s", "\"\\\\u0000\"", JSON_STRING);
    struct json_member member;
    assert_int_equal(json_scan_next(&scan, &member), JSON_STEP_END);
}

static void nul_in_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has_nul;
    } rows[] = {
        {"{\"a\":\"\\u0000\"}", true},        {"{\"a\":\"x\\\\\\u0000y\"}", true},
        {"{\"a\":\"\\\\u0000\"}", false},     {"{\"a\":\"\\u0001\"}", false},
        {"{\"a\":\"\\u00000\\n\"}", true},    {"{\"a\":\"\\u00010000\"}", false},
        {"{\"a\":\"\\u0000\\u0041\"}", true}, {"{\"a\":\"\\u1000\"}", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct json_scan scan;
        struct json_member member;
        json_scan_init(&scan, slice_from_string(rows[i].text));
        assert_int_equal(json_scan_next(&scan, &member), JSON_STEP_MEMBER);
        assert_int_equal(member.string.has_nul, rows[i].has_nul);
        assert_true(member.string.has_escape);
    }
}

/* `depth` levels in all, objects and arrays in turn. */
static bool is_depth_taken(size_t depth, bool is_closed)
{
    static const struct slice opening[] = {{(const uint8_t *)"{\"a\":", 5},
                                           {(const uint8_t *)"[", 1}};
    size_t text_bytes = depth * (opening[0].len + 1) + 1;
    uint8_t *text = malloc(text_bytes);
    assert_non_null(text);
    size_t len = 0;
    for (size_t i = 0; i < depth; i++) {
        memcpy(text + len, opening[i % 2].data, opening[i % 2].len);
        len += opening[i % 2].len;
    }
    text[len++] = '1';
    for (size_t i = depth; is_closed && i > 0; i--) {
        text[len++] = i % 2 == 1 ? '}' : ']';
    }
    bool is = is_taken(slice_of(text, len));
    free(text);
    return is;
}

static void deep(void **state)
{
    (void)state;
    for (size_t depth = 1; depth <= JSON_DEPTH_MAX; depth++) {
        assert_true(is_depth_taken(depth, true));
        assert_false(is_depth_taken(depth, false));
    }
    assert_false(is_depth_taken(JSON_DEPTH_MAX + 1, true));
    assert_false(is_depth_taken(JSON_DEPTH_MAX + 2, true));
    assert_false(is_depth_taken(1000000, true));
    assert_false(is_depth_taken(1000000, false));
}

/* Each beginning of a good text is refused, and never read beyond. */
static void cut_short(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"a\":[1,-2.5e+3,{\"b\":null}],\"\\u0041\":\"\\ud83d\\udcde\\n\",\"c\":{\"d\":[[true]]},"
        "\"e\":false}";
    assert_true(is_taken(slice_from_string(whole)));
    for (size_t len = 0; len < strlen(whole); len++) {
        assert_false(is_taken(slice_of(whole, len)));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {

        cmocka_unit_test(whole_texts),   cmocka_unit_test(members_in_order),
        cmocka_unit_test(nul_in_values), cmocka_unit_test(deep),
        cmocka_unit_test(cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
