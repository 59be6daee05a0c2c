#include "tests/load/load_connector.h"

#include <netinet/in.h>

enum {
    BEGINS_PER_TURN = 256,
    CLOSE_NORMAL = 1000,
};

static bool is_churn(const struct load_worker *worker)
{
    return worker->options->mode == LOAD_CHURN;
}

static bool has_rate(const struct load_worker *worker)
{
    return worker->options->connect_rate > 0;
}

/* When the next connection is to be begun; without a rate, at once. */
static uint64_t next_due_ns(const struct load_worker *worker, uint64_t now_ns)
{
    if (!has_rate(worker)) {
        return now_ns;
    }
    double rate_per_s = (double)worker->options->connect_rate / (double)worker->options->workers;
    return pacer_due_ns(worker->connect_start_ns, rate_per_s, worker->begun);
}

/* Partners are spread over the targets so that a pair is no likelier than any two to share one. */
static const struct load_target *target_of(const struct load_worker *worker, uint64_t number)
{
    uint64_t count = worker->options->target_count;
    uint64_t pair = number / 2;
    uint64_t index = number % 2 == 0 ? pair : pair + pair / count;
    return &worker->options->targets[index % count];
}

static uint32_t source_of(const struct load_worker *worker, const struct load_target *target,
                          uint64_t number)
{
    uint64_t count = worker->options->source_addresses;
    if (count == 1 || target->address.ss_family != AF_INET) {
        return 0;
    }
    return (uint32_t)(INADDR_LOOPBACK + number % count);
}

static void begin(struct load_worker *worker, struct load_client *client, uint64_t due_ns)
{
    char user[DIALECT_USER_MAX_BYTES];
    char path[DIALECT_TEXT_MAX_BYTES];
    if (is_churn(worker)) {
        uint64_t serial = worker->begun * worker->options->workers + worker->index;
        client->number = (uint32_t)((worker->options->first_user + serial) % INT32_MAX);
    }
    const struct load_target *target = target_of(worker, client->number);
    message_name_user(user, worker->format.user_prefix, client->number);
    (void)dialect_fill(path, worker->format.dialect->path, user, "");
    worker->begun++;
    worker->connecting++;
    client->begun_ns = due_ns;
    struct ws_client_route route = {
        .target = (const struct sockaddr *)&target->address,
        .target_len = target->address_len,
        .source_address = source_of(worker, target, client->number),
        .host = target->text,
        .path = path,
    };
    ws_client_connect(&client->ws, &worker->set, &route);
}

static struct load_client *next_client(struct load_worker *worker)
{
    if (is_churn(worker)) {
        struct load_client *client = worker->idle;
        worker->idle = client == NULL ? NULL : client->next;
        return client;
    }
    return worker->begun < worker->client_count ? &worker->clients[worker->begun] : NULL;
}

static bool may_begin(const struct load_worker *worker, uint64_t now_ns)
{
    if (is_churn(worker)) {
        return load_worker_may_send(worker, now_ns) &&
               (has_rate(worker) || worker->connecting < worker->options->connecting_max);
    }
    return worker->phase == PHASE_CONNECTING && worker->begun < worker->client_count &&
           worker->connecting < worker->options->connecting_max;
}

void load_connector_pump(struct load_worker *worker)
{
    uint64_t now_ns = ws_client_clock_ns();
    for (int i = 0; i < BEGINS_PER_TURN && may_begin(worker, now_ns); i++) {
        uint64_t due_ns = next_due_ns(worker, now_ns);
        if (due_ns > now_ns) {
            pacer_set(&worker->connect_pacer, due_ns);
            return;
        }
        struct load_client *client = next_client(worker);
        if (client == NULL) { /* churn: all wait for the server to close; it is not keeping up */
            if (has_rate(worker)) {
                worker->begun++;
                event_counts_add(&worker->results->connection_ends, slice_from_string("not-begun"),
                                 1);
            }
            return;
        }
        begin(worker, client, due_ns);
    }
}

static void on_connect_due(struct pacer *pacer)
{
    (void)pacer; /* it has woken the loop; the end of the turn begins what is due */
}

bool load_connector_start(struct load_worker *worker)
{
    worker->connect_start_ns = ws_client_clock_ns();
    return pacer_init(&worker->connect_pacer, worker->loop, on_connect_due);
}

bool load_connector_is_done(const struct load_worker *worker)
{
    return worker->connecting == 0 && (is_churn(worker) || worker->begun == worker->client_count);
}

void load_connector_on_open(struct load_client *client)
{
    struct load_worker *worker = client->worker;
    struct handshake_results *results = &worker->results->handshakes;
    uint64_t now_ns = worker->set.now_ns;
    worker->connecting--;
    worker->open_count++;
    if (results->count++ == 0) {
        results->first_begin_ns = client->begun_ns;
    }
    results->last_end_ns = now_ns;
    bool is_in_window = load_worker_is_in_window(worker, now_ns);
    results->in_window += is_in_window;
    if (is_in_window || !is_churn(worker)) {
        histogram_add(&results->latency, now_ns - client->begun_ns);
    }
    if (is_churn(worker)) {
        ws_client_close(&client->ws, CLOSE_NORMAL);
    }
}

void load_connector_on_gone(struct load_client *client, bool was_open, const char *why)
{
    struct load_worker *worker = client->worker;
    if (was_open) {
        worker->open_count--;
    } else {
        worker->connecting--;
    }
    if (!was_open || !is_churn(worker)) {
        event_counts_add(&worker->results->connection_ends, slice_from_string(why), 1);
    }
    if (is_churn(worker)) {
        client->next = worker->idle;
        worker->idle = client;
    }
}
