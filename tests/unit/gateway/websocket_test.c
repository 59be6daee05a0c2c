/* The receiving half of a WebSocket: each scenario whole, byte by byte and in random splits. */
#include "gateway/websocket.h"

#include "common/compiler.h"
#include "tests/unit/gateway/client_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    MESSAGE_MAX_BYTES = 1000,
    SPLITS_COUNT = 20,
    FRAMES_MAX = 4,
    BUFFER_MAX_BYTES = 40 * 1024 * 1024,
};

/* One connection as its owner sees it. */
struct peer {
    struct websocket_pool *pool;
    struct websocket_receiver *receiver;
    struct buffer log; /* what the handlers were told, as text */
    enum websocket_status status;
    uint16_t close_code;
    size_t taken_bytes; /* until the status was not OPEN any more */
};

static bool on_event(struct peer *peer, const char *name, struct slice payload)
{
    buffer_put_string(&peer->log, name);
    buffer_put(&peer->log, payload);
    buffer_put_string(&peer->log, ";");
    return true;
}

static bool on_message(void *owner, enum websocket_opcode opcode, struct slice payload)
{
    assert_true(opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY);
    return on_event(owner, opcode == WEBSOCKET_TEXT ? "text:" : "binary:", payload);
}

static bool on_ping(void *owner, struct slice payload)
{
    return on_event(owner, "ping:", payload);
}

static bool on_pong(void *owner, struct slice payload)
{
    return on_event(owner, "pong:", payload);
}

static const struct websocket_handlers handlers = {on_message, on_ping, on_pong};

static struct websocket_pool *new_pool(size_t message_max_bytes, bool accepts_binary)
{
    struct websocket_config config = {message_max_bytes, accepts_binary};
    struct websocket_pool *pool = websocket_pool_new(&config, &handlers);
    assert_non_null(pool);
    return pool;
}

static void peer_init(struct peer *peer, struct websocket_pool *pool)
{
    *peer = (struct peer){.pool = pool};
    buffer_init(&peer->log, BUFFER_MAX_BYTES);
}

static void peer_fini(struct peer *peer)
{
    websocket_release(peer->pool, &peer->receiver);
    assert_null(peer->receiver);
    buffer_fini(&peer->log);
}

/* Feeds a copy that goes away at once, so that reading beyond or after it is noticed. */
static void feed(struct peer *peer, struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    peer->status = websocket_receive(peer->pool, &peer->receiver, slice_of(copy, bytes.len), peer,
                                     &peer->close_code);
    free(copy);
    peer->taken_bytes += bytes.len;
    assert_true(peer->status == WEBSOCKET_OPEN || peer->receiver == NULL);
    assert_int_equal(websocket_pool_lent(peer->pool), peer->receiver != NULL);
}

/* In pieces of 1 to `piece_max_bytes`; 1 is byte by byte. Stops when the connection is over. */
static void feed_split(struct peer *peer, struct slice bytes, size_t piece_max_bytes)
{
    while (bytes.len > 0 && peer->status == WEBSOCKET_OPEN) {
        size_t count = 1 + (size_t)rand() % piece_max_bytes;
        count = count < bytes.len ? count : bytes.len;
        feed(peer, slice_of(bytes.data, count));
        bytes = slice_drop(bytes, count);
    }
}

struct client_frame {
    uint8_t first_byte;
    const char *payload; /* NULL: no frame */
    size_t len;
};

struct scenario {
    const char *name;
    struct client_frame frames[FRAMES_MAX];
    struct slice raw; /* bytes behind the frames */
    const char *log;
    enum websocket_status status;
    uint16_t close_code;
    bool is_under_way; /* a receiver is lent at the end */
};

#define FRAME(first_byte, payload)                   \
    {                                                \
        (first_byte), (payload), sizeof(payload) - 1 \
    }
#define RAW(bytes)                                  \
    {                                               \
        (const uint8_t *)(bytes), sizeof(bytes) - 1 \
    }

#define CLOSE(name, raw, close_code, ...)                                 \
    {                                                                     \
        name, {__VA_ARGS__}, raw, "", WEBSOCKET_CLOSED, close_code, false \
    }

static const struct scenario good_scenarios[] = {
    {"nothing", .log = ""},
    {"text", {FRAME(0x81, "hello")}, .log = "text:hello;"},
    {"empty text", {FRAME(0x81, "")}, .log = "text:;"},
    {"binary", {FRAME(0x82, "\xff\xfe")}, .log = "binary:\xff\xfe;"},
    {"two in a row", {FRAME(0x81, "a"), FRAME(0x82, "b")}, .log = "text:a;binary:b;"},
    {"fragments", {FRAME(0x01, "he"), FRAME(0x00, "l"), FRAME(0x80, "lo")}, .log = "text:hello;"},
    {"empty fragments", {FRAME(0x01, ""), FRAME(0x00, ""), FRAME(0x80, "")}, .log = "text:;"},
    {"empty last fragment", {FRAME(0x02, "a"), FRAME(0x80, "")}, .log = "binary:a;"},
    {"empty first fragment", {FRAME(0x01, ""), FRAME(0x80, "a")}, .log = "text:a;"},
    {"ping, pong",
     {FRAME(0x89, "a"), FRAME(0x8a, ""), FRAME(0x89, "")},
     .log = "ping:a;pong:;ping:;"},
    {"controls between fragments",
     {FRAME(0x01, "a"), FRAME(0x89, "p"), FRAME(0x8a, "q"), FRAME(0x80, "b")},
     .log = "ping:p;pong:q;text:ab;"},
    {"character across fragments",
     {FRAME(0x01, "\xf0\x9f"), FRAME(0x89, "\xff"), FRAME(0x80, "\x98\x80")},
     .log = "ping:\xff;text:\xf0\x9f\x98\x80;"},
    {"message under way", {FRAME(0x01, "a")}, .log = "", .is_under_way = true},
    {"head under way", {FRAME(0x81, "a")}, RAW("\x81"), "text:a;", .is_under_way = true},
    {"payload under way", .raw = RAW("\x81\x82\0\0\0\0x"), .log = "", .is_under_way = true},
    CLOSE("close", {0}, CLOSE_NO_STATUS, FRAME(0x88, "")),
    CLOSE("close with a reason", {0}, 4000, FRAME(0x88, "\x0f\xa0why")),
    CLOSE("close within a message", RAW("\xff\xff\xff"), 1000, FRAME(0x01, "a"),
          FRAME(0x88, "\x03\xe8")),
};

#define BAD(name, raw, log, close_code)                                 \
    {                                                                   \
        name, {{0}}, RAW(raw), log, WEBSOCKET_FAILED, close_code, false \
    }
#define KEY "\0\0\0\0"

/* Each ends with the byte at which it must fail: not later, and (byte by byte) not earlier. */
static const struct scenario bad_scenarios[] = {
    BAD("rsv1", "\xc1\x80" KEY, "", 1002),
    BAD("rsv2", "\xa1\x80" KEY, "", 1002),
    BAD("rsv3", "\x91\x85" KEY, "", 1002),
    BAD("rsv on a ping", "\xc9\x80" KEY, "", 1002),
    BAD("unmasked", "\x81\x05", "", 1002),
    BAD("unmasked, empty", "\x81\x00", "", 1002),
    BAD("unmasked ping behind a message", "\x81\x81" KEY "a\x89\x00", "text:a;", 1002),
    BAD("continuation of nothing", "\x80\x80" KEY, "", 1002),
    BAD("continuation behind a message", "\x81\x81" KEY "a\x00\x81" KEY, "text:a;", 1002),
    BAD("text within a message", "\x01\x81" KEY "a\x81\x81" KEY, "", 1002),
    BAD("binary within a message", "\x01\x81" KEY "a\x82\x81" KEY, "", 1002),
    BAD("fragmented ping", "\x09\x80", "", 1002),
    BAD("fragmented close", "\x08\x80", "", 1002),
    BAD("long ping", "\x89\xfe", "", 1002),
    BAD("long pong", "\x8a\xff", "", 1002),
    BAD("long close", "\x88\xfe", "", 1002),
    BAD("16-bit length for 125", "\x81\xfe\x00\x7d", "", 1002),
    BAD("64-bit length for 65535", "\x81\xff\0\0\0\0\0\0\xff\xff", "", 1002),
    BAD("64-bit length, top bit", "\x81\xff\x80\0\0\0\0\0\0\0", "", 1002),
    BAD("message one too long", "\x81\xfe\x03\xe9" KEY, "", 1009),
    BAD("the longest message there is", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" KEY, "", 1009),
    BAD("fragments too long", "\x01\x81" KEY "a\x00\xfe\x03\xe8" KEY, "", 1009),
    BAD("close of one byte", "\x88\x81" KEY "x", "", 1002),
    BAD("close reason not UTF-8", "\x88\x84" KEY "\x03\xe8\xc3(", "", 1007),
    BAD("close reason cut short", "\x88\x83" KEY "\x03\xe8\xc3", "", 1007),
    BAD("bad byte in mid-frame", "\x81\x85" KEY "ab\xff", "", 1007),
    BAD("surrogate in mid-frame", "\x81\x85" KEY "\xed\xa0", "", 1007),
    BAD("character cut short", "\x81\x82" KEY "a\xce", "", 1007),
    BAD("bad byte in a fragment", "\x01\x81" KEY "\xce\x00\x82" KEY "x", "", 1007),
    BAD("character cut short at the end of fragments", "\x01\x81" KEY "\xce\x80\x80" KEY, "", 1007),
};

static void check_peer(struct peer *peer, const struct scenario *scenario)
{
    struct slice log = buffer_slice(&peer->log);
    bool is_right = log.len == strlen(scenario->log) &&
                    (log.len == 0 || memcmp(log.data, scenario->log, log.len) == 0) &&
                    peer->status == scenario->status && peer->close_code == scenario->close_code &&
                    (peer->receiver != NULL) == scenario->is_under_way;
    if (!is_right) {
        fail_msg("%s: status %d, code %d, log %.*s", scenario->name, (int)peer->status,
                 peer->close_code, (int)log.len, (const char *)log.data);
    }
}

static void run(const struct scenario *scenario, struct websocket_pool *pool, struct slice bytes,
                size_t piece_max_bytes)
{
    struct peer peer;
    peer_init(&peer, pool);
    if (piece_max_bytes == 0 && bytes.len > 0) {
        feed(&peer, bytes);
    } else {
        feed_split(&peer, bytes, piece_max_bytes);
    }
    check_peer(&peer, scenario);
    if (scenario->status == WEBSOCKET_FAILED && peer.taken_bytes != bytes.len) {
        fail_msg("%s: failed early, at byte %zu", scenario->name, peer.taken_bytes);
    }
    peer_fini(&peer);
    assert_int_equal(websocket_pool_lent(pool), 0);
}

static void run_all_ways(const struct scenario *scenario, struct websocket_pool *pool)
{
    struct buffer bytes;
    buffer_init(&bytes, BUFFER_MAX_BYTES);
    for (size_t i = 0; i < FRAMES_MAX && scenario->frames[i].payload != NULL; i++) {
        const struct client_frame *frame = &scenario->frames[i];
        put_client_frame(&bytes, frame->first_byte, slice_of(frame->payload, frame->len));
    }
    assert_false(bytes.failed);
    if (scenario->raw.len > 0) {
        buffer_put(&bytes, scenario->raw);
    }
    struct slice all = bytes.data != NULL ? buffer_slice(&bytes) : slice_of(NULL, 0);
    run(scenario, pool, all, 0);
    run(scenario, pool, all, 1);
    for (size_t i = 0; i < SPLITS_COUNT; i++) {
        run(scenario, pool, all, 2 + i);
    }
    buffer_fini(&bytes);
}

static void run_table(const struct scenario *scenarios, size_t count)
{
    struct websocket_pool *pool = new_pool(MESSAGE_MAX_BYTES, true);
    for (size_t i = 0; i < count; i++) {
        run_all_ways(&scenarios[i], pool);
    }
    websocket_pool_free(pool);
}

static void good_frames(void **state)
{
    (void)state;
    run_table(good_scenarios, ARRAY_LENGTH(good_scenarios));
}

static void bad_frames(void **state)
{
    (void)state;
    run_table(bad_scenarios, ARRAY_LENGTH(bad_scenarios));
}

static void unknown_opcodes(void **state)
{
    (void)state;
    static const uint8_t opcodes[] = {0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf};
    struct websocket_pool *pool = new_pool(MESSAGE_MAX_BYTES, true);
    for (size_t i = 0; i < ARRAY_LENGTH(opcodes); i++) {
        uint8_t head[] = {(uint8_t)(FRAME_FIN | opcodes[i]), FRAME_MASK | 5, 0, 0, 0, 0};
        struct scenario scenario = {
            "unknown opcode",     {{0}}, slice_of(head, sizeof head), "", WEBSOCKET_FAILED,
            CLOSE_PROTOCOL_ERROR, false};
        run_all_ways(&scenario, pool);
    }
    websocket_pool_free(pool);
}

static void binary_refused_at_its_head(void **state)
{
    (void)state;
    static const struct scenario scenarios[] = {
        BAD("binary", "\x82\x85" KEY, "", 1003),
        BAD("fragmented binary", "\x81\x81" KEY "a\x02\x80" KEY, "text:a;", 1003),
        BAD("binary within a message", "\x01\x81" KEY "a\x82\x81" KEY, "", 1002),
    };
    struct websocket_pool *pool = new_pool(MESSAGE_MAX_BYTES, false);
    for (size_t i = 0; i < ARRAY_LENGTH(scenarios); i++) {
        run_all_ways(&scenarios[i], pool);
    }
    websocket_pool_free(pool);
}

static void every_close_code(void **state)
{
    (void)state;
    struct websocket_pool *pool = new_pool(MESSAGE_MAX_BYTES, true);
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        bool is_valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) ||
                        (code >= 3000 && code <= 4999);
        uint8_t frame[] = {0x88, 0x82, 0, 0, 0, 0, (uint8_t)(code >> 8), (uint8_t)code};
        struct scenario scenario = {.name = "close code",
                                    .log = "",
                                    .status = is_valid ? WEBSOCKET_CLOSED : WEBSOCKET_FAILED,
                                    .close_code = is_valid ? (uint16_t)code : 1002};
        run(&scenario, pool, slice_of(frame, sizeof frame), 0);
    }
    websocket_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_frames),      cmocka_unit_test(bad_frames),
        cmocka_unit_test(unknown_opcodes),  cmocka_unit_test(binary_refused_at_its_head),
        cmocka_unit_test(every_close_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
