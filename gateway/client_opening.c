#include "gateway/client_internal.h"
#include "gateway/http_response.h"

#include <assert.h>
#include <stdlib.h>

/* What a client needs only until its WebSocket is open. */
struct client_opening {
    struct buffer bytes; /* the head so far; later what came behind it */
    struct handshake handshake;
};

static const struct http_refusal refusal_head_size = {431, "the request head is too large"};
static const struct http_refusal refusal_full = {503, "the server cannot take more connections"};

void client_opening_free(struct client *client)
{
    if (client->opening != NULL) {
        buffer_fini(&client->opening->bytes);
        free(client->opening);
        client->opening = NULL;
    }
}

/* NULL: no memory. */
static struct client_opening *opening_get(struct client *client)
{
    if (client->opening == NULL) {
        client->opening = calloc(1, sizeof *client->opening);
        if (client->opening != NULL) {
            /* What comes behind the head arrives in the same read, so it is bounded as well. */
            buffer_init(&client->opening->bytes, SIZE_MAX / 4);
        }
    }
    return client->opening;
}

/* A response has been queued: it is written, then the peer has a moment to end. */
static void become_responded(struct client *client)
{
    client_opening_free(client);
    client_move_to(client, CLIENT_RESPONDED);
    connection_hold_reading(&client->conn, false);
    client_wake_at(client, client_now_ms(client) + client_set_of(client)->config.close_timeout_ms);
}

void client_respond_refusal(struct client *client, const struct http_refusal *refusal)
{
    struct buffer *out = connection_outbound(&client->conn);
    if (out == NULL) {
        client_move_to(client, CLIENT_RESPONDED); /* so that on_end is not called once more */
        connection_abort(&client->conn);
        return;
    }
    size_t len_before = buffer_len(out);
    http_response_put_refusal(out, refusal);
    connection_account(&client->conn, len_before);
    become_responded(client);
}

void client_refuse(struct client *client, const struct http_refusal *refusal)
{
    assert(client->state == CLIENT_WAITING);
    client_respond_refusal(client, refusal);
}

static void respond_fetch(struct client *client, const struct http_request *request)
{
    struct client_set *set = client_set_of(client);
    struct buffer *out = connection_outbound(&client->conn);
    if (out == NULL) {
        connection_abort(&client->conn);
        return;
    }
    size_t len_before = buffer_len(out);
    struct slice body = {0};
    set->handlers->on_fetch(set->arg, request, out, &body);
    connection_account(&client->conn, len_before);
    if (body.len > 0 && !connection_send_body(&client->conn, body)) {
        connection_abort(&client->conn);
        return;
    }
    become_responded(client);
}

/* A whole head is there; `rest` is what came behind it. */
static void on_request(struct client *client, const struct http_request *request, struct slice rest)
{
    struct client_set *set = client_set_of(client);
    if (!handshake_is_upgrade(request)) {
        respond_fetch(client, request);
        return;
    }
    struct handshake handshake;
    struct http_refusal refusal;
    if (!handshake_check(request, &set->config.handshake, &handshake, &refusal)) {
        client_respond_refusal(client, &refusal);
        return;
    }
    if (set->refuses || client_set_count(set) > set->config.connections_max) {
        client_respond_refusal(client, &refusal_full);
        return;
    }
    struct buffer early;
    buffer_init(&early, SIZE_MAX / 4);
    buffer_put(&early, rest);
    struct client_opening *opening = opening_get(client);
    if (opening == NULL || early.failed) {
        buffer_fini(&early);
        client_respond_refusal(client, &refusal_full);
        return;
    }
    /* `rest` may point into the bytes that are released here: it has been copied. */
    buffer_fini(&opening->bytes);
    opening->bytes = early;
    opening->handshake = handshake;
    client_move_to(client, CLIENT_WAITING);
    connection_hold_reading(&client->conn, true);
    set->handlers->on_handshake(client, &handshake);
}

void client_opening_on_bytes(struct client *client, struct slice bytes)
{
    struct client_set *set = client_set_of(client);
    struct slice head = bytes;
    if (client->opening != NULL) {
        buffer_put(&client->opening->bytes, bytes);
        head = buffer_slice(&client->opening->bytes);
        if (client->opening->bytes.failed) {
            connection_abort(&client->conn);
            return;
        }
    }
    struct http_request request;
    struct http_refusal refusal;
    size_t head_bytes = 0;
    enum parse_result result = http_request_parse(head, &request, &head_bytes, &refusal);
    size_t head_max_bytes = set->config.head_max_bytes;
    if (result == PARSE_BAD) {
        client_respond_refusal(client, &refusal);
    } else if ((result == PARSE_DONE ? head_bytes : head.len) > head_max_bytes) {
        client_respond_refusal(client, &refusal_head_size);
    } else if (result == PARSE_DONE) {
        on_request(client, &request, slice_drop(head, head_bytes));
    } else if (client->opening == NULL) {
        struct client_opening *opening = opening_get(client);
        if (opening == NULL) {
            connection_abort(&client->conn);
            return;
        }
        buffer_put(&opening->bytes, bytes);
    }
}

void client_accept(struct client *client, struct slice greeting)
{
    assert(client->state == CLIENT_WAITING);
    struct client_set *set = client_set_of(client);
    struct buffer *out = connection_outbound(&client->conn);
    if (out == NULL) {
        connection_abort(&client->conn);
        return;
    }
    size_t len_before = buffer_len(out);
    handshake_put_response(out, &client->opening->handshake);
    client->frame_rest_bytes = buffer_len(out);
    connection_account(&client->conn, len_before);
    struct buffer early = client->opening->bytes;
    buffer_init(&client->opening->bytes, 0);
    client_opening_free(client);
    client_move_to(client, CLIENT_OPEN);
    client->conn.is_pausable = true;
    client->heard_ms = client_now_ms(client);
    client_wake_at(client, client->heard_ms + set->config.ping_interval_ms);
    connection_hold_reading(&client->conn, false);
    bool is_open = greeting.len == 0 || client_send(client, WEBSOCKET_TEXT, greeting);
    if (is_open && buffer_len(&early) > 0) {
        client_on_frames(client, buffer_slice(&early));
    }
    buffer_fini(&early);
}
