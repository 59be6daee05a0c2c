/* What a load has found out, as a table for people or as one JSON object for programs.
 *
 * The object's members; what ends in _us is microseconds, with fractions:
 *
 *   mode               "closed", "open", "connect-only" or "churn"
 *   dialect, workers, message_bytes
 *   pairs, in_flight   as asked for, without the flooding pairs; 0 where they mean nothing
 *   together           false: each message was sent in a write of its own
 *   rate               messages/s as asked for; 0: no open loop
 *   seconds            the window's length
 *   connections        open at the window's end
 *   connection_errors  {NAME: count}: connections that failed, or ended before they should have:
 *                      "refused-503", "connection-refused", "no-answer", "reset", "closed-4001"...
 *   sent               messages, over the whole run
 *   delivered, per_s   in the window
 *   errors             {CODE: count} as the server reported them, over the whole run; "not-sent":
 *                      the sender of an open loop's message could not take it
 *   wrong              {lost, doubled, misrouted, reordered, altered, wrong_from} over the whole
 * run latency_us         {count, p50, p90, p99, p999, max, mean} from when a message was due until
 *                      its receiver has read it; in the window
 *   lag_us             the same, from when it was due until it was sent, that is, how late the
 *                      generator itself was; open loop only
 *   server             null without --server-pid, or if one has ended; of all those processes
 * together, in the window: {cpu_us_per_message, cpu_us_per_handshake (churn), cpu_s, user_s, sys_s,
 *                      switches_per_message, rss_kb, pss_kb, rss_before_kb, pss_before_kb}; null
 *                      where there was no message or handshake; memory is that at the window's
 *                      end, with all connections open, and before the first connection
 *   generator          {cpu_us_per_message, cpu_s, busiest_share}: the last one is the share of a
 *                      core that the busiest worker took
 *   handshakes         {count, in_window, per_s, latency_us}: the last two in the window for churn,
 *                      else over the time in which the connections were opened
 *   flood              null without --flood-pairs: {pairs, in_flight, sent, delivered, per_s,
 *                      errors, wrong, latency_us}
 *
 * The costs of server and generator are divided by the messages of all pairs, flooding or not. */
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
    bool has_server;             /* all of the server's processes were there to be looked at */
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
