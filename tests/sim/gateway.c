#include "tests/sim/gateway.h"

#include "common/close_code.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    TEXT_MAX_BYTES = 4096,
    NAME_MAX_BYTES = 16,
    GREETING_BYTES = 110,
    ERROR_BYTES = 140,
    ACK_BYTES = 40,
    BATCHES_PER_TURN = 3,
};

/* ---- from the link ---- */

static void on_link_up(void *arg)
{
    struct sim_gateway *gateway = arg;
    exchange_link_up(gateway->exchange, &gateway->link->ends[SIM_GATEWAY_END].out);
}

static void on_link_down(void *arg)
{
    struct sim_gateway *gateway = arg;
    exchange_link_down(gateway->exchange);
}

static bool on_link_batch(void *arg, struct slice batch)
{
    struct sim_gateway *gateway = arg;
    return exchange_receive(gateway->exchange, batch, gateway->world->now_ms);
}

static const struct link_handlers link_handlers = {
    .on_up = on_link_up,
    .on_down = on_link_down,
    .on_batch = on_link_batch,
};

/* ---- from the exchange ---- */

static void on_attached(void *arg, struct session *session)
{
    (void)arg;
    struct sim_client *client = session->owner;
    if (client->state != SIM_CLIENT_WAITING) {
        sim_trace_break(&client->world->trace, "10: client %" PRIu32 " is let in twice",
                        client->reader.client);
        return;
    }
    sim_client_accept(client, session->wants_news ? GREETING_BYTES : 0);
}

/* Somebody else who is open at that gateway, for a broken rule. */
static struct sim_client *another_client(struct sim_gateway *gateway, struct sim_client *client)
{
    struct sim_client *other = gateway->first_client;
    while (other != NULL && (other == client || other->state != SIM_CLIENT_OPEN)) {
        other = other->next;
    }
    return other;
}

static bool on_deliver(void *arg, struct session *session, struct slice payload,
                       uint64_t *end_bytes)
{
    struct sim_gateway *gateway = arg;
    struct sim_client *client = session->owner;
    struct sim_client *target = client;
    if (sim_world_breaks(gateway->world, SIM_BREAK_WRONG_SESSION)) {
        struct sim_client *other = another_client(gateway, client);
        target = other != NULL ? other : client;
    }
    if (!sim_client_send(target, payload.len, sim_no_delivery)) {
        return false;
    }
    struct sim_ledger *ledger = &gateway->world->ledger;
    ledger->now_ms = gateway->world->now_ms;
    uint32_t delivery = sim_ledger_deliver(ledger, &target->reader, payload);
    target->frames[target->frame_count - 1].delivery = delivery;
    *end_bytes = client->queued_bytes;
    if (delivery != sim_no_delivery) {
        sim_trace_note(&gateway->world->trace, SIM_EVENT_DELIVER,
                       ledger->deliveries[delivery].message, target->reader.client, *end_bytes, 0);
    }
    return true;
}

static void on_outcome(void *arg, struct session *session, const struct exchange_outcome *told)
{
    struct sim_gateway *gateway = arg;
    struct sim_client *client = session->owner;
    enum outcome outcome = told->outcome;
    if (sim_world_breaks(gateway->world, SIM_BREAK_OUTCOME_UNTOLD)) {
        return;
    }
    const struct sim_message *message =
        sim_ledger_outcome(&gateway->world->ledger, client->reader.client, told->id, outcome);
    if (message != NULL && outcome == OUTCOME_USER_OFFLINE) {
        sim_check_offline(gateway->world, message);
    }
    if (sim_world_breaks(gateway->world, SIM_BREAK_OUTCOME_TWICE)) {
        sim_ledger_outcome(&gateway->world->ledger, client->reader.client, told->id, outcome);
    }
    if (outcome != OUTCOME_DELIVERED || session->wants_news) {
        bool is_sent = sim_client_send(
            client, outcome == OUTCOME_DELIVERED ? ACK_BYTES : ERROR_BYTES, sim_no_delivery);
        (void)is_sent;
    }
}

/* Only somebody who came no earlier replaces a client (with fewer devices than there can be, the
 * other ones do as well). */
static void check_replaced(struct sim_world *world, const struct sim_client *client)
{
    for (uint32_t i = 0; i < world->client_count; i++) {
        const struct sim_client *other = world->clients[i];
        if (other != client && other->since_ms >= client->since_ms &&
            other->reader.user == client->reader.user &&
            (other->device == client->device || world->limits.devices_max < SIM_DEVICES)) {
            return;
        }
    }
    sim_trace_break(&world->trace, "11: client %" PRIu32 " was replaced by nobody newer",
                    client->reader.client);
}

static void on_evict(void *arg, struct session *session, uint16_t close_code)
{
    struct sim_gateway *gateway = arg;
    struct sim_client *client = session->owner;
    sim_trace_note(&gateway->world->trace, SIM_EVENT_EVICT, client->reader.client, close_code, 0,
                   0);
    if (close_code == CLOSE_REPLACED) {
        check_replaced(gateway->world, client);
    }
    if (sim_world_breaks(gateway->world, SIM_BREAK_IGNORE_EVICT)) {
        return;
    }
    if (client->state == SIM_CLIENT_WAITING) {
        sim_client_accept(client, 0);
    }
    sim_client_close(client, close_code);
}

static void on_retired(void *arg, struct session *session)
{
    (void)arg;
    struct sim_client *client = session->owner;
    if (!client->is_retiring || session->unanswered_count > 0) {
        sim_trace_break(&client->world->trace, "10: client %" PRIu32 " is retired too early",
                        client->reader.client);
        return;
    }
    sim_client_close(client, CLOSE_GOING_AWAY);
}

static const struct exchange_handlers exchange_handlers = {
    .on_attached = on_attached,
    .on_deliver = on_deliver,
    .on_outcome = on_outcome,
    .on_evict = on_evict,
    .on_retired = on_retired,
};

/* ---- from the clients ---- */

void sim_gateway_attach(struct sim_gateway *gateway, struct sim_client *client)
{
    char user[NAME_MAX_BYTES];
    char device[NAME_MAX_BYTES];
    (void)snprintf(user, sizeof user, "u%" PRIu32, client->reader.user);
    (void)snprintf(device, sizeof device, "d%" PRIu32, client->device);
    bool wants_news = client->device % 2 == 0;
    client->session = exchange_attach(gateway->exchange, client, slice_from_string(user),
                                      slice_from_string(client->device == 0 ? "" : device),
                                      wants_news, gateway->world->now_ms);
    if (client->session == NULL) {
        abort();
    }
    client->session_id = client->session->id;
    client->next = gateway->first_client;
    gateway->first_client = client;
}

void sim_gateway_read(struct sim_gateway *gateway, struct sim_client *client, uint32_t message)
{
    struct sim_world *world = gateway->world;
    struct call_message parsed;
    const char *complaint = NULL;
    buffer_clear(&gateway->text);
    sim_ledger_put_text(&world->ledger, message, &gateway->text);
    enum outcome outcome = call_message_parse(buffer_slice(&gateway->text), &parsed, &complaint);
    if (outcome != OUTCOME_DELIVERED) {
        sim_trace_break(&world->trace, "10: message %" PRIu32 " is called %s", message, complaint);
        return;
    }
    if (!exchange_submit(gateway->exchange, client->session, &parsed, world->now_ms)) {
        sim_ledger_outcome(&world->ledger, client->reader.client, parsed.id, OUTCOME_OVERLOADED);
        bool is_sent = sim_client_send(client, ERROR_BYTES, sim_no_delivery);
        (void)is_sent;
    }
}

void sim_gateway_retire(struct sim_gateway *gateway, struct sim_client *client)
{
    if (exchange_retire(gateway->exchange, client->session)) {
        sim_client_close(client, CLOSE_GOING_AWAY);
    }
}

void sim_gateway_written(struct sim_gateway *gateway, struct sim_client *client)
{
    uint64_t written_bytes = sim_world_breaks(gateway->world, SIM_BREAK_WRITTEN_TOO_EARLY)
                                 ? client->queued_bytes
                                 : client->written_bytes;
    exchange_written(gateway->exchange, client->session, written_bytes);
}

void sim_gateway_end(struct sim_gateway *gateway, struct sim_client *client, uint16_t code,
                     uint64_t begun_bytes)
{
    struct sim_client **link = &gateway->first_client;
    while (*link != client) {
        link = &(*link)->next;
    }
    *link = client->next;
    uint64_t begun = sim_world_breaks(gateway->world, SIM_BREAK_FORGET_BEGUN)
                         ? client->written_bytes
                         : begun_bytes;
    if (!sim_world_breaks(gateway->world, SIM_BREAK_SKIP_DETACH)) {
        exchange_detach(gateway->exchange, client->session, client->written_bytes, begun,
                        code == CLOSE_TOO_SLOW ? OUTCOME_OVERLOADED : OUTCOME_USER_OFFLINE);
    }
}

struct sim_client *sim_gateway_find(const struct sim_gateway *gateway, uint64_t session_id)
{
    struct sim_client *client = gateway->first_client;
    while (client != NULL && client->session_id != session_id) {
        client = client->next;
    }
    return client;
}

size_t sim_gateway_client_count(const struct sim_gateway *gateway)
{
    size_t count = 0;
    for (const struct sim_client *at = gateway->first_client; at != NULL; at = at->next) {
        count++;
    }
    return count;
}

/* ---- the process ---- */

void sim_gateway_init(struct sim_gateway *gateway, struct sim_world *world, uint32_t slot)
{
    *gateway = (struct sim_gateway){.world = world, .link = &world->links[slot], .slot = slot};
    gateway->link->ends[SIM_GATEWAY_END].handlers = &link_handlers;
    gateway->link->ends[SIM_GATEWAY_END].arg = gateway;
    buffer_init(&gateway->text, TEXT_MAX_BYTES);
    sim_gateway_start(gateway);
}

void sim_gateway_fini(struct sim_gateway *gateway)
{
    exchange_free(gateway->exchange);
    buffer_fini(&gateway->text);
}

void sim_gateway_start(struct sim_gateway *gateway)
{
    struct sim_world *world = gateway->world;
    gateway->instance_id = sim_random_next(&world->random);
    struct exchange_config config = {
        .instance_id = gateway->instance_id,
        .outcome_timeout_ms = SIM_OUTCOME_TIMEOUT_MS,
        .backlog_max_bytes = world->limits.backlog_max_bytes,
        .unanswered_max_bytes = world->limits.unanswered_max_bytes,
        .remembered_max = sim_world_breaks_always(world, SIM_BREAK_SKIP_DEDUPE)
                              ? 0
                              : world->limits.remembered_max,
    };
    gateway->exchange = exchange_new(&config, &exchange_handlers, gateway);
    if (gateway->exchange == NULL) {
        abort();
    }
    sim_world_start_process(world, &gateway->process, gateway->instance_id);
}

void sim_gateway_crash(struct sim_gateway *gateway)
{
    sim_world_end_process(gateway->world, &gateway->process);
    sim_link_forget(gateway->link, SIM_GATEWAY_END);
    while (gateway->first_client != NULL) {
        struct sim_client *client = gateway->first_client;
        gateway->first_client = client->next;
        sim_client_lose(client);
    }
    exchange_free(gateway->exchange);
    gateway->exchange = NULL;
}

void sim_gateway_end_turn(struct sim_gateway *gateway)
{
    struct sim_client *next = NULL;
    for (struct sim_client *client = gateway->first_client; client != NULL; client = next) {
        next = client->next;
        sim_client_flush(client);
    }
    exchange_pump(gateway->exchange);
    if (exchange_is_stuck(gateway->exchange)) {
        sim_trace_note(&gateway->world->trace, SIM_EVENT_STUCK, gateway->slot, 0, 0, 0);
        sim_link_end_connection(gateway->link, SIM_GATEWAY_END);
    }
    sim_link_flush(gateway->link, SIM_GATEWAY_END, exchange_take_urgency(gateway->exchange));
}

void sim_gateway_turn(struct sim_gateway *gateway, bool fully)
{
    struct sim_world *world = gateway->world;
    bool ticks_first = sim_random_once_in(&world->random, 2);
    bool is_tick_due = sim_world_tick_is_due(world, &gateway->process) &&
                       !sim_world_breaks_always(world, SIM_BREAK_NEVER_TICK);
    if (is_tick_due && ticks_first) {
        exchange_tick(gateway->exchange, world->now_ms);
    }
    if (fully || sim_random_once_in(&world->random, 2)) {
        sim_link_notice(gateway->link, SIM_GATEWAY_END, fully);
    }
    uint32_t count = fully ? UINT32_MAX : sim_random_below(&world->random, BATCHES_PER_TURN + 1);
    while (count > 0 && sim_link_receive(gateway->link, SIM_GATEWAY_END)) {
        count--;
    }
    if (is_tick_due && !ticks_first) {
        exchange_tick(gateway->exchange, world->now_ms);
    }
    sim_gateway_end_turn(gateway);
}
