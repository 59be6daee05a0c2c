/* What one client goes through: request head, then a file or a handshake, then a WebSocket, then
 * the end. Between connection.h (a socket and its queue) below and the application above: the
 * gateway's exchange, or ws-echo's echo.
 *
 *   HEAD ──── fetch or refusal ───────────────> RESPONDED ──┐
 *     └─ valid handshake ─> WAITING ── refused ──^          ├──> gone
 *                              └─ accepted ─> OPEN ─> CLOSING ─┘
 */
#pragma once

#include "gateway/connection.h"
#include "gateway/handshake.h"
#include "gateway/websocket.h"

enum client_state {
    CLIENT_HEAD,      /* reading the request head */
    CLIENT_WAITING,   /* the handshake is valid; the application has not answered yet */
    CLIENT_OPEN,      /* messages flow */
    CLIENT_CLOSING,   /* our close frame is queued or sent; waiting for the peer to end */
    CLIENT_RESPONDED, /* an HTTP response is queued or sent; waiting for the peer to end */
    CLIENT_GONE,
};

struct client;

struct client_handlers {
    /* A request that is no handshake: append a whole response head to `out`; *body follows it. */
    void (*on_fetch)(void *arg, const struct http_request *request, struct buffer *out,
                     struct slice *body);
    /* A valid handshake: answer with client_accept or client_refuse, now or later. */
    void (*on_handshake)(struct client *client, const struct handshake *handshake);
    void (*on_message)(struct client *client, enum websocket_opcode opcode, struct slice payload);
    /* Bytes went to the socket: see client_written_bytes. */
    void (*on_written)(struct client *client);
    /* A client that was WAITING or OPEN is neither any more: no message will come or go. `code` is
     * the close code, 0 if it ended without one. What was queued and not begun has been dropped;
     * see client_begun_bytes. Called once for each on_handshake. */
    void (*on_end)(struct client *client, uint16_t code);
};

struct client {
    struct connection conn;
    struct client *prev;
    struct client *next;
    void *session;                       /* the application's; NULL at first */
    struct client_opening *opening;      /* while HEAD or WAITING, if needed */
    struct websocket_receiver *receiver; /* while a frame or message is unfinished */
    size_t frame_rest_bytes;             /* of the frame that has been written in part */
    uint64_t heard_ms;                   /* when the peer was last heard of */
    uint64_t rate_due_ns; /* when the messages so far are paid for, at rate_max_per_s */
    enum client_state state;
    bool is_pinged;    /* since it was last heard of */
    bool is_throttled; /* held since it sends faster than its rate */
    bool is_stopped;   /* by client_stop_reading */
    bool has_ended;    /* the peer sends no more; we still write our last word */
};

/* WAITING -> OPEN: the 101 goes out, then `greeting` as the first message (none if it is empty);
 * then what was sent behind the head is read, so on_message may be called before this returns. */
void client_accept(struct client *client, struct slice greeting);
/* WAITING -> RESPONDED. Does not call on_end. */
void client_refuse(struct client *client, const struct http_refusal *refusal);

/* Queues one message. False: it does not fit; the client is closed with 4001 and on_end has been
 * called. Only while OPEN. */
MUST_CHECK bool client_send(struct client *client, enum websocket_opcode opcode,
                            struct slice payload);

/* No message of it is read any more. Only while OPEN; what it is sent is sent. */
void client_stop_reading(struct client *client);

/* OPEN -> CLOSING with a close frame. What the socket does not take at once is dropped, but for
 * the frame that has been begun. Calls on_end. In any other state: nothing. */
void client_close(struct client *client, uint16_t code, const char *reason);

/* Positions in the stream of bytes to this client: up to where they are queued, up to where they
 * are with the kernel, and up to where the last frame goes of which the kernel has a part. */
uint64_t client_queued_bytes(const struct client *client);
uint64_t client_written_bytes(const struct client *client);
uint64_t client_begun_bytes(const struct client *client);
