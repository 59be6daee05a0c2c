/* One process of a load: its clients, on one event loop. Goes through the phases of a run at the
 * moments that the parent has set. */
#pragma once

#include "tests/load/load_client.h"
#include "tests/load/load_options.h"
#include "tests/load/load_results.h"
#include "tests/load/pacer.h"

enum load_phase {
    PHASE_CONNECTING,
    PHASE_WAITING, /* for the start */
    PHASE_RUNNING,
    PHASE_DRAINING,  /* nothing new is sent */
    PHASE_LINGERING, /* nothing is under way; what comes now came twice */
    PHASE_DONE,      /* connections are kept until the parent has looked at the servers */
};

struct load_worker {
    const struct load_options *options;
    struct load_share *share;
    struct worker_results *results;
    struct message_format format;
    struct loop *loop;
    struct loop_timer tick;
    struct pacer send_pacer;
    struct pacer connect_pacer;
    struct ws_client_set set;
    uint8_t *scratch; /* a message that is being written */
    uint32_t index;   /* of this worker */

    struct load_client *clients;
    uint32_t client_count;
    uint32_t steady_count; /* of those, clients that are not of flooding pairs; they come first */

    enum load_phase phase;
    uint64_t phase_end_ns; /* draining, lingering */
    uint64_t heartbeat_ns; /* the next one */

    /* Connecting (load_connector.c). */
    struct load_client *idle; /* churn: clients without a connection */
    uint64_t connect_start_ns;
    uint64_t begun;      /* connections ever begun */
    uint32_t connecting; /* handshakes under way */
    uint32_t open_count;

    /* Messages (load_client.c, load_traffic.c). */
    struct load_client *dirty; /* open loop: something is queued in this turn */
    double rate_per_s;
    uint64_t sent_by_rate;
    int64_t under_way; /* messages without an end */
    uint64_t owed;     /* of all clients */
    uint64_t delivered;
};

/* Runs worker number `index` to its end; returns the process's exit status. */
int load_worker_run(const struct load_options *options, struct load_share *share, uint32_t index);

static inline bool load_worker_may_send(const struct load_worker *worker, uint64_t now_ns)
{
    return worker->phase == PHASE_RUNNING &&
           now_ns < atomic_load_explicit(&worker->share->moments.window_end, memory_order_relaxed);
}

static inline bool load_worker_is_in_window(const struct load_worker *worker, uint64_t now_ns)
{
    const struct load_moments *moments = &worker->share->moments;
    return now_ns >= atomic_load_explicit(&moments->window_begin, memory_order_relaxed) &&
           now_ns < atomic_load_explicit(&moments->window_end, memory_order_relaxed);
}
