/* switchboard-load: a load of clients that check every message, see --help. The parent: starts the
 * workers, sets the moments of the run, looks at the servers, reports. */
#include "tests/load/load_report.h"
#include "tests/load/load_worker.h"

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
    NS_PER_S = 1000000000,
    NS_PER_MS = 1000000,
    POLL_MS = 5,
    START_LEAD_MS = 50, /* so that all workers start at the same moment */
    PROGRESS_MS = 500,
    CONNECT_TIMEOUT_MS = 300000,
    EXIT_USAGE = 2,
};

struct parent {
    struct load_options options;
    struct load_share *share;
    size_t share_bytes;
    pid_t workers[LOAD_WORKERS_MAX];
    struct load_report report;
    uint64_t progress_ns; /* when a line was shown last */
    bool shows_progress;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void show_progress(struct parent *parent, const char *what)
{
    uint64_t now = now_ns();
    if (!parent->shows_progress || now < parent->progress_ns + (uint64_t)PROGRESS_MS * NS_PER_MS) {
        return;
    }
    parent->progress_ns = now;
    uint64_t connections = 0;
    uint64_t delivered = 0;
    for (uint64_t i = 0; i < parent->options.workers; i++) {
        connections += atomic_load(&parent->share->workers[i].connections);
        delivered += atomic_load(&parent->share->workers[i].delivered);
    }
    (void)fprintf(stderr, "\r%-10s %" PRIu64 " connections, %" PRIu64 " delivered   ", what,
                  connections, delivered);
}

static void end_progress(const struct parent *parent)
{
    if (parent->shows_progress) {
        (void)fprintf(stderr, "\r\033[K");
    }
}

static void pause_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * NS_PER_MS};
    (void)nanosleep(&time, NULL);
}

static bool workers_are_there(const struct parent *parent)
{
    for (uint64_t i = 0; i < parent->options.workers; i++) {
        if (waitpid(parent->workers[i], NULL, WNOHANG) != 0) {
            return false;
        }
    }
    return true;
}

static bool all_are_connected(const struct parent *parent)
{
    uint64_t i = 0;
    while (i < parent->options.workers && atomic_load(&parent->share->workers[i].is_connected)) {
        i++;
    }
    return i == parent->options.workers;
}

/* False: a worker has ended early, or it takes too long. */
static bool wait_for_connections(struct parent *parent)
{
    uint64_t deadline_ns = now_ns() + (uint64_t)CONNECT_TIMEOUT_MS * NS_PER_MS;
    while (!all_are_connected(parent)) {
        if (!workers_are_there(parent) || now_ns() > deadline_ns) {
            return false;
        }
        show_progress(parent, "connecting");
        pause_ms(POLL_MS);
    }
    return true;
}

static bool wait_until(struct parent *parent, uint64_t moment_ns, const char *what)
{
    while (now_ns() < moment_ns) {
        if (!workers_are_there(parent)) {
            return false;
        }
        show_progress(parent, what);
        uint64_t left_ms = (moment_ns - now_ns()) / NS_PER_MS;
        pause_ms(left_ms < POLL_MS ? left_ms : POLL_MS);
    }
    return true;
}

static bool start_workers(struct parent *parent)
{
    parent->share_bytes =
        sizeof *parent->share + parent->options.workers * sizeof parent->share->workers[0];
    parent->share =
        mmap(NULL, parent->share_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (parent->share == MAP_FAILED) {
        return false;
    }
    for (uint64_t i = 0; i < parent->options.workers; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(load_worker_run(&parent->options, parent->share, (uint32_t)i));
        }
        if (pid < 0) {
            return false;
        }
        parent->workers[i] = pid;
    }
    return true;
}

static bool read_servers(const struct parent *parent, struct process_stats *stats)
{
    bool is_read = process_stats_read(parent->options.servers, parent->options.server_count, stats);
    if (!is_read) {
        (void)fprintf(stderr, "switchboard-load: a --server-pid cannot be read\n");
    }
    return is_read;
}

/* Once everybody is connected: sets the window, and measures it. */
static bool measure(struct parent *parent)
{
    const struct load_options *options = &parent->options;
    struct load_moments *moments = &parent->share->moments;
    struct process_stats generator_before;
    struct process_stats before;
    struct process_stats after;
    uint64_t start_ns = now_ns() + (uint64_t)START_LEAD_MS * NS_PER_MS;
    uint64_t begin_ns = start_ns + options->warmup_ms * NS_PER_MS;
    uint64_t end_ns = begin_ns + options->window_ms * NS_PER_MS;
    atomic_store(&moments->window_begin, begin_ns);
    atomic_store(&moments->window_end, end_ns);
    atomic_store(&moments->start, start_ns);
    if (!wait_until(parent, begin_ns, "warming up") || !read_servers(parent, &before) ||
        !process_stats_read(parent->workers, options->workers, &generator_before) ||
        !wait_until(parent, end_ns, "measuring") || !read_servers(parent, &after)) {
        return false;
    }
    struct process_stats generator_after;
    if (!process_stats_read(parent->workers, options->workers, &generator_after)) {
        return false;
    }
    parent->report.server = process_stats_since(&before, &after);
    parent->report.generator = process_stats_since(&generator_before, &generator_after);
    parent->report.window_ns = end_ns - begin_ns;
    for (uint64_t i = 0; i < options->workers; i++) {
        parent->report.connections += atomic_load(&parent->share->workers[i].connections);
    }
    return true;
}

/* False: a worker has failed. */
static bool end_workers(struct parent *parent)
{
    bool is_good = true;
    atomic_store(&parent->share->moments.may_end, true);
    for (uint64_t i = 0; i < parent->options.workers; i++) {
        int status = 0;
        is_good =
            waitpid(parent->workers[i], &status, 0) == parent->workers[i] && status == 0 && is_good;
    }
    return is_good;
}

static void kill_workers(const struct parent *parent)
{
    for (uint64_t i = 0; i < parent->options.workers; i++) {
        if (parent->workers[i] > 0) {
            (void)kill(parent->workers[i], SIGKILL);
        }
    }
}

static void merge_results(struct parent *parent)
{
    struct worker_results *totals = &parent->report.totals;
    for (uint64_t i = 0; i < parent->options.workers; i++) {
        const struct worker_results *worker = &parent->share->workers[i];
        for (int group = 0; group < GROUP_COUNT; group++) {
            group_results_merge(&totals->groups[group], &worker->groups[group]);
        }
        handshake_results_merge(&totals->handshakes, &worker->handshakes);
        event_counts_merge(&totals->connection_ends, &worker->connection_ends);
    }
}

static bool run(struct parent *parent)
{
    struct load_report *report = &parent->report;
    report->options = &parent->options;
    report->has_servers = parent->options.server_count > 0;
    if (!read_servers(parent, &report->server_before) || !start_workers(parent)) {
        return false;
    }
    if (!wait_for_connections(parent) || !measure(parent)) {
        kill_workers(parent);
        end_progress(parent);
        (void)fprintf(stderr, "switchboard-load: it did not come to its end\n");
        return false;
    }
    bool is_good = end_workers(parent);
    end_progress(parent);
    merge_results(parent);
    return is_good;
}

int main(int argc, char **argv)
{
    static struct parent parent;
    enum options_result result = load_options_parse(&parent.options, argc, argv);
    if (result != OPTIONS_RUN) {
        return result == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    parent.shows_progress = isatty(STDERR_FILENO) == 1;
    if (!run(&parent)) {
        return EXIT_USAGE;
    }
    if (parent.options.is_json) {
        load_report_print_json(&parent.report);
    } else {
        load_report_print_table(&parent.report);
    }
    return load_report_is_good(&parent.report) ? 0 : 1;
}
