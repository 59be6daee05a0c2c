/* A client set behind real sockets, with an application that writes down what it is told and does
 * what the test has ordered; and what a far end reads: responses and frames. */
#pragma once

#include "gateway/client_set.h"
#include "tests/unit/gateway/client_frame.h"
#include "tests/unit/gateway/loop_fixture.h"

#include <stdio.h>

enum {
    FAR_ENDS_MAX = 4,
    LOG_MAX_BYTES = 16 * 1024 * 1024,
    HEAD_MAX_BYTES = 1024,
    MESSAGE_MAX_BYTES = 16 * 1024,
    QUEUE_MAX_BYTES = 64 * 1024,
    LONG_MS = 60 * 1000, /* longer than any test */
    FIN_TEXT = 0x81,
    FIN_BINARY = 0x82,
    FIN_CLOSE = 0x88,
    FIN_PING = 0x89,
    FIN_PONG = 0x8a,
    CLOSE_CODE_BYTES = 2,
};

struct client_fixture {
    struct loop_fixture base;
    struct client_set set;
    struct far_end fars[FAR_ENDS_MAX];
    size_t far_count;
    struct buffer log;     /* what the application was told */
    struct client *client; /* the last one that shook hands; NULL once it has ended */
    struct slice body;     /* of each fetch */
    const char *greeting;
    size_t message_count;
    uint64_t end_written_bytes; /* positions when a client ended */
    uint64_t end_begun_bytes;
    bool accepts_later;
    bool echoes;
    void (*on_written)(struct client_fixture *fixture, struct client *client);
};

#define HANDSHAKE_HEADERS                                                \
    "Host: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
static const char handshake_text[] = "GET /?userId=alice HTTP/1.1\r\n" HANDSHAKE_HEADERS;

static inline struct client_fixture *client_fixture_of(const struct client *client)
{
    return client_set_of(client)->arg;
}

static inline void app_on_fetch(void *arg, const struct http_request *request, struct buffer *out,
                                struct slice *body)
{
    struct client_fixture *fixture = arg;
    buffer_put_string(&fixture->log, "fetch ");
    buffer_put(&fixture->log, request->path);
    buffer_put_string(&fixture->log, ";");
    buffer_put_string(out, "HTTP/1.1 200 OK\r\n\r\n");
    *body = fixture->body;
}

static inline void app_accept(struct client_fixture *fixture, struct client *client)
{
    client_accept(client, slice_from_string(fixture->greeting));
}

static inline void app_on_handshake(struct client *client, const struct handshake *handshake)
{
    struct client_fixture *fixture = client_fixture_of(client);
    buffer_put_format(&fixture->log, "handshake %.*s;", handshake->user_id_len,
                      (const char *)handshake->user_id);
    fixture->client = client;
    if (!fixture->accepts_later) {
        app_accept(fixture, client);
    }
}

static inline void app_on_message(struct client *client, enum websocket_opcode opcode,
                                  struct slice payload)
{
    struct client_fixture *fixture = client_fixture_of(client);
    fixture->message_count++;
    buffer_put(&fixture->log, payload);
    buffer_put_string(&fixture->log, ";");
    if (fixture->echoes) {
        assert_true(client_send(client, opcode, payload));
    }
}

static inline void app_on_written(struct client *client)
{
    struct client_fixture *fixture = client_fixture_of(client);
    if (fixture->on_written != NULL) {
        fixture->on_written(fixture, client);
    }
}

static inline void app_on_end(struct client *client, uint16_t code)
{
    struct client_fixture *fixture = client_fixture_of(client);
    buffer_put_format(&fixture->log, "end %u;", code);
    fixture->end_written_bytes = client_written_bytes(client);
    fixture->end_begun_bytes = client_begun_bytes(client);
    if (fixture->client == client) {
        fixture->client = NULL;
    }
}

static const struct client_handlers app_handlers = {
    .on_fetch = app_on_fetch,
    .on_handshake = app_on_handshake,
    .on_message = app_on_message,
    .on_written = app_on_written,
    .on_end = app_on_end,
};

static inline int client_set_up(void **state)
{
    struct client_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    loop_fixture_init(&fixture->base, &fixture->set.connections);
    buffer_init(&fixture->log, LOG_MAX_BYTES);
    fixture->greeting = "";
    struct client_config config = {
        .head_max_bytes = HEAD_MAX_BYTES,
        .head_timeout_ms = LONG_MS,
        .ping_interval_ms = LONG_MS,
        .idle_timeout_ms = LONG_MS,
        .close_timeout_ms = LONG_MS,
        .queue_max_bytes = QUEUE_MAX_BYTES,
        .connections_max = FAR_ENDS_MAX,
        .websocket = {.message_max_bytes = MESSAGE_MAX_BYTES, .accepts_binary = false},
        .handshake = {.allowed_origins = "", .requires_user_id = true},
    };
    assert_true(
        client_set_init(&fixture->set, fixture->base.loop, &config, &app_handlers, fixture));
    *state = fixture;
    return 0;
}

static inline int client_tear_down(void **state)
{
    struct client_fixture *fixture = *state;
    client_set_fini(&fixture->set);
    for (size_t i = 0; i < fixture->far_count; i++) {
        far_end_fini(&fixture->fars[i]);
    }
    loop_free(fixture->base.loop);
    buffer_fini(&fixture->log);
    free(fixture);
    return 0;
}

static inline struct client_fixture *client_fixture_of_base(struct loop_fixture *base)
{
    return container_of(base, struct client_fixture, base);
}

static inline struct far_end *connect_far(struct client_fixture *fixture, int socket_bytes)
{
    int fds[2];
    tcp_pair(fds, socket_bytes);
    assert_true(fixture->far_count < FAR_ENDS_MAX);
    struct far_end *far = &fixture->fars[fixture->far_count++];
    far_end_open(far, fixture->base.loop, fds[1]);
    client_set_take(&fixture->set, fds[0]);
    return far;
}

static inline void far_sends_text(struct far_end *far, const char *text)
{
    far_end_send(far, slice_from_string(text));
}

static inline void far_sends_frame(struct far_end *far, uint8_t first_byte, struct slice payload)
{
    struct buffer frame;
    buffer_init(&frame, FAR_MAX_BYTES);
    put_client_frame(&frame, first_byte, payload);
    assert_false(frame.failed);
    far_end_send(far, buffer_slice(&frame));
    buffer_fini(&frame);
}

static inline void far_sends_close(struct far_end *far, uint16_t code)
{
    uint8_t payload[CLOSE_CODE_BYTES] = {(uint8_t)(code >> 8), (uint8_t)code};
    far_sends_frame(far, FIN_CLOSE, slice_of(payload, sizeof payload));
}

/* Compares and forgets. */
static inline void expect_log(struct client_fixture *fixture, const char *expected)
{
    buffer_put_u8(&fixture->log, 0);
    assert_string_equal((const char *)buffer_slice(&fixture->log).data, expected);
    buffer_clear(&fixture->log);
}

/* The length of the response head that has been received, 0 if it is not whole. */
static inline size_t response_head_bytes(const struct far_end *far)
{
    struct slice received = buffer_slice(&far->received);
    const uint8_t *end =
        received.data != NULL ? memmem(received.data, received.len, "\r\n\r\n", 4) : NULL;
    return end != NULL ? (size_t)(end + 4 - received.data) : 0;
}

static inline bool first_far_has_head(struct loop_fixture *base)
{
    return response_head_bytes(&client_fixture_of_base(base)->fars[0]) > 0;
}

static inline bool first_far_has_ended(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->fars[0].has_ended;
}

/* All clients, and all memory of theirs, are gone. */
static inline bool nobody_is_left(struct loop_fixture *base)
{
    return client_set_count(&client_fixture_of_base(base)->set) == 0;
}

static inline bool app_has_ended_its_client(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->client == NULL;
}

/* A status line, and that no second response follows. */
static inline void expect_status(const struct far_end *far, const char *status)
{
    struct slice received = buffer_slice(&far->received);
    char start[32];
    int len = snprintf(start, sizeof start, "HTTP/1.1 %s ", status);
    assert_true(received.data != NULL && received.len > (size_t)len &&
                memcmp(received.data, start, (size_t)len) == 0 &&
                memmem(received.data + 1, received.len - 1, "HTTP/1.1", 8) == NULL);
}

/* Shakes hands; the response has been taken off. */
static inline struct far_end *open_far(struct client_fixture *fixture, int socket_bytes)
{
    assert_int_equal(fixture->far_count, 0);
    struct far_end *far = connect_far(fixture, socket_bytes);
    far_sends_text(far, handshake_text);
    run_until(&fixture->base, first_far_has_head);
    expect_status(far, "101");
    buffer_consume(&far->received, response_head_bytes(far));
    assert_non_null(fixture->client);
    expect_log(fixture, "handshake alice;");
    return far;
}

/* Whether a whole frame has been received; its first byte and payload. */
static inline bool peek_frame(const struct far_end *far, uint8_t *first_byte, struct slice *payload)
{
    struct slice received = buffer_slice(&far->received);
    if (received.data == NULL || received.len < FRAME_HEAD_MIN_BYTES ||
        received.len < frame_head_bytes(received.data) ||
        received.len < websocket_frame_bytes(received)) {
        return false;
    }
    size_t head_bytes = frame_head_bytes(received.data);
    *first_byte = received.data[0];
    *payload = slice_of(received.data + head_bytes, websocket_frame_bytes(received) - head_bytes);
    return true;
}

static inline bool first_far_has_frame(struct loop_fixture *base)
{
    uint8_t first_byte = 0;
    struct slice payload = {0};
    return peek_frame(&client_fixture_of_base(base)->fars[0], &first_byte, &payload);
}

/* Takes a frame off that has been received. */
static inline void expect_frame(struct far_end *far, uint8_t expected_first_byte,
                                struct slice expected_payload)
{
    uint8_t first_byte = 0;
    struct slice payload = {0};
    assert_true(peek_frame(far, &first_byte, &payload));
    assert_int_equal(first_byte, expected_first_byte);
    assert_true(slice_equal(payload, expected_payload));
    buffer_consume(&far->received, websocket_frame_bytes(buffer_slice(&far->received)));
}

/* Takes a close frame off, which must be the last that has been received. 0: it has no code. */
static inline uint16_t take_close(struct far_end *far)
{
    uint8_t first_byte = 0;
    struct slice payload = {0};
    assert_true(peek_frame(far, &first_byte, &payload));
    assert_int_equal(first_byte, FIN_CLOSE);
    unsigned code = 0;
    if (payload.len >= CLOSE_CODE_BYTES) {
        code = (unsigned)payload.data[0] << 8 | payload.data[1];
    }
    buffer_consume(&far->received, websocket_frame_bytes(buffer_slice(&far->received)));
    assert_int_equal(buffer_len(&far->received), 0);
    return (uint16_t)code;
}

/* The close frame, then the end of the stream; then the far end closes and the client is gone. */
static inline void expect_close(struct client_fixture *fixture, uint16_t code)
{
    run_until(&fixture->base, first_far_has_ended);
    assert_int_equal(take_close(&fixture->fars[0]), code);
    run_until(&fixture->base, nobody_is_left);
    assert_int_equal(websocket_pool_lent(fixture->set.websockets), 0);
}
