/* What the link, the exchange and the clients tell, each passed on to the one that it concerns. */
#include "gateway/gateway_internal.h"

#include "common/log.h"
#include "gateway/http_response.h"
#include "gateway/server_message.h"

#include <inttypes.h>

static void on_link_up(void *arg)
{
    struct gateway *gateway = arg;
    log_write(LOG_LEVEL_INFO, "link-connected", "slot=%" PRIu64, gateway->options->slot);
    exchange_link_up(gateway->exchange, link_out(gateway->link));
}

static void on_link_down(void *arg)
{
    struct gateway *gateway = arg;
    log_write(LOG_LEVEL_WARN, "link-down", "slot=%" PRIu64 " sessions=%zu", gateway->options->slot,
              exchange_session_count(gateway->exchange));
    exchange_link_down(gateway->exchange);
}

static bool on_link_batch(void *arg, struct slice batch)
{
    struct gateway *gateway = arg;
    bool was_ready = exchange_is_ready(gateway->exchange);
    bool is_good = exchange_receive(gateway->exchange, batch, loop_now_ms(gateway->loop));
    if (!is_good) {
        log_write(LOG_LEVEL_ERROR, "link-malformed", "slot=%" PRIu64, gateway->options->slot);
    } else if (!was_ready && exchange_is_ready(gateway->exchange)) {
        log_write(LOG_LEVEL_INFO, "link-up", "slot=%" PRIu64 " sessions=%zu",
                  gateway->options->slot, exchange_session_count(gateway->exchange));
    }
    return is_good;
}

const char gateway_going_away[] = "the server is going down";

const struct link_handlers gateway_link_handlers = {
    .on_up = on_link_up,
    .on_down = on_link_down,
    .on_batch = on_link_batch,
};

static void on_attached(void *arg, struct session *session)
{
    struct gateway *gateway = arg;
    buffer_clear(&gateway->notice);
    if (session->wants_news) {
        server_message_put_welcome(&gateway->notice, session_user_id(session),
                                   session_device_id(session), gateway->instance_id, session->id);
    }
    client_accept(session->owner, buffer_slice(&gateway->notice));
}

static bool on_deliver(void *arg, struct session *session, struct slice payload,
                       uint64_t *end_bytes)
{
    (void)arg;
    struct client *client = session->owner;
    if (!client_send(client, WEBSOCKET_TEXT, payload)) {
        return false;
    }
    *end_bytes = client_queued_bytes(client);
    return true;
}

static void send_error(struct gateway *gateway, struct client *client,
                       const struct server_error *error)
{
    buffer_clear(&gateway->notice);
    server_message_put_error(&gateway->notice, error);
    bool is_sent = client_send(client, WEBSOCKET_TEXT, buffer_slice(&gateway->notice));
    (void)is_sent; /* else the client has been closed as too slow */
}

/* The broker's detail takes its place in the error: the call that stands where two users call one
 * another, or how a call is. */
static struct server_error make_error(const struct exchange_outcome *outcome)
{
    struct server_error error = {
        .outcome = outcome->outcome,
        .to = outcome->to,
        .id = outcome->id,
        .call_id = outcome->call_id,
    };
    if (outcome->outcome == OUTCOME_GLARE && outcome->detail.len > 0) {
        error.call_id = outcome->detail;
    } else if (outcome->outcome == OUTCOME_BAD_STATE) {
        error.state = outcome->detail;
    }
    return error;
}

static void on_outcome(void *arg, struct session *session, const struct exchange_outcome *outcome)
{
    struct gateway *gateway = arg;
    struct client *client = session->owner;
    if (outcome->outcome != OUTCOME_DELIVERED) {
        struct server_error error = make_error(outcome);
        send_error(gateway, client, &error);
    } else if (session->wants_news && outcome->id.len > 0) {
        buffer_clear(&gateway->notice);
        server_message_put_ack(&gateway->notice, outcome->to, outcome->id);
        bool is_sent = client_send(client, WEBSOCKET_TEXT, buffer_slice(&gateway->notice));
        (void)is_sent;
    }
}

static void on_evict(void *arg, struct session *session, uint16_t close_code)
{
    (void)arg;
    struct client *client = session->owner;
    if (client->state == CLIENT_WAITING) {
        /* Replaced before it was let in: only an open WebSocket can be told why. */
        client_accept(client, slice_of(NULL, 0));
    }
    const char *reason = "try again";
    if (close_code == CLOSE_REPLACED) {
        reason = "replaced by a newer connection";
    } else if (close_code == CLOSE_TOO_SLOW) {
        reason = "too slow a reader";
    }
    client_close(client, close_code, reason);
}

static void on_retired(void *arg, struct session *session)
{
    (void)arg;
    client_close(session->owner, CLOSE_GOING_AWAY, gateway_going_away);
}

const struct exchange_handlers gateway_exchange_handlers = {
    .on_attached = on_attached,
    .on_deliver = on_deliver,
    .on_outcome = on_outcome,
    .on_evict = on_evict,
    .on_retired = on_retired,
};

static void respond_health(struct gateway *gateway, const struct http_request *request,
                           struct buffer *out)
{
    struct http_refusal refusal;
    if (!http_request_check(request, true, &refusal)) {
        http_response_put_refusal(out, &refusal);
        return;
    }
    bool is_well = gateway->phase == GATEWAY_SERVING && exchange_is_ready(gateway->exchange);
    buffer_clear(&gateway->notice);
    buffer_put_format(&gateway->notice,
                      "{\"status\":\"%s\",\"slot\":%" PRIu64 ",\"instance\":\"%016" PRIx64
                      "\",\"connections\":%zu,\"sessions\":%zu}\n",
                      is_well ? "ok" : "unavailable", gateway->options->slot, gateway->instance_id,
                      client_set_count(&gateway->clients),
                      exchange_session_count(gateway->exchange));
    http_response_put_head(out, is_well ? 200 : 503, "application/json",
                           buffer_len(&gateway->notice), "Cache-Control: no-store\r\n");
    if (!slice_equal_string(request->method, "HEAD")) {
        buffer_put(out, buffer_slice(&gateway->notice));
    }
}

static void on_fetch(void *arg, const struct http_request *request, struct buffer *out,
                     struct slice *body)
{
    struct gateway *gateway = arg;
    if (slice_equal_string(request->path, "/healthz")) {
        respond_health(gateway, request, out);
    } else {
        static_files_respond(gateway->static_files, request, out, body);
    }
}

static const struct http_refusal refusal_no_memory = {503, "the server is out of memory"};

static void on_handshake(struct client *client, const struct handshake *handshake)
{
    struct gateway *gateway = client_set_of(client)->arg;
    struct session *session = exchange_attach(
        gateway->exchange, client, slice_of(handshake->user_id, handshake->user_id_len),
        slice_of(handshake->device_id, handshake->device_id_len), handshake->has_subprotocol,
        loop_now_ms(gateway->loop));
    client->session = session;
    if (session == NULL) {
        client_refuse(client, &refusal_no_memory);
    }
}

static void on_message(struct client *client, enum websocket_opcode opcode, struct slice payload)
{
    (void)opcode; /* binary messages are refused below */
    struct gateway *gateway = client_set_of(client)->arg;
    struct call_message message;
    const char *complaint = NULL;
    enum outcome outcome = call_message_parse(payload, &message, &complaint);
    if (outcome == OUTCOME_DELIVERED && !exchange_submit(gateway->exchange, client->session,
                                                         &message, loop_now_ms(gateway->loop))) {
        outcome = OUTCOME_OVERLOADED;
    }
    if (outcome != OUTCOME_DELIVERED) {
        struct server_error error = {
            .outcome = outcome,
            .sentence = complaint,
            .to = message.to,
            .id = message.id,
            .call_id = message.call_id,
        };
        send_error(gateway, client, &error);
    }
}

static void on_written(struct client *client)
{
    struct gateway *gateway = client_set_of(client)->arg;
    exchange_written(gateway->exchange, client->session, client_written_bytes(client));
}

static void on_end(struct client *client, uint16_t code)
{
    struct gateway *gateway = client_set_of(client)->arg;
    struct session *session = client->session;
    client->session = NULL;
    if (session != NULL) {
        exchange_detach(gateway->exchange, session, client_written_bytes(client),
                        client_begun_bytes(client),
                        code == CLOSE_TOO_SLOW ? OUTCOME_OVERLOADED : OUTCOME_USER_OFFLINE);
    }
}

const struct client_handlers gateway_client_handlers = {
    .on_fetch = on_fetch,
    .on_handshake = on_handshake,
    .on_message = on_message,
    .on_written = on_written,
    .on_end = on_end,
};
