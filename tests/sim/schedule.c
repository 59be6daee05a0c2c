#include "tests/sim/schedule.h"

#include "common/close_code.h"

enum {
    OVERDUE_MS = 300, /* a process that runs takes a turn at least this often */
    SHORT_ADVANCE_MAX_MS = 100,
    JUMP_MIN_MS = 1000,
    JUMP_MAX_MS = 12000,
    BURST_MAX_MESSAGES = 4,
    BURST_MAX_MOVES = 3,
};

static struct sim_gateway *random_running_gateway(struct sim_world *world)
{
    struct sim_gateway *gateway = &world->gateways[sim_random_below(&world->random, SIM_GATEWAYS)];
    return sim_process_runs(&gateway->process) ? gateway : NULL;
}

struct sim_client *sim_schedule_random_client(struct sim_world *world)
{
    struct sim_gateway *gateway = random_running_gateway(world);
    size_t count = gateway == NULL ? 0 : sim_gateway_client_count(gateway);
    if (count == 0) {
        return NULL;
    }
    struct sim_client *client = gateway->first_client;
    for (uint32_t i = sim_random_below(&world->random, (uint32_t)count); i > 0; i--) {
        client = client->next;
    }
    return client;
}

/* A turn for each process that has waited for one too long. */
static void run_overdue(struct sim_world *world)
{
    uint32_t first = sim_random_below(&world->random, SIM_PROCESSES);
    for (uint32_t i = 0; i < SIM_PROCESSES; i++) {
        uint32_t index = (first + i) % SIM_PROCESSES;
        const struct sim_process *process = sim_world_process(world, index);
        if (sim_process_runs(process) && process->last_turn_ms + OVERDUE_MS < world->now_ms) {
            sim_world_turn(world, index, true);
        }
    }
}

/* ---- what can happen ---- */

static void act_turn(struct sim_world *world)
{
    uint32_t index = sim_random_below(&world->random, SIM_PROCESSES + 1);
    index = index < SIM_PROCESSES ? index : SIM_PROCESSES - 1; /* the broker has more to do */
    if (sim_process_runs(sim_world_process(world, index))) {
        sim_world_turn(world, index, false);
    }
}

static void act_advance(struct sim_world *world)
{
    sim_world_advance(world, 1 + sim_random_below(&world->random, SHORT_ADVANCE_MAX_MS));
    run_overdue(world);
}

static void act_jump(struct sim_world *world)
{
    uint64_t ms = JUMP_MIN_MS + sim_random_below(&world->random, JUMP_MAX_MS - JUMP_MIN_MS);
    sim_trace_note(&world->trace, SIM_EVENT_JUMP, ms, 0, 0, 0);
    sim_world_advance(world, ms);
    run_overdue(world);
}

static void act_send(struct sim_world *world)
{
    struct sim_client *client = sim_schedule_random_client(world);
    uint32_t count = 1 + sim_random_below(&world->random, BURST_MAX_MESSAGES);
    for (; client != NULL && count > 0; count--) {
        struct sim_gateway *gateway = &world->gateways[client->gateway];
        if (client->state != SIM_CLIENT_OPEN || client->is_retiring ||
            exchange_is_congested(gateway->exchange)) {
            return;
        }
        sim_client_submit(client);
    }
    if (client != NULL && sim_random_once_in(&world->random, 2)) {
        sim_gateway_end_turn(&world->gateways[client->gateway]);
    }
}

static uint32_t random_live_call(struct sim_world *world)
{
    const struct sim_calls *calls = &world->calls;
    uint32_t alive = calls->count - calls->first_live;
    return alive == 0 ? sim_no_call : calls->first_live + sim_random_below(&world->random, alive);
}

/* Somebody calls somebody, now and then one who is calling it. */
static void act_start_call(struct sim_world *world)
{
    uint32_t live = random_live_call(world);
    struct sim_client *client = sim_schedule_random_client(world);
    uint32_t user = sim_random_below(&world->random, SIM_USERS);
    if (live != sim_no_call && sim_random_once_in(&world->random, 4)) {
        const struct sim_call *call = &world->calls.all[live];
        client = world->devices[call->callee * SIM_DEVICES +
                                sim_random_below(&world->random, SIM_DEVICES)];
        user = call->caller / SIM_DEVICES;
    }
    if (client == NULL || client->state != SIM_CLIENT_OPEN || client->is_retiring ||
        !sim_process_runs(&world->gateways[client->gateway].process) ||
        exchange_is_congested(world->gateways[client->gateway].exchange)) {
        return;
    }
    sim_calls_start(world, client, user);
}

/* One or several of those in a call say something, at the same time. */
static void act_call(struct sim_world *world)
{
    uint32_t call = random_live_call(world);
    if (call == sim_no_call || sim_random_once_in(&world->random, 6)) {
        act_start_call(world);
        return;
    }
    for (uint32_t i = sim_random_below(&world->random, BURST_MAX_MOVES); i < BURST_MAX_MOVES; i++) {
        uint32_t part = sim_random_below(&world->random, SIM_PARTS);
        sim_calls_move(world, call, part);
        uint32_t place = sim_call_place(&world->calls.all[call], part);
        if (sim_random_once_in(&world->random, 2) && world->devices[place] != NULL &&
            sim_calls_can_speak(world, call, part)) {
            sim_gateway_end_turn(&world->gateways[world->devices[place]->gateway]);
        }
    }
}

/* A device that has lost its connection in a call is back. */
static void act_return(struct sim_world *world)
{
    struct sim_gateway *gateway = random_running_gateway(world);
    uint32_t number = random_live_call(world);
    if (gateway == NULL || number == sim_no_call) {
        return;
    }
    uint32_t part = sim_random_below(&world->random, SIM_PARTS);
    uint32_t place = sim_call_place(&world->calls.all[number], part);
    const struct sim_client *before = world->devices[place];
    if (before != NULL && before->state == SIM_CLIENT_ENDED) {
        world->devices[place] =
            sim_client_new(world, place / SIM_DEVICES, place % SIM_DEVICES, gateway->slot);
    }
}

/* A device connects; what it had before is closed, or lost on the way and not yet missed. */
static void act_connect_client(struct sim_world *world)
{
    struct sim_gateway *gateway = random_running_gateway(world);
    uint32_t place = sim_random_below(&world->random, SIM_PLACES);
    struct sim_client *before = world->devices[place];
    if (gateway == NULL) {
        return;
    }
    if (before != NULL && before->state != SIM_CLIENT_ENDED &&
        sim_process_runs(&world->gateways[before->gateway].process) &&
        sim_random_once_in(&world->random, 2)) {
        sim_client_abort(before);
    }
    world->devices[place] =
        sim_client_new(world, place / SIM_DEVICES, place % SIM_DEVICES, gateway->slot);
}

static void act_drop_client(struct sim_world *world)
{
    struct sim_client *client = sim_schedule_random_client(world);
    if (client == NULL) {
        return;
    }
    if (sim_random_once_in(&world->random, 2)) {
        sim_client_abort(client);
    } else {
        sim_client_close(client, CLOSE_NORMAL);
    }
}

/* One client, or all of a gateway, as when it is told to end. */
static void act_retire(struct sim_world *world)
{
    struct sim_client *client = sim_schedule_random_client(world);
    if (client == NULL) {
        return;
    }
    bool takes_all = sim_random_once_in(&world->random, 2);
    struct sim_client *next = NULL;
    for (struct sim_client *at = world->gateways[client->gateway].first_client; at != NULL;
         at = next) {
        next = at->next;
        if (at == client || takes_all) {
            sim_client_retire(at);
        }
    }
}

static void act_stop_reading(struct sim_world *world)
{
    struct sim_client *client = sim_schedule_random_client(world);
    if (client != NULL) {
        client->reads = !client->reads;
        sim_trace_note(&world->trace, SIM_EVENT_READS, client->reader.client, client->reads, 0, 0);
    }
}

static void act_read_some(struct sim_world *world)
{
    struct sim_client *client = sim_schedule_random_client(world);
    if (client != NULL && client->queued_bytes > client->written_bytes) {
        uint64_t pending = client->queued_bytes - client->written_bytes;
        sim_client_write(client, 1 + sim_random_below(&world->random, (uint32_t)pending));
    }
}

static void act_connect_link(struct sim_world *world)
{
    sim_link_connect(&world->links[sim_random_below(&world->random, SIM_GATEWAYS)]);
}

static void act_cut_link(struct sim_world *world)
{
    sim_link_cut(&world->links[sim_random_below(&world->random, SIM_GATEWAYS)]);
}

static void act_freeze(struct sim_world *world)
{
    struct sim_process *process =
        sim_world_process(world, sim_random_below(&world->random, SIM_PROCESSES));
    if (sim_process_runs(process)) {
        sim_world_freeze(world, process, true);
    }
}

static void act_thaw(struct sim_world *world)
{
    struct sim_process *process =
        sim_world_process(world, sim_random_below(&world->random, SIM_PROCESSES));
    if (process->is_up && process->is_frozen) {
        sim_world_freeze(world, process, false);
    }
}

static void act_crash_gateway(struct sim_world *world)
{
    struct sim_gateway *gateway = &world->gateways[sim_random_below(&world->random, SIM_GATEWAYS)];
    if (gateway->process.is_up) {
        sim_gateway_crash(gateway);
    }
}

static void act_crash_broker(struct sim_world *world)
{
    if (world->broker.process.is_up) {
        sim_broker_crash(&world->broker);
    }
}

static void act_start(struct sim_world *world)
{
    uint32_t index = sim_random_below(&world->random, SIM_PROCESSES);
    if (sim_world_process(world, index)->is_up) {
        return;
    }
    if (index < SIM_GATEWAYS) {
        sim_gateway_start(&world->gateways[index]);
    } else {
        sim_broker_start(&world->broker);
    }
}

/* How often each happens, out of all of them; faults times the run's own weight for them. */
static const struct {
    void (*act)(struct sim_world *world);
    uint32_t weight;
    bool is_fault;
} acts[] = {
    {act_turn, 400, false},          {act_advance, 60, false},      {act_send, 160, false},
    {act_connect_client, 60, false}, {act_call, 140, false},        {act_return, 40, false},
    {act_read_some, 40, false},      {act_connect_link, 60, false}, {act_thaw, 20, false},
    {act_start, 20, false},          {act_drop_client, 15, true},   {act_retire, 8, true},
    {act_stop_reading, 10, true},    {act_cut_link, 8, true},       {act_jump, 3, true},
    {act_freeze, 4, true},           {act_crash_gateway, 3, true},  {act_crash_broker, 3, true},
};

static uint32_t weight_of(const struct sim_world *world, size_t index)
{
    return acts[index].weight * (acts[index].is_fault ? world->fault_weight : 1);
}

void sim_schedule_step(struct sim_world *world)
{
    uint32_t total = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(acts); i++) {
        total += weight_of(world, i);
    }
    uint32_t left = sim_random_below(&world->random, total);
    size_t chosen = 0;
    while (left >= weight_of(world, chosen)) {
        left -= weight_of(world, chosen);
        chosen++;
    }
    acts[chosen].act(world);
    sim_calls_step(world);
}
