#include "tests/sim/rest.h"

#include "tests/sim/check.h"
#include "tests/sim/inspect.h"
#include "tests/sim/schedule.h"

#include <inttypes.h>

enum {
    REST_BATCH_MAX_BYTES = 256 * 1024,
    REST_ROUNDS = 12,
    REST_WAIT_MS = 24000, /* beyond every ring with an outcome time-out and a hold behind it */
    REST_JUMP_MS = 1000,
    FORGET_MS = 31000, /* beyond CALLS_ENDED_MS */
    PROBE_MESSAGES = 4,
    PROBE_ROUNDS = 6,
    PROBE_TURNS_MAX = 24,
    /* A hold that is shorter than this may end before the user of a probe is back. */
    PROBE_HOLD_MIN_MS = 1000,
};

static void set_all_right(struct sim_world *world)
{
    world->is_noisy = false;
    world->quiet_ms = world->now_ms;
    world->limits.batch_max_bytes = REST_BATCH_MAX_BYTES; /* so that any backlog goes in time */
    for (uint32_t i = 0; i < SIM_PROCESSES; i++) {
        struct sim_process *process = sim_world_process(world, i);
        if (process->is_up && process->is_frozen) {
            sim_world_freeze(world, process, false);
        }
    }
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        if (!world->gateways[i].process.is_up) {
            sim_gateway_start(&world->gateways[i]);
        }
    }
    if (!world->broker.process.is_up) {
        sim_broker_start(&world->broker);
    }
}

static void run_round(struct sim_world *world)
{
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        sim_link_connect(&world->links[i]);
    }
    uint32_t first = sim_random_below(&world->random, SIM_PROCESSES);
    for (uint32_t i = 0; i < SIM_PROCESSES; i++) {
        sim_world_turn(world, (first + i) % SIM_PROCESSES, true);
    }
    sim_calls_step(world);
    sim_check_step(world);
}

static void wait_for_rest(struct sim_world *world)
{
    for (uint32_t i = 0; i < REST_ROUNDS; i++) {
        run_round(world);
        sim_world_advance(world, SIM_TICK_MS);
    }
    for (uint64_t ms = 0; ms < REST_WAIT_MS; ms += REST_JUMP_MS) {
        sim_world_advance(world, REST_JUMP_MS);
        run_round(world);
        run_round(world);
    }
}

/* Nothing is in the way of a probe but what the probe does. */
static void widen_limits(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->client_count; i++) {
        world->clients[i]->reads = true;
    }
    run_round(world);
}

/* Whoever is there gets it on each device, and its sender hears so; else nobody is there. */
static void check_undisturbed(struct sim_world *world, uint32_t message)
{
    const struct sim_message *probe = &world->ledger.messages[message];
    bool is_there = false;
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        const struct sim_client *at = world->gateways[i].first_client;
        for (; at != NULL; at = at->next) {
            if (at->reader.user != probe->to_user) {
                continue;
            }
            is_there = true;
            if (!sim_ledger_is_written_to(&world->ledger, message, at->reader.client)) {
                sim_trace_break(&world->trace,
                                "8: message %" PRIu32 " did not reach client %" PRIu32, message,
                                at->reader.client);
            }
        }
    }
    enum outcome due = is_there ? OUTCOME_DELIVERED : OUTCOME_USER_OFFLINE;
    if (!probe->has_outcome || probe->outcome != due) {
        sim_trace_break(&world->trace, "8: message %" PRIu32 " is called %s, not %s", message,
                        probe->has_outcome ? outcome_code(probe->outcome) : "nothing",
                        outcome_code(due));
    }
}

static void probe_undisturbed(struct sim_world *world)
{
    uint32_t first_probe = world->ledger.message_count;
    for (uint32_t i = 0; i < PROBE_MESSAGES; i++) {
        struct sim_client *client = sim_schedule_random_client(world);
        if (client != NULL && client->state == SIM_CLIENT_OPEN) {
            sim_client_submit(client);
            for (uint32_t round = 0; round < PROBE_ROUNDS; round++) {
                run_round(world);
            }
        }
    }
    uint32_t end_probe = world->ledger.message_count;
    wait_for_rest(world);
    for (uint32_t i = first_probe; i < end_probe; i++) {
        if (world->ledger.messages[i].call == sim_no_call) {
            check_undisturbed(world, i);
        }
    }
}

/* Some turns, in any order, and one message to `user` for each now and then. */
static void send_and_turn(struct sim_world *world, struct sim_client *sender, uint32_t user)
{
    for (uint32_t i = sim_random_below(&world->random, PROBE_TURNS_MAX); i > 0; i--) {
        if (sim_random_once_in(&world->random, 4) && sender->state == SIM_CLIENT_OPEN &&
            !sender->is_retiring) {
            sim_client_submit_to(sender, user);
        }
        uint32_t index = sim_random_below(&world->random, SIM_PROCESSES);
        if (sim_process_runs(sim_world_process(world, index))) {
            sim_world_turn(world, index, false);
        }
    }
}

/* What that sender has sent from there on is called delivered, and is: if the sender is gone, there
 * may be nobody to call it so. */
static void check_nothing_lost(struct sim_world *world, uint32_t first_probe,
                               const struct sim_client *sender, const char *when)
{
    for (uint32_t i = first_probe; i < world->ledger.message_count; i++) {
        const struct sim_message *probe = &world->ledger.messages[i];
        bool is_untold = !probe->has_outcome && !probe->is_owed;
        if (probe->sender != sender->reader.client || probe->call != sim_no_call) {
            continue; /* said by a newcomer at once, to anybody; or in a call */
        }
        if (!probe->is_written || !(is_untold || probe->outcome == OUTCOME_DELIVERED)) {
            sim_trace_break(&world->trace, "15: message %" PRIu32 " is called %s: %s", i,
                            probe->has_outcome ? outcome_code(probe->outcome) : "nothing", when);
        }
    }
}

/* Two clients of different users, both open. False: there are none. */
static bool choose_two(struct sim_world *world, struct sim_client **sender,
                       struct sim_client **target)
{
    *sender = sim_schedule_random_client(world);
    *target = sim_schedule_random_client(world);
    return *sender != NULL && *target != NULL && (*sender)->reader.user != (*target)->reader.user;
}

static void settle(struct sim_world *world)
{
    for (uint32_t round = 0; round < REST_ROUNDS; round++) {
        run_round(world);
        sim_world_advance(world, SIM_TICK_MS);
    }
}

/* The broker dies with messages under way, and comes back. */
static void probe_broker_death(struct sim_world *world)
{
    struct sim_client *sender = NULL;
    struct sim_client *target = NULL;
    if (!choose_two(world, &sender, &target)) {
        return;
    }
    uint32_t first_probe = world->ledger.message_count;
    send_and_turn(world, sender, target->reader.user);
    sim_broker_crash(&world->broker);
    send_and_turn(world, sender, target->reader.user);
    sim_broker_start(&world->broker);
    settle(world);
    check_nothing_lost(world, first_probe, sender, "the broker was restarted");
}

static struct sim_client *come_back(struct sim_world *world, const struct sim_client *before)
{
    uint32_t gateway = sim_random_below(&world->random, SIM_GATEWAYS);
    struct sim_client *client = sim_client_new(world, before->reader.user, before->device, gateway);
    world->devices[before->reader.user * SIM_DEVICES + before->device] = client;
    return client;
}

/* A user vanishes, and is back in a moment. Nothing of what it had before says that it will be. */
static void probe_absence(struct sim_world *world)
{
    struct sim_client *sender = NULL;
    struct sim_client *target = NULL;
    if (!choose_two(world, &sender, &target)) {
        return;
    }
    uint32_t first_probe = world->ledger.message_count;
    send_and_turn(world, sender, target->reader.user);
    sim_client_abort(target);
    send_and_turn(world, sender, target->reader.user);
    struct sim_client *back = come_back(world, target);
    send_and_turn(world, sender, target->reader.user);
    settle(world);
    check_nothing_lost(world, first_probe, sender, "its user was away for a moment");
    if (back->state != SIM_CLIENT_OPEN) {
        sim_trace_break(&world->trace, "15: client %" PRIu32 " is not let in", back->reader.client);
    }
}

/* A gateway takes all its clients out, each of which comes back at once. */
static void probe_drain(struct sim_world *world)
{
    struct sim_client *sender = NULL;
    struct sim_client *target = NULL;
    if (!choose_two(world, &sender, &target)) {
        return;
    }
    uint32_t first_probe = world->ledger.message_count;
    send_and_turn(world, sender, target->reader.user);
    struct sim_client *next = NULL;
    for (struct sim_client *at = world->gateways[target->gateway].first_client; at != NULL;
         at = next) {
        next = at->next;
        sim_client_retire(at);
    }
    while (target->state == SIM_CLIENT_OPEN && !sim_trace_is_broken(&world->trace)) {
        send_and_turn(world, sender, target->reader.user);
        run_round(world);
        if (world->ledger.message_count - first_probe > SIM_SLOT_SUBMITS / 2) {
            sim_trace_break(&world->trace, "15: client %" PRIu32 " is never closed",
                            target->reader.client);
        }
    }
    (void)come_back(world, target);
    send_and_turn(world, sender, target->reader.user);
    settle(world);
    check_nothing_lost(world, first_probe, sender, "its user's gateway was drained");
}

/* ---- calls ---- */

/* Whoever is in a call ends it; in an answered one now and then only one of the two. */
static void hang_up_all(struct sim_world *world)
{
    for (uint32_t i = world->calls.first_live; i < world->calls.count; i++) {
        uint32_t first = sim_random_below(&world->random, SIM_PARTS);
        bool is_said = false;
        for (uint32_t k = 0; k < SIM_PARTS; k++) {
            uint32_t part = (first + k) % SIM_PARTS;
            enum sim_view view = world->calls.all[i].parts[part].view;
            bool is_other = is_said && world->is_roomy && sim_random_once_in(&world->random, 2);
            if (view == SIM_VIEW_CALLING || view == SIM_VIEW_RINGING ||
                (view == SIM_VIEW_ANSWERED && !is_other)) {
                sim_calls_say(world, i, part, CALL_TYPE_END);
                is_said = true;
            }
        }
    }
}

static void check_all_over(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->calls.count; i++) {
        for (uint32_t part = 0; part < SIM_PARTS; part++) {
            const struct sim_call *call = &world->calls.all[i];
            enum sim_view view = call->parts[part].view;
            if (view != SIM_VIEW_NONE && view != SIM_VIEW_ENDED &&
                sim_calls_can_speak(world, i, part)) {
                sim_trace_break(&world->trace,
                                "22: call %" PRIu32 " is over, and part %" PRIu32 " has view %d", i,
                                part, (int)view);
            }
        }
    }
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        size_t count = exchange_in_call_count(world->gateways[i].exchange);
        if (count > 0) {
            sim_trace_break(&world->trace, "8: gateway %" PRIu32 " has %zu sessions in calls", i,
                            count);
        }
    }
    if (world->calls.open_count > 0) {
        sim_trace_break(&world->trace, "8: %" PRIu32 " calls are left", world->calls.open_count);
    }
}

static void check_all_forgotten(struct sim_world *world)
{
    bool is_there[SIM_USERS] = {false};
    size_t users = 0;
    for (uint32_t i = 0; i < SIM_GATEWAYS; i++) {
        const struct sim_client *at = world->gateways[i].first_client;
        for (; at != NULL; at = at->next) {
            users += !is_there[at->reader.user];
            is_there[at->reader.user] = true;
        }
    }
    struct router_stats stats = router_stats(world->broker.router);
    if (stats.users != users) {
        sim_trace_break(&world->trace, "8: the broker knows %zu users, %zu are there", stats.users,
                        users);
    }
}

/* All calls end, and nothing is left of them. */
static void end_calls(struct sim_world *world)
{
    hang_up_all(world);
    wait_for_rest(world);
    sim_check_rest(world);
    check_all_over(world);
    sim_world_advance(world, FORGET_MS);
    run_round(world);
    run_round(world);
    check_all_forgotten(world);
}

void sim_rest(struct sim_world *world)
{
    static void (*const probes[])(struct sim_world * world) = {probe_broker_death, probe_absence,
                                                               probe_drain};
    sim_trace_note(&world->trace, SIM_EVENT_QUIET, 0, 0, 0, 0);
    set_all_right(world);
    wait_for_rest(world);
    sim_check_rest(world); /* whoever does not read holds up nothing for ever */
    widen_limits(world);
    if (!world->is_roomy) {
        hang_up_all(world); /* where a limit was met, somebody may not have been told */
    }
    probe_undisturbed(world);
    sim_check_rest(world);
    sim_inspect_agreement(world);
    uint32_t probe = sim_random_below(&world->random, ARRAY_LENGTH(probes));
    /* Where a limit is met, overloaded is the right word for what was lost. */
    if (world->is_roomy && (probe == 0 || world->limits.hold_ms >= PROBE_HOLD_MIN_MS)) {
        probes[probe](world);
        wait_for_rest(world);
        sim_check_rest(world);
        sim_inspect_agreement(world);
    }
    end_calls(world);
}
