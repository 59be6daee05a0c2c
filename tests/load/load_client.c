#include "tests/load/load_client.h"

#include "tests/load/load_worker.h"

static struct group_results *results_of(const struct load_client *client)
{
    return &client->worker->results->groups[client->group];
}

bool load_client_send(struct load_client *client, uint64_t due_ns)
{
    struct load_worker *worker = client->worker;
    if (client->ws.state != WS_CLIENT_OPEN || client->partner->ws.state != WS_CLIENT_OPEN) {
        return false;
    }
    size_t len =
        message_write(&worker->format, &client->sheet, client->sent + 1, due_ns, worker->scratch);
    if (!ws_client_put(&client->ws, slice_of(worker->scratch, len))) {
        return false;
    }
    client->sent++;
    worker->under_way++;
    if (worker->options->is_alone) {
        ws_client_flush(&client->ws);
    }
    return true;
}

static void on_good(struct load_client *client, const struct message_seen *seen)
{
    struct load_worker *worker = client->worker;
    struct group_results *results = results_of(client);
    if (seen->n == 0 || seen->n > client->partner->sent) {
        results->wrong.altered++;
        return;
    }
    enum sequence_verdict verdict = sequence_take(&client->sequence, seen->n);
    if (verdict == SEQUENCE_AGAIN) {
        results->wrong.doubled++;
        return;
    }
    results->wrong.reordered += verdict == SEQUENCE_LATE;
    worker->under_way--;
    worker->delivered++;
    uint64_t now_ns = worker->set.now_ns;
    if (load_worker_is_in_window(worker, now_ns)) {
        results->delivered++;
        histogram_add(&results->latency, now_ns > seen->t_ns ? now_ns - seen->t_ns : 0);
    }
    if (client->is_closed_loop && load_worker_may_send(worker, now_ns)) {
        bool is_sent = load_client_send(client, now_ns);
        (void)is_sent; /* else the pair has lost a connection, which has been counted */
    }
}

/* What failed is replaced by another message, at the next tick: at once might be too often. */
static void on_error(struct load_client *client, struct slice code)
{
    event_counts_add(&results_of(client)->errors, code, 1);
    client->worker->under_way--;
    client->failed++;
    client->unconfirmed += slice_equal_string(code, "unconfirmed");
    if (client->is_closed_loop) {
        client->owed++;
        client->worker->owed++;
    }
}

void load_client_on_message(struct load_client *client, struct slice payload)
{
    if (client->partner == NULL) {
        return;
    }
    struct wrong_counts *wrong = &results_of(client)->wrong;
    struct message_seen seen = {0};
    switch (message_check(&client->worker->format, &client->sheet, payload, &seen)) {
    case MESSAGE_GOOD:
        on_good(client, &seen);
        break;
    case MESSAGE_ERROR:
        on_error(client, seen.code);
        break;
    case MESSAGE_UNCOUNTED:
        break;
    case MESSAGE_MISROUTED:
        wrong->misrouted++;
        break;
    case MESSAGE_WRONG_FROM:
        wrong->wrong_from++;
        break;
    case MESSAGE_ALTERED:
        wrong->altered++;
        break;
    }
}

void load_client_settle(struct load_client *client)
{
    if (client->partner == NULL) {
        return;
    }
    struct group_results *results = results_of(client);
    results->sent += client->sent;
    uint64_t ended = client->partner->sequence.distinct + client->failed;
    if (ended < client->sent) {
        results->wrong.lost += client->sent - ended;
    } else if (ended - client->sent > client->unconfirmed) {
        /* reported as not delivered, and delivered: two ends */
        results->wrong.doubled += ended - client->sent - client->unconfirmed;
    }
}
