#include "tests/load/report.h"

#include <inttypes.h>
#include <stdio.h>

static const double ns_per_us = 1e3;
static const double ns_per_s = 1e9;

static void print_count(const char *name, uint64_t count)
{
    (void)printf("\"%s\":%" PRIu64 ",", name, count);
}

static void print_number(const char *name, double number)
{
    (void)printf("\"%s\":%.4f,", name, number);
}

/* null: it cannot be said. */
static void print_ratio(const char *name, double amount, uint64_t count)
{
    if (count == 0) {
        (void)printf("\"%s\":null,", name);
    } else {
        print_number(name, amount / (double)count);
    }
}

static void print_us(const char *name, double ns)
{
    (void)printf("\"%s\":%.2f,", name, ns / ns_per_us);
}

static void print_histogram(const char *name, const struct histogram *histogram)
{
    (void)printf("\"%s\":{\"count\":%" PRIu64 ",", name, histogram->count);
    print_us("p50", (double)histogram_value_at(histogram, 0.5));
    print_us("p90", (double)histogram_value_at(histogram, 0.9));
    print_us("p99", (double)histogram_value_at(histogram, 0.99));
    print_us("p999", (double)histogram_value_at(histogram, 0.999));
    print_us("max", (double)histogram->max);
    (void)printf("\"mean\":%.2f},", histogram_mean(histogram) / ns_per_us);
}

/* Names come from the server: what JSON would need escapes for is left out. */
static void print_name(const char *name)
{
    for (; *name != '\0'; name++) {
        bool is_plain = *name >= ' ' && *name <= '~' && *name != '"' && *name != '\\';
        (void)putchar(is_plain ? *name : '?');
    }
}

static void print_events(const char *name, const struct event_counts *counts)
{
    (void)printf("\"%s\":{", name);
    for (size_t i = 0; i < EVENT_ROWS_MAX && counts->rows[i].name[0] != '\0'; i++) {
        (void)printf(i == 0 ? "\"" : ",\"");
        print_name(counts->rows[i].name);
        (void)printf("\":%" PRIu64, counts->rows[i].count);
    }
    (void)printf("},");
}

static void print_group(const struct load_report *report, enum load_group group)
{
    const struct group_results *results = &report->groups[group];
    const struct wrong_counts *wrong = &results->wrong;
    print_count("sent", results->sent);
    print_count("delivered", results->delivered);
    print_number("per_s", report->window_s > 0 ? (double)results->delivered / report->window_s : 0);
    print_events("errors", &results->errors);
    (void)printf("\"wrong\":{\"lost\":%" PRIu64 ",\"doubled\":%" PRIu64 ",\"misrouted\":%" PRIu64
                 ",\"reordered\":%" PRIu64 ",\"altered\":%" PRIu64 ",\"wrong_from\":%" PRIu64 "},",
                 wrong->lost, wrong->doubled, wrong->misrouted, wrong->reordered, wrong->altered,
                 wrong->wrong_from);
    print_histogram("latency_us", &results->latency);
}

static void print_server(const struct load_report *report)
{
    const struct process_times *server = &report->server;
    bool is_churn = report->options->mode == LOAD_CHURN;
    if (report->options->server_count == 0) {
        (void)printf("\"server\":null,");
        return;
    }
    double cpu_us = (double)server->cpu_ns / ns_per_us;
    double cpu_s = (double)server->cpu_ns / ns_per_s;
    uint64_t delivered = report_delivered(report);
    (void)printf("\"server\":{");
    print_ratio("cpu_us_per_message", cpu_us, delivered);
    print_ratio("cpu_us_per_handshake", cpu_us, is_churn ? report->handshakes->in_window : 0);
    print_number("cpu_s", cpu_s);
    print_number("user_s", report_user_s(server));
    print_number("sys_s", cpu_s - report_user_s(server));
    print_ratio("switches_per_message", (double)server->switches, delivered);
    print_count("rss_kb", report->server_after.rss_kb);
    print_count("pss_kb", report->server_after.pss_kb);
    print_count("rss_before_kb", report->server_before.rss_kb);
    (void)printf("\"pss_before_kb\":%" PRIu64 "},", report->server_before.pss_kb);
}

static void print_plan(const struct load_options *options)
{
    bool has_pairs = options->mode == LOAD_CLOSED || options->mode == LOAD_OPEN;
    (void)printf("\"mode\":\"%s\",\"dialect\":\"%s\",", load_mode_name(options->mode),
                 options->dialect->name);
    print_count("workers", options->workers);
    print_count("message_bytes", options->message_bytes);
    print_count("pairs", has_pairs ? options->pairs : 0);
    print_count("in_flight", options->mode == LOAD_CLOSED ? options->in_flight : 0);
    (void)printf("\"together\":%s,", options->is_alone ? "false" : "true");
    print_count("rate", options->rate);
}

void report_print_json(const struct load_report *report)
{
    const struct load_options *options = report->options;
    (void)printf("{");
    print_plan(options);
    print_number("seconds", report->window_s);
    print_count("connections", report->connections);
    print_events("connection_errors", report->connection_ends);
    print_group(report, GROUP_STEADY);
    print_histogram("lag_us", &report->groups[GROUP_STEADY].lag);
    print_server(report);
    (void)printf("\"generator\":{");
    print_ratio("cpu_us_per_message", (double)report->generator.cpu_ns / ns_per_us,
                report_delivered(report));
    print_number("cpu_s", (double)report->generator.cpu_ns / ns_per_s);
    (void)printf("\"busiest_share\":%.4f},\"handshakes\":{", report->busiest_share);
    print_count("count", report->handshakes->count);
    print_number("per_s", report_handshakes_per_s(report));
    print_histogram("latency_us", &report->handshakes->latency);
    (void)printf("\"in_window\":%" PRIu64 "},\"flood\":", report->handshakes->in_window);
    if (options->flood_pairs == 0) {
        (void)printf("null}\n");
        return;
    }
    (void)printf("{");
    print_group(report, GROUP_FLOOD);
    print_count("pairs", options->flood_pairs);
    (void)printf("\"in_flight\":%" PRIu64 "}}\n", options->flood_in_flight);
}
