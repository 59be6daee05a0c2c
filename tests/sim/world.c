#include "tests/sim/world.h"

#include <stdlib.h>

enum { FIRST_CAP = 64, START_MS = 1000000, STRIKES_ONE_IN = 4, ROOMY = 1024 * 1024 };

/* Small enough to be met. */
static struct sim_limits small_limits(struct sim_random *random)
{
    return (struct sim_limits){
        .backlog_max_bytes = (size_t)4096 << sim_random_below(random, 3),
        .unanswered_max_bytes = (size_t)4096 << sim_random_below(random, 5),
        .transfers_max = sim_random_once_in(random, 4) ? 4 : 256,
        .queue_max_bytes = (size_t)1024 << sim_random_below(random, 2),
        .kept_max_bytes = (size_t)4096 << sim_random_below(random, 5),
        .hold_messages_max = sim_random_once_in(random, 4) ? 2 : 64,
        .remembered_max = sim_random_once_in(random, 4) ? 2 : 256,
    };
}

static const struct sim_limits roomy_limits = {
    .backlog_max_bytes = ROOMY,
    .unanswered_max_bytes = ROOMY,
    .transfers_max = ROOMY,
    .queue_max_bytes = ROOMY,
    .kept_max_bytes = ROOMY,
    .hold_messages_max = ROOMY,
    .remembered_max = ROOMY,
};

static void choose_limits(struct sim_world *world)
{
    static const uint64_t hold_times_ms[] = {0, 1000, 5000, 5000};
    static const uint32_t fault_weights[] = {0, 1, 1, 4};
    struct sim_random *random = &world->random;
    world->is_roomy = sim_random_once_in(random, 3);
    world->limits = world->is_roomy ? roomy_limits : small_limits(random);
    world->limits.batch_max_bytes = (size_t)64 << sim_random_below(random, 7);
    world->limits.hold_ms = hold_times_ms[sim_random_below(random, ARRAY_LENGTH(hold_times_ms))];
    world->limits.calls_user_max = sim_random_once_in(random, 4) ? 2 : SIM_CALLS_MAX;
    world->limits.devices_max = sim_random_once_in(random, 8) ? 1 : SIM_DEVICES;
    world->all_want_news = !sim_random_once_in(random, 4);
    world->fault_weight = fault_weights[sim_random_below(random, ARRAY_LENGTH(fault_weights))];
}

void sim_world_init(struct sim_world *world, uint64_t seed, enum sim_break rule)
{
    *world = (struct sim_world){
        .random = {.state = seed},
        .now_ms = START_MS,
        .rule = rule,
        .is_noisy = true,
    };
    sim_world_advance(world, 0);
    choose_limits(world);
    sim_ledger_init(&world->ledger, &world->trace);
    sim_calls_init(&world->calls);
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_link_init(&world->links[i], world, i);
    }
    sim_broker_init(&world->broker, world);
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_gateway_init(&world->gateways[i], world, i);
    }
}

void sim_world_fini(struct sim_world *world)
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_gateway_fini(&world->gateways[i]);
    }
    sim_broker_fini(&world->broker);
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_link_fini(&world->links[i]);
    }
    for (uint32_t i = 0; i < world->client_count; i++) {
        sim_client_free(world->clients[i]);
    }
    free(world->clients);
    sim_ledger_fini(&world->ledger);
}

void sim_world_advance(struct sim_world *world, uint64_t ms)
{
    world->now_ms += ms;
    world->trace.now_ms = world->now_ms;
}

uint32_t sim_world_add_client(struct sim_world *world, struct sim_client *client)
{
    if (world->client_count == world->client_cap) {
        world->client_cap = world->client_cap == 0 ? FIRST_CAP : world->client_cap * 2;
        world->clients = realloc(world->clients, world->client_cap * sizeof(struct sim_client *));
        if (world->clients == NULL) {
            abort();
        }
    }
    world->clients[world->client_count] = client;
    return world->client_count++;
}

bool sim_world_breaks_always(const struct sim_world *world, enum sim_break rule)
{
    return world->rule == rule;
}

bool sim_world_breaks(struct sim_world *world, enum sim_break rule)
{
    if (world->rule != rule || !sim_random_once_in(&world->random, STRIKES_ONE_IN)) {
        return false;
    }
    sim_trace_note(&world->trace, SIM_EVENT_STRIKE, 0, 0, 0, 0);
    return true;
}

struct sim_process *sim_world_process(struct sim_world *world, uint32_t index)
{
    return index < SIM_GATEWAYS ? &world->gateways[index].process : &world->broker.process;
}

static uint32_t index_of(struct sim_world *world, const struct sim_process *process)
{
    uint32_t index = 0;
    while (sim_world_process(world, index) != process) {
        index++;
    }
    return index;
}

/* Whether the links of the process at `index` have somebody at its end. */
static void set_running(struct sim_world *world, uint32_t index, bool is_running)
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        if (index == SIM_GATEWAYS) {
            world->links[i].ends[SIM_BROKER_END].is_running = is_running;
        } else if (index == i) {
            world->links[i].ends[SIM_GATEWAY_END].is_running = is_running;
        }
    }
}

void sim_world_turn(struct sim_world *world, uint32_t index, bool fully)
{
    sim_world_process(world, index)->last_turn_ms = world->now_ms;
    if (index < SIM_GATEWAYS) {
        sim_gateway_turn(&world->gateways[index], fully);
    } else {
        sim_broker_turn(&world->broker, fully);
    }
}

void sim_world_start_process(struct sim_world *world, struct sim_process *process,
                             uint64_t instance_id)
{
    uint32_t index = index_of(world, process);
    *process = (struct sim_process){
        .is_up = true,
        .awake_since_ms = world->now_ms,
        .last_turn_ms = world->now_ms,
    };
    set_running(world, index, true);
    sim_trace_note(&world->trace, SIM_EVENT_START, index, instance_id, 0, 0);
}

void sim_world_end_process(struct sim_world *world, struct sim_process *process)
{
    uint32_t index = index_of(world, process);
    process->is_up = false;
    set_running(world, index, false);
    sim_trace_note(&world->trace, SIM_EVENT_CRASH, index, 0, 0, 0);
}

void sim_world_freeze(struct sim_world *world, struct sim_process *process, bool freeze)
{
    uint32_t index = index_of(world, process);
    process->is_frozen = freeze;
    process->awake_since_ms = world->now_ms;
    set_running(world, index, !freeze);
    sim_trace_note(&world->trace, freeze ? SIM_EVENT_FREEZE : SIM_EVENT_THAW, index, 0, 0, 0);
}

bool sim_world_tick_is_due(const struct sim_world *world, struct sim_process *process)
{
    if (world->now_ms < process->next_tick_ms) {
        return false;
    }
    process->next_tick_ms = world->now_ms + SIM_TICK_MS;
    return true;
}
