/* What client.c (the states, the WebSocket), client_opening.c (up to the 101 or the response) and
 * client_set.c (all of them) share; nobody else includes this. */
#pragma once

#include "gateway/client_set.h"

/* The one place where a client's state changes; asserts that the move is legal. */
void client_move_to(struct client *client, enum client_state state);
uint64_t client_now_ms(const struct client *client);
/* The one timer: what it means depends on the state. */
void client_wake_at(struct client *client, uint64_t due_ms);

/* Bytes while HEAD. */
void client_opening_on_bytes(struct client *client, struct slice bytes);
void client_opening_free(struct client *client);
/* HEAD or WAITING -> RESPONDED. */
void client_respond_refusal(struct client *client, const struct http_refusal *refusal);
/* Bytes while OPEN. */
void client_on_frames(struct client *client, struct slice bytes);

extern const struct websocket_handlers client_websocket_handlers;
extern const struct connection_handlers client_connection_handlers;
