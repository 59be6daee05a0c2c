#include "tests/load/load_worker.h"

#include "tests/load/load_connector.h"
#include "tests/load/load_traffic.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NS_PER_MS = 1000000,
    LINGER_MS = 250,
    CHURN_CLIENTS = 8192,
    RECEIVED_EXTRA_BYTES = 1024, /* what a server may add to a message */
};

static struct load_client *client_of(struct ws_client *ws)
{
    return container_of(ws, struct load_client, ws);
}

static void on_open(struct ws_client *ws)
{
    load_connector_on_open(client_of(ws));
}

static void on_message(struct ws_client *ws, struct slice payload)
{
    load_client_on_message(client_of(ws), payload);
}

static void on_read_end(struct ws_client *ws)
{
    ws_client_flush(ws);
}

static void on_gone(struct ws_client *ws, bool was_open, const char *why)
{
    load_connector_on_gone(client_of(ws), was_open, why);
}

static const struct ws_client_handlers handlers = {
    .on_open = on_open,
    .on_message = on_message,
    .on_read_end = on_read_end,
    .on_gone = on_gone,
};

static void on_turn_end(void *arg)
{
    struct load_worker *worker = arg;
    load_traffic_flush(worker);
    load_connector_pump(worker);
}

static void send_heartbeats(struct load_worker *worker, uint64_t now_ns)
{
    const struct dialect *dialect = worker->format.dialect;
    if (dialect->heartbeat == NULL || now_ns < worker->heartbeat_ns) {
        return;
    }
    worker->heartbeat_ns = now_ns + dialect->heartbeat_ms * NS_PER_MS;
    for (uint32_t i = 0; i < worker->client_count; i++) {
        struct ws_client *ws = &worker->clients[i].ws;
        if (ws->state == WS_CLIENT_OPEN &&
            ws_client_put(ws, slice_from_string(dialect->heartbeat))) {
            ws_client_flush(ws);
        }
    }
}

static void start(struct load_worker *worker)
{
    if (worker->options->mode == LOAD_CHURN) {
        worker->connect_start_ns = ws_client_clock_ns();
    } else if (worker->options->mode != LOAD_CONNECT_ONLY) {
        load_traffic_start(worker);
    }
}

/* Moves on to the next phase if this one is over. */
static void advance(struct load_worker *worker, uint64_t now_ns)
{
    struct load_moments *moments = &worker->share->moments;
    switch (worker->phase) {
    case PHASE_CONNECTING:
        if (load_connector_is_done(worker)) {
            worker->phase = PHASE_WAITING;
            atomic_store(&worker->results->is_connected, true);
        }
        break;
    case PHASE_WAITING:
        if (atomic_load(&moments->start) != 0 && now_ns >= atomic_load(&moments->start)) {
            worker->phase = PHASE_RUNNING;
            start(worker);
        }
        break;
    case PHASE_RUNNING:
        if (now_ns >= atomic_load(&moments->window_end)) {
            worker->phase = PHASE_DRAINING;
            worker->phase_end_ns = now_ns + worker->options->drain_ms * NS_PER_MS;
        }
        break;
    case PHASE_DRAINING:
        if ((worker->under_way <= 0 && worker->connecting == 0) || now_ns >= worker->phase_end_ns) {
            worker->phase = PHASE_LINGERING;
            worker->phase_end_ns = now_ns + (uint64_t)LINGER_MS * NS_PER_MS;
        }
        break;
    case PHASE_LINGERING:
        if (now_ns >= worker->phase_end_ns) {
            worker->phase = PHASE_DONE;
            load_traffic_settle(worker);
            atomic_store(&worker->results->is_done, true);
        }
        break;
    case PHASE_DONE:
        if (atomic_load(&moments->may_end)) {
            loop_stop(worker->loop);
        }
        break;
    }
}

static void on_tick(struct loop_timer *timer)
{
    struct load_worker *worker = container_of(timer, struct load_worker, tick);
    uint64_t now_ns = ws_client_clock_ns();
    atomic_store(&worker->results->connections, worker->open_count);
    atomic_store(&worker->results->delivered, worker->delivered);
    advance(worker, now_ns);
    load_traffic_tick(worker);
    send_heartbeats(worker, now_ns);
    loop_timer_set(worker->loop, timer, loop_now_ms(worker->loop) + LOOP_TIMER_TICK_MS);
}

/* Worker `index`'s share of `count` things. */
static uint64_t share_begin(const struct load_options *options, uint64_t count, uint64_t index)
{
    return count * index / options->workers;
}

static uint64_t share_count(const struct load_worker *worker, uint64_t count)
{
    return share_begin(worker->options, count, worker->index + 1U) -
           share_begin(worker->options, count, worker->index);
}

/* Users are numbered through all workers: first those of the pairs, then the flooding ones. */
static void number_clients(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    bool has_pairs = options->mode != LOAD_CONNECT_ONLY;
    uint64_t unit = has_pairs ? 2 : 1;
    uint64_t steady = has_pairs ? options->pairs : options->connect_only;
    uint64_t flood = has_pairs ? options->flood_pairs : 0;
    uint64_t steady_first = unit * share_begin(options, steady, worker->index);
    uint64_t flood_first = unit * (steady + share_begin(options, flood, worker->index));
    for (uint32_t i = 0; i < worker->client_count; i++) {
        bool is_flood = i >= worker->steady_count;
        uint64_t number = is_flood ? flood_first + i - worker->steady_count : steady_first + i;
        worker->clients[i].number = (uint32_t)(options->first_user + number);
    }
}

/* False: no memory. */
static bool make_clients(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    switch (options->mode) {
    case LOAD_CLOSED:
    case LOAD_OPEN:
        worker->steady_count = (uint32_t)(2 * share_count(worker, options->pairs));
        worker->client_count =
            worker->steady_count + (uint32_t)(2 * share_count(worker, options->flood_pairs));
        break;
    case LOAD_CONNECT_ONLY:
        worker->steady_count = (uint32_t)share_count(worker, options->connect_only);
        worker->client_count = worker->steady_count;
        break;
    case LOAD_CHURN:
        worker->client_count = CHURN_CLIENTS;
        break;
    }
    worker->clients = calloc(worker->client_count + 1U, sizeof *worker->clients);
    if (worker->clients == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < worker->client_count; i++) {
        worker->clients[i].worker = worker;
    }
    if (options->mode == LOAD_CHURN) {
        for (uint32_t i = 0; i < worker->client_count; i++) {
            worker->clients[i].next = worker->idle;
            worker->idle = &worker->clients[i];
        }
        return true;
    }
    number_clients(worker);
    return options->mode == LOAD_CONNECT_ONLY || load_traffic_init(worker);
}

static bool open_worker(struct load_worker *worker)
{
    size_t message_max_bytes = worker->options->message_bytes + RECEIVED_EXTRA_BYTES;
    worker->loop = loop_new(on_turn_end, worker);
    return worker->loop != NULL &&
           ws_client_set_init(&worker->set, worker->loop, &handlers, message_max_bytes) &&
           make_clients(worker) && load_connector_start(worker);
}

static void close_worker(struct load_worker *worker)
{
    for (uint32_t i = 0; i < worker->client_count; i++) {
        ws_client_abort(&worker->clients[i].ws);
        message_sheet_fini(&worker->clients[i].sheet);
    }
    ws_client_set_fini(&worker->set);
    free(worker->clients);
    free(worker->scratch);
    loop_free(worker->loop);
}

int load_worker_run(const struct load_options *options, struct load_share *share, uint32_t index)
{
    struct load_worker worker = {
        .options = options,
        .share = share,
        .results = &share->workers[index],
        .index = index,
        .format =
            {
                .dialect = options->dialect,
                .user_prefix = options->user_prefix,
                .message_bytes = options->message_bytes,
            },
    };
    if (!open_worker(&worker)) {
        (void)fprintf(stderr, "switchboard-load: no memory, or no descriptors\n");
        return 1;
    }
    worker.tick.on_due = on_tick;
    loop_timer_set(worker.loop, &worker.tick, loop_now_ms(worker.loop));
    loop_run(worker.loop);
    close_worker(&worker);
    return 0;
}
