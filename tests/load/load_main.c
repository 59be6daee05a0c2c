/* switchboard-load: puts load on a signaling server and checks every message.
 *
 * The parent starts the workers, each a process with clients and a loop of its own, says when the
 * window begins and ends, and looks at the servers' costs at exactly these moments; what the
 * workers have counted it finds in memory that all share. */
#include "tests/load/load_worker.h"
#include "tests/load/process_stats.h"
#include "tests/load/report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    START_AFTER_MS = 50, /* all workers have seen the start by then */
    POLL_MS = 20,
    PROGRESS_EVERY = 25, /* polls */
};

struct load {
    struct load_options options;
    struct load_share *share;
    pid_t workers[LOAD_WORKERS_MAX];
    struct process_times server_begin;
    struct process_times generator_begin[LOAD_WORKERS_MAX];
    struct load_report report;
    /* Sums over the workers. */
    struct group_results groups[GROUP_COUNT];
    struct handshake_results handshakes;
    struct event_counts connection_ends;
    uint64_t polls;
    uint64_t delivered_shown;
    bool has_progress_line;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int signal_no)
{
    (void)signal_no;
    is_interrupted = 1;
}

/* Returns early, if at all, when a signal has come. */
static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {
        .tv_sec = (time_t)(at_ns / NS_PER_S),
        .tv_nsec = (long)(at_ns % NS_PER_S),
    };
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static bool start_workers(struct load *load)
{
    size_t count = load->options.workers;
    size_t bytes = sizeof *load->share + count * sizeof load->share->workers[0];
    load->share = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (load->share == MAP_FAILED) {
        return false;
    }
    pid_t parent = getpid();
    for (uint32_t i = 0; i < count; i++) {
        load->workers[i] = fork();
        if (load->workers[i] < 0) {
            return false;
        }
        if (load->workers[i] == 0) {
            (void)signal(SIGINT, SIG_IGN); /* the parent says when it is over */
            (void)signal(SIGTERM, SIG_DFL);
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) {
                _exit(1);
            }
            exit(load_worker_run(&load->options, load->share, i));
        }
    }
    return true;
}

static void end_workers(struct load *load)
{
    for (size_t i = 0; i < load->options.workers; i++) {
        if (load->workers[i] > 0) {
            (void)kill(load->workers[i], SIGKILL);
            (void)waitpid(load->workers[i], NULL, 0);
        }
    }
}

/* False: a worker has ended, which it does not before it is told to. */
static bool all_run(struct load *load)
{
    for (size_t i = 0; i < load->options.workers; i++) {
        if (waitpid(load->workers[i], NULL, WNOHANG) != 0) {
            load->workers[i] = 0;
            return false;
        }
    }
    return true;
}

static uint64_t sum_of(const struct load *load, bool of_delivered)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < load->options.workers; i++) {
        struct worker_results *results = &load->share->workers[i];
        sum += atomic_load(of_delivered ? &results->delivered : &results->connections);
    }
    return sum;
}

static void show_progress(struct load *load, const char *what)
{
    if (!load->has_progress_line || load->polls++ % PROGRESS_EVERY != 0) {
        return;
    }
    uint64_t delivered = sum_of(load, true);
    uint64_t per_s =
        (delivered - load->delivered_shown) * (NS_PER_S / NS_PER_MS) / (POLL_MS * PROGRESS_EVERY);
    load->delivered_shown = delivered;
    (void)fprintf(stderr, "\r%-10s %8" PRIu64 " connections %10" PRIu64 " messages/s ", what,
                  sum_of(load, false), per_s);
}

static void clear_progress(const struct load *load)
{
    if (load->has_progress_line) {
        (void)fprintf(stderr, "\r%60s\r", "");
    }
}

/* Waits a while. False: a worker has ended. */
static bool poll_once(struct load *load, const char *what)
{
    show_progress(load, what);
    sleep_until(ws_client_clock_ns() + (uint64_t)POLL_MS * NS_PER_MS);
    return all_run(load);
}

static bool wait_for_connections(struct load *load)
{
    for (size_t i = 0; i < load->options.workers && is_interrupted == 0;) {
        if (atomic_load(&load->share->workers[i].is_connected)) {
            i++;
        } else if (!poll_once(load, "connecting")) {
            return false;
        }
    }
    return true;
}

static bool wait_until(struct load *load, uint64_t at_ns, const char *what)
{
    while (is_interrupted == 0 &&
           ws_client_clock_ns() + (uint64_t)2 * POLL_MS * NS_PER_MS < at_ns) {
        if (!poll_once(load, what)) {
            return false;
        }
    }
    if (is_interrupted == 0) {
        sleep_until(at_ns);
    }
    return all_run(load);
}

static bool wait_for_results(struct load *load)
{
    for (size_t i = 0; i < load->options.workers;) {
        if (atomic_load(&load->share->workers[i].is_done)) {
            i++;
        } else if (!poll_once(load, "draining")) {
            return false;
        }
    }
    atomic_store(&load->share->moments.may_end, true);
    return true;
}

static struct process_times server_times(const struct load *load)
{
    struct process_times times = {0};
    for (size_t i = 0; i < load->options.server_count; i++) {
        pid_t pid = load->options.servers[i];
        if (!process_times_add(&times, pid)) {
            (void)fprintf(stderr, "warning: --server-pid %d: there is no such process\n", (int)pid);
        }
    }
    return times;
}

static struct process_memory server_memory(const struct load *load)
{
    struct process_memory memory = {0};
    for (size_t i = 0; i < load->options.server_count; i++) {
        bool is_counted = process_memory_add(&memory, load->options.servers[i]);
        (void)is_counted; /* else server_times says so */
    }
    return memory;
}

static void read_costs_begin(struct load *load)
{
    load->server_begin = server_times(load);
    for (size_t i = 0; i < load->options.workers; i++) {
        bool is_counted = process_times_add(&load->generator_begin[i], load->workers[i]);
        (void)is_counted; /* a worker that has ended ends the run */
    }
}

static void read_costs_end(struct load *load, double window_s)
{
    struct load_report *report = &load->report;
    struct process_times server_end = server_times(load);
    report->server = process_times_since(&load->server_begin, &server_end);
    for (size_t i = 0; i < load->options.workers; i++) {
        struct process_times end = {0};
        bool is_counted = process_times_add(&end, load->workers[i]);
        if (is_counted) {
            struct process_times spent = process_times_since(&load->generator_begin[i], &end);
            double share = (double)spent.cpu_ns / NS_PER_S / window_s;
            report->generator.cpu_ns += spent.cpu_ns;
            report->busiest_share = share > report->busiest_share ? share : report->busiest_share;
        }
    }
    report->connections = sum_of(load, false);
    report->server_after = server_memory(load);
    report->window_s = window_s;
}

/* From the first connection to the last result. False: a worker has ended before. */
static bool run(struct load *load)
{
    struct load_moments *moments = &load->share->moments;
    if (!wait_for_connections(load)) {
        return false;
    }
    uint64_t start_ns = ws_client_clock_ns() + (uint64_t)START_AFTER_MS * NS_PER_MS;
    uint64_t begin_ns = start_ns + load->options.warmup_ms * NS_PER_MS;
    uint64_t end_ns = begin_ns + load->options.window_ms * NS_PER_MS;
    atomic_store(&moments->window_begin, begin_ns);
    atomic_store(&moments->window_end, end_ns);
    atomic_store(&moments->start, start_ns);
    if (!wait_until(load, begin_ns, "warming up")) {
        return false;
    }
    read_costs_begin(load);
    if (!wait_until(load, end_ns, "measuring")) {
        return false;
    }
    if (is_interrupted != 0) {
        end_ns = ws_client_clock_ns();
        atomic_store(&moments->window_end, end_ns);
    }
    read_costs_end(load, end_ns > begin_ns ? (double)(end_ns - begin_ns) / NS_PER_S : 0);
    return wait_for_results(load);
}

static void sum_up(struct load *load)
{
    for (size_t i = 0; i < load->options.workers; i++) {
        const struct worker_results *results = &load->share->workers[i];
        for (int group = 0; group < GROUP_COUNT; group++) {
            group_results_merge(&load->groups[group], &results->groups[group]);
        }
        handshake_results_merge(&load->handshakes, &results->handshakes);
        event_counts_merge(&load->connection_ends, &results->connection_ends);
    }
    load->report.options = &load->options;
    load->report.groups = load->groups;
    load->report.handshakes = &load->handshakes;
    load->report.connection_ends = &load->connection_ends;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    enum options_result parsed = load_options_parse(&load.options, argc, argv);
    if (parsed != OPTIONS_RUN) {
        return parsed == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    raise_descriptor_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    load.has_progress_line = isatty(STDERR_FILENO) != 0;
    load.report.server_before = server_memory(&load);
    bool is_done = start_workers(&load) && run(&load);
    clear_progress(&load);
    if (!is_done) {
        end_workers(&load);
        (void)fprintf(stderr, "switchboard-load: a worker has failed\n");
        return 1;
    }
    sum_up(&load);
    if (load.options.is_json) {
        report_print_json(&load.report);
    } else {
        report_print_table(&load.report);
    }
    report_print_warnings(&load.report);
    return report_is_good(&load.report) ? 0 : 1;
}
