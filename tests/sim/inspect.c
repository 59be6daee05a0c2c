#include "tests/sim/inspect.h"

#include "tests/sim/peek.h"

#include <inttypes.h>

enum { GRACE_SLACK_MS = 1000, DECIMAL = 10 };

/* u3 -> 3, d1 -> 1, empty -> 0. */
static uint32_t number_of(struct slice name)
{
    uint32_t number = 0;
    for (size_t i = 1; i < name.len; i++) {
        number = number * DECIMAL + (uint32_t)(name.data[i] - '0');
    }
    return number;
}

static uint32_t place_of(const struct sim_peeked_leg *leg)
{
    return number_of(leg->user_id) * SIM_DEVICES + number_of(leg->device_id);
}

static uint32_t answered_part(const struct sim_call *call, const struct sim_peeked_call *peeked)
{
    return peeked->answered == 0
               ? SIM_PARTS
               : sim_call_part_of(call, place_of(&peeked->legs[peeked->answered]));
}

void sim_inspect_call(struct sim_world *world, struct slice call_id)
{
    uint32_t number = sim_calls_find(&world->calls, call_id);
    struct sim_peeked_call peeked;
    if (number == sim_no_call || !sim_peek_call(world->broker.router, call_id, &peeked)) {
        return;
    }
    struct sim_call *call = &world->calls.all[number];
    call->known_ms = world->now_ms;
    world->calls.open_count += !call->is_open;
    call->is_open = true;
    uint32_t answered = answered_part(call, &peeked);
    if (answered != call->answered_part) {
        call->answered_part = answered;
        call->answered_event = world->trace.event_count;
        sim_trace_note(&world->trace, SIM_EVENT_ANSWERED, number, answered, 0, 0);
    }
}

static void check_legs(void *arg, const struct sim_peeked_call *peeked)
{
    struct sim_world *world = arg;
    uint32_t number = sim_calls_find(&world->calls, peeked->id);
    for (size_t i = 0; number != sim_no_call && i < peeked->leg_count; i++) {
        uint32_t place = place_of(&peeked->legs[i]);
        const struct sim_presence *device = &world->broker.devices[place];
        uint64_t since_ms = world->calls.all[number].known_ms;
        since_ms = device->left_ms > since_ms ? device->left_ms : since_ms;
        if (device->session_count == 0 &&
            since_ms + SIM_GRACE_MS + GRACE_SLACK_MS < world->now_ms) {
            sim_trace_break(&world->trace,
                            "21: call %" PRIu32 " goes on, and device %" PRIu32
                            " has been away for long",
                            number, place);
        }
    }
}

void sim_inspect_legs(struct sim_world *world)
{
    sim_peek_calls(world->broker.router, check_legs, world);
}

/* The device is there, and thinks so of that call. */
static void check_view(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    const struct sim_call *call = &world->calls.all[number];
    const struct sim_client *client = world->devices[sim_call_place(call, part_no)];
    bool is_there = client != NULL && client->state == SIM_CLIENT_OPEN;
    if (!is_there || call->parts[part_no].view != SIM_VIEW_ANSWERED) {
        sim_trace_break(
            &world->trace, "22: call %" PRIu32 " goes on, and part %" PRIu32 " is %s, with view %d",
            number, part_no, is_there ? "there" : "gone", (int)call->parts[part_no].view);
    }
}

static void check_known(void *arg, const struct sim_peeked_call *peeked)
{
    struct sim_world *world = arg;
    uint32_t number = sim_calls_find(&world->calls, peeked->id);
    if (number == sim_no_call) {
        return; /* told of when it was begun */
    }
    if (peeked->answered == 0) {
        sim_trace_break(&world->trace, "18: call %" PRIu32 " still rings", number);
        return;
    }
    check_view(world, number, 0);
    check_view(world, number, answered_part(&world->calls.all[number], peeked));
}

/* What a device that is there thinks of the call. */
static void check_part(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    const struct sim_call *call = &world->calls.all[number];
    enum sim_view view = call->parts[part_no].view;
    const struct sim_client *client = world->devices[sim_call_place(call, part_no)];
    if (client == NULL || client->state != SIM_CLIENT_OPEN || view == SIM_VIEW_NONE ||
        view == SIM_VIEW_ENDED) {
        return;
    }
    if (view != SIM_VIEW_ANSWERED) {
        sim_trace_break(&world->trace, "18: call %" PRIu32 ": part %" PRIu32 " still %s", number,
                        part_no, view == SIM_VIEW_CALLING ? "calls" : "rings");
    } else if (!call->is_open || (part_no != 0 && part_no != call->answered_part)) {
        sim_trace_break(&world->trace,
                        "22: call %" PRIu32 ": part %" PRIu32
                        " has answered, and the broker knows nothing of it",
                        number, part_no);
    }
}

void sim_inspect_agreement(struct sim_world *world)
{
    sim_peek_calls(world->broker.router, check_known, world);
    for (uint32_t i = 0; i < world->calls.count; i++) {
        for (uint32_t part_no = 0; part_no < SIM_PARTS; part_no++) {
            check_part(world, i, part_no);
        }
    }
}
