/* What a load is to be: the flags of switchboard-load. */
#pragma once

#include "common/options.h"
#include "tests/load/dialect.h"

#include <sys/socket.h>
#include <sys/types.h>

enum load_mode {
    LOAD_CLOSED,       /* in_flight messages bounce in each pair */
    LOAD_OPEN,         /* rate messages a second, whether or not the server keeps up */
    LOAD_CONNECT_ONLY, /* idle connections are held */
    LOAD_CHURN,        /* connections come and go */
};

enum {
    LOAD_TARGETS_MAX = 256,
    LOAD_SERVERS_MAX = 512,
    LOAD_WORKERS_MAX = 256,
    LOAD_WORKER_CONNECTIONS_MAX = 19500, /* a process has 20,000 descriptors */
};

struct load_target {
    const char *text; /* HOST:PORT, as given */
    struct sockaddr_storage address;
    socklen_t address_len;
};

struct load_options {
    enum load_mode mode;
    const struct dialect *dialect;
    struct load_target targets[LOAD_TARGETS_MAX];
    size_t target_count;
    pid_t servers[LOAD_SERVERS_MAX];
    size_t server_count;
    uint64_t pairs; /* without the flooding ones */
    uint64_t in_flight;
    uint64_t rate; /* messages/s */
    uint64_t connect_only;
    uint64_t connect_rate; /* connections/s; 0: as fast as they are answered */
    uint64_t connecting_max;
    uint64_t flood_pairs;
    uint64_t flood_in_flight;
    uint64_t source_addresses;
    uint64_t workers;
    uint64_t first_user;
    uint64_t message_bytes;
    uint64_t warmup_ms;
    uint64_t window_ms;
    uint64_t drain_ms;
    const char *user_prefix;
    bool is_alone; /* each frame in a write of its own */
    bool is_json;
    bool allows_errors;
};

/* OPTIONS_BAD: what is wrong has been said on standard error. */
enum options_result load_options_parse(struct load_options *options, int argc, char **argv);

const char *load_mode_name(enum load_mode mode);
/* All connections of the load at a time; 0 for churn. */
uint64_t load_connection_count(const struct load_options *options);
