/* What a load has found out, as a table for people or as one JSON object for programs.
 *
 * The object's members; times are microseconds, with fractions, where the name ends in _us:
 *
 *   mode                 "closed", "open", "connect-only" or "churn"
 *   dialect, workers, message_bytes
 *   pairs, in_flight     as asked for; pairs without the flooding ones; 0 where they mean nothing
 *   together             false: each message was sent in a write of its own
 *   rate                 messages/s as asked for; 0: closed loop
 *   seconds              the window's length
 *   connections          open at the window's end
 *   connection_errors    {NAME: count}: connections that were refused, or ended when nobody wanted
 *                        it ("refused-503", "connection-refused", "reset", "closed-4001", ...)
 *   sent                 messages, over the whole run
 *   delivered, per_s     in the window
 *   errors               {CODE: count} over the whole run, as the server reported them; "not-sent":
 *                        an open loop's message whose sender could not take it
 *   wrong                {lost, doubled, misrouted, reordered, altered, wrong_from} over the whole
 *                        run; all 0 in a good one
 *   latency_us           {count, p50, p90, p99, p999, max, mean} from when a message was due to
 * when it was read by its receiver; in the window lag_us               the same, from when it was
 * due to when it was sent: what the generator itself was late; open loop only server null without
 * --server-pid; all processes together, over the window: cpu_us_per_message   null when nothing was
 * delivered cpu_s, user_s, sys_s cpu_us_per_handshake only churn, else null switches_per_message
 * context switches; null when nothing was delivered rss_kb, pss_kb       at the window's end, while
 * all connections are open rss_before_kb, pss_before_kb  before the first connection generator
 * {cpu_us_per_message, cpu_s, busiest_share}: the last is the share of a core that the busiest
 * worker took handshakes           {count, per_s, latency_us}: churn: per_s and latency_us in the
 * window; else over the time in which the connections were opened flood                null without
 * --flood-pairs: {pairs, in_flight, sent, delivered, per_s, errors, wrong, latency_us}
 *
 * Where messages of both groups are meant (the costs of server and generator), both are counted. */
#pragma once

#include "tests/load/load_options.h"
#include "tests/load/load_results.h"
#include "tests/load/process_stats.h"

struct load_report {
    const struct load_options *options;
    const struct group_results *groups; /* of all workers, GROUP_COUNT */
    const struct handshake_results *handshakes;
    const struct event_counts *connection_ends;
    uint64_t connections;
    double window_s;
    struct process_times server; /* over the window */
    struct process_memory server_before;
    struct process_memory server_after;
    struct process_times generator;
    double busiest_share;
};

/* Messages of both groups in the window. */
uint64_t report_delivered(const struct load_report *report);
double report_handshakes_per_s(const struct load_report *report);
/* What the server's time is divided into. */
double report_user_s(const struct process_times *times);

void report_print_table(const struct load_report *report);
void report_print_json(const struct load_report *report);
/* On standard error: what makes the figures doubtful. */
void report_print_warnings(const struct load_report *report);
/* Whether everything was as it should be. */
bool report_is_good(const struct load_report *report);
