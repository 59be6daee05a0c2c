/* The broker put together: one link a gateway slot, the router between them. Only moves what one
 * part produces to the part that takes it. */
#pragma once

#include "common/loop.h"

/* Every flag of the program; see the table in main.c for units and defaults. */
struct broker_options {
    const char *link_dir;
    const char *log_level;
    uint64_t gateways;
    uint64_t devices_max;
    uint64_t backlog_max_bytes;
    uint64_t transfers_max;
    uint64_t kept_max_bytes;
    uint64_t outcome_timeout_ms;
    uint64_t linger_us;
    uint64_t recovery_ms;
    uint64_t hold_ms;
    uint64_t hold_users_max;
    uint64_t hold_messages_max;
    uint64_t ring_ms;
    uint64_t call_grace_ms;
    uint64_t calls_max;
    uint64_t calls_user_max;
    const char *call_log; /* NULL: none */
};

struct broker;

/* Listens on all slots. NULL: the cause has been logged. `options` must outlive the broker. */
struct broker *broker_new(const struct broker_options *options);
/* Runs until a signal ends it. */
void broker_run(struct broker *broker);
void broker_free(struct broker *broker);
