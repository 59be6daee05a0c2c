#include "gateway/client_internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
    NS_PER_S = 1000000000,
    NS_PER_US = 1000,
    NS_PER_MS = 1000000,
    /* A timer this late says that the process stood still, not that its clients were silent. */
    STALL_MS = 1000,
};

static const struct http_refusal timeout = {408, "the request head took too long"};
static const struct http_refusal no_answer = {503, "the server is starting; try again"};

static const bool legal_moves[CLIENT_GONE + 1][CLIENT_GONE + 1] = {
    [CLIENT_HEAD] = {[CLIENT_WAITING] = true, [CLIENT_RESPONDED] = true, [CLIENT_GONE] = true},
    [CLIENT_WAITING] = {[CLIENT_OPEN] = true, [CLIENT_RESPONDED] = true, [CLIENT_GONE] = true},
    [CLIENT_OPEN] = {[CLIENT_CLOSING] = true, [CLIENT_GONE] = true},
    [CLIENT_CLOSING] = {[CLIENT_GONE] = true},
    [CLIENT_RESPONDED] = {[CLIENT_GONE] = true},
};

void client_move_to(struct client *client, enum client_state state)
{
    assert(legal_moves[client->state][state]);
    client->state = state;
}

static struct client *client_of(struct connection *conn)
{
    return container_of(conn, struct client, conn);
}

uint64_t client_now_ms(const struct client *client)
{
    return loop_now_ms(client->conn.set->loop);
}

void client_wake_at(struct client *client, uint64_t due_ms)
{
    loop_timer_set(client->conn.set->loop, &client->conn.timer, due_ms);
}

static void release_receiver(struct client *client)
{
    websocket_release(client_set_of(client)->websockets, &client->receiver);
}

/* Leaves OPEN: a last word is queued behind what the socket has begun, and nothing else is. */
void client_close(struct client *client, uint16_t code, const char *reason)
{
    if (client->state != CLIENT_OPEN) {
        return;
    }
    struct client_set *set = client_set_of(client);
    connection_flush(&client->conn);
    if (client->state != CLIENT_OPEN) {
        return; /* the socket failed */
    }
    client_move_to(client, CLIENT_CLOSING);
    client->conn.is_pausable = false;
    release_receiver(client);
    connection_drop_queued(&client->conn, client->frame_rest_bytes);
    set->handlers->on_end(client, code);
    connection_hold_reading(&client->conn, false);
    client_wake_at(client, client_now_ms(client) + set->config.close_timeout_ms);
    connection_allow_reserve(&client->conn);
    struct buffer *out = connection_outbound(&client->conn);
    if (out == NULL) {
        connection_abort(&client->conn);
        return;
    }
    size_t len_before = buffer_len(out);
    websocket_put_close(out, code, reason);
    connection_account(&client->conn, len_before);
}

/* False: it does not fit; nothing was queued. */
static bool put_frame(struct client *client, enum websocket_opcode opcode, struct slice payload)
{
    struct buffer *out = connection_outbound(&client->conn);
    if (out == NULL) {
        return false;
    }
    size_t len_before = buffer_len(out);
    websocket_put_frame(out, opcode, payload);
    if (out->failed) {
        buffer_truncate(out, len_before);
        return false;
    }
    connection_account(&client->conn, len_before);
    return true;
}

bool client_send(struct client *client, enum websocket_opcode opcode, struct slice payload)
{
    assert(client->state == CLIENT_OPEN);
    if (put_frame(client, opcode, payload)) {
        return true;
    }
    /* The turn may have brought more than the queue holds: that alone is not a slow reader. */
    connection_flush(&client->conn);
    if (client->state == CLIENT_OPEN && put_frame(client, opcode, payload)) {
        return true;
    }
    client_close(client, CLOSE_TOO_SLOW, "too slow a reader");
    return false;
}

void client_stop_reading(struct client *client)
{
    assert(client->state == CLIENT_OPEN);
    client->is_stopped = true;
    connection_hold_reading(&client->conn, true);
}

/* Pays for one message; a client that is ahead of its rate by more than the burst is not read until
 * it is not. */
static void charge_rate(struct client *client)
{
    const struct client_config *config = &client_set_of(client)->config;
    if (config->rate_max_per_s == 0) {
        return;
    }
    uint64_t now_ns = loop_now_us(client->conn.set->loop) * NS_PER_US;
    if (client->rate_due_ns < now_ns) {
        client->rate_due_ns = now_ns;
    }
    client->rate_due_ns += NS_PER_S / config->rate_max_per_s;
    uint64_t burst_ns = config->rate_burst * NS_PER_S / config->rate_max_per_s;
    if (client->rate_due_ns - now_ns > burst_ns && !client->is_throttled) {
        client->is_throttled = true;
        connection_hold_reading(&client->conn, true);
    }
    if (client->is_throttled) {
        client_wake_at(client, (client->rate_due_ns - burst_ns) / NS_PER_MS + 1);
    }
}

static bool on_message(void *owner, enum websocket_opcode opcode, struct slice payload)
{
    struct client *client = owner;
    charge_rate(client);
    client_set_of(client)->handlers->on_message(client, opcode, payload);
    return client->state == CLIENT_OPEN;
}

static bool on_ping(void *owner, struct slice payload)
{
    struct client *client = owner;
    return client_send(client, WEBSOCKET_PONG, payload);
}

static bool on_pong(void *owner, struct slice payload)
{
    (void)owner;
    (void)payload;
    return true;
}

const struct websocket_handlers client_websocket_handlers = {
    .on_message = on_message,
    .on_ping = on_ping,
    .on_pong = on_pong,
};

static const char *failure_reason(uint16_t code)
{
    switch (code) {
    case CLOSE_UNSUPPORTED_DATA:
        return "only text messages are understood";
    case CLOSE_INVALID_PAYLOAD:
        return "text that is not UTF-8";
    case CLOSE_MESSAGE_TOO_BIG:
        return "the message is too long";
    case CLOSE_INTERNAL_ERROR:
        return "out of memory";
    default:
        return "protocol error";
    }
}

void client_on_frames(struct client *client, struct slice bytes)
{
    uint16_t code = 0;
    enum websocket_status status = websocket_receive(client_set_of(client)->websockets,
                                                     &client->receiver, bytes, client, &code);
    if (status == WEBSOCKET_CLOSED) {
        client_close(client, code, "");
    } else if (status == WEBSOCKET_FAILED) {
        client_close(client, code, failure_reason(code));
    }
}

static void on_bytes(struct connection *conn, struct slice bytes)
{
    struct client *client = client_of(conn);
    client->heard_ms = client_now_ms(client);
    if (client->state == CLIENT_HEAD) {
        client_opening_on_bytes(client, bytes);
    } else if (client->state == CLIENT_OPEN) {
        if (client->is_pinged) {
            client->is_pinged = false;
            client_wake_at(client,
                           client->heard_ms + client_set_of(client)->config.ping_interval_ms);
        }
        client_on_frames(client, bytes);
    }
    /* In any later state what the peer still sends is read and dropped, so that our last word is
     * not lost to a reset. */
}

static void on_end(struct connection *conn)
{
    struct client *client = client_of(conn);
    bool has_last_word = client->state == CLIENT_CLOSING || client->state == CLIENT_RESPONDED;
    if (has_last_word && connection_has_pending(conn)) {
        client->has_ended = true;
        connection_hold_reading(conn, true);
    } else {
        connection_abort(conn);
    }
}

/* How much is left of the frame in which the first `count` bytes of `queued` end, if `rest` bytes
 * at its front belong to a frame that was begun before. */
static size_t frame_rest(size_t rest, struct slice queued, size_t count)
{
    size_t end = rest;
    while (end < count) {
        end += websocket_frame_bytes(slice_drop(queued, end));
    }
    return end - count;
}

static void on_written(struct connection *conn, struct slice queued, size_t count, bool is_all)
{
    struct client *client = client_of(conn);
    struct client_set *set = client_set_of(client);
    if (client->state == CLIENT_OPEN) {
        client->frame_rest_bytes = is_all ? 0 : frame_rest(client->frame_rest_bytes, queued, count);
        set->handlers->on_written(client);
    } else if (is_all && client->has_ended) {
        connection_abort(conn);
    } else if (is_all) {
        connection_finish_writing(conn);
    } else if (client->state == CLIENT_RESPONDED) {
        client_wake_at(client, client_now_ms(client) + set->config.close_timeout_ms);
    }
}

/* Silence: first a ping, then the end. */
static void on_open_timer(struct client *client)
{
    struct client_set *set = client_set_of(client);
    const struct client_config *config = &set->config;
    uint64_t now = client_now_ms(client);
    if (client->is_throttled) {
        client->is_throttled = false;
        connection_hold_reading(&client->conn, client->is_stopped);
        client->heard_ms = now;
    }
    bool is_late = now > client->conn.timer.due_ms + STALL_MS;
    if (set->connections.reading_is_paused || client->is_stopped || is_late) {
        client->heard_ms = now; /* not the client's silence but ours */
    }
    uint64_t ping_ms = client->heard_ms + config->ping_interval_ms;
    uint64_t idle_ms = client->heard_ms + config->idle_timeout_ms;
    if (now >= idle_ms) {
        client_close(client, CLOSE_IDLE, "no sign of life");
        return;
    }
    if (now >= ping_ms && !client->is_pinged) {
        client->is_pinged = true;
        if (!client_send(client, WEBSOCKET_PING, slice_of(NULL, 0))) {
            return;
        }
    }
    client_wake_at(client, client->is_pinged || ping_ms > idle_ms ? idle_ms : ping_ms);
}

static void on_timer(struct connection *conn)
{
    struct client *client = client_of(conn);
    switch (client->state) {
    case CLIENT_HEAD:
        client_respond_refusal(client, &timeout);
        break;
    case CLIENT_WAITING:
        client_set_of(client)->handlers->on_end(client, 0);
        client_respond_refusal(client, &no_answer);
        break;
    case CLIENT_OPEN:
        on_open_timer(client);
        break;
    case CLIENT_CLOSING:
    case CLIENT_RESPONDED:
        connection_abort(conn);
        break;
    case CLIENT_GONE:
        break;
    }
}

static void on_gone(struct connection *conn)
{
    struct client *client = client_of(conn);
    struct client_set *set = client_set_of(client);
    enum client_state state = client->state;
    client_move_to(client, CLIENT_GONE);
    release_receiver(client);
    client_opening_free(client);
    if (client->prev != NULL) {
        client->prev->next = client->next;
    } else {
        set->first = client->next;
    }
    if (client->next != NULL) {
        client->next->prev = client->prev;
    }
    if (state == CLIENT_WAITING || state == CLIENT_OPEN) {
        set->handlers->on_end(client, 0);
    }
}

static void free_client(struct connection *conn)
{
    free(client_of(conn));
}

const struct connection_handlers client_connection_handlers = {
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_written = on_written,
    .on_gone = on_gone,
    .on_timer = on_timer,
    .free_fn = free_client,
};

uint64_t client_queued_bytes(const struct client *client)
{
    return client->conn.queued_bytes;
}

uint64_t client_written_bytes(const struct client *client)
{
    return connection_written_bytes(&client->conn);
}

uint64_t client_begun_bytes(const struct client *client)
{
    return client_written_bytes(client) + client->frame_rest_bytes;
}
