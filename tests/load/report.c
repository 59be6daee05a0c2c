#include "tests/load/report.h"

#include <inttypes.h>
#include <stdio.h>

enum { NS_PER_US = 1000, KB_PER_MB = 1024 };

static const double ns_per_s = 1e9;
static const double lag_warning_us = 1000;
static const double busy_warning_share = 0.9;

uint64_t report_delivered(const struct load_report *report)
{
    return report->groups[GROUP_STEADY].delivered + report->groups[GROUP_FLOOD].delivered;
}

double report_handshakes_per_s(const struct load_report *report)
{
    const struct handshake_results *handshakes = report->handshakes;
    if (report->options->mode == LOAD_CHURN) {
        return report->window_s > 0 ? (double)handshakes->in_window / report->window_s : 0;
    }
    if (handshakes->last_end_ns <= handshakes->first_begin_ns) {
        return 0;
    }
    return (double)handshakes->count * ns_per_s /
           (double)(handshakes->last_end_ns - handshakes->first_begin_ns);
}

double report_user_s(const struct process_times *times)
{
    uint64_t ticks = times->user_ticks + times->sys_ticks;
    double cpu_s = (double)times->cpu_ns / ns_per_s;
    return ticks == 0 ? 0 : cpu_s * (double)times->user_ticks / (double)ticks;
}

static double us_of(uint64_t ns)
{
    return (double)ns / NS_PER_US;
}

static void print_percentiles(const char *name, const struct histogram *histogram)
{
    if (histogram->count == 0) {
        return;
    }
    (void)printf("  %-18s p50 %.1f   p90 %.1f   p99 %.1f   p99.9 %.1f   max %.1f us\n", name,
                 us_of(histogram_value_at(histogram, 0.5)),
                 us_of(histogram_value_at(histogram, 0.9)),
                 us_of(histogram_value_at(histogram, 0.99)),
                 us_of(histogram_value_at(histogram, 0.999)), us_of(histogram->max));
}

static void print_events(const char *name, const struct event_counts *counts)
{
    for (size_t i = 0; i < EVENT_ROWS_MAX && counts->rows[i].name[0] != '\0'; i++) {
        (void)printf("  %-18s %s: %" PRIu64 "\n", name, counts->rows[i].name,
                     counts->rows[i].count);
    }
}

static void print_wrong(const struct wrong_counts *wrong)
{
    if (wrong_total(wrong) == 0) {
        (void)printf("  %-18s none lost, doubled, misrouted, reordered or altered\n", "wrong");
        return;
    }
    (void)printf("  %-18s lost %" PRIu64 "   doubled %" PRIu64 "   misrouted %" PRIu64
                 "   reordered %" PRIu64 "   altered %" PRIu64 "   wrong from %" PRIu64 "\n",
                 "WRONG", wrong->lost, wrong->doubled, wrong->misrouted, wrong->reordered,
                 wrong->altered, wrong->wrong_from);
}

static void print_group(const struct load_report *report, enum load_group group)
{
    const struct group_results *results = &report->groups[group];
    (void)printf("  %-18s %" PRIu64 " in %.1f s: %.0f a second\n", "delivered", results->delivered,
                 report->window_s,
                 report->window_s > 0 ? (double)results->delivered / report->window_s : 0);
    print_percentiles("latency", &results->latency);
    print_percentiles("generator's lag", &results->lag);
    print_wrong(&results->wrong);
    print_events("errors", &results->errors);
}

static void print_costs(const struct load_report *report)
{
    const struct process_times *server = &report->server;
    uint64_t delivered = report_delivered(report);
    double cpu_s = (double)server->cpu_ns / ns_per_s;
    if (report->options->server_count > 0) {
        double user_s = report_user_s(server);
        (void)printf("  %-18s %.2f s (user %.2f, system %.2f)", "server's CPU", cpu_s, user_s,
                     cpu_s - user_s);
        if (delivered > 0) {
            (void)printf(": %.2f us and %.2f switches a message",
                         us_of(server->cpu_ns) / (double)delivered,
                         (double)server->switches / (double)delivered);
        } else if (report->options->mode == LOAD_CHURN && report->handshakes->in_window > 0) {
            (void)printf(": %.1f us a handshake",
                         us_of(server->cpu_ns) / (double)report->handshakes->in_window);
        }
        (void)printf(
            "\n  %-18s resident %.1f MB (before %.1f), proportional %.1f MB (before %.1f)\n",
            "server's memory", (double)report->server_after.rss_kb / KB_PER_MB,
            (double)report->server_before.rss_kb / KB_PER_MB,
            (double)report->server_after.pss_kb / KB_PER_MB,
            (double)report->server_before.pss_kb / KB_PER_MB);
    }
    (void)printf("  %-18s %.2f s", "generator's CPU", (double)report->generator.cpu_ns / ns_per_s);
    if (delivered > 0) {
        (void)printf(": %.2f us a message", us_of(report->generator.cpu_ns) / (double)delivered);
    }
    (void)printf("; busiest worker %.0f %% of a core\n", report->busiest_share * 100);
}

void report_print_table(const struct load_report *report)
{
    const struct load_options *options = report->options;
    (void)printf("%s loop", load_mode_name(options->mode));
    if (options->mode == LOAD_CLOSED) {
        (void)printf(": %" PRIu64 " pairs, %" PRIu64 " messages in flight in each, %s",
                     options->pairs, options->in_flight,
                     options->is_alone ? "each in a write of its own" : "written together");
    } else if (options->mode == LOAD_OPEN) {
        (void)printf(": %" PRIu64 " pairs, %" PRIu64 " messages a second", options->pairs,
                     options->rate);
    }
    (void)printf("\n  %-18s %" PRIu64 "\n", "connections", report->connections);
    (void)printf("  %-18s %" PRIu64 ": %.0f a second\n", "handshakes", report->handshakes->count,
                 report_handshakes_per_s(report));
    print_percentiles("handshake latency", &report->handshakes->latency);
    print_events("connections lost", report->connection_ends);
    if (options->mode == LOAD_CLOSED || options->mode == LOAD_OPEN) {
        print_group(report, GROUP_STEADY);
        if (options->flood_pairs > 0) {
            (void)printf("flood: %" PRIu64 " pairs, %" PRIu64 " messages in flight in each\n",
                         options->flood_pairs, options->flood_in_flight);
            print_group(report, GROUP_FLOOD);
            (void)printf("both\n");
        }
    }
    print_costs(report);
}

void report_print_warnings(const struct load_report *report)
{
    double lag_us = us_of(histogram_value_at(&report->groups[GROUP_STEADY].lag, 0.99));
    if (lag_us > lag_warning_us) {
        (void)fprintf(stderr,
                      "warning: the generator itself was late: 1 %% of the messages were sent %.1f "
                      "ms or more behind their time, and latency has that in it\n",
                      lag_us / NS_PER_US);
    }
    if (report->busiest_share > busy_warning_share) {
        (void)fprintf(stderr,
                      "warning: a worker was busy for %.0f %% of the window: it may be the "
                      "generator that is measured; more --workers may help\n",
                      report->busiest_share * 100);
    }
}

bool report_is_good(const struct load_report *report)
{
    uint64_t wrong = 0;
    uint64_t errors = report->connection_ends->total;
    for (int i = 0; i < GROUP_COUNT; i++) {
        wrong += wrong_total(&report->groups[i].wrong);
        errors += report->groups[i].errors.total;
    }
    return wrong == 0 && (errors == 0 || report->options->allows_errors);
}
