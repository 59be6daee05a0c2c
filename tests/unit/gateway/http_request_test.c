/* The request head: each text whole and at every length, so that a verdict is given at exactly the
 * byte where it is due, and never changes after. */
#include "gateway/http_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A head is good up to and including `good`; the first byte of `rest` makes it bad. */
struct bad_row {
    const char *good;
    const char *rest;
    uint16_t status;
};

static struct http_request request;
static struct http_refusal refusal;
static size_t head_bytes;

/* Parses a copy of exactly this size, so that a sanitizer sees a byte read beyond it. */
static enum parse_result parse_copy(struct slice text)
{
    uint8_t *copy = malloc(text.len + 1);
    assert_non_null(copy);
    uint8_t *start = copy + 1; /* the end is what counts: the allocation ends there */
    memcpy(start, text.data, text.len);
    refusal = (struct http_refusal){0};
    head_bytes = 0;
    enum parse_result result =
        http_request_parse(slice_of(start, text.len), &request, &head_bytes, &refusal);
    free(copy);
    return result;
}

static void parse_good(const char *text)
{
    refusal = (struct http_refusal){0};
    enum parse_result result =
        http_request_parse(slice_from_string(text), &request, &head_bytes, &refusal);
    if (result != PARSE_DONE) {
        fail_msg("refused (%s): %s", refusal.message == NULL ? "cut short" : refusal.message, text);
    }
}

static void assert_slice(struct slice actual, const char *expected)
{
    if (!slice_equal_string(actual, expected)) {
        fail_msg("%.*s is not %s", (int)actual.len, (const char *)actual.data, expected);
    }
}

static void whole_request(void **state)
{
    (void)state;
    parse_good("GET /ws?userId=a%20b&x=? HTTP/1.1\r\nHost: localhost:8080\r\nX-Empty:\r\n"
               "x-spaced: \t a b\t \r\nX-Text: caf\xc3\xa9\r\n\r\n");
    assert_slice(request.method, "GET");
    assert_slice(request.path, "/ws");
    assert_slice(request.query, "userId=a%20b&x=?");
    assert_int_equal(request.minor_version, 1);
    assert_int_equal(request.header_count, 4);
    assert_slice(request.headers[0].name, "Host");
    assert_slice(request.headers[0].value, "localhost:8080");
    assert_slice(request.headers[1].value, "");
    assert_slice(request.headers[2].name, "x-spaced");
    assert_slice(request.headers[2].value, "a b");
    assert_slice(request.headers[3].value, "caf\xc3\xa9");
}

static void smallest_request(void **state)
{
    (void)state;
    parse_good("x / HTTP/1.0\r\n\r\n");
    assert_slice(request.method, "x");
    assert_slice(request.path, "/");
    assert_int_equal(request.query.len, 0);
    assert_int_equal(request.minor_version, 0);
    assert_int_equal(request.header_count, 0);
}

static void empty_query(void **state)
{
    (void)state;
    parse_good("GET /? HTTP/1.1\r\n\r\n");
    assert_slice(request.path, "/");
    assert_int_equal(request.query.len, 0);
}

static void every_length(void **state)
{
    (void)state;
    static const char head[] = "GET /?a=b HTTP/1.1\r\nHost: a\r\nB: \tc d \r\n\r\n";
    static const char text[] = "GET /?a=b HTTP/1.1\r\nHost: a\r\nB: \tc d \r\n\r\n\x81\x80\r\n";
    for (size_t len = 0; len < sizeof text; len++) {
        enum parse_result result = parse_copy(slice_of(text, len));
        if (len < sizeof head - 1) {
            assert_int_equal(result, PARSE_NEED_MORE);
        } else {
            assert_int_equal(result, PARSE_DONE);
            assert_int_equal(head_bytes, sizeof head - 1);
            assert_int_equal(request.header_count, 2);
        }
    }
    assert_int_equal(http_request_parse(slice_of(NULL, 0), &request, &head_bytes, &refusal),
                     PARSE_NEED_MORE);
}

#define LINE "GET / HTTP/1.1\r\n"

static const struct bad_row bad_rows[] = {
    /* the request line */
    {"", "\r\nGET / HTTP/1.1\r\n", 400},
    {"", " GET / HTTP/1.1\r\n", 400},
    {"", "\x16\x03\x01\x02", 400}, /* TLS */
    {"", "(", 400},
    {"GE", "\tT / HTTP/1.1", 400},
    {"GET", "\r\n", 400},
    {"GET", "\n", 400},
    {"GET", "/ HTTP/1.1\r\n", 400},
    {"GET ", " / HTTP/1.1\r\n", 400},
    {"GET ", "http://a/ HTTP/1.1\r\n", 400},
    {"CONNECT ", "a:80 HTTP/1.1\r\n", 400},
    {"OPTIONS ", "* HTTP/1.1\r\n", 400},
    {"GET ", "?userId=a HTTP/1.1\r\n", 400},
    {"GET /", "\r\n", 400}, /* HTTP/0.9 */
    {"GET /", "\n", 400},
    {"GET /", "\tHTTP/1.1\r\n", 400},
    {"GET /a", "#b HTTP/1.1\r\n", 400},
    {"GET /a", "\x7f HTTP/1.1\r\n", 400},
    {"GET /?userId=caf", "\xc3\xa9 HTTP/1.1\r\n", 400},
    {"GET / ", " HTTP/1.1\r\n", 400},
    {"GET / ", "a HTTP/1.1\r\n", 400},
    {"GET / ", "http/1.1\r\n", 400},
    {"GET / HTTP", "S/1.1\r\n", 400},
    {"GET / HTTP/", "2.0\r\n", 400},
    {"GET / HTTP/1", "1.1\r\n", 400},
    {"GET / HTTP/1.", "2\r\n", 400},
    {"GET / HTTP/1.", "\r\n", 400},
    {"GET / HTTP/1.1", "0\r\n", 400},
    {"GET / HTTP/1.1", " \r\n", 400},
    {"GET / HTTP/1.1", "\n", 400},
    {"GET / HTTP/1.1\r", "\r\n", 400},
    {"GET / HTTP/1.1\r", "Host: a\r\n", 400},
    /* header lines */
    {LINE, " Host: a\r\n", 400},
    {LINE, "\tHost: a\r\n", 400},
    {LINE, "\n", 400},
    {LINE, ": a\r\n", 400},
    {LINE "\r", "\r\n", 400},
    {LINE "Host", " : a\r\n", 400},
    {LINE "Host", "\t: a\r\n", 400},
    {LINE "Host", "\r\n", 400},
    {LINE "Ho", "\"st: a\r\n", 400},
    {LINE "Ho", "\xc3\xa9: a\r\n", 400},
    {LINE "Ho", "(st): a\r\n", 400},
    {LINE "Host: a", "\n", 400},
    {LINE "Host: a", "\x01\r\n", 400},
    {LINE "Host: a", "\x7f\r\n", 400},
    {LINE "Host: a", "\v\r\n", 400},
    {LINE "Host: a\r", "b\r\n", 400},
    {LINE "Host: a\r", "\r\n", 400},
    {LINE "Host: a\r\n", " folded\r\n", 400},
    {LINE "Host: a\r\n", "\tfolded\r\n", 400},
    {LINE "Host: a\r\n", "\nB: c\r\n", 400},
    {LINE "Host: a\r\n\r", "GET", 400},
};

static void check_bad(struct slice text, size_t good_bytes, uint16_t status)
{
    for (size_t len = 0; len <= text.len; len++) {
        enum parse_result result = parse_copy(slice_of(text.data, len));
        enum parse_result expected = len <= good_bytes ? PARSE_NEED_MORE : PARSE_BAD;
        if (result != expected) {
            fail_msg("result %d, not %d, after %zu bytes of: %.*s", (int)result, (int)expected, len,
                     (int)text.len, (const char *)text.data);
        }
        if (result == PARSE_BAD) {
            assert_int_equal(refusal.status, status);
            assert_true(strlen(refusal.message) > 10);
        }
    }
}

static void bad_at_the_first_bad_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad_rows); i++) {
        const struct bad_row *row = &bad_rows[i];
        char text[256];
        int len = snprintf(text, sizeof text, "%s%s", row->good, row->rest);
        check_bad(slice_of(text, (size_t)len), strlen(row->good), row->status);
    }
}

static void nul_bytes(void **state)
{
    (void)state;
    static const char *const goods[] = {"",           "GE",           "GET /",
                                        LINE,         LINE "Ho",      LINE "Host: ",
                                        LINE "Host:", "GET / HTTP/1", LINE "Host: a\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(goods); i++) {
        char text[64];
        int len = snprintf(text, sizeof text, "%s%cabc", goods[i], '\0');
        check_bad(slice_of(text, (size_t)len), strlen(goods[i]), 400);
    }
}

/* Every byte in a name, a value and a target, against the grammar written down once more. */
static void every_byte(void **state)
{
    (void)state;
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int c = 0; c < 256; c++) {
        bool is_token = c != 0 && strchr(token, c) != NULL;
        char text[64];
        int len = snprintf(text, sizeof text, LINE "a%cb: c\r\n\r\n", c);
        bool is_good = is_token || c == ':'; /* `a::b: c` is a name with a value */
        assert_int_equal(parse_copy(slice_of(text, (size_t)len)), is_good ? PARSE_DONE : PARSE_BAD);
        len = snprintf(text, sizeof text, LINE "a: b%cc\r\n\r\n", c);
        is_good = c == '\t' || (c >= 0x20 && c != 0x7f);
        assert_int_equal(parse_copy(slice_of(text, (size_t)len)), is_good ? PARSE_DONE : PARSE_BAD);
        len = snprintf(text, sizeof text, "GET /a%cb HTTP/1.1\r\n\r\n", c);
        is_good = c > 0x20 && c < 0x7f && c != '#';
        assert_int_equal(parse_copy(slice_of(text, (size_t)len)), is_good ? PARSE_DONE : PARSE_BAD);
    }
}

static void header_count(void **state)
{
    (void)state;
    char text[1024];
    size_t len = (size_t)snprintf(text, sizeof text, LINE);
    for (size_t i = 0; i < HTTP_HEADERS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "a: %zu\r\n", i);
    }
    size_t full_bytes = len;
    len += (size_t)snprintf(text + len, sizeof text - len, "\r\n");
    assert_int_equal(parse_copy(slice_of(text, len)), PARSE_DONE);
    assert_int_equal(request.header_count, HTTP_HEADERS_MAX);
    len =
        full_bytes + (size_t)snprintf(text + full_bytes, sizeof text - full_bytes, "b: c\r\n\r\n");
    check_bad(slice_of(text, len), full_bytes, 431);
}

/* No limit of its own: the caller bounds the head. */
static void long_parts(void **state)
{
    (void)state;
    enum { PART_BYTES = 100000 };
    char *text = malloc(PART_BYTES + 100);
    assert_non_null(text);
    memset(text, 'a', PART_BYTES);
    assert_int_equal(parse_copy(slice_of(text, PART_BYTES)), PARSE_NEED_MORE);
    memcpy(text, LINE "a:", sizeof LINE + 1);
    assert_int_equal(parse_copy(slice_of(text, PART_BYTES)), PARSE_NEED_MORE);
    memcpy(text + PART_BYTES, "\r\n\r\n", 4);
    assert_int_equal(parse_copy(slice_of(text, PART_BYTES + 4)), PARSE_DONE);
    assert_int_equal(head_bytes, PART_BYTES + 4);
    free(text);
}

static void found_headers(void **state)
{
    (void)state;
    parse_good(LINE "HOST: one\r\nhostx: two\r\nHost: three\r\nhos: four\r\n\r\n");
    struct slice value = slice_of(NULL, 0);
    assert_int_equal(http_request_find_header(&request, "host", &value), 2);
    assert_slice(value, "one");
    value = slice_from_string("untouched");
    assert_int_equal(http_request_find_header(&request, "origin", &value), 0);
    assert_slice(value, "untouched");
}

static void tokens(void **state)
{
    (void)state;
    parse_good(LINE "Connection: keep-alive , UPGRADE,,\t \r\nConnection: close\r\n"
                    "Upgrade: websocketx, web, \"websocket\", web socket\r\nEmpty:\r\n\r\n");
    assert_true(http_request_header_has_token(&request, "connection", "upgrade"));
    assert_true(http_request_header_has_token(&request, "connection", "keep-alive"));
    assert_true(http_request_header_has_token(&request, "connection", "close"));
    assert_false(http_request_header_has_token(&request, "connection", "keep"));
    assert_false(http_request_header_has_token(&request, "upgrade", "websocket"));
    assert_true(http_request_header_has_token(&request, "upgrade", "web"));
    assert_false(http_request_header_has_token(&request, "empty", "upgrade"));
    assert_false(http_request_header_has_token(&request, "missing", "upgrade"));
}

static void lists(void **state)
{
    (void)state;
    static const char *const expected[] = {"a", "", "b c", ""};
    struct slice list = slice_from_string(" a ,, b c\t, ,");
    struct slice item;
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        assert_true(http_list_take(&list, &item));
        assert_slice(item, expected[i]);
    }
    assert_false(http_list_take(&list, &item));
}

struct check_row {
    const char *text;
    uint16_t status; /* 0: good */
};

static const struct check_row check_rows[] = {
    {LINE "Host: a\r\n\r\n", 0},
    {LINE "Host: [::1]:8080\r\n\r\n", 0},
    {LINE "Host: a\r\nContent-Length: 0\r\n\r\n", 0},
    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
    {LINE "\r\n", 400},
    {LINE "Host:\r\n\r\n", 400},
    {LINE "Host: a\r\nHost: a\r\n\r\n", 400},
    {LINE "Host: a b\r\n\r\n", 400},
    {LINE "Host: a/b\r\n\r\n", 400},
    {LINE "Host: u@a\r\n\r\n", 400},
    {LINE "Host: caf\xc3\xa9\r\n\r\n", 400},
    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
    {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 405},
    {LINE "Host: a\r\nContent-Length: 5\r\n\r\n", 400},
    {LINE "Host: a\r\nContent-Length: -1\r\n\r\n", 400},
    {LINE "Host: a\r\nContent-Length:\r\n\r\n", 400},
    {LINE "Host: a\r\nContent-Length: 0, 5\r\n\r\n", 400},
    {LINE "Host: a\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n", 400},
    {LINE "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {LINE "Host: a\r\nTransfer-Encoding:\r\n\r\n", 400},
};

static void checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(check_rows); i++) {
        parse_good(check_rows[i].text);
        bool is_good = http_request_check(&request, true, &refusal);
        if (is_good != (check_rows[i].status == 0)) {
            fail_msg("%s: %s", is_good ? "accepted" : refusal.message, check_rows[i].text);
        }
        if (!is_good) {
            assert_int_equal(refusal.status, check_rows[i].status);
        }
    }
    parse_good("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_false(http_request_check(&request, false, &refusal));
    assert_int_equal(refusal.status, 405);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_request),
        cmocka_unit_test(smallest_request),
        cmocka_unit_test(empty_query),
        cmocka_unit_test(every_length),
        cmocka_unit_test(bad_at_the_first_bad_byte),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(header_count),
        cmocka_unit_test(long_parts),
        cmocka_unit_test(found_headers),
        cmocka_unit_test(tokens),
        cmocka_unit_test(lists),
        cmocka_unit_test(checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
