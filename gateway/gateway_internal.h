/* What gateway.c (putting together, the turn, the way down) and gateway_events.c (passing on what
 * the parts tell) share; nobody else includes this. */
#pragma once

#include "common/link.h"
#include "gateway/client_set.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "gateway/static_files.h"

/* The way down after a signal. */
enum gateway_phase {
    GATEWAY_SERVING,
    GATEWAY_DRAINING, /* reads no more; waits for outcomes */
    GATEWAY_CLOSING,  /* clients have been told 1001; waits for them to go */
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
    struct loop_timer tick;
    struct loop_timer drain_deadline;
    struct buffer notice; /* scratch: a message of our own */
};

extern const struct link_handlers gateway_link_handlers;
extern const struct exchange_handlers gateway_exchange_handlers;
extern const struct client_handlers gateway_client_handlers;
