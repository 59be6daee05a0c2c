/* The link between one gateway and the broker: an nng PAIR0 socket over ipc, driven from the loop.
 * link.c is the only file that includes nng.
 *
 * Batching: one nng message (a batch) is in flight at most; what is written to link_out meanwhile
 * leaves in the next one, as soon as the link is writable. No timer, no wait when idle.
 * A connection begins with on_up and ends with on_down, strictly in turn. What was written but not
 * yet sent when a connection ends is dropped; what was sent may or may not have arrived.
 * Both sides must greet each other first (LINK_HELLO, LINK_WELCOME), since a batch that was made
 * for one connection can reach the next one in the instant of a reconnect: a batch before the
 * greeting ends the connection. */
#pragma once

#include "common/buffer.h"
#include "common/loop.h"

enum link_role {
    LINK_LISTENS, /* the broker */
    LINK_DIALS,   /* a gateway; dials again, forever, until somebody listens */
};

struct link_handlers {
    void (*on_up)(void *arg);
    void (*on_down)(void *arg);
    /* A dialing link has lost its nng socket for good, and cannot get another in this process: end
     * it, and let the supervisor start a new one. Never called where the link listens. */
    void (*on_lost)(void *arg);
    /* False: the batch is malformed; the connection is ended (on_down follows at once). */
    bool (*on_batch)(void *arg, struct slice batch);
};

struct link_config {
    enum link_role role;
    const char *link_dir;
    uint32_t slot;            /* the socket is LINK_DIR/slot-SLOT.ipc */
    size_t backlog_max_bytes; /* the maximum of link_out */
};

struct link;

/* NULL: the cause has been logged. `handlers` must outlive the link. */
struct link *link_new(struct loop *loop, const struct link_config *config,
                      const struct link_handlers *handlers, void *arg);
/* Ends the link without calling on_down, and takes it off the loop. What has not left by then is
 * dropped. What nng holds stays until the process ends: its own close can wait for ever when the
 * connection ends at the same moment (nng 1.5.2), and a process that goes needs none. */
void link_abandon(struct link *link);

/* Where records for the peer are put. Empty whenever the link is down; write only between on_up
 * and on_down. */
struct buffer *link_out(struct link *link);

/* Sends what is in link_out, if nothing is in flight. Call at the end of every turn. */
void link_flush(struct link *link);

/* Ends the connection, if there is one (on_down is called before this returns); a gateway then
 * dials again. */
void link_end(struct link *link);
