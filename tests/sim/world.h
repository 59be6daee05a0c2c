/* One run: a broker, its gateways, the links between them, the clients, virtual time and chance. */
#pragma once

#include "tests/sim/breaks.h"
#include "tests/sim/broker.h"
#include "tests/sim/calls.h"
#include "tests/sim/client.h"
#include "tests/sim/gateway.h"
#include "tests/sim/ledger.h"
#include "tests/sim/link.h"
#include "tests/sim/random.h"
#include "tests/sim/tamper.h"
#include "tests/sim/trace.h"

enum {
    SIM_OUTCOME_TIMEOUT_MS = 10000,
    SIM_DELIVERY_TIME_MS = 9000, /* of those, until it may not be delivered any more */
    SIM_RECOVERY_MS = 2000,
    SIM_PROCESSES = SIM_GATEWAYS + 1, /* the gateways, then the broker */
};

/* The bounds that the cores are given; small ones, so that they are met. */
struct sim_limits {
    size_t backlog_max_bytes;
    size_t unanswered_max_bytes;
    size_t transfers_max;
    size_t queue_max_bytes;
    size_t batch_max_bytes;
    size_t kept_max_bytes;
    size_t hold_messages_max;
    size_t remembered_max;
    uint64_t hold_ms;
    uint64_t devices_max;
    size_t calls_user_max;
};

struct sim_world {
    struct sim_random random;
    struct sim_trace trace;
    uint64_t now_ms;
    enum sim_break rule; /* the one to break */
    bool is_noisy;       /* faults and pieces; false once everything is to come to rest */
    uint64_t quiet_ms;   /* since when it is not */
    uint32_t fault_weight;
    bool is_roomy; /* no limit is ever met */
    bool all_want_news;
    struct sim_limits limits;
    struct sim_ledger ledger;
    struct sim_link links[SIM_GATEWAYS];
    struct sim_broker broker;
    struct sim_gateway gateways[SIM_GATEWAYS];
    struct sim_client **clients; /* all there ever were, by their number */
    uint32_t client_count;
    uint32_t client_cap;
    struct sim_client *devices[SIM_PLACES]; /* who each device is now; NULL: nobody */
    uint32_t open_counts[SIM_PLACES];       /* its clients that are open */
    uint64_t left_ms[SIM_PLACES];           /* when the last of them went */
    struct sim_calls calls;
};

void sim_world_init(struct sim_world *world, uint64_t seed, enum sim_break rule);
void sim_world_fini(struct sim_world *world);

void sim_world_advance(struct sim_world *world, uint64_t ms);
/* Gives the client's number; the world frees it. */
uint32_t sim_world_add_client(struct sim_world *world, struct sim_client *client);

/* True: this is the rule to break, and now is the moment. */
bool sim_world_breaks(struct sim_world *world, enum sim_break rule);
/* True: this is the rule to break, now as always. */
bool sim_world_breaks_always(const struct sim_world *world, enum sim_break rule);

/* The process at `index` of SIM_PROCESSES. */
struct sim_process *sim_world_process(struct sim_world *world, uint32_t index);
/* A turn of it, which must run. */
void sim_world_turn(struct sim_world *world, uint32_t index, bool fully);
void sim_world_start_process(struct sim_world *world, struct sim_process *process,
                             uint64_t instance_id);
void sim_world_end_process(struct sim_world *world, struct sim_process *process);
void sim_world_freeze(struct sim_world *world, struct sim_process *process, bool freeze);
/* True, and not again for a while: it is time for its tick. */
bool sim_world_tick_is_due(const struct sim_world *world, struct sim_process *process);
