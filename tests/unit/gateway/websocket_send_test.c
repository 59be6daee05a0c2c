/* The frames that a server writes. */
#include "gateway/websocket.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BUFFER_MAX_BYTES = 1024 * 1024 };

static void assert_bytes(const struct buffer *out, const char *expected, size_t len)
{
    assert_int_equal(buffer_len(out), len);
    assert_memory_equal(buffer_slice(out).data, expected, len);
}

static void small_frames(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    websocket_put_frame(&out, WEBSOCKET_TEXT, slice_from_string("hi"));
    websocket_put_frame(&out, WEBSOCKET_BINARY, slice_of("\0", 1));
    websocket_put_frame(&out, WEBSOCKET_PONG, slice_of(NULL, 0));
    assert_bytes(&out, "\x81\x02hi\x82\x01\0\x8a\0", 9);
    buffer_fini(&out);
}

/* At every width of the length: head, payload, and how long both are said to be. */
static void sizes(void **state)
{
    (void)state;
    static const struct {
        size_t payload_bytes;
        size_t overhead;
        uint8_t second_byte;
    } rows[] = {{0, 2, 0},       {125, 2, 125},    {126, 4, 126},
                {65535, 4, 126}, {65536, 10, 127}, {300000, 10, 127}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t len = rows[i].payload_bytes;
        uint8_t *payload = malloc(len + 1);
        assert_non_null(payload);
        memset(payload, 'x', len + 1);
        struct buffer out;
        buffer_init(&out, BUFFER_MAX_BYTES);
        websocket_put_frame(&out, WEBSOCKET_BINARY, slice_of(payload, len));
        assert_false(out.failed);
        assert_int_equal(websocket_frame_overhead(len), rows[i].overhead);
        assert_int_equal(buffer_len(&out), len + rows[i].overhead);
        assert_int_equal(out.data[1], rows[i].second_byte);
        assert_memory_equal(out.data + rows[i].overhead, payload, len);
        websocket_put_frame(&out, WEBSOCKET_TEXT, slice_of(payload, 1));
        assert_int_equal(websocket_frame_bytes(buffer_slice(&out)), len + rows[i].overhead);
        buffer_fini(&out);
        free(payload);
    }
}

static void what_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    char payload[200] = {0};
    static const size_t lens[] = {0, 1, 125, 126, 200};
    for (size_t i = 0; i < ARRAY_LENGTH(lens); i++) {
        struct slice text = slice_of(payload, lens[i]);
        size_t frame_bytes = websocket_frame_overhead(text.len) + text.len;
        struct buffer out;
        buffer_init(&out, 10 + frame_bytes - 1);
        buffer_put_string(&out, "0123456789");
        websocket_put_frame(&out, WEBSOCKET_TEXT, text);
        assert_true(out.failed);
        websocket_put_frame(&out, WEBSOCKET_TEXT, slice_of(NULL, 0));
        websocket_put_close(&out, CLOSE_NORMAL, "");
        assert_bytes(&out, "0123456789", 10);
        buffer_truncate(&out, 9);
        websocket_put_frame(&out, WEBSOCKET_TEXT, text);
        assert_false(out.failed);
        assert_int_equal(buffer_len(&out), 9 + frame_bytes);
        buffer_fini(&out);
    }
}

static void closes(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    websocket_put_close(&out, CLOSE_GOING_AWAY, "bye");
    websocket_put_close(&out, CLOSE_REPLACED, "");
    websocket_put_close(&out, CLOSE_NO_STATUS, "unsaid");
    assert_bytes(&out,
                 "\x88\x05\x03\xe9"
                 "bye\x88\x02\x11\x95\x88\0",
                 13);
    buffer_clear(&out);
    char reason[124];
    memset(reason, 'r', sizeof reason);
    reason[123] = '\0';
    websocket_put_close(&out, CLOSE_TOO_SLOW, reason);
    assert_int_equal(buffer_len(&out), 2 + 125);
    assert_int_equal(out.data[1], 125);
    assert_memory_equal(out.data + 4, reason, 123);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_frames),
        cmocka_unit_test(sizes),
        cmocka_unit_test(what_does_not_fit_leaves_nothing),
        cmocka_unit_test(closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
