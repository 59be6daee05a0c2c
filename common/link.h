/* The link between one gateway and the broker: a Unix stream socket that is driven from the loop
 * and speaks as an nng PAIR0 socket over ipc does (sp_frame.h), so that either end may be nng.
 *
 * Batching: records leave in messages of up to 256 KiB (batches), cut between records; a record
 * that is larger has one of its own. What is written to link_out while the socket takes no more
 * waits there and leaves when it does. Only what is not urgent ever waits for a timer.
 * A connection begins with on_up and ends with on_down, strictly in turn. What was written but not
 * yet sent when a connection ends is dropped; what was sent may or may not have arrived. What the
 * peer sent before its end is handed on before on_down.
 * Both sides greet first (LINK_HELLO, LINK_WELCOME); a batch before that ends the connection. */
#pragma once

#include "common/buffer.h"
#include "common/loop.h"

enum link_role {
    LINK_LISTENS, /* the broker; one connection at a time, a second one is closed at once */
    LINK_DIALS,   /* a gateway; dials again, forever, until somebody listens */
};

/* Handlers may call link_flush and link_end, and must not call link_free. */
struct link_handlers {
    void (*on_up)(void *arg);
    void (*on_down)(void *arg);
    /* False: the batch is malformed; the connection is ended (on_down follows at once). The batch
     * is never empty, and gone when the handler returns. */
    bool (*on_batch)(void *arg, struct slice batch);
};

struct link_config {
    enum link_role role;
    const char *link_dir;
    uint32_t slot;            /* the socket is LINK_DIR/slot-SLOT.ipc */
    size_t backlog_max_bytes; /* the maximum of link_out */
};

struct link;

/* NULL: the cause has been logged; where it is to listen, perhaps that somebody else does. A socket
 * that nobody listens at any more is replaced. `handlers` must outlive the link. */
struct link *link_new(struct loop *loop, const struct link_config *config,
                      const struct link_handlers *handlers, void *arg);
/* Ends the link without calling on_down. What has not left by then is dropped. */
void link_free(struct link *link);

/* Where records for the peer are put. Empty whenever the link is down; write only between on_up
 * and on_down. What has not left yet is part of it and counts against its maximum. */
struct buffer *link_out(struct link *link);

/* Sends what is in link_out, as far as the socket takes it; if it is not urgent, it may wait for
 * more to come, for a tick or two of the loop's timers. Call at the end of every turn. */
void link_flush(struct link *link, bool is_urgent);

/* Ends the connection, if there is one (on_down is called before this returns); a gateway then
 * dials again. */
void link_end(struct link *link);
