/* What gateway.c (putting together, the turn, the way down) and gateway_events.c (passing on what
 * the parts tell) share; nobody else includes this. */
#pragma once

#include "common/link.h"
#include "common/memory.h"
#include "gateway/client_set.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "gateway/static_files.h"

/* The way down after a signal. */
enum gateway_phase {
    GATEWAY_SERVING,
    GATEWAY_DRAINING, /* off the port; a batch of clients after the other is retired and closed */
    GATEWAY_CLOSING,  /* all clients have been told 1001; waits for them to go */
};

struct gateway {
    const struct gateway_options *options;
    uint64_t instance_id;
    enum gateway_phase phase;
    struct loop *loop;
    struct link *link;
    struct listener *listener;
    struct static_files *static_files;
    struct exchange *exchange;
    struct client_set clients;
    bool has_clients; /* client_set_init has succeeded */
    struct memory_keeper memory;
    struct loop_timer tick;
    struct loop_timer drain_step;
    struct loop_timer drain_deadline; /* of the phase; then the next begins in any case */
    uint64_t drain_start_ms;
    size_t drain_total;   /* clients that were open when it began */
    size_t drain_count;   /* clients whose turn has come */
    struct buffer notice; /* scratch: a message of our own */
};

/* The reason of a close with 1001. */
extern const char gateway_going_away[];
extern const struct link_handlers gateway_link_handlers;
extern const struct exchange_handlers gateway_exchange_handlers;
extern const struct client_handlers gateway_client_handlers;
