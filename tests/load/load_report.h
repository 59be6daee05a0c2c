/* What a run has shown, as a table for people or as JSON for programs.
 *
 * The JSON is one object: mode, dialect, pairs, in_flight, together, rate, message_bytes, workers,
 * seconds (of the window), sent, delivered (in the window), per_s, errors {code: count}, wrong
 * {lost, doubled, misrouted, reordered, altered, wrong_from}, latency_us and lag_us {p50, p90, p99,
 * p999, max, mean}, server {cpu_us_per_message, user_s, sys_s, cpu_s, switches_per_message, rss_kb,
 * pss_kb, rss_before_kb, pss_before_kb; null without --server-pid}, generator {cpu_us_per_message,
 * cpu_s}, connections, connections_lost {why: count}, handshakes {count, per_s, latency_us,
 * server_cpu_us}, flood {the same of the flooding pairs: delivered, per_s, errors, wrong,
 * latency_us}. Of latencies in the closed loop, the time of a message from one client to the other;
 * in the open loop, from the moment at which it was due. */
#pragma once

#include "tests/load/load_options.h"
#include "tests/load/load_results.h"
#include "tests/load/process_stats.h"

struct load_report {
    const struct load_options *options;
    struct worker_results totals;
    uint64_t window_ns;
    uint64_t connections;
    bool has_servers;
    struct process_stats server_before; /* at the window's begin; memory: before any connection */
    struct process_stats server;        /* in the window; memory: at its end */
    struct process_stats generator;     /* in the window */
};

void load_report_print_json(const struct load_report *report);
void load_report_print_table(const struct load_report *report);

/* True: every message had its due end, and none was wrong. */
bool load_report_is_good(const struct load_report *report);
