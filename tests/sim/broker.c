#include "tests/sim/broker.h"

#include "common/link_codec.h"
#include "tests/sim/inspect.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    BATCHES_PER_TURN = 3,
    DAY_MS = 24 * 60 * 60 * 1000,
    MARGIN_MS = SIM_OUTCOME_TIMEOUT_MS - SIM_DELIVERY_TIME_MS
};

/* ---- the directory as the records tell it ---- */

static void forget_at(struct sim_slot *slot, uint32_t index)
{
    uint32_t place = slot->sessions[index].place;
    struct sim_presence *left[] = {&slot->broker->users[place / SIM_DEVICES],
                                   &slot->broker->devices[place]};
    for (size_t i = 0; i < ARRAY_LENGTH(left); i++) {
        left[i]->session_count--;
        left[i]->left_ms = slot->broker->world->now_ms;
    }
    slot->sessions[index] = slot->sessions[--slot->session_count];
}

static void forget_session(struct sim_slot *slot, uint64_t session_id)
{
    for (uint32_t i = 0; i < slot->session_count; i++) {
        if (slot->sessions[i].id == session_id) {
            forget_at(slot, i);
            return;
        }
    }
}

static void forget_all_sessions(struct sim_slot *slot)
{
    while (slot->session_count > 0) {
        forget_at(slot, 0);
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
    if (sim_slot_find(slot, session_id) != NULL || slot->session_count == SIM_SLOT_SESSIONS) {
        return;
    }
    uint32_t place = 0;
    for (uint32_t i = 0; i < SIM_SLOT_ATTACHES && i < slot->attach_count; i++) {
        const struct sim_known_session *attach =
            &slot->attaches[(slot->attach_count - 1 - i) % SIM_SLOT_ATTACHES];
        if (attach->id == session_id) {
            place = attach->place;
            break;
        }
    }
    slot->sessions[slot->session_count++] = (struct sim_known_session){
        .id = session_id,
        .since_event = slot->broker->world->trace.event_count,
        .place = place,
    };
    struct sim_presence *came[] = {&slot->broker->users[place / SIM_DEVICES],
                                   &slot->broker->devices[place]};
    for (size_t i = 0; i < ARRAY_LENGTH(came); i++) {
        came[i]->session_count++;
        came[i]->was_there = true;
    }
}

/* How long after it has left a user is waited for; a device that has had a call-start, as a device
 * in a call. */
static uint64_t waiting_ms(const struct sim_world *world, const struct sim_message *message)
{
    bool is_shorter = message->call != sim_no_call && SIM_GRACE_MS < world->limits.hold_ms;
    return is_shorter ? SIM_GRACE_MS : world->limits.hold_ms;
}

/* A message is called offline now: true unless its user is there and was never handed it, or was
 * there a moment ago, or may be at a gateway that is not back yet. */
static void check_offline(struct sim_slot *slot, uint64_t seq)
{
    struct sim_broker *broker = slot->broker;
    struct sim_world *world = broker->world;
    uint32_t number = slot->submits[seq % SIM_SLOT_SUBMITS];
    const struct sim_message *message = &world->ledger.messages[number];
    const struct sim_presence *user = &broker->users[message->to_user];
    if (!broker->is_whole && broker->start_ms + SIM_RECOVERY_MS > world->now_ms) {
        sim_trace_break(&world->trace, "14: message %" PRIu32 " is called offline in the recovery",
                        number);
    }
    if (world->limits.hold_ms == 0 || message->deadline_ms - MARGIN_MS <= world->now_ms ||
        !sim_calls_must_find(world, message)) {
        return;
    }
    if (user->session_count > 0 && !message->is_routed) {
        sim_trace_break(&world->trace,
                        "12: message %" PRIu32 " is called offline, user %" PRIu32 " is there",
                        number, message->to_user);
    }
    if (user->session_count == 0 && user->was_there &&
        user->left_ms + waiting_ms(world, message) > world->now_ms) {
        sim_trace_break(&world->trace,
                        "12: message %" PRIu32 " is called offline, user %" PRIu32
                        " was there a moment ago",
                        number, message->to_user);
    }
}

static void learn_deliver(struct sim_world *world, uint32_t slot,
                          const struct link_deliver *deliver)
{
    uint32_t message = 0;
    if (sim_ledger_find(&world->ledger, deliver->payload, &message)) {
        sim_trace_note(&world->trace, SIM_EVENT_ROUTED, message, slot,
                       deliver->session_id & UINT32_MAX, deliver->seq);
        world->ledger.messages[message].is_routed = true;
    }
}

static void learn_directory(struct sim_slot *slot, const struct link_record *record)
{
    if (record->kind == LINK_ATTACHED) {
        learn_session(slot, record->session.session_id);
    } else if (record->kind == LINK_EVICT) {
        forget_session(slot, record->evict.session_id);
    }
}

static void learn_message(struct sim_slot *slot, const struct link_record *record)
{
    if (record->kind == LINK_DELIVER) {
        learn_deliver(slot->broker->world, slot->number, &record->deliver);
    } else if (record->kind == LINK_SUBMIT_OUTCOME &&
               record->submit_outcome.outcome == OUTCOME_USER_OFFLINE) {
        check_offline(slot, record->submit_outcome.seq);
    }
}

static void learn_from(struct sim_broker *broker, const size_t begin_bytes[SIM_GATEWAYS],
                       void (*learn)(struct sim_slot *slot, const struct link_record *record))
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
            learn(slot, &record);
        }
    }
}

/* What the router wrote behind each slot's first `begin_bytes`. */
static void learn_written(struct sim_broker *broker, const size_t begin_bytes[SIM_GATEWAYS])
{
    learn_from(broker, begin_bytes, learn_directory);
    learn_from(broker, begin_bytes, learn_message);
}

static bool all_are_synced(const struct sim_broker *broker)
{
    uint32_t slot = 0;
    while (slot < SIM_GATEWAYS && broker->slots[slot].is_synced) {
        slot++;
    }
    return slot == SIM_GATEWAYS;
}

/* u3 -> 3, d1 -> 1, empty -> 0. */
static uint32_t digit_of(struct slice name)
{
    return name.len > 1 ? (uint32_t)(name.data[1] - '0') : 0;
}

/* What stands in a batch, before the router sees it. */
static void learn_coming(struct sim_slot *slot, struct slice batch)
{
    struct sim_broker *broker = slot->broker;
    struct link_record record;
    while (link_record_decode(&batch, &record) == PARSE_DONE) {
        if (record.kind == LINK_ATTACH) {
            uint32_t place = digit_of(record.attach.user_id) % SIM_USERS * SIM_DEVICES +
                             digit_of(record.attach.device_id) % SIM_DEVICES;
            slot->attaches[slot->attach_count++ % SIM_SLOT_ATTACHES] =
                (struct sim_known_session){.id = record.attach.session_id, .place = place};
        } else if (record.kind == LINK_SUBMIT) {
            uint32_t message = 0;
            if (sim_ledger_find(&broker->world->ledger, record.submit.payload, &message)) {
                slot->submits[record.submit.seq % SIM_SLOT_SUBMITS] = message;
            }
        } else if (record.kind == LINK_SYNCED) {
            slot->is_synced = true;
            broker->is_whole = broker->is_whole || all_are_synced(broker);
        }
    }
}

/* After the router: whoever goes is gone. */
static void learn_gone(struct sim_slot *slot, struct slice bytes)
{
    struct link_record record;
    if (link_record_decode(&bytes, &record) == PARSE_DONE &&
        (record.kind == LINK_DETACH || record.kind == LINK_RETIRE)) {
        forget_session(slot, record.session.session_id);
    }
}

/* After the router: what has become of the call. */
static void learn_call(struct sim_slot *slot, struct slice bytes)
{
    struct link_record record;
    if (link_record_decode(&bytes, &record) != PARSE_DONE) {
        return;
    }
    if (record.kind == LINK_LEG) {
        sim_inspect_call(slot->broker->world, record.leg.call_id);
    } else if (record.kind == LINK_SUBMIT && record.submit.call_id.len > 0) {
        sim_inspect_call(slot->broker->world, record.submit.call_id);
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
    forget_all_sessions(slot);
    slot->is_synced = false;
    router_link_up(slot->broker->router, slot->number, &slot->link->ends[SIM_BROKER_END].out);
}

static void on_link_down(void *arg)
{
    struct sim_slot *slot = arg;
    size_t begin_bytes[SIM_GATEWAYS];
    note_written(slot->broker, begin_bytes);
    router_link_down(slot->broker->router, slot->number, slot->broker->world->now_ms);
    forget_all_sessions(slot);
    slot->is_synced = false;
    learn_written(slot->broker, begin_bytes);
}

/* One record, so that what is learned of it is in order. */
static bool receive(struct sim_slot *slot, struct slice bytes)
{
    struct sim_broker *broker = slot->broker;
    size_t begin_bytes[SIM_GATEWAYS];
    learn_coming(slot, bytes);
    note_written(broker, begin_bytes);
    bool is_good = router_receive(broker->router, slot->number, bytes, broker->world->now_ms);
    learn_written(broker, begin_bytes);
    learn_gone(slot, bytes);
    learn_call(slot, bytes);
    return is_good;
}

static bool on_link_batch(void *arg, struct slice batch)
{
    bool is_good = true;
    while (is_good && batch.len > 0) {
        size_t count = link_batch_cut(batch, 1);
        is_good = receive(arg, slice_of(batch.data, count));
        batch = slice_drop(batch, count);
    }
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

static uint64_t grace_ms(const struct sim_world *world)
{
    if (sim_world_breaks_always(world, SIM_BREAK_LEG_NOT_KEPT)) {
        return 0;
    }
    return sim_world_breaks_always(world, SIM_BREAK_LEG_KEPT) ? DAY_MS : SIM_GRACE_MS;
}

static void on_call_ended(void *arg, const struct call_report *report)
{
    struct sim_broker *broker = arg;
    if (!sim_world_breaks(broker->world, SIM_BREAK_REPORT_UNTOLD)) {
        sim_calls_report(broker->world, report);
    }
    if (sim_world_breaks(broker->world, SIM_BREAK_REPORT_TWICE)) {
        sim_calls_report(broker->world, report);
    }
}

void sim_broker_start(struct sim_broker *broker)
{
    struct sim_world *world = broker->world;
    struct router_config config = {
        .slot_count = SIM_GATEWAYS,
        .instance_id = sim_random_next(&world->random),
        .devices_max = world->limits.devices_max,
        .transfers_max = world->limits.transfers_max,
        .kept_max_bytes = world->limits.kept_max_bytes,
        .transfer_timeout_ms = SIM_OUTCOME_TIMEOUT_MS,
        .recovery_ms =
            sim_world_breaks_always(world, SIM_BREAK_SKIP_RECOVERY) ? 0 : SIM_RECOVERY_MS,
        .hold_ms =
            sim_world_breaks_always(world, SIM_BREAK_OFFLINE_TOO_EARLY) ? 0 : world->limits.hold_ms,
        .hold_users_max = SIM_HOLDS_MAX,
        .hold_messages_max = world->limits.hold_messages_max,
        .ring_ms = sim_world_breaks_always(world, SIM_BREAK_RING_ENDLESS) ? DAY_MS : SIM_RING_MS,
        .call_grace_ms = grace_ms(world),
        .calls_max = SIM_CALLS_MAX,
        .calls_user_max = world->limits.calls_user_max,
        .on_call_ended = on_call_ended,
        .arg = broker,
    };
    broker->count++;
    world->ledger.broker_count = broker->count;
    broker->start_ms = world->now_ms;
    broker->is_whole = false;
    memset(broker->users, 0, sizeof broker->users);
    memset(broker->devices, 0, sizeof broker->devices);
    broker->router = router_new(&config, world->now_ms);
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
        forget_all_sessions(&broker->slots[i]);
        broker->slots[i].is_synced = false;
    }
    router_free(broker->router);
    broker->router = NULL;
    sim_calls_forget(&broker->world->calls);
}

static void tick(struct sim_broker *broker)
{
    size_t begin_bytes[SIM_GATEWAYS];
    note_written(broker, begin_bytes);
    router_tick(broker->router, broker->world->now_ms);
    learn_written(broker, begin_bytes);
    sim_inspect_legs(broker->world);
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
        sim_link_flush(broker->slots[i].link, SIM_BROKER_END,
                       router_take_urgency(broker->router, i));
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
