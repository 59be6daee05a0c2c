/* Responses, compared to the byte: what a client is told is a contract. */
#include "gateway/http_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

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

static void assert_out(const char *expected)
{
    assert_false(out.failed);
    buffer_put_u8(&out, '\0');
    assert_string_equal((const char *)buffer_slice(&out).data, expected);
    buffer_clear(&out);
}

static void phrases(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *phrase;
    } rows[] = {
        {101, "Switching Protocols"}, {200, "OK"},
        {304, "Not Modified"},        {400, "Bad Request"},
        {403, "Forbidden"},           {404, "Not Found"},
        {405, "Method Not Allowed"},  {408, "Request Timeout"},
        {426, "Upgrade Required"},    {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_string_equal(http_status_phrase(rows[i].status), rows[i].phrase);
    }
    assert_non_null(http_status_phrase(0));
    assert_non_null(http_status_phrase(999));
}

static void heads(void **state)
{
    (void)state;
    http_response_put_head(&out, 200, "text/plain", 12, "");
    assert_out("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n"
               "Content-Length: 12\r\n\r\n");
    http_response_put_head(&out, 304, NULL, 0, "ETag: \"x\"\r\nA: b\r\n");
    assert_out("HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: \"x\"\r\nA: b\r\n\r\n");
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *line;
        const char *extra;
    } rows[] = {
        {400, "400 Bad Request", ""},
        {403, "403 Forbidden", ""},
        {405, "405 Method Not Allowed", "Allow: GET, HEAD\r\n"},
        {426, "426 Upgrade Required",
         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
        {503, "503 Service Unavailable", "Retry-After: 1\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct http_refusal refusal = {rows[i].status, "it is so"};
        char head[512];
        (void)snprintf(head, sizeof head,
                       "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
                       "Content-Length: 20\r\n%s\r\n",
                       rows[i].line, rows[i].extra);
        char whole[600];
        (void)snprintf(whole, sizeof whole, "%s{\"error\":\"it is so\"}", head);
        http_response_put_refusal(&out, &refusal);
        assert_out(whole);
        http_response_put_refusal_head(&out, &refusal);
        assert_out(head);
    }
}

static void no_room(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 40);
    struct http_refusal refusal = {400, "it is so"};
    http_response_put_refusal(&small, &refusal);
    assert_true(small.failed);
    buffer_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phrases),
        cmocka_unit_test(heads),
        cmocka_unit_test(refusals),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
