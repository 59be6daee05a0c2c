/* One TCP connection: a socket, what is read from it, and a bounded queue of what is to be written.
 * Knows nothing of HTTP or WebSockets.
 *
 * Reading: what the socket has is read once a turn into a buffer that all connections share, and
 * handed up; nothing is kept here. Writing: the owner puts bytes into the outbound queue during the
 * turn; connection_set_flush writes each queue once, at the end of the turn.
 * A connection without queued bytes owns no buffer. */
#pragma once

#include "common/buffer.h"
#include "common/loop.h"

struct connection;

struct connection_handlers {
    /* Bytes arrived; valid during the call; all of them count as taken. */
    void (*on_bytes)(struct connection *conn, struct slice bytes);
    /* The peer will send no more (orderly end). Called again and again while reading is not held.
     */
    void (*on_end)(struct connection *conn);
    /* The first `count` bytes of `queued` went to the socket; `is_all`: and that was everything, a
     * body included (`queued` is empty then). Valid during the call. */
    void (*on_written)(struct connection *conn, struct slice queued, size_t count, bool is_all);
    /* The socket failed, or connection_abort was called: the connection is over and its memory
     * will be passed to `free_fn` at the end of the turn. Called exactly once. */
    void (*on_gone)(struct connection *conn);
    void (*on_timer)(struct connection *conn);
    void (*free_fn)(struct connection *conn);
};

/* What the connections of one loop share. */
struct connection_set {
    struct loop *loop;
    const struct connection_handlers *handlers;
    size_t queue_max_bytes;
    size_t count;                 /* connections that are open */
    struct connection *unflushed; /* those with something queued in this turn */
    struct connection *paused;    /* those that ran into paused reading */
    struct outbound *spare;       /* outbound queues to lend */
    size_t spare_count;
    bool reading_is_paused;
    uint8_t *read_buffer;
};

/* Embedded first in its owner's struct, which has been allocated zeroed. */
struct connection {
    struct loop_watch watch;
    struct loop_timer timer;
    struct connection_set *set;
    struct outbound *outbound; /* borrowed; NULL: nothing is queued */
    uint64_t queued_bytes;     /* all bytes ever queued: a position in the stream */
    struct connection *next_unflushed;
    struct connection *prev_paused;
    struct connection *next_paused;
    struct loop_retired retired;
    bool is_unflushed;
    bool is_pausable;      /* obeys connection_set_pause_reading */
    bool is_paused;        /* linked into set->paused */
    bool is_held;          /* by connection_hold_reading */
    bool write_is_blocked; /* the socket took less than the queue: wait for EPOLLOUT */
};

/* False: no memory. */
MUST_CHECK bool connection_set_init(struct connection_set *set, struct loop *loop,
                                    const struct connection_handlers *handlers,
                                    size_t queue_max_bytes);
/* All connections must be gone. */
void connection_set_fini(struct connection_set *set);

/* Writes every queue that was touched in this turn, once. Must be the last thing of a turn. */
void connection_set_flush(struct connection_set *set);
/* Stops, or lets go on, the reading of all connections (a link's backlog is near its bound). */
void connection_set_pause_reading(struct connection_set *set, bool pause);

/* Takes a connected, non-blocking socket. False: it could not be watched; the caller closes it. */
MUST_CHECK bool connection_open(struct connection *conn, struct connection_set *set, int fd);
bool connection_is_open(const struct connection *conn);

/* The outbound queue, to put bytes into in this turn. NULL: no memory. It refuses (buffer.h) what
 * would exceed queue_max_bytes; CONNECTION_RESERVE_BYTES more are allowed with
 * connection_allow_reserve, for a last word. */
enum { CONNECTION_RESERVE_BYTES = 256 };
struct buffer *connection_outbound(struct connection *conn);
/* Accounts for what was put into the queue, which had `len_before` bytes: call after each put. */
void connection_account(struct connection *conn, size_t len_before);
/* Lets the reserve be used from now on. */
void connection_allow_reserve(struct connection *conn);
/* Writes what is queued now, without waiting for the end of the turn; may end the connection. */
void connection_flush(struct connection *conn);
/* True: something is queued, a body included. */
bool connection_has_pending(const struct connection *conn);
/* Bytes queued and not yet written, without the body. */
size_t connection_pending_bytes(const struct connection *conn);
/* Position in the stream up to which bytes went to the socket. */
uint64_t connection_written_bytes(const struct connection *conn);
/* Drops what is queued behind the first `keep_bytes` unwritten bytes. */
void connection_drop_queued(struct connection *conn, size_t keep_bytes);
/* `body` follows what is queued; it must stay valid as long as the connection lives. Nothing may
 * be queued behind it. False: no memory. */
MUST_CHECK bool connection_send_body(struct connection *conn, struct slice body);

/* Stops and resumes reading this connection. */
void connection_hold_reading(struct connection *conn, bool hold);
/* No more will be written: the peer sees the end once the queue, which must be empty, has gone. */
void connection_finish_writing(struct connection *conn);
/* Ends the connection now; what is queued is lost. */
void connection_abort(struct connection *conn);
