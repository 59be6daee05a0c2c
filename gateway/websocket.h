/* The receiving and the sending half of a WebSocket (RFC 6455) between two buffers: no socket, no
 * clock. wslay's frame layer reads the frames; assembly of messages, UTF-8, limits and close codes
 * are decided here.
 *
 * Memory: a receiver (wslay's frame context and the message under way) is borrowed from a pool only
 * while a frame or a fragmented message is unfinished. Between frames a connection holds none. */
#pragma once

#include "common/buffer.h"
#include "common/close_code.h"

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0x0,
    WEBSOCKET_TEXT = 0x1,
    WEBSOCKET_BINARY = 0x2,
    WEBSOCKET_CLOSE = 0x8,
    WEBSOCKET_PING = 0x9,
    WEBSOCKET_PONG = 0xa,
};

struct websocket_config {
    size_t message_max_bytes; /* a longer message: 1009 */
    bool accepts_binary;      /* else a binary message: 1003 */
};

/* What happens while bytes are fed; all in the order in which it was sent. Payloads are valid
 * during the call. A handler that answers false stops the feeding: the rest of the bytes is
 * dropped (its connection is going away). Handlers must not feed. */
struct websocket_handlers {
    bool (*on_message)(void *owner, enum websocket_opcode opcode, struct slice payload);
    bool (*on_ping)(void *owner, struct slice payload);
    bool (*on_pong)(void *owner, struct slice payload);
};

enum websocket_status {
    WEBSOCKET_OPEN,    /* all bytes were taken */
    WEBSOCKET_STOPPED, /* a handler answered false */
    WEBSOCKET_CLOSED,  /* the peer sent a valid close frame: answer with *close_code, then end;
                          CLOSE_NO_STATUS: answer with an empty close frame */
    WEBSOCKET_FAILED,  /* the peer broke the protocol or a limit: send *close_code, then end */
};

struct websocket_pool;
struct websocket_receiver;

/* NULL: no memory. All connections of a loop share one pool. */
struct websocket_pool *websocket_pool_new(const struct websocket_config *config,
                                          const struct websocket_handlers *handlers);
/* All receivers must have been returned. */
void websocket_pool_free(struct websocket_pool *pool);
/* Receivers lent right now. */
size_t websocket_pool_lent(const struct websocket_pool *pool);

/* Takes all of `bytes`. `*receiver` is NULL at first and belongs to the pool: borrowed and returned
 * here. After anything but WEBSOCKET_OPEN it has been returned and nothing may be fed any more.
 * Out of memory fails with CLOSE_INTERNAL_ERROR. */
enum websocket_status websocket_receive(struct websocket_pool *pool,
                                        struct websocket_receiver **receiver, struct slice bytes,
                                        void *owner, uint16_t *close_code);
/* Returns the receiver of a connection that ends; *receiver may be NULL, and is NULL afterwards. */
void websocket_release(struct websocket_pool *pool, struct websocket_receiver **receiver);

/* Appends one unfragmented, unmasked frame (RFC 6455, 5.2). */
void websocket_put_frame(struct buffer *out, enum websocket_opcode opcode, struct slice payload);
/* Bytes that websocket_put_frame adds to a payload of that size. */
size_t websocket_frame_overhead(size_t payload_bytes);
/* Bytes of the whole frame, as written by websocket_put_frame, that `frames` begins with; its
 * header must be there in full. */
size_t websocket_frame_bytes(struct slice frames);
/* Appends a close frame; `reason` at most 123 bytes of UTF-8. CLOSE_NO_STATUS: an empty one. */
void websocket_put_close(struct buffer *out, uint16_t code, const char *reason);
