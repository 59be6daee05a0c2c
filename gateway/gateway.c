#include "gateway/gateway.h"

#include "common/link.h"
#include "common/log.h"
#include "gateway/client_set.h"
#include "gateway/exchange.h"
#include "gateway/http_response.h"
#include "gateway/json_arena.h"
#include "gateway/listener.h"
#include "gateway/server_message.h"
#include "gateway/static_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

enum {
    TICK_MS = 100,
    /* Descriptors that connections leave alone: nng's, the listener's, those of clients that are
     * there only to be refused. */
    DESCRIPTOR_RESERVE = 256,
    NOTICE_MAX_BYTES = 4096, /* the longest message of our own */
};

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

/* ---- from the link ---- */

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
    bool was_greeted = exchange_is_greeted(gateway->exchange);
    bool is_good = exchange_receive(gateway->exchange, batch);
    if (!is_good) {
        log_write(LOG_LEVEL_ERROR, "link-malformed", "slot=%" PRIu64, gateway->options->slot);
    } else if (!was_greeted) {
        log_write(LOG_LEVEL_INFO, "link-up", "slot=%" PRIu64 " sessions=%zu",
                  gateway->options->slot, exchange_session_count(gateway->exchange));
    }
    return is_good;
}

static const struct link_handlers link_handlers = {
    .on_up = on_link_up,
    .on_down = on_link_down,
    .on_batch = on_link_batch,
};

/* ---- from the exchange ---- */

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

static void send_error(struct gateway *gateway, struct client *client, enum outcome outcome,
                       const char *sentence, struct slice to, struct slice id)
{
    buffer_clear(&gateway->notice);
    server_message_put_error(&gateway->notice, outcome, sentence, to, id);
    bool is_sent = client_send(client, WEBSOCKET_TEXT, buffer_slice(&gateway->notice));
    (void)is_sent; /* else the client has been closed as too slow */
}

static void on_outcome(void *arg, struct session *session, enum outcome outcome, struct slice to,
                       struct slice id)
{
    struct gateway *gateway = arg;
    struct client *client = session->owner;
    if (outcome != OUTCOME_DELIVERED) {
        send_error(gateway, client, outcome, NULL, to, id);
    } else if (session->wants_news && id.len > 0) {
        buffer_clear(&gateway->notice);
        server_message_put_ack(&gateway->notice, to, id);
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
    client_close(client, close_code,
                 close_code == CLOSE_REPLACED ? "replaced by a newer connection" : "try again");
}

static const struct exchange_handlers exchange_handlers = {
    .on_attached = on_attached,
    .on_deliver = on_deliver,
    .on_outcome = on_outcome,
    .on_evict = on_evict,
};

/* ---- from the clients ---- */

static void respond_health(struct gateway *gateway, const struct http_request *request,
                           struct buffer *out)
{
    struct http_refusal refusal;
    if (!http_request_check(request, true, &refusal)) {
        http_response_put_refusal(out, &refusal);
        return;
    }
    bool is_well = gateway->phase == GATEWAY_SERVING && exchange_is_greeted(gateway->exchange);
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
        send_error(gateway, client, outcome, complaint, message.to, message.id);
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

static const struct client_handlers client_handlers = {
    .on_fetch = on_fetch,
    .on_handshake = on_handshake,
    .on_message = on_message,
    .on_written = on_written,
    .on_end = on_end,
};

static void on_accept(void *arg, int fd)
{
    struct gateway *gateway = arg;
    client_set_take(&gateway->clients, fd);
}

/* ---- the turn, the timers, the way down ---- */

static void begin_closing(struct gateway *gateway)
{
    gateway->phase = GATEWAY_CLOSING;
    connection_set_pause_reading(&gateway->clients.connections, false);
    client_set_close_all(&gateway->clients, CLOSE_GOING_AWAY, "the server is going down");
    loop_timer_set(gateway->loop, &gateway->drain_deadline,
                   loop_now_ms(gateway->loop) + gateway->options->close_timeout_ms);
}

static void on_drain_deadline(struct loop_timer *timer)
{
    struct gateway *gateway = container_of(timer, struct gateway, drain_deadline);
    if (gateway->phase == GATEWAY_DRAINING) {
        begin_closing(gateway);
    } else {
        loop_stop(gateway->loop);
    }
}

static void on_signal(void *arg, int signal_no)
{
    struct gateway *gateway = arg;
    if (gateway->phase != GATEWAY_SERVING) {
        return;
    }
    log_write(LOG_LEVEL_INFO, "stopping", "signal=%d clients=%zu", signal_no,
              client_set_count(&gateway->clients));
    gateway->phase = GATEWAY_DRAINING;
    listener_close(gateway->listener);
    gateway->listener = NULL;
    client_set_refuse(&gateway->clients);
    connection_set_pause_reading(&gateway->clients.connections, true);
    loop_timer_set(gateway->loop, &gateway->drain_deadline,
                   loop_now_ms(gateway->loop) + gateway->options->outcome_timeout_ms);
}

static void advance_phase(struct gateway *gateway)
{
    if (gateway->phase == GATEWAY_DRAINING && exchange_unanswered_count(gateway->exchange) == 0) {
        begin_closing(gateway);
    }
    if (gateway->phase == GATEWAY_CLOSING && client_set_count(&gateway->clients) == 0) {
        loop_stop(gateway->loop);
    }
}

static void on_tick(struct loop_timer *timer)
{
    struct gateway *gateway = container_of(timer, struct gateway, tick);
    exchange_tick(gateway->exchange, loop_now_ms(gateway->loop));
}

/* All that the turn produced goes out here: first to the clients, so that the outcomes of what was
 * written to them leave with the batch; a link that ends in the sending gives clients news again.
 */
static void on_turn_end(void *arg)
{
    struct gateway *gateway = arg;
    struct connection_set *connections = &gateway->clients.connections;
    do {
        connection_set_flush(connections);
        exchange_pump(gateway->exchange);
        if (exchange_is_stuck(gateway->exchange)) {
            log_write(LOG_LEVEL_ERROR, "link-stuck", "slot=%" PRIu64, gateway->options->slot);
            link_end(gateway->link);
        }
        link_flush(gateway->link);
        advance_phase(gateway);
    } while (connections->unflushed != NULL);
    if (gateway->phase == GATEWAY_SERVING) {
        connection_set_pause_reading(connections, exchange_is_congested(gateway->exchange));
    }
    if (exchange_unanswered_count(gateway->exchange) > 0 && gateway->tick.next == NULL) {
        loop_timer_set(gateway->loop, &gateway->tick, loop_now_ms(gateway->loop) + TICK_MS);
    }
}

static size_t connections_max(const struct gateway_options *options)
{
    if (options->connections_max > 0) {
        return options->connections_max;
    }
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= DESCRIPTOR_RESERVE) {
        return 1;
    }
    return limit.rlim_cur - DESCRIPTOR_RESERVE;
}

/* A queue that cannot hold the largest message would let any sender disconnect any user. */
static bool check_queue(const struct gateway_options *options)
{
    size_t payload_bytes = call_message_payload_max_bytes(options->message_max_bytes);
    size_t needed_bytes = payload_bytes + websocket_frame_overhead(payload_bytes);
    if (options->queue_max_bytes >= needed_bytes) {
        return true;
    }
    log_write(LOG_LEVEL_ERROR, "start-failed",
              "error=\"--queue-max-bytes must be at least %zu for this --message-max-bytes\"",
              needed_bytes);
    return false;
}

static bool set_clients_up(struct gateway *gateway)
{
    const struct gateway_options *options = gateway->options;
    struct client_config config = {
        .head_max_bytes = options->head_max_bytes,
        .head_timeout_ms = options->head_timeout_ms,
        .ping_interval_ms = options->ping_interval_ms,
        .idle_timeout_ms = options->idle_timeout_ms,
        .close_timeout_ms = options->close_timeout_ms,
        .queue_max_bytes = options->queue_max_bytes,
        .rate_max_per_s = options->rate_max_per_s,
        .rate_burst = options->rate_burst,
        .connections_max = connections_max(options),
        .websocket = {.message_max_bytes = options->message_max_bytes, .accepts_binary = false},
        .handshake = {.allowed_origins = options->allowed_origins, .requires_user_id = true},
    };
    gateway->has_clients =
        client_set_init(&gateway->clients, gateway->loop, &config, &client_handlers, gateway);
    return gateway->has_clients;
}

static bool set_up(struct gateway *gateway)
{
    const struct gateway_options *options = gateway->options;
    if (!check_queue(options)) {
        return false;
    }
    gateway->loop = loop_new(on_turn_end, gateway);
    if (gateway->loop == NULL || !loop_watch_signals(gateway->loop, on_signal, gateway) ||
        getrandom(&gateway->instance_id, sizeof gateway->instance_id, 0) !=
            (ssize_t)sizeof gateway->instance_id ||
        !json_arena_init() || !set_clients_up(gateway)) {
        log_write(LOG_LEVEL_ERROR, "start-failed", "slot=%" PRIu64, options->slot);
        return false;
    }
    struct exchange_config exchange_config = {
        .instance_id = gateway->instance_id,
        .outcome_timeout_ms = options->outcome_timeout_ms,
        .backlog_max_bytes = options->backlog_max_bytes,
        .unanswered_max_bytes = options->unanswered_max_bytes,
    };
    gateway->exchange = exchange_new(&exchange_config, &exchange_handlers, gateway);
    gateway->static_files = static_files_load(options->static_dir);
    if (gateway->exchange == NULL || gateway->static_files == NULL) {
        return false;
    }
    struct link_config link_config = {
        .role = LINK_DIALS,
        .link_dir = options->link_dir,
        .slot = (uint32_t)options->slot,
        .backlog_max_bytes = options->backlog_max_bytes,
    };
    gateway->link = link_new(gateway->loop, &link_config, &link_handlers, gateway);
    if (gateway->link == NULL) {
        return false;
    }
    gateway->listener = listener_open(gateway->loop, options->listen, on_accept, gateway);
    return gateway->listener != NULL;
}

struct gateway *gateway_new(const struct gateway_options *options)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        return NULL;
    }
    gateway->options = options;
    gateway->tick.on_due = on_tick;
    gateway->drain_deadline.on_due = on_drain_deadline;
    buffer_init(&gateway->notice, NOTICE_MAX_BYTES);
    if (!set_up(gateway)) {
        gateway_free(gateway);
        return NULL;
    }
    return gateway;
}

void gateway_run(struct gateway *gateway)
{
    loop_run(gateway->loop);
    log_write(LOG_LEVEL_INFO, "stopped", "slot=%" PRIu64, gateway->options->slot);
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL) {
        return;
    }
    if (gateway->listener != NULL) {
        listener_close(gateway->listener);
    }
    if (gateway->exchange != NULL) {
        exchange_link_down(gateway->exchange); /* it must not write to a link that is gone */
    }
    link_abandon(gateway->link);
    if (gateway->has_clients) {
        client_set_fini(&gateway->clients);
    }
    loop_free(gateway->loop);
    exchange_free(gateway->exchange);
    static_files_free(gateway->static_files);
    json_arena_fini();
    buffer_fini(&gateway->notice);
    free(gateway);
}
