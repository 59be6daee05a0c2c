/* All clients of one loop: what they share, how they come and how they are told to go. */
#pragma once

#include "gateway/client.h"

struct client_config {
    size_t head_max_bytes;
    uint64_t head_timeout_ms; /* for the head, and for the application's answer */
    uint64_t ping_interval_ms;
    uint64_t idle_timeout_ms;
    uint64_t close_timeout_ms; /* how long a peer may take to end after our last word */
    size_t queue_max_bytes;
    uint64_t rate_max_per_s; /* 0: no limit */
    uint64_t rate_burst;
    size_t connections_max;
    struct websocket_config websocket;
    struct handshake_config handshake;
};

/* The clients of one loop. */
struct client_set {
    struct connection_set connections;
    struct client_config config;
    const struct client_handlers *handlers;
    void *arg; /* the application's */
    struct websocket_pool *websockets;
    struct client *first; /* all of them */
    bool refuses;         /* handshakes get 503 */
};

/* False: no memory. */
MUST_CHECK bool client_set_init(struct client_set *set, struct loop *loop,
                                const struct client_config *config,
                                const struct client_handlers *handlers, void *arg);
/* Ends all clients at once. The loop must not turn again. */
void client_set_fini(struct client_set *set);

/* Takes an accepted socket. Beyond connections_max a handshake gets 503, and far beyond it the
 * socket is closed. */
void client_set_take(struct client_set *set, int fd);
/* Handshakes get 503 (draining), those that wait for an answer as well. */
void client_set_refuse(struct client_set *set);
/* Closes every client that is OPEN with `code`; those that are HEAD or WAITING get 503. */
void client_set_close_all(struct client_set *set, uint16_t code, const char *reason);
/* Clients that are there, in whatever state. */
size_t client_set_count(const struct client_set *set);

/* The set a client belongs to. */
static inline struct client_set *client_set_of(const struct client *client)
{
    return container_of(client->conn.set, struct client_set, connections);
}
