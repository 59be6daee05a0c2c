#include "gateway/client_internal.h"

#include <stdlib.h>
#include <unistd.h>

/* Connections beyond connections_max that are taken all the same, to be told 503. */
enum { REFUSED_MAX = 64 };

static const struct http_refusal refusal_draining = {503, "the server is going down; try again"};

bool client_set_init(struct client_set *set, struct loop *loop, const struct client_config *config,
                     const struct client_handlers *handlers, void *arg)
{
    *set = (struct client_set){.config = *config, .handlers = handlers, .arg = arg};
    set->websockets = websocket_pool_new(&config->websocket, &client_websocket_handlers);
    if (set->websockets == NULL) {
        return false;
    }
    if (!connection_set_init(&set->connections, loop, &client_connection_handlers,
                             config->queue_max_bytes)) {
        websocket_pool_free(set->websockets);
        return false;
    }
    return true;
}

void client_set_fini(struct client_set *set)
{
    while (set->first != NULL) {
        connection_abort(&set->first->conn);
    }
    connection_set_fini(&set->connections);
    websocket_pool_free(set->websockets);
}

size_t client_set_count(const struct client_set *set)
{
    return set->connections.count;
}

void client_set_take(struct client_set *set, int fd)
{
    bool fits = client_set_count(set) < set->config.connections_max + REFUSED_MAX;
    struct client *client = fits ? calloc(1, sizeof *client) : NULL;
    if (client == NULL || !connection_open(&client->conn, &set->connections, fd)) {
        free(client);
        (void)close(fd);
        return;
    }
    client->next = set->first;
    if (set->first != NULL) {
        set->first->prev = client;
    }
    set->first = client;
    client_wake_at(client, client_now_ms(client) + set->config.head_timeout_ms);
}

/* Whoever has no WebSocket yet gets 503. */
static void refuse_unopened(struct client_set *set, struct client *client)
{
    if (client->state == CLIENT_WAITING) {
        set->handlers->on_end(client, 0);
        client_respond_refusal(client, &refusal_draining);
    } else if (client->state == CLIENT_HEAD) {
        client_respond_refusal(client, &refusal_draining);
    }
}

void client_set_refuse(struct client_set *set)
{
    set->refuses = true;
    struct client *next = NULL;
    for (struct client *client = set->first; client != NULL; client = next) {
        next = client->next;
        if (client->state == CLIENT_WAITING) {
            refuse_unopened(set, client);
        }
    }
}

void client_set_close_all(struct client_set *set, uint16_t code, const char *reason)
{
    struct client *next = NULL;
    for (struct client *client = set->first; client != NULL; client = next) {
        next = client->next;
        if (client->state == CLIENT_OPEN) {
            client_close(client, code, reason);
        } else {
            refuse_unopened(set, client);
        }
    }
}
