/* The link between one gateway and the broker as common/link.h promises it, without sockets: in
 * each direction a queue of batches, in order; a connection that can end at any moment, taking any
 * suffix of either queue with it; each side told of it when it gets to it. */
#pragma once

#include "common/link.h"

struct sim_world;

enum sim_end { SIM_GATEWAY_END, SIM_BROKER_END, SIM_END_COUNT };

/* Batches under way in one direction, those of ended connections included. */
enum { SIM_PIPE_BATCHES = 4 };

struct sim_batch {
    uint32_t conn;
    struct buffer bytes;
};

struct sim_pipe {
    struct sim_batch batches[SIM_PIPE_BATCHES];
    uint32_t count;
};

/* What one process knows of the link. */
struct sim_link_end {
    const struct link_handlers *handlers;
    void *arg;
    struct buffer out;
    uint32_t conn;      /* the connection it was told of; 0: none */
    uint32_t last_conn; /* the last that it was told of; older ones are over */
    bool is_running;    /* neither dead nor frozen */
};

struct sim_link {
    struct sim_world *world;
    uint32_t slot;
    uint32_t conn; /* the connection that is there; 0: none */
    uint32_t last_conn;
    struct sim_link_end ends[SIM_END_COUNT];
    struct sim_pipe to[SIM_END_COUNT];
};

/* The ends' handlers and args are set by their processes. */
void sim_link_init(struct sim_link *link, struct sim_world *world, uint32_t slot);
void sim_link_fini(struct sim_link *link);

/* Connects, if both processes can and no connection is there. */
void sim_link_connect(struct sim_link *link);
/* Ends the connection, if there is one; any suffix of what is under way is lost. */
void sim_link_cut(struct sim_link *link);

/* Tells an end what has become of its connection; `fully`: and of the one after it. */
void sim_link_notice(struct sim_link *link, enum sim_end end, bool fully);
/* Hands over one batch. False: none is there. */
bool sim_link_receive(struct sim_link *link, enum sim_end end);
/* Sends what is in `out`, in batches, as far as they may be under way; what is not urgent, now or
 * later. */
void sim_link_flush(struct sim_link *link, enum sim_end end, bool is_urgent);
/* As link_end. */
void sim_link_end_connection(struct sim_link *link, enum sim_end end);
/* The process at this end is dead: nobody is left to be told. */
void sim_link_forget(struct sim_link *link, enum sim_end end);
