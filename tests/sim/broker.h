/* The broker process: its router, wired to the links as broker/broker.c wires it; and what the
 * router's own records tell of its directory, to be compared with what the gateways have, and with
 * what it says of users who are offline. */
#pragma once

#include "broker/router.h"
#include "tests/sim/client.h"
#include "tests/sim/link.h"
#include "tests/sim/process.h"

enum {
    SIM_GATEWAYS = 3,
    SIM_HOLDS_MAX = 128,
    SIM_SLOT_SESSIONS = 256,
    SIM_SLOT_ATTACHES = 256, /* the last ones */
    SIM_SLOT_SUBMITS = 1024, /* the last ones */
};

struct sim_broker;

struct sim_known_session {
    uint64_t id;
    uint64_t since_event;
    uint32_t place; /* of its device */
};

struct sim_slot {
    struct sim_broker *broker;
    struct sim_link *link;
    uint32_t number;
    bool is_synced;
    uint32_t session_count; /* sessions that are in the directory, by what was sent and received */
    struct sim_known_session sessions[SIM_SLOT_SESSIONS];
    uint32_t attach_count; /* that were received */
    struct sim_known_session attaches[SIM_SLOT_ATTACHES];
    uint32_t submits[SIM_SLOT_SUBMITS]; /* message by seq */
};

/* Whether a user, or a device, was there of late. */
struct sim_presence {
    uint32_t session_count;
    bool was_there;   /* since the broker's start */
    uint64_t left_ms; /* when its last session went */
};

struct sim_broker {
    struct sim_world *world;
    struct sim_process process;
    struct router *router; /* NULL: not up */
    uint32_t count;        /* of all brokers up to this one */
    uint64_t start_ms;
    bool is_whole; /* all gateways have been there at the same time, or the recovery is over */
    struct sim_presence users[SIM_USERS];
    struct sim_presence devices[SIM_PLACES];
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
