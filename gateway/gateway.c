#include "gateway/gateway_internal.h"

#include "common/log.h"
#include "gateway/json_arena.h"
#include "gateway/listener.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

enum {
    TICK_MS = 100,
    /* Descriptors that connections leave alone: the loop's, the link's, the listener's, those of
     * clients that are there only to be refused. */
    DESCRIPTOR_RESERVE = 256,
    NOTICE_MAX_BYTES = 4096, /* the longest message of our own */
    DRAIN_STEP_MS = 20,
    DRAIN_BATCH_MIN = 64, /* clients a step, so that a small set does not take all of drain_ms */
};

static void on_accept(void *arg, int fd)
{
    struct gateway *gateway = arg;
    client_set_take(&gateway->clients, fd);
}

static void begin_closing(struct gateway *gateway)
{
    gateway->phase = GATEWAY_CLOSING;
    loop_timer_cancel(gateway->loop, &gateway->drain_step);
    connection_set_pause_reading(&gateway->clients.connections, false);
    client_set_close_all(&gateway->clients, CLOSE_GOING_AWAY, gateway_going_away);
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

/* How many clients' turn should have come by now. */
static size_t drain_due_count(const struct gateway *gateway)
{
    uint64_t drain_ms = gateway->options->drain_ms;
    uint64_t elapsed_ms = loop_now_ms(gateway->loop) - gateway->drain_start_ms;
    if (elapsed_ms >= drain_ms) {
        return SIZE_MAX;
    }
    size_t spread = (size_t)(gateway->drain_total * elapsed_ms / drain_ms);
    size_t at_least = (size_t)(elapsed_ms / DRAIN_STEP_MS + 1) * DRAIN_BATCH_MIN;
    return spread > at_least ? spread : at_least;
}

static void drain_client(struct gateway *gateway, struct client *client)
{
    gateway->drain_count++;
    client_stop_reading(client);
    if (exchange_retire(gateway->exchange, client->session)) {
        client_close(client, CLOSE_GOING_AWAY, gateway_going_away);
    }
}

static void on_drain_step(struct loop_timer *timer)
{
    struct gateway *gateway = container_of(timer, struct gateway, drain_step);
    size_t due_count = drain_due_count(gateway);
    struct client *next = NULL;
    for (struct client *client = gateway->clients.first;
         client != NULL && gateway->drain_count < due_count; client = next) {
        next = client->next;
        if (client->state == CLIENT_OPEN && !client->is_stopped) {
            drain_client(gateway, client);
        }
    }
    if (due_count != SIZE_MAX) {
        loop_timer_set(gateway->loop, timer, loop_now_ms(gateway->loop) + DRAIN_STEP_MS);
    }
}

static void on_signal(void *arg, int signal_no)
{
    struct gateway *gateway = arg;
    if (signal_no == SIGHUP || gateway->phase != GATEWAY_SERVING) {
        return; /* whoever rotates the broker's call log may mean all of us */
    }
    log_write(LOG_LEVEL_INFO, "stopping", "signal=%d clients=%zu", signal_no,
              client_set_count(&gateway->clients));
    gateway->phase = GATEWAY_DRAINING;
    listener_close(gateway->listener);
    gateway->listener = NULL;
    client_set_refuse(&gateway->clients);
    gateway->drain_start_ms = loop_now_ms(gateway->loop);
    gateway->drain_total = exchange_session_count(gateway->exchange);
    loop_timer_set(gateway->loop, &gateway->drain_deadline,
                   gateway->drain_start_ms + gateway->options->drain_ms +
                       gateway->options->outcome_timeout_ms);
    on_drain_step(&gateway->drain_step);
}

static void advance_phase(struct gateway *gateway)
{
    if (gateway->phase == GATEWAY_DRAINING && exchange_session_count(gateway->exchange) == 0 &&
        exchange_unanswered_count(gateway->exchange) == 0) {
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
        bool is_urgent = exchange_take_urgency(gateway->exchange);
        link_flush(gateway->link, is_urgent || gateway->phase != GATEWAY_SERVING);
        advance_phase(gateway);
    } while (connections->unflushed != NULL);
    if (gateway->phase != GATEWAY_CLOSING) {
        connection_set_pause_reading(connections, exchange_is_congested(gateway->exchange));
    }
    if (exchange_needs_tick(gateway->exchange) && gateway->tick.next == NULL) {
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
    gateway->has_clients = client_set_init(&gateway->clients, gateway->loop, &config,
                                           &gateway_client_handlers, gateway);
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
    memory_keeper_start(&gateway->memory, gateway->loop);
    struct exchange_config exchange_config = {
        .instance_id = gateway->instance_id,
        .outcome_timeout_ms = options->outcome_timeout_ms,
        .backlog_max_bytes = options->backlog_max_bytes,
        .unanswered_max_bytes = options->unanswered_max_bytes,
        .remembered_max = options->remembered_max,
    };
    gateway->exchange = exchange_new(&exchange_config, &gateway_exchange_handlers, gateway);
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
    gateway->link = link_new(gateway->loop, &link_config, &gateway_link_handlers, gateway);
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
    gateway->drain_step.on_due = on_drain_step;
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
    link_free(gateway->link);
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
