/* The opening handshake: a good request with one thing changed at a time. */
#include "gateway/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define HOST "Host: localhost:8080\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define HEADERS HOST UPGRADE CONNECTION KEY VERSION
#define LINE "GET /?userId=alice HTTP/1.1\r\n"

static const struct handshake_config open_to_all = {.allowed_origins = "",
                                                    .requires_user_id = true};

static struct http_request request;
static struct handshake handshake;
static struct http_refusal refusal;

static void parse(const char *text)
{
    size_t head_bytes;
    enum parse_result result =
        http_request_parse(slice_from_string(text), &request, &head_bytes, &refusal);
    if (result != PARSE_DONE) {
        fail_msg("no request: %s", text);
    }
}

/* The status of the answer to `line`, `headers` and the empty line. */
static uint16_t check(const struct handshake_config *config, const char *line, const char *headers)
{
    static char text[4096];
    (void)snprintf(text, sizeof text, "%s%s\r\n", line, headers);
    parse(text);
    refusal = (struct http_refusal){0};
    if (handshake_check(&request, config, &handshake, &refusal)) {
        return 101;
    }
    assert_true(strlen(refusal.message) > 10);
    return refusal.status;
}

static void assert_status(const struct handshake_config *config, const char *line,
                          const char *headers, uint16_t expected)
{
    uint16_t status = check(config, line, headers);
    if (status != expected) {
        fail_msg("%u (%s), not %u: %s%s", status, status == 101 ? "" : refusal.message, expected,
                 line, headers);
    }
}

/* RFC 6455, 1.3. */
static void sample_of_the_rfc(void **state)
{
    (void)state;
    assert_status(&open_to_all, LINE, HEADERS, 101);
    assert_memory_equal(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
    assert_int_equal(handshake.user_id_len, 5);
    assert_memory_equal(handshake.user_id, "alice", 5);
    assert_int_equal(handshake.device_id_len, 0);
    assert_false(handshake.has_subprotocol);
}

static void response(void **state)
{
    (void)state;
    static const char begin[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    char expected[512];
    struct buffer out;
    buffer_init(&out, 4096);
    assert_status(&open_to_all, LINE, HEADERS, 101);
    handshake_put_response(&out, &handshake);
    (void)snprintf(expected, sizeof expected, "%s\r\n", begin);
    assert_true(slice_equal_string(buffer_slice(&out), expected));
    buffer_clear(&out);
    assert_status(&open_to_all, LINE, HEADERS "Sec-WebSocket-Protocol: switchboard.v1\r\n", 101);
    handshake_put_response(&out, &handshake);
    (void)snprintf(expected, sizeof expected, "%sSec-WebSocket-Protocol: switchboard.v1\r\n\r\n",
                   begin);
    assert_true(slice_equal_string(buffer_slice(&out), expected));
    buffer_fini(&out);
}

static void request_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint16_t status;
    } rows[] = {
        {"GET /ws?userId=alice HTTP/1.1\r\n", 101},   {"POST /?userId=alice HTTP/1.1\r\n", 405},
        {"HEAD /?userId=alice HTTP/1.1\r\n", 405},    {"get /?userId=alice HTTP/1.1\r\n", 405},
        {"GET /?userId=alice HTTP/1.0\r\n", 400},     {"GET /other?userId=alice HTTP/1.1\r\n", 404},
        {"GET /ws/?userId=alice HTTP/1.1\r\n", 404},  {"GET //?userId=alice HTTP/1.1\r\n", 404},
        {"GET /%77s?userId=alice HTTP/1.1\r\n", 404},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_status(&open_to_all, rows[i].line, HEADERS, rows[i].status);
    }
}

static const struct {
    const char *headers;
    uint16_t status;
} header_rows[] = {
    /* the order and the case of names and tokens do not matter */
    {"VERSION: x\r\n" VERSION KEY CONNECTION UPGRADE HOST, 101},
    {"HOST: a\r\nUPGRADE: WebSocket\r\nCONNECTION: uPGRADE\r\n" KEY VERSION, 101},
    {HOST "Upgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade\r\n" KEY VERSION, 101},
    {HOST UPGRADE "Connection: keep-alive\r\n" CONNECTION KEY VERSION, 101},
    {HEADERS "Sec-WebSocket-Extensions: permessage-deflate\r\n", 101},
    {HEADERS "Content-Length: 0\r\n", 101},
    /* Host */
    {UPGRADE CONNECTION KEY VERSION, 400},
    {HOST HEADERS, 400},
    {"Host: a b\r\n" UPGRADE CONNECTION KEY VERSION, 400},
    /* Upgrade, Connection */
    {HOST CONNECTION KEY VERSION, 400},
    {HOST "Upgrade: h2c\r\n" CONNECTION KEY VERSION, 400},
    {HOST "Upgrade: websocket/13\r\n" CONNECTION KEY VERSION, 400},
    {HOST UPGRADE KEY VERSION, 400},
    {HOST UPGRADE "Connection: close\r\n" KEY VERSION, 400},
    {HOST UPGRADE "Connection: upgraded\r\n" KEY VERSION, 400},
    /* Key */
    {HOST UPGRADE CONNECTION VERSION, 400},
    {HEADERS KEY, 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key:\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWFi\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSB-b25jZQ==\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhb=BsZSBub25jZQ==\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhb BsZSBub25jZQ==\r\n", 400},
    {HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", 101},
    /* Version */
    {HOST UPGRADE CONNECTION KEY, 400},
    {HEADERS VERSION, 400},
    {HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n", 426},
    {HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 013\r\n", 426},
    {HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n", 426},
    {HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version:\r\n", 426},
    {HOST UPGRADE CONNECTION "Sec-WebSocket-Version: 8\r\n", 400},
    /* a body */
    {HEADERS "Content-Length: 5\r\n", 400},
    {HEADERS "Content-Length: 0\r\nContent-Length: 0\r\n", 400},
    {HEADERS "Transfer-Encoding: chunked\r\n", 400},
    /* Origin, where every one is let in */
    {HEADERS "Origin: https://example.org\r\n", 101},
    {HEADERS "Origin: a\r\nOrigin: a\r\n", 400},
};

static void headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(header_rows); i++) {
        assert_status(&open_to_all, LINE, header_rows[i].headers, header_rows[i].status);
    }
}

static void origins(void **state)
{
    (void)state;
    static const struct handshake_config config = {
        .allowed_origins = "https://a.example, HTTP://B.example:8080,,null",
        .requires_user_id = true};
    static const struct {
        const char *origin;
        uint16_t status;
    } rows[] = {
        {"", 101},
        {"Origin: https://a.example\r\n", 101},
        {"Origin: HTTPS://A.EXAMPLE\r\n", 101},
        {"Origin: http://b.example:8080\r\n", 101},
        {"Origin: null\r\n", 101},
        {"Origin:\r\n", 403},
        {"Origin: http://a.example\r\n", 403},
        {"Origin: https://a.example.org\r\n", 403},
        {"Origin: https://a.exampl\r\n", 403},
        {"Origin: https://a.example, null\r\n", 403},
        {"Origin: https://a.example\r\nOrigin: https://a.example\r\n", 400},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s%s", HEADERS, rows[i].origin);
        assert_status(&config, LINE, text, rows[i].status);
    }
}

static void subprotocols(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        bool is_selected;
    } rows[] = {
        {"", false},
        {"Sec-WebSocket-Protocol: switchboard.v1\r\n", true},
        {"sec-websocket-protocol: a, switchboard.v1 ,b\r\n", true},
        {"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b, switchboard.v1\r\n", true},
        {"Sec-WebSocket-Protocol: switchboard.v2\r\n", false},
        {"Sec-WebSocket-Protocol: Switchboard.v1\r\n", false},
        {"Sec-WebSocket-Protocol: switchboard.v1x\r\n", false},
        {"Sec-WebSocket-Protocol:\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s%s", HEADERS, rows[i].lines);
        assert_status(&open_to_all, LINE, text, 101);
        assert_int_equal(handshake.has_subprotocol, rows[i].is_selected);
    }
}

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

static const struct {
    const char *query;
    const char *user_id; /* NULL: refused, and `device_id` is what the sentence says */
    const char *device_id;
} identity_rows[] = {
    {"userId=alice", "alice", ""},
    {"userId=a&deviceId=", "a", ""},
    {"userId=a&deviceId=phone", "a", "phone"},
    {"deviceId=%70hone&x=y&user%49d=a", "a", "phone"},
    {"userId=a+b%20c", "a+b c", ""},
    {"userId=%F0%9F%98%80%C2%A0%C3%80", "\xf0\x9f\x98\x80\xc2\xa0\xc3\x80", ""},
    {"userId=" A64 A64, A64 A64, ""},
    {"userId=a&deviceId=" A64, "a", A64},
    {"userId=%61" A64 A16 A16 A16 "aaaaaaaaaaaaaaa", A64 A64, ""},
    {"", NULL, "userId is missing"},
    {"userid=a", NULL, "userId is missing"},
    {"userId=", NULL, "userId must not be empty"},
    {"userId", NULL, "userId must not be empty"},
    {"userId=" A64 A64 "a", NULL, "userId is longer"},
    {"userId=a&userId=a", NULL, "userId is given twice"},
    {"userId=a&user%49d=b", NULL, "userId is given twice"},
    {"userId=%zz", NULL, "a percent sign"},
    {"userId=%6", NULL, "a percent sign"},
    {"userId=a%", NULL, "a percent sign"},
    {"userId=%ff", NULL, "userId is not valid UTF-8"},
    {"userId=%c3", NULL, "userId is not valid UTF-8"},
    {"userId=%c0%80", NULL, "userId is not valid UTF-8"},
    {"userId=%ed%a0%80", NULL, "userId is not valid UTF-8"},
    {"userId=a%00b", NULL, "userId holds a control"},
    {"userId=%1f", NULL, "userId holds a control"},
    {"userId=%0d%0a", NULL, "userId holds a control"},
    {"userId=%7f", NULL, "userId holds a control"},
    {"userId=%c2%80", NULL, "userId holds a control"},
    {"userId=a%c2%9f", NULL, "userId holds a control"},
    {"userId=a&deviceId=" A64 "a", NULL, "deviceId is longer"},
    {"userId=a&deviceId=b&deviceId=b", NULL, "deviceId is given twice"},
    {"userId=a&deviceId=%f", NULL, "a percent sign"},
    {"userId=a&deviceId=%ff", NULL, "deviceId is not valid UTF-8"},
    {"userId=a&deviceId=%09", NULL, "deviceId holds a control"},
    {"userId=a&deviceId=%c2%85", NULL, "deviceId holds a control"},
};

static void identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(identity_rows); i++) {
        char line[512];
        (void)snprintf(line, sizeof line, "GET /?%s HTTP/1.1\r\n", identity_rows[i].query);
        bool is_good = identity_rows[i].user_id != NULL;
        assert_status(&open_to_all, line, HEADERS, is_good ? 101 : 400);
        if (is_good) {
            assert_true(slice_equal_string(slice_of(handshake.user_id, handshake.user_id_len),
                                           identity_rows[i].user_id));
            assert_true(slice_equal_string(slice_of(handshake.device_id, handshake.device_id_len),
                                           identity_rows[i].device_id));
        } else if (strstr(refusal.message, identity_rows[i].device_id) == NULL) {
            fail_msg("%s: %s", identity_rows[i].query, refusal.message);
        }
    }
}

static void no_identity_asked_for(void **state)
{
    (void)state;
    static const struct handshake_config config = {.allowed_origins = ""};
    assert_status(&config, "GET / HTTP/1.1\r\n", HEADERS, 101);
    assert_status(&config, "GET /?userId=%zz&userId=%ff HTTP/1.1\r\n", HEADERS, 101);
    assert_int_equal(handshake.user_id_len, 0);
}

static void version_before_identity(void **state)
{
    (void)state;
    assert_status(&open_to_all, "GET / HTTP/1.1\r\n",
                  HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 7\r\n", 426);
}

static void upgrades(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        bool is_upgrade;
    } rows[] = {
        {HEADERS, true},
        {HOST, false},
        {UPGRADE, true},
        {CONNECTION, true},
        {KEY, true},
        {"Upgrade: h2c\r\n", true},
        {"X: upgrade\r\n", false},
        {"Connection: keep-alive\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s%s\r\n", LINE, rows[i].lines);
        parse(text);
        assert_int_equal(handshake_is_upgrade(&request), rows[i].is_upgrade);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_of_the_rfc),
        cmocka_unit_test(response),
        cmocka_unit_test(request_lines),
        cmocka_unit_test(headers),
        cmocka_unit_test(origins),
        cmocka_unit_test(subprotocols),
        cmocka_unit_test(identities),
        cmocka_unit_test(no_identity_asked_for),
        cmocka_unit_test(version_before_identity),
        cmocka_unit_test(upgrades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
