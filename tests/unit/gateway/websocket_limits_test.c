/* Sizes at their limits, handlers that stop, and what the pool lends and gets back. */
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
    BUFFER_MAX_BYTES = 40 * 1024 * 1024,
    HUGE_BYTES = 16 * 1024 * 1024,
    PEERS_COUNT = 200, /* more than a pool keeps receivers for */
};

struct peer {
    struct websocket_pool *pool;
    struct websocket_receiver *receiver;
    struct slice expected; /* the payload of each message */
    size_t message_count;
    size_t ping_count;
    bool stops;    /* a handler answers false */
    bool releases; /* and returns the receiver, as an owner does that ends its connection */
};

static bool goes_on(struct peer *peer)
{
    if (peer->releases) {
        websocket_release(peer->pool, &peer->receiver);
    }
    return !peer->stops;
}

static bool on_message(void *owner, enum websocket_opcode opcode, struct slice payload)
{
    struct peer *peer = owner;
    assert_int_equal(opcode, WEBSOCKET_TEXT);
    assert_true(slice_equal(payload, peer->expected));
    peer->message_count++;
    return goes_on(peer);
}

static bool on_ping(void *owner, struct slice payload)
{
    struct peer *peer = owner;
    assert_true(slice_equal(payload, peer->expected));
    peer->ping_count++;
    return goes_on(peer);
}

static bool on_pong(void *owner, struct slice payload)
{
    return on_ping(owner, payload);
}

static const struct websocket_handlers handlers = {on_message, on_ping, on_pong};

static struct websocket_pool *new_pool(size_t message_max_bytes)
{
    struct websocket_config config = {.message_max_bytes = message_max_bytes};
    struct websocket_pool *pool = websocket_pool_new(&config, &handlers);
    assert_non_null(pool);
    return pool;
}

/* Pieces of `piece_bytes`; the status after the last one that was taken. */
static enum websocket_status feed(struct peer *peer, struct slice bytes, size_t piece_bytes,
                                  uint16_t *close_code)
{
    enum websocket_status status = WEBSOCKET_OPEN;
    while (bytes.len > 0 && status == WEBSOCKET_OPEN) {
        size_t count = piece_bytes < bytes.len ? piece_bytes : bytes.len;
        status = websocket_receive(peer->pool, &peer->receiver, slice_of(bytes.data, count), peer,
                                   close_code);
        bytes = slice_drop(bytes, count);
    }
    return status;
}

/* `text` in one frame, or in fragments of `fragment_bytes` if that is not 0. */
static void put_message(struct buffer *out, struct slice text, size_t fragment_bytes)
{
    uint8_t opcode = WEBSOCKET_TEXT;
    while (fragment_bytes > 0 && text.len > fragment_bytes) {
        put_client_frame(out, opcode, slice_of(text.data, fragment_bytes));
        text = slice_drop(text, fragment_bytes);
        opcode = WEBSOCKET_CONTINUATION;
    }
    put_client_frame(out, FRAME_FIN | opcode, text);
    assert_false(out->failed);
}

/* A message of `len` bytes where `max` are allowed, in one frame and in fragments. */
static void check_size(size_t len, size_t max, size_t fragment_bytes, size_t piece_bytes)
{
    uint8_t *text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    struct buffer bytes;
    buffer_init(&bytes, BUFFER_MAX_BYTES);
    put_message(&bytes, slice_of(text, len), fragment_bytes);
    struct peer peer = {.pool = new_pool(max), .expected = slice_of(text, len)};
    uint16_t close_code = 0;
    enum websocket_status status = feed(&peer, buffer_slice(&bytes), piece_bytes, &close_code);
    bool fits = len <= max;
    assert_int_equal(status, fits ? WEBSOCKET_OPEN : WEBSOCKET_FAILED);
    assert_int_equal(close_code, fits ? 0 : CLOSE_MESSAGE_TOO_BIG);
    assert_int_equal(peer.message_count, fits);
    assert_null(peer.receiver);
    assert_int_equal(websocket_pool_lent(peer.pool), 0);
    websocket_pool_free(peer.pool);
    buffer_fini(&bytes);
    free(text);
}

static void sizes_at_the_limit(void **state)
{
    (void)state;
    static const size_t maxima[] = {1, 125, 126, 127, 4088, 4096, 4097, 65535, 65536};
    static const size_t pieces[] = {SIZE_MAX, 1, 7, 4096};
    for (size_t i = 0; i < ARRAY_LENGTH(maxima); i++) {
        for (size_t j = 0; j < ARRAY_LENGTH(pieces); j++) {
            size_t max = maxima[i];
            check_size(max, max, 0, pieces[j]);
            check_size(max + 1, max, 0, pieces[j]);
            check_size(max, max, max / 3 + 1, pieces[j]);
            check_size(max + 1, max, max / 3 + 1, pieces[j]);
        }
    }
}

static void sixteen_mebibytes(void **state)
{
    (void)state;
    check_size(HUGE_BYTES, HUGE_BYTES, 0, SIZE_MAX);
    check_size(HUGE_BYTES, HUGE_BYTES, 0, 64 * 1024 - 1);
    check_size(HUGE_BYTES, HUGE_BYTES, 64, 1000);
    check_size(HUGE_BYTES + 1, HUGE_BYTES, 1024 * 1024, 64 * 1024);
}

static void nothing_but_empty_messages(void **state)
{
    (void)state;
    struct peer peer = {.pool = new_pool(0)};
    uint16_t close_code = 0;
    struct slice empty = slice_of("\x81\x80\0\0\0\0", 6);
    assert_int_equal(feed(&peer, empty, 1, &close_code), WEBSOCKET_OPEN);
    assert_int_equal(peer.message_count, 1);
    struct slice head_of_one = slice_of("\x81\x81\0\0\0\0", 6);
    assert_int_equal(feed(&peer, head_of_one, 1, &close_code), WEBSOCKET_FAILED);
    assert_int_equal(close_code, CLOSE_MESSAGE_TOO_BIG);
    websocket_pool_free(peer.pool);
}

/* Control frames have a limit of their own, whatever the messages' is. */
static void controls_of_every_size(void **state)
{
    (void)state;
    uint8_t payload[125];
    memset(payload, 0xff, sizeof payload);
    struct peer peer = {.pool = new_pool(0)};
    uint16_t close_code = 0;
    for (size_t len = 0; len <= sizeof payload; len++) {
        struct buffer bytes;
        buffer_init(&bytes, BUFFER_MAX_BYTES);
        peer.expected = slice_of(payload, len);
        put_client_frame(&bytes, FRAME_FIN | WEBSOCKET_PING, peer.expected);
        put_client_frame(&bytes, FRAME_FIN | WEBSOCKET_PONG, peer.expected);
        assert_int_equal(feed(&peer, buffer_slice(&bytes), 1 + len % 9, &close_code),
                         WEBSOCKET_OPEN);
        assert_int_equal(peer.ping_count, 2 * (len + 1));
        buffer_fini(&bytes);
    }
    websocket_pool_free(peer.pool);
}

/* What comes behind the event at which a handler stops is dropped. */
static void handlers_that_stop(void **state)
{
    (void)state;
    static const uint8_t first_bytes[] = {0x81, 0x89, 0x8a};
    struct peer peer = {.pool = new_pool(100), .stops = true, .expected = slice_of("abc", 3)};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(first_bytes); i++) {
        struct buffer bytes;
        buffer_init(&bytes, BUFFER_MAX_BYTES);
        put_client_frame(&bytes, first_bytes[i / 2], peer.expected);
        put_client_frame(&bytes, 0x81, peer.expected);
        peer.releases = i % 2 == 1;
        peer.message_count = 0;
        peer.ping_count = 0;
        uint16_t close_code = 0;
        assert_int_equal(feed(&peer, buffer_slice(&bytes), SIZE_MAX, &close_code),
                         WEBSOCKET_STOPPED);
        assert_int_equal(peer.message_count + peer.ping_count, 1);
        assert_int_equal(close_code, 0);
        assert_null(peer.receiver);
        assert_int_equal(websocket_pool_lent(peer.pool), 0);
        buffer_fini(&bytes);
    }
    websocket_pool_free(peer.pool);
}

/* A receiver that was given back within a fragmented message has forgotten it. */
static void the_next_borrower_starts_afresh(void **state)
{
    (void)state;
    struct websocket_pool *pool = new_pool(100);
    struct peer first = {.pool = pool};
    uint16_t close_code = 0;
    struct slice fragment = slice_of("\x01\x82\0\0\0\0\xce\xba", 8);
    assert_int_equal(feed(&first, fragment, SIZE_MAX, &close_code), WEBSOCKET_OPEN);
    struct websocket_receiver *receiver = first.receiver;
    assert_non_null(receiver);
    websocket_release(pool, &first.receiver);
    assert_null(first.receiver);

    struct peer second = {.pool = pool, .expected = slice_of("a", 1)};
    struct slice half = slice_of("\x81\x81\0", 3);
    assert_int_equal(feed(&second, half, SIZE_MAX, &close_code), WEBSOCKET_OPEN);
    assert_ptr_equal(second.receiver, receiver);
    assert_int_equal(feed(&second, slice_of("\0\0\0a", 4), 1, &close_code), WEBSOCKET_OPEN);
    assert_int_equal(second.message_count, 1);

    struct slice continuation = slice_of("\x80\x81\0\0\0\0", 6);
    assert_int_equal(feed(&second, continuation, 6, &close_code), WEBSOCKET_FAILED);
    assert_int_equal(close_code, CLOSE_PROTOCOL_ERROR);
    websocket_pool_free(pool);
}

/* Many connections in mid-frame at once, fed in turn, do not disturb one another. */
static void many_at_once(void **state)
{
    (void)state;
    struct websocket_pool *pool = new_pool(100);
    struct peer peers[PEERS_COUNT] = {0};
    char texts[PEERS_COUNT][4];
    struct buffer bytes[PEERS_COUNT];
    size_t len = 0;
    for (size_t i = 0; i < PEERS_COUNT; i++) {
        for (size_t j = 0; j < sizeof texts[i]; j++) {
            texts[i][j] = (char)('a' + (i + j) % 26);
        }
        peers[i].pool = pool;
        peers[i].expected = slice_of(texts[i], sizeof texts[i]);
        buffer_init(&bytes[i], BUFFER_MAX_BYTES);
        put_message(&bytes[i], peers[i].expected, 3);
        len = buffer_len(&bytes[i]);
    }
    uint16_t close_code = 0;
    for (size_t at = 0; at < len; at++) {
        for (size_t i = 0; i < PEERS_COUNT; i++) {
            assert_int_equal(websocket_pool_lent(pool),
                             at == 0 ? i : PEERS_COUNT - (at == len - 1) * i);
            struct slice byte = slice_of(bytes[i].data + at, 1);
            assert_int_equal(feed(&peers[i], byte, 1, &close_code), WEBSOCKET_OPEN);
        }
    }
    assert_int_equal(websocket_pool_lent(pool), 0);
    for (size_t i = 0; i < PEERS_COUNT; i++) {
        assert_int_equal(peers[i].message_count, 1);
        buffer_fini(&bytes[i]);
    }
    websocket_pool_free(pool);
}

static void no_bytes_borrow_nothing(void **state)
{
    (void)state;
    struct peer peer = {.pool = new_pool(100)};
    uint16_t close_code = 0;
    assert_int_equal(
        websocket_receive(peer.pool, &peer.receiver, slice_of(NULL, 0), &peer, &close_code),
        WEBSOCKET_OPEN);
    assert_null(peer.receiver);
    assert_int_equal(websocket_pool_lent(peer.pool), 0);
    websocket_release(peer.pool, &peer.receiver);
    websocket_pool_free(peer.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_at_the_limit),
        cmocka_unit_test(sixteen_mebibytes),
        cmocka_unit_test(nothing_but_empty_messages),
        cmocka_unit_test(controls_of_every_size),
        cmocka_unit_test(handlers_that_stop),
        cmocka_unit_test(the_next_borrower_starts_afresh),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(no_bytes_borrow_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
