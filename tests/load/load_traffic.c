#include "tests/load/load_traffic.h"

#include <stdlib.h>

enum {
    SENDS_PER_TURN = 1024, /* so that a burst does not keep us from reading */
};

bool load_traffic_init(struct load_worker *worker)
{
    size_t scratch_bytes = 0;
    for (uint32_t i = 0; i < worker->client_count; i++) {
        struct load_client *client = &worker->clients[i];
        struct load_client *partner = &worker->clients[i ^ 1U];
        bool is_flood = i >= worker->steady_count;
        client->partner = partner;
        client->group = is_flood ? GROUP_FLOOD : GROUP_STEADY;
        client->is_closed_loop = is_flood || worker->options->mode == LOAD_CLOSED;
        if (!message_sheet_init(&client->sheet, &worker->format, client->number, partner->number)) {
            return false;
        }
        size_t bytes = message_max_bytes(&worker->format, &client->sheet);
        scratch_bytes = bytes > scratch_bytes ? bytes : scratch_bytes;
    }
    worker->scratch = malloc(scratch_bytes);
    return worker->scratch != NULL;
}

/* A closed loop begins with one side's messages; they bounce from then on. */
static void start_closed_loop(struct load_client *client, uint64_t in_flight)
{
    uint64_t now_ns = ws_client_clock_ns();
    for (uint64_t i = 0; i < in_flight && load_client_send(client, now_ns); i++) {
    }
    if (client->ws.state == WS_CLIENT_OPEN) {
        ws_client_flush(&client->ws);
    }
}

static void mark_dirty(struct load_client *client)
{
    if (!client->is_dirty) {
        client->is_dirty = true;
        client->next = client->worker->dirty;
        client->worker->dirty = client;
    }
}

/* Message number i of the rate goes out in pair i modulo their count; first all in one direction,
 * then all in the other. */
static void send_by_rate(struct load_worker *worker, uint64_t due_ns)
{
    uint64_t now_ns = ws_client_clock_ns();
    uint64_t pairs = worker->steady_count / 2;
    uint64_t index = worker->sent_by_rate++;
    struct load_client *client = &worker->clients[2 * (index % pairs) + (index / pairs) % 2];
    struct group_results *results = &worker->results->groups[GROUP_STEADY];
    if (!load_client_send(client, due_ns)) {
        event_counts_add(&results->errors, slice_from_string("not-sent"), 1);
        return;
    }
    mark_dirty(client);
    if (load_worker_is_in_window(worker, now_ns)) {
        histogram_add(&results->lag, now_ns - due_ns);
    }
}

static void on_send_due(struct pacer *pacer)
{
    struct load_worker *worker = container_of(pacer, struct load_worker, send_pacer);
    uint64_t now_ns = ws_client_clock_ns();
    uint64_t start_ns = atomic_load(&worker->share->moments.start);
    uint64_t due_ns = pacer_due_ns(start_ns, worker->rate_per_s, worker->sent_by_rate);
    for (int i = 0; i < SENDS_PER_TURN && due_ns <= now_ns; i++) {
        if (!load_worker_may_send(worker, due_ns)) {
            return;
        }
        send_by_rate(worker, due_ns);
        due_ns = pacer_due_ns(start_ns, worker->rate_per_s, worker->sent_by_rate);
    }
    pacer_set(pacer, due_ns);
}

static bool start_open_loop(struct load_worker *worker)
{
    worker->rate_per_s = (double)worker->options->rate * (double)(worker->steady_count / 2) /
                         (double)worker->options->pairs;
    if (!pacer_init(&worker->send_pacer, worker->loop, on_send_due)) {
        return false;
    }
    pacer_set(&worker->send_pacer, atomic_load(&worker->share->moments.start));
    return true;
}

void load_traffic_start(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    uint32_t first = 0;
    if (options->mode == LOAD_OPEN) {
        first = worker->steady_count;
        if (worker->steady_count > 0 && !start_open_loop(worker)) {
            event_counts_add(&worker->results->connection_ends, slice_from_string("no-descriptor"),
                             1);
        }
    }
    for (uint32_t i = first; i < worker->client_count; i += 2) {
        bool is_flood = i >= worker->steady_count;
        start_closed_loop(&worker->clients[i],
                          is_flood ? options->flood_in_flight : options->in_flight);
    }
}

void load_traffic_tick(struct load_worker *worker)
{
    uint64_t now_ns = ws_client_clock_ns();
    if (worker->owed == 0 || !load_worker_may_send(worker, now_ns)) {
        return;
    }
    for (uint32_t i = 0; i < worker->client_count; i++) {
        struct load_client *client = &worker->clients[i];
        if (client->owed == 0) {
            continue;
        }
        uint32_t owed = client->owed;
        worker->owed -= owed;
        client->owed = 0;
        for (uint32_t k = 0; k < owed && load_client_send(client, now_ns); k++) {
        }
        if (client->ws.state == WS_CLIENT_OPEN) {
            ws_client_flush(&client->ws);
        }
    }
}

void load_traffic_flush(struct load_worker *worker)
{
    while (worker->dirty != NULL) {
        struct load_client *client = worker->dirty;
        worker->dirty = client->next;
        client->is_dirty = false;
        if (client->ws.state == WS_CLIENT_OPEN) {
            ws_client_flush(&client->ws);
        }
    }
}

void load_traffic_settle(struct load_worker *worker)
{
    for (uint32_t i = 0; i < worker->client_count; i++) {
        load_client_settle(&worker->clients[i]);
    }
}
