/* A gateway put together: clients on one side, the link to the broker on the other, the exchange
 * between them. Only moves what one part produces to the part that takes it. */
#pragma once

#include "common/loop.h"

/* Every flag of the program; see the table in main.c for units and defaults. */
struct gateway_options {
    const char *link_dir;
    const char *listen;
    const char *static_dir;
    const char *allowed_origins;
    const char *log_level;
    uint64_t slot;
    uint64_t message_max_bytes;
    uint64_t head_max_bytes;
    uint64_t head_timeout_ms;
    uint64_t ping_interval_ms;
    uint64_t idle_timeout_ms;
    uint64_t close_timeout_ms;
    uint64_t queue_max_bytes;
    uint64_t rate_max_per_s;
    uint64_t rate_burst;
    uint64_t backlog_max_bytes;
    uint64_t unanswered_max_bytes;
    uint64_t outcome_timeout_ms;
    uint64_t remembered_max;
    uint64_t drain_ms;
    uint64_t connections_max;
};

struct gateway;

/* Listens and dials. NULL: the cause has been logged. `options` must outlive the gateway. */
struct gateway *gateway_new(const struct gateway_options *options);
/* Runs until a signal has ended it: leaves the port, takes its clients out of the directory in
 * small batches spread over drain_ms, closes each with 1001 once nothing is under way for it or
 * from it. */
void gateway_run(struct gateway *gateway);
void gateway_free(struct gateway *gateway);
