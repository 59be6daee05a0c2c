/* The receiver of WebSocket frames: the same bytes, whole and in pieces, must lead to the same
 * events and the same end.
 *
 * The input is a script, so that seeds are text: each line is a frame, its first letter saying
 * which one, the rest being its payload, which is masked here. T, B: text, binary; t, b: the first
 * of several fragments; c: a further one; C: the last; P, Q: ping, pong; X: close, with a code in
 * four digits, or any payload. A line that begins otherwise goes in as it is, without its first
 * byte: as bytes of any kind, good or bad. */
#include "gateway/websocket.h"

#include "tests/unit/gateway/client_frame.h"

#include <stdlib.h>

enum {
    MESSAGE_MAX_BYTES = 200, /* within reach of the fuzzer */
    BUFFER_MAX_BYTES = 16 * 1024 * 1024,
    CODE_DIGITS = 4,
    PIECE_MAX_BYTES = 16,
};

struct peer {
    struct websocket_pool *pool;
    struct websocket_receiver *receiver;
    struct buffer log;
    enum websocket_status status;
    uint16_t close_code;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* A message "stop" stops. */
static bool on_event(struct peer *peer, enum websocket_opcode opcode, struct slice payload)
{
    size_t len_before = buffer_len(&peer->log);
    websocket_put_frame(&peer->log, opcode, payload);
    require(!peer->log.failed);
    struct slice frame = slice_drop(buffer_slice(&peer->log), len_before);
    require(websocket_frame_bytes(frame) == frame.len);
    return !slice_equal_string(payload, "stop");
}

static bool on_message(void *owner, enum websocket_opcode opcode, struct slice payload)
{
    require(payload.len <= MESSAGE_MAX_BYTES);
    return on_event(owner, opcode, payload);
}

static bool on_ping(void *owner, struct slice payload)
{
    return on_event(owner, WEBSOCKET_PING, payload);
}

static bool on_pong(void *owner, struct slice payload)
{
    return on_event(owner, WEBSOCKET_PONG, payload);
}

static uint8_t first_byte_of(uint8_t letter)
{
    static const uint8_t first_bytes[UINT8_MAX + 1] = {
        ['T'] = FRAME_FIN | WEBSOCKET_TEXT,
        ['B'] = FRAME_FIN | WEBSOCKET_BINARY,
        ['t'] = WEBSOCKET_TEXT,
        ['b'] = WEBSOCKET_BINARY,
        ['C'] = FRAME_FIN,
        ['P'] = FRAME_FIN | WEBSOCKET_PING,
        ['Q'] = FRAME_FIN | WEBSOCKET_PONG,
        ['X'] = FRAME_FIN | WEBSOCKET_CLOSE,
    };
    return first_bytes[letter];
}

static void put_close(struct buffer *out, struct slice payload)
{
    unsigned code = 0;
    for (size_t i = 0; i < CODE_DIGITS; i++) {
        if (i >= payload.len || payload.data[i] < '0' || payload.data[i] > '9') {
            put_client_frame(out, first_byte_of('X'), payload);
            return;
        }
        code = 10 * code + payload.data[i] - '0';
    }
    struct buffer with_code;
    buffer_init(&with_code, BUFFER_MAX_BYTES);
    buffer_put_u8(&with_code, (uint8_t)(code >> 8));
    buffer_put_u8(&with_code, (uint8_t)code);
    buffer_put(&with_code, slice_drop(payload, CODE_DIGITS));
    put_client_frame(out, first_byte_of('X'), buffer_slice(&with_code));
    buffer_fini(&with_code);
}

static void put_line(struct buffer *out, struct slice line)
{
    uint8_t letter = line.data[0];
    struct slice payload = slice_drop(line, 1);
    if (letter == 'X') {
        put_close(out, payload);
    } else if (letter == 'c' || first_byte_of(letter) != 0) {
        put_client_frame(out, first_byte_of(letter), payload);
    } else {
        buffer_put(out, payload);
    }
}

static void put_script(struct buffer *out, struct slice script)
{
    while (script.len > 0) {
        const uint8_t *end = memchr(script.data, '\n', script.len);
        size_t len = end != NULL ? (size_t)(end - script.data) : script.len;
        if (len > 0) {
            put_line(out, slice_of(script.data, len));
        }
        script = slice_drop(script, end != NULL ? len + 1 : len);
    }
}

/* Pieces of 1 to `piece_max_bytes`, chosen by the bytes themselves; 0: all at once. */
static void feed(struct peer *peer, struct slice bytes, size_t piece_max_bytes)
{
    while (bytes.len > 0 && peer->status == WEBSOCKET_OPEN) {
        size_t count = piece_max_bytes == 0 ? bytes.len : 1 + bytes.data[0] % piece_max_bytes;
        count = count < bytes.len ? count : bytes.len;
        peer->status = websocket_receive(peer->pool, &peer->receiver, slice_of(bytes.data, count),
                                         peer, &peer->close_code);
        require(websocket_pool_lent(peer->pool) == (peer->receiver != NULL));
        require(peer->status == WEBSOCKET_OPEN || peer->receiver == NULL);
        bytes = slice_drop(bytes, count);
    }
}

/* Feeds one way; what is left to say of the connection is in `peer`. */
static void run(struct peer *peer, struct websocket_pool *pool, struct slice bytes,
                size_t piece_max_bytes)
{
    *peer = (struct peer){.pool = pool};
    buffer_init(&peer->log, BUFFER_MAX_BYTES);
    buffer_put_string(&peer->log, "log");
    feed(peer, bytes, piece_max_bytes);
    buffer_put_u8(&peer->log, peer->receiver != NULL);
    websocket_release(pool, &peer->receiver);
    require(websocket_pool_lent(pool) == 0);
}

static void compare_ways(struct slice bytes, bool accepts_binary)
{
    static const struct websocket_handlers handlers = {on_message, on_ping, on_pong};
    static const size_t piece_max_bytes[] = {1, PIECE_MAX_BYTES};
    struct websocket_config config = {MESSAGE_MAX_BYTES, accepts_binary};
    struct websocket_pool *pool = websocket_pool_new(&config, &handlers);
    require(pool != NULL);
    struct peer whole;
    run(&whole, pool, bytes, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(piece_max_bytes); i++) {
        struct peer split;
        run(&split, pool, bytes, piece_max_bytes[i]);
        require(split.status == whole.status && split.close_code == whole.close_code);
        require(slice_equal(buffer_slice(&split.log), buffer_slice(&whole.log)));
        buffer_fini(&split.log);
    }
    buffer_fini(&whole.log);
    websocket_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer bytes;
    buffer_init(&bytes, BUFFER_MAX_BYTES);
    put_script(&bytes, slice_of(data, size));
    struct slice all = slice_of(bytes.data, buffer_len(&bytes));
    compare_ways(all, false);
    compare_ways(all, true);
    buffer_fini(&bytes);
    return 0;
}
