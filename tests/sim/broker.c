#include "tests/sim/broker.h"

#include "common/link_codec.h"
#include "tests/sim/world.h"

#include <stdlib.h>

enum { BATCHES_PER_TURN = 3 };

/* ---- the directory as the records tell it ---- */

static void forget_session(struct sim_slot *slot, uint64_t session_id)
{
    for (uint32_t i = 0; i < slot->session_count; i++) {
        if (slot->sessions[i].id == session_id) {
            slot->sessions[i] = slot->sessions[--slot->session_count];
            return;
        }
    }
}

const struct sim_known_session *sim_slot_find(const struct sim_slot *slot, uint64_t session_id)
{
    for (uint32_t i = 0; i < slot->session_count; i++) {
        if (slot->sessions[i].id == session_id) {
            return &slot->sessions[i];
        }
    }
    return NULL;
}

static void learn_session(struct sim_slot *slot, uint64_t session_id)
{
    if (sim_slot_find(slot, session_id) == NULL && slot->session_count < SIM_SLOT_SESSIONS) {
        slot->sessions[slot->session_count++] = (struct sim_known_session){
            .id = session_id,
            .since_event = slot->broker->world->trace.event_count,
        };
    }
}

/* What the router wrote behind each slot's first `begin_bytes`. */
static void learn_written(struct sim_broker *broker, const size_t begin_bytes[SIM_GATEWAYS])
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        struct sim_slot *slot = &broker->slots[i];
        struct sim_link_end *end = &slot->link->ends[SIM_BROKER_END];
        if (end->conn == 0) {
            continue;
        }
        struct slice rest = slice_drop(buffer_slice(&end->out), begin_bytes[i]);
        struct link_record record;
        while (link_record_decode(&rest, &record) == PARSE_DONE) {
            if (record.kind == LINK_ATTACHED) {
                learn_session(slot, record.session.session_id);
            } else if (record.kind == LINK_EVICT) {
                forget_session(slot, record.evict.session_id);
            }
        }
    }
}

static bool has_attach(struct slice records, uint64_t session_id)
{
    struct link_record record;
    while (link_record_decode(&records, &record) == PARSE_DONE) {
        if (record.kind == LINK_ATTACH && record.attach.session_id == session_id) {
            return true;
        }
    }
    return false;
}

/* Comes behind learn_written: whoever attaches and detaches in one batch is gone. (The other way
 * round is for a run in which ids are used again.) */
static void learn_received(struct sim_slot *slot, struct slice batch)
{
    struct link_record record;
    while (link_record_decode(&batch, &record) == PARSE_DONE) {
        if (record.kind == LINK_DETACH && !has_attach(batch, record.session.session_id)) {
            forget_session(slot, record.session.session_id);
        }
    }
}

static void note_written(const struct sim_broker *broker, size_t begin_bytes[SIM_GATEWAYS])
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        begin_bytes[i] = buffer_len(&broker->slots[i].link->ends[SIM_BROKER_END].out);
    }
}

/* ---- from the links ---- */

static void on_link_up(void *arg)
{
    struct sim_slot *slot = arg;
    slot->session_count = 0;
    router_link_up(slot->broker->router, slot->number, &slot->link->ends[SIM_BROKER_END].out);
}

static void on_link_down(void *arg)
{
    struct sim_slot *slot = arg;
    size_t begin_bytes[SIM_GATEWAYS];
    note_written(slot->broker, begin_bytes);
    router_link_down(slot->broker->router, slot->number);
    slot->session_count = 0;
    learn_written(slot->broker, begin_bytes);
}

static bool on_link_batch(void *arg, struct slice batch)
{
    struct sim_slot *slot = arg;
    struct sim_broker *broker = slot->broker;
    size_t begin_bytes[SIM_GATEWAYS];
    note_written(broker, begin_bytes);
    bool is_good = router_receive(broker->router, slot->number, batch, broker->world->now_ms);
    learn_written(broker, begin_bytes);
    learn_received(slot, batch);
    return is_good;
}

static const struct link_handlers link_handlers = {
    .on_up = on_link_up,
    .on_down = on_link_down,
    .on_batch = on_link_batch,
};

/* ---- the process ---- */

void sim_broker_init(struct sim_broker *broker, struct sim_world *world)
{
    *broker = (struct sim_broker){.world = world};
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        struct sim_slot *slot = &broker->slots[i];
        slot->broker = broker;
        slot->link = &world->links[i];
        slot->number = i;
        slot->link->ends[SIM_BROKER_END].handlers = &link_handlers;
        slot->link->ends[SIM_BROKER_END].arg = slot;
    }
    sim_broker_start(broker);
}

void sim_broker_fini(struct sim_broker *broker)
{
    router_free(broker->router);
}

void sim_broker_start(struct sim_broker *broker)
{
    struct sim_world *world = broker->world;
    struct router_config config = {
        .slot_count = SIM_GATEWAYS,
        .instance_id = sim_random_next(&world->random),
        .devices_max = world->limits.devices_max,
        .transfers_max = world->limits.transfers_max,
        .transfer_timeout_ms = SIM_OUTCOME_TIMEOUT_MS,
    };
    broker->router = router_new(&config);
    if (broker->router == NULL) {
        abort();
    }
    sim_world_start_process(world, &broker->process, config.instance_id);
}

void sim_broker_crash(struct sim_broker *broker)
{
    sim_world_end_process(broker->world, &broker->process);
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_link_forget(broker->slots[i].link, SIM_BROKER_END);
        broker->slots[i].session_count = 0;
    }
    router_free(broker->router);
    broker->router = NULL;
}

static void tick(struct sim_broker *broker)
{
    size_t begin_bytes[SIM_GATEWAYS];
    note_written(broker, begin_bytes);
    router_tick(broker->router, broker->world->now_ms);
    learn_written(broker, begin_bytes);
}

static void end_turn(struct sim_broker *broker)
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        if (router_slot_is_stuck(broker->router, i)) {
            sim_trace_note(&broker->world->trace, SIM_EVENT_STUCK, i, 1, 0, 0);
            sim_link_end_connection(broker->slots[i].link, SIM_BROKER_END);
        }
    }
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_link_flush(broker->slots[i].link, SIM_BROKER_END);
    }
}

void sim_broker_turn(struct sim_broker *broker, bool fully)
{
    struct sim_world *world = broker->world;
    bool ticks_first = sim_random_once_in(&world->random, 2);
    bool is_tick_due = sim_world_tick_is_due(world, &broker->process);
    if (is_tick_due && ticks_first) {
        tick(broker);
    }
    uint32_t first = sim_random_below(&world->random, SIM_GATEWAYS);
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        struct sim_link *link = broker->slots[(first + i) % SIM_GATEWAYS].link;
        if (fully || sim_random_once_in(&world->random, 2)) {
            sim_link_notice(link, SIM_BROKER_END, fully);
        }
        uint32_t count =
            fully ? UINT32_MAX : sim_random_below(&world->random, BATCHES_PER_TURN + 1);
        while (count > 0 && sim_link_receive(link, SIM_BROKER_END)) {
            count--;
        }
    }
    if (is_tick_due && !ticks_first) {
        tick(broker);
    }
    end_turn(broker);
}
