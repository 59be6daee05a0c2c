#include "tests/load/load_report.h"

#include "common/compiler.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const double ns_per_us = 1e3;
static const double ns_per_s = 1e9;

struct quantile {
    const char *name;
    double share;
};
static const struct quantile quantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

static double per(uint64_t amount, uint64_t count)
{
    return count == 0 ? 0 : (double)amount / (double)count;
}

static double per_second(const struct load_report *report, uint64_t count)
{
    return report->window_ns == 0 ? 0 : (double)count * ns_per_s / (double)report->window_ns;
}

static uint64_t all_delivered(const struct load_report *report)
{
    return report->totals.groups[GROUP_STEADY].delivered +
           report->totals.groups[GROUP_FLOOD].delivered;
}

/* What the servers' and our own effort is shared out over. */
static uint64_t unit_count(const struct load_report *report)
{
    return report->options->mode == LOAD_CHURN ? report->totals.handshakes.in_window
                                               : all_delivered(report);
}

static double handshakes_per_s(const struct load_report *report)
{
    const struct handshake_results *handshakes = &report->totals.handshakes;
    if (report->options->mode == LOAD_CHURN) {
        return per_second(report, handshakes->in_window);
    }
    uint64_t span_ns = handshakes->last_end_ns - handshakes->first_begin_ns;
    return span_ns == 0 ? 0 : (double)handshakes->count * ns_per_s / (double)span_ns;
}

bool load_report_is_good(const struct load_report *report)
{
    const struct worker_results *totals = &report->totals;
    uint64_t wrong = wrong_total(&totals->groups[GROUP_STEADY].wrong) +
                     wrong_total(&totals->groups[GROUP_FLOOD].wrong);
    uint64_t errors = totals->groups[GROUP_STEADY].errors.total +
                      totals->groups[GROUP_FLOOD].errors.total + totals->connection_ends.total;
    return wrong == 0 && (errors == 0 || report->options->allows_errors);
}

/* ---- JSON ---- */

static void put_histogram(const char *name, const struct histogram *histogram)
{
    (void)printf("\"%s\":{", name);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        (void)printf("\"%s\":%.1f,", quantiles[i].name,
                     (double)histogram_value_at(histogram, quantiles[i].share) / ns_per_us);
    }
    (void)printf("\"max\":%.1f,\"mean\":%.1f}", (double)histogram->max / ns_per_us,
                 histogram_mean(histogram) / ns_per_us);
}

/* Names are the server's words: only what needs no escape in JSON is printed. */
static void put_events(const char *name, const struct event_counts *counts)
{
    (void)printf("\"%s\":{", name);
    for (size_t i = 0; i < EVENT_ROWS_MAX && counts->rows[i].name[0] != '\0'; i++) {
        (void)printf("%s\"", i == 0 ? "" : ",");
        for (const char *at = counts->rows[i].name; *at != '\0'; at++) {
            bool is_plain = *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\';
            (void)putchar(is_plain ? *at : '?');
        }
        (void)printf("\":%" PRIu64, counts->rows[i].count);
    }
    (void)printf("}");
}

static void put_group(const struct load_report *report, const struct group_results *group)
{
    const struct wrong_counts *wrong = &group->wrong;
    (void)printf("\"sent\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"per_s\":%.1f,", group->sent,
                 group->delivered, per_second(report, group->delivered));
    put_events("errors", &group->errors);
    (void)printf(",\"wrong\":{\"lost\":%" PRIu64 ",\"doubled\":%" PRIu64 ",\"misrouted\":%" PRIu64
                 ",\"reordered\":%" PRIu64 ",\"altered\":%" PRIu64 ",\"wrong_from\":%" PRIu64 "},",
                 wrong->lost, wrong->doubled, wrong->misrouted, wrong->reordered, wrong->altered,
                 wrong->wrong_from);
    put_histogram("latency_us", &group->latency);
    (void)printf(",");
    put_histogram("lag_us", &group->lag);
}

static void put_server(const struct load_report *report)
{
    if (!report->has_servers) {
        (void)printf("\"server\":null,");
        return;
    }
    const struct process_stats *server = &report->server;
    (void)printf(
        "\"server\":{\"cpu_us_per_message\":%.4f,\"user_s\":%.3f,\"sys_s\":%.3f,"
        "\"cpu_s\":%.4f,\"switches_per_message\":%.4f,\"rss_kb\":%" PRIu64 ",\"pss_kb\":%" PRIu64
        ",\"rss_before_kb\":%" PRIu64 ",\"pss_before_kb\":%" PRIu64 "},",
        per(server->cpu_ns, all_delivered(report)) / ns_per_us, (double)server->user_ns / ns_per_s,
        (double)server->sys_ns / ns_per_s, (double)server->cpu_ns / ns_per_s,
        per(server->switches, all_delivered(report)), server->rss_kb, server->pss_kb,
        report->server_before.rss_kb, report->server_before.pss_kb);
}

static void put_handshakes(const struct load_report *report)
{
    const struct handshake_results *handshakes = &report->totals.handshakes;
    (void)printf("\"handshakes\":{\"count\":%" PRIu64 ",\"per_s\":%.1f,", handshakes->count,
                 handshakes_per_s(report));
    put_histogram("latency_us", &handshakes->latency);
    bool is_churn = report->options->mode == LOAD_CHURN;
    (void)printf(",\"server_cpu_us\":%.3f},",
                 is_churn ? per(report->server.cpu_ns, handshakes->in_window) / ns_per_us : 0.0);
}

void load_report_print_json(const struct load_report *report)
{
    const struct load_options *options = report->options;
    (void)printf("{\"mode\":\"%s\",\"dialect\":\"%s\",\"pairs\":%" PRIu64 ",\"in_flight\":%" PRIu64
                 ",\"together\":%s,\"rate\":%" PRIu64 ",\"message_bytes\":%" PRIu64
                 ",\"workers\":%" PRIu64 ",\"seconds\":%.3f,",
                 load_mode_name(options->mode), options->dialect->name, options->pairs,
                 options->in_flight, options->is_alone ? "false" : "true", options->rate,
                 options->message_bytes, options->workers, (double)report->window_ns / ns_per_s);
    put_group(report, &report->totals.groups[GROUP_STEADY]);
    (void)printf(",");
    put_server(report);
    (void)printf("\"generator\":{\"cpu_us_per_message\":%.4f,\"cpu_s\":%.4f},",
                 per(report->generator.cpu_ns, unit_count(report)) / ns_per_us,
                 (double)report->generator.cpu_ns / ns_per_s);
    (void)printf("\"connections\":%" PRIu64 ",", report->connections);
    put_events("connections_lost", &report->totals.connection_ends);
    (void)printf(",");
    put_handshakes(report);
    (void)printf("\"flood\":{");
    put_group(report, &report->totals.groups[GROUP_FLOOD]);
    (void)printf("}}\n");
}

/* ---- the table ---- */

static void show(const char *name, const char *format, ...) PRINTF_FORMAT(2, 3);

static void show(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)printf("  %-16s ", name);
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
}

static void show_histogram(const char *name, const struct histogram *histogram)
{
    if (histogram->count > 0) {
        show(name, "p50 %.1f us, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f",
             (double)histogram_value_at(histogram, quantiles[0].share) / ns_per_us,
             (double)histogram_value_at(histogram, quantiles[1].share) / ns_per_us,
             (double)histogram_value_at(histogram, quantiles[2].share) / ns_per_us,
             (double)histogram_value_at(histogram, quantiles[3].share) / ns_per_us,
             (double)histogram->max / ns_per_us);
    }
}

static void show_events(const char *name, const struct event_counts *counts)
{
    for (size_t i = 0; i < EVENT_ROWS_MAX && counts->rows[i].name[0] != '\0'; i++) {
        show(name, "%" PRIu64 " %s", counts->rows[i].count, counts->rows[i].name);
    }
}

static void show_group(const struct load_report *report, const char *name,
                       const struct group_results *group)
{
    const struct wrong_counts *wrong = &group->wrong;
    if (group->sent == 0) {
        return;
    }
    show(name, "%.0f messages/s, %" PRIu64 " delivered in the window",
         per_second(report, group->delivered), group->delivered);
    show_histogram("latency", &group->latency);
    show_histogram("our own lag", &group->lag);
    show("wrong",
         "%" PRIu64 " lost, %" PRIu64 " doubled, %" PRIu64 " misrouted, %" PRIu64
         " reordered, %" PRIu64 " altered, %" PRIu64 " with a wrong from",
         wrong->lost, wrong->doubled, wrong->misrouted, wrong->reordered, wrong->altered,
         wrong->wrong_from);
    show_events("errors", &group->errors);
    if (histogram_value_at(&group->lag, 0.5) * 2 > histogram_value_at(&group->latency, 0.5) &&
        group->lag.count > 0) {
        show("note", "the generator itself was late: its lag is part of the latency");
    }
}

void load_report_print_table(const struct load_report *report)
{
    const struct load_options *options = report->options;
    (void)printf("%s, %" PRIu64 " connections, %.1f s\n", load_mode_name(options->mode),
                 report->connections, (double)report->window_ns / ns_per_s);
    show_group(report, "messages", &report->totals.groups[GROUP_STEADY]);
    show_group(report, "flood", &report->totals.groups[GROUP_FLOOD]);
    const struct handshake_results *handshakes = &report->totals.handshakes;
    show("handshakes", "%.0f/s, %" PRIu64 " in all", handshakes_per_s(report), handshakes->count);
    show_histogram("  latency", &handshakes->latency);
    show_events("lost", &report->totals.connection_ends);
    const char *unit = options->mode == LOAD_CHURN ? "handshake" : "message";
    if (report->has_servers) {
        const struct process_stats *server = &report->server;
        show("server", "%.2f us a %s, %.2f s user, %.2f s system, %.2f switches a %s",
             per(server->cpu_ns, unit_count(report)) / ns_per_us, unit,
             (double)server->user_ns / ns_per_s, (double)server->sys_ns / ns_per_s,
             per(server->switches, unit_count(report)), unit);
        show("memory", "%.1f MiB resident, %.1f MiB proportional (%.1f before)",
             (double)server->rss_kb / 1024, (double)server->pss_kb / 1024,
             (double)report->server_before.pss_kb / 1024);
    }
    show("generator", "%.2f us a %s", per(report->generator.cpu_ns, unit_count(report)) / ns_per_us,
         unit);
}
