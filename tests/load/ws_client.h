/* One WebSocket client of a load (RFC 6455): a socket, the opening handshake, frames. One read a
 * readable connection and turn; what is put is written by ws_client_flush. Answers pings. Knows
 * nothing of what the messages say. */
#pragma once

#include "common/buffer.h"
#include "common/loop.h"

#include <sys/socket.h>

struct ws_client;

struct ws_client_handlers {
    /* The handshake has succeeded. */
    void (*on_open)(struct ws_client *ws);
    /* A text or binary message; valid during the call. */
    void (*on_message)(struct ws_client *ws, struct slice payload);
    /* All that was read in this turn has been handed out. */
    void (*on_read_end)(struct ws_client *ws);
    /* The connection is over, and its descriptor closed; `was_open`: on_open had been called. `why`
     * is a word for a report, such as "refused-503", "closed-4001", "reset". */
    void (*on_gone)(struct ws_client *ws, bool was_open, const char *why);
};

/* What the clients of one loop share. */
struct ws_client_set {
    struct loop *loop;
    const struct ws_client_handlers *handlers;
    size_t message_max_bytes; /* of a message that is received */
    uint8_t *read_buffer;
    size_t read_max_bytes;
    uint64_t now_ns; /* when the last read returned */
    uint64_t random; /* for masking keys */
};

enum ws_client_state {
    WS_CLIENT_IDLE,       /* no descriptor */
    WS_CLIENT_CONNECTING, /* the request has not been written yet */
    WS_CLIENT_HANDSHAKE,
    WS_CLIENT_OPEN,
    WS_CLIENT_CLOSING, /* our close frame is queued; what comes is dropped */
};

/* Embedded in its owner. All zeroes: idle. */
struct ws_client {
    struct loop_watch watch;
    struct ws_client_set *set;
    enum ws_client_state state;
    bool write_is_blocked;
    struct buffer in; /* an unfinished frame, or response head */
    struct buffer out;
};

struct ws_client_route {
    const struct sockaddr *target;
    socklen_t target_len;
    uint32_t source_address; /* IPv4, host order; 0: the kernel's choice */
    const char *host;        /* for the Host header */
    const char *path;
};

/* False: no memory. */
MUST_CHECK bool ws_client_set_init(struct ws_client_set *set, struct loop *loop,
                                   const struct ws_client_handlers *handlers,
                                   size_t message_max_bytes);
void ws_client_set_fini(struct ws_client_set *set);
/* The machine's monotonic clock. */
uint64_t ws_client_clock_ns(void);

/* Begins; on_open or on_gone follows, perhaps during the call. The client is idle. */
void ws_client_connect(struct ws_client *ws, struct ws_client_set *set,
                       const struct ws_client_route *route);
/* Queues a text message. False: the queue is full; nothing was queued. */
MUST_CHECK bool ws_client_put(struct ws_client *ws, struct slice text);
/* Writes what is queued, or as much as the socket takes; the rest follows when it takes more. */
void ws_client_flush(struct ws_client *ws);
/* Queues and writes a close frame; on_gone follows when the server closes. */
void ws_client_close(struct ws_client *ws, uint16_t code);
/* Closes the descriptor. on_gone is not called. */
void ws_client_abort(struct ws_client *ws);
