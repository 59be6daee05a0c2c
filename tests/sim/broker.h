/* The broker process: its router, wired to the links as broker/broker.c wires it; and the directory
 * as the router's own records tell it, to be compared with what the gateways have. */
#pragma once

#include "broker/router.h"
#include "tests/sim/link.h"
#include "tests/sim/process.h"

enum { SIM_GATEWAYS = 3, SIM_SLOT_SESSIONS = 256 };

struct sim_broker;

struct sim_slot {
    struct sim_broker *broker;
    struct sim_link *link;
    uint32_t number;
    uint32_t session_count; /* sessions that are in the directory, by what was sent and received */
    struct sim_known_session {
        uint64_t id;
        uint64_t since_event;
    } sessions[SIM_SLOT_SESSIONS];
};

struct sim_broker {
    struct sim_world *world;
    struct sim_process process;
    struct router *router; /* NULL: not up */
    struct sim_slot slots[SIM_GATEWAYS];
};

void sim_broker_init(struct sim_broker *broker, struct sim_world *world);
void sim_broker_fini(struct sim_broker *broker);

/* A new instance, with an empty directory. */
void sim_broker_start(struct sim_broker *broker);
void sim_broker_crash(struct sim_broker *broker);
/* A turn of the loop; `fully`: everything that is there is read. */
void sim_broker_turn(struct sim_broker *broker, bool fully);

/* NULL: the directory does not have it. */
const struct sim_known_session *sim_slot_find(const struct sim_slot *slot, uint64_t session_id);
