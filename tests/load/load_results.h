/* What the processes of a load share, in memory that all of them map: the moments of the run, set
 * by the parent, and a worker's results, each written by one worker and read by the parent. */
#pragma once

#include "common/slice.h"
#include "tests/load/histogram.h"

#include <stdatomic.h>

/* Counts by name: error codes, and the ends of connections. */
enum { EVENT_NAME_MAX_BYTES = 32, EVENT_ROWS_MAX = 32 };
struct event_counts {
    uint64_t total;
    struct event_row {
        char name[EVENT_NAME_MAX_BYTES]; /* "" behind the last */
        uint64_t count;
    } rows[EVENT_ROWS_MAX];
};

/* A name that finds no row any more counts as "other". */
void event_counts_add(struct event_counts *counts, struct slice name, uint64_t count);
void event_counts_merge(struct event_counts *into, const struct event_counts *from);

/* What must not happen to a message, over the whole run. */
struct wrong_counts {
    uint64_t lost; /* neither delivered nor reported, by the end */
    uint64_t doubled;
    uint64_t misrouted;
    uint64_t reordered;
    uint64_t altered;
    uint64_t wrong_from;
};

uint64_t wrong_total(const struct wrong_counts *wrong);

enum load_group { GROUP_STEADY, GROUP_FLOOD, GROUP_COUNT };

struct group_results {
    uint64_t sent;      /* over the whole run */
    uint64_t delivered; /* in the window */
    struct wrong_counts wrong;
    struct event_counts errors; /* over the whole run */
    struct histogram latency;   /* ns; in the window */
    struct histogram lag;       /* ns: sent later than due, in the window */
};

struct handshake_results {
    uint64_t count; /* over the whole run */
    uint64_t first_begin_ns;
    uint64_t last_end_ns;
    uint64_t in_window;
    struct histogram latency; /* ns; for churn in the window, else all */
};

void group_results_merge(struct group_results *into, const struct group_results *from);
void handshake_results_merge(struct handshake_results *into, const struct handshake_results *from);

struct worker_results {
    struct group_results groups[GROUP_COUNT];
    struct handshake_results handshakes;
    struct event_counts connection_ends; /* those that nobody wanted */
    /* For the parent while the run lasts. */
    _Atomic bool is_connected; /* all that could be */
    _Atomic bool is_done;      /* the results above are final */
    _Atomic uint64_t connections;
    _Atomic uint64_t delivered;
};

/* Moments of the monotonic clock in ns; 0: not known yet. */
struct load_moments {
    _Atomic uint64_t start;
    _Atomic uint64_t window_begin;
    _Atomic uint64_t window_end;
    _Atomic bool may_end; /* workers may close their connections */
};

struct load_share {
    struct load_moments moments;
    struct worker_results workers[];
};
