#include "tests/sim/check.h"

#include "common/link_codec.h"

#include <inttypes.h>

/* How late the answer to a message whose time is over may be: the ticks, and the steps up to one.
 */
enum { OUTCOME_SLACK_MS = 1000 };

/* A message without its padding is at least this long. */
enum { MESSAGE_MIN_BYTES = 60 };

static bool has_detach(struct slice records, uint64_t wire_id, const struct sim_world *world)
{
    struct link_record record;
    while (link_record_decode(&records, &record) == PARSE_DONE) {
        if ((record.kind == LINK_DETACH || record.kind == LINK_RETIRE) &&
            sim_tamper_session_id(world, record.session.session_id) == wire_id) {
            return true;
        }
    }
    return false;
}

static bool detach_is_under_way(const struct sim_world *world, const struct sim_link *link,
                                uint64_t wire_id)
{
    const struct sim_pipe *pipe = &link->to[SIM_BROKER_END];
    for (uint32_t i = 0; i < pipe->count; i++) {
        if (pipe->batches[i].conn == link->conn &&
            has_detach(buffer_slice(&pipe->batches[i].bytes), wire_id, world)) {
            return true;
        }
    }
    return has_detach(buffer_slice(&link->ends[SIM_GATEWAY_END].out), wire_id, world);
}

static bool gateway_has(const struct sim_world *world, uint32_t slot, uint64_t wire_id)
{
    const struct sim_client *client = world->gateways[slot].first_client;
    while (client != NULL && sim_tamper_session_id(world, client->session_id) != wire_id) {
        client = client->next;
    }
    return client != NULL;
}

/* True: both ends are of one connection that is there. */
static bool is_connected(const struct sim_link *link)
{
    return link->conn != 0 && link->ends[SIM_GATEWAY_END].conn == link->conn &&
           link->ends[SIM_BROKER_END].conn == link->conn;
}

/* While there is a connection, what the directory has the gateway has. */
static void check_slot(struct sim_world *world, uint32_t slot_no)
{
    const struct sim_link *link = &world->links[slot_no];
    const struct sim_slot *slot = &world->broker.slots[slot_no];
    if (!is_connected(link)) {
        return;
    }
    for (uint32_t i = 0; i < slot->session_count; i++) {
        if (!gateway_has(world, slot_no, slot->sessions[i].id) &&
            !detach_is_under_way(world, link, slot->sessions[i].id)) {
            sim_trace_break(&world->trace,
                            "6: session %" PRIx64 " of slot %" PRIu32
                            " is in the directory, not at its gateway",
                            slot->sessions[i].id, slot_no);
        }
    }
}

static void check_broker(struct sim_world *world)
{
    const struct sim_broker *broker = &world->broker;
    if (!broker->process.is_up) {
        return;
    }
    size_t session_count = 0;
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        session_count += broker->slots[i].session_count;
        check_slot(world, i);
    }
    struct router_stats stats = router_stats(broker->router);
    if (stats.sessions != session_count) {
        sim_trace_break(&world->trace, "6: %zu sessions in the directory, %zu by its records",
                        stats.sessions, session_count);
    }
    if (stats.calls != world->calls.open_count) {
        sim_trace_break(&world->trace, "16: %zu calls go on, %" PRIu32 " by their records",
                        stats.calls, world->calls.open_count);
    }
    if (stats.transfers > world->limits.transfers_max * SIM_GATEWAYS +
                              world->limits.hold_messages_max * SIM_HOLDS_MAX ||
        stats.kept_bytes > world->limits.kept_max_bytes) {
        sim_trace_break(&world->trace, "7: %zu transfers of %zu bytes", stats.transfers,
                        stats.kept_bytes);
    }
}

static void check_gateway(struct sim_world *world, const struct sim_gateway *gateway)
{
    if (!gateway->process.is_up) {
        return;
    }
    size_t client_count = 0;
    for (const struct sim_client *at = gateway->first_client; at != NULL; at = at->next) {
        client_count++;
        if (at->queued_bytes - at->written_bytes > world->limits.queue_max_bytes) {
            sim_trace_break(&world->trace, "7: the queue of client %" PRIu32 " is beyond its bound",
                            at->reader.client);
        }
    }
    if (exchange_session_count(gateway->exchange) != client_count) {
        sim_trace_break(&world->trace, "6: gateway %" PRIu32 " has %zu sessions, %zu clients",
                        gateway->slot, exchange_session_count(gateway->exchange), client_count);
    }
}

static void check_links(struct sim_world *world)
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        for (int end = 0; end < SIM_END_COUNT; end++) {
            if (buffer_len(&world->links[i].ends[end].out) > world->limits.backlog_max_bytes) {
                sim_trace_break(&world->trace, "7: the backlog of slot %" PRIu32 " is too long", i);
            }
        }
    }
}

/* True: the gateway has had the time to see that the message's is over. */
static bool is_overdue(const struct sim_world *world, const struct sim_message *message)
{
    const struct sim_client *sender = world->clients[message->sender];
    const struct sim_process *process = &world->gateways[sender->gateway].process;
    return sim_process_runs(process) && process->awake_since_ms + OUTCOME_SLACK_MS < world->now_ms;
}

static void check_outcomes(struct sim_world *world)
{
    struct sim_ledger *ledger = &world->ledger;
    while (ledger->first_owed < ledger->message_count &&
           !ledger->messages[ledger->first_owed].is_owed) {
        ledger->first_owed++;
    }
    for (uint32_t i = ledger->first_owed; i < ledger->message_count; i++) {
        const struct sim_message *message = &ledger->messages[i];
        if (message->deadline_ms + OUTCOME_SLACK_MS >= world->now_ms) {
            return; /* later ones have later deadlines */
        }
        if (message->is_owed && is_overdue(world, message)) {
            sim_trace_break(&world->trace, "2: message %" PRIu32 " has no outcome", i);
        }
    }
}

/* At least what the messages take whose senders wait for an outcome. */
static void check_unanswered(struct sim_world *world)
{
    size_t bytes[SIM_GATEWAYS] = {0};
    const struct sim_ledger *ledger = &world->ledger;
    for (uint32_t i = ledger->first_owed; i < ledger->message_count; i++) {
        const struct sim_message *message = &ledger->messages[i];
        if (message->is_owed) {
            bytes[world->clients[message->sender]->gateway] +=
                message->padding_bytes + MESSAGE_MIN_BYTES;
        }
    }
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        if (bytes[i] > world->limits.unanswered_max_bytes) {
            sim_trace_break(&world->trace, "7: gateway %" PRIu32 " holds %zu bytes unanswered", i,
                            bytes[i]);
        }
    }
}

/* The gateway of client `at` tells its broker of all its sessions before it hands on a message of
 * theirs; so between clients of one gateway even a lost connection makes nobody offline. */
static bool must_have_been_found(const struct sim_world *world, const struct sim_message *message,
                                 const struct sim_client *at)
{
    if (at->reader.user != message->to_user || at->is_retiring) {
        return false;
    }
    if (at->gateway == world->clients[message->sender]->gateway && at->state == SIM_CLIENT_OPEN &&
        at->open_since_event < message->sent_at_event) {
        return true;
    }
    const struct sim_known_session *known = sim_slot_find(
        &world->broker.slots[at->gateway], sim_tamper_session_id(world, at->session_id));
    return is_connected(&world->links[at->gateway]) && known != NULL &&
           known->since_event < message->sent_at_event;
}

void sim_check_offline(struct sim_world *world, const struct sim_message *message)
{
    if (!sim_calls_must_find(world, message)) {
        return;
    }
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        const struct sim_client *at = world->gateways[i].first_client;
        for (; at != NULL; at = at->next) {
            if (must_have_been_found(world, message, at)) {
                sim_trace_break(&world->trace,
                                "12: user %" PRIu32 " is called offline, and client %" PRIu32
                                " was there all the time",
                                message->to_user, at->reader.client);
            }
        }
    }
}

void sim_check_step(struct sim_world *world)
{
    check_broker(world);
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        check_gateway(world, &world->gateways[i]);
    }
    check_links(world);
    check_outcomes(world);
    check_unanswered(world);
}

static void check_rest_client(struct sim_world *world, const struct sim_client *client)
{
    const struct sim_slot *slot = &world->broker.slots[client->gateway];
    if (client->state != SIM_CLIENT_OPEN || client->is_retiring) {
        sim_trace_break(&world->trace, "8: client %" PRIu32 " still waits", client->reader.client);
    }
    if (sim_slot_find(slot, sim_tamper_session_id(world, client->session_id)) == NULL) {
        sim_trace_break(&world->trace, "8: client %" PRIu32 " is not in the directory",
                        client->reader.client);
    }
}

static void check_rest_devices(struct sim_world *world)
{
    uint32_t counts[SIM_PLACES] = {0};
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        const struct sim_client *at = world->gateways[i].first_client;
        for (; at != NULL; at = at->next) {
            if (++counts[at->reader.user * SIM_DEVICES + at->device] > 1) {
                sim_trace_break(&world->trace,
                                "8: two sessions of device %" PRIu32 " of user %" PRIu32,
                                at->device, at->reader.user);
            }
        }
    }
}

void sim_check_rest(struct sim_world *world)
{
    size_t client_count = 0;
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        const struct sim_gateway *gateway = &world->gateways[i];
        const struct sim_client *client = gateway->first_client;
        for (; client != NULL; client = client->next) {
            client_count++;
            check_rest_client(world, client);
        }
        size_t unanswered = exchange_unanswered_count(gateway->exchange);
        if (unanswered != 0) {
            sim_trace_break(&world->trace, "8: %zu messages of gateway %" PRIu32 " are unanswered",
                            unanswered, i);
        }
    }
    check_rest_devices(world);
    struct router_stats stats = router_stats(world->broker.router);
    if (stats.transfers != 0 || stats.holds != 0 || stats.kept_bytes != 0) {
        sim_trace_break(&world->trace, "8: %zu transfers, %zu holds and %zu bytes are left",
                        stats.transfers, stats.holds, stats.kept_bytes);
    }
    if (stats.sessions != client_count) {
        sim_trace_break(&world->trace, "8: %zu sessions in the directory, %zu clients",
                        stats.sessions, client_count);
    }
}
