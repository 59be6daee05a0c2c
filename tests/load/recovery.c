/* How long a broker takes until it routes again: starts one, attaches sessions to it as gateways do
 * (the gateways' own core, on links of this process), kills it, starts the next, and so on.
 *
 * Says for each start: from fork to the first link (the process is up), from there until every
 * gateway has been told that the directory is whole, both together, and the broker's memory. */
#include "common/link.h"
#include "common/log.h"
#include "gateway/exchange.h"
#include "gateway/json_arena.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    GATEWAYS_MAX = 256,
    BACKLOG_MAX_BYTES = 64 * 1024 * 1024,
    STORE_MAX_BYTES = 1024 * 1024,
    OUTCOME_TIMEOUT_MS = 10000,
    STARTS = 10,
    DEFAULT_SESSIONS = 200000,
    DEFAULT_GATEWAYS = 10,
    DECIMAL = 10,
    EXIT_USAGE = 2,
};

struct gateway {
    struct bench *bench;
    struct link *link;
    struct exchange *exchange;
};

struct bench {
    struct loop *loop;
    const char *broker_path;
    char link_dir[64];
    uint32_t gateway_count;
    uint32_t session_count;
    struct gateway gateways[GATEWAYS_MAX];
    pid_t broker;
    uint32_t start_count;
    uint64_t forked_us;
    uint64_t linked_us; /* 0: no link is up yet */
};

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

static void start_broker(struct bench *bench)
{
    char gateways[16];
    (void)snprintf(gateways, sizeof gateways, "%" PRIu32, bench->gateway_count);
    bench->linked_us = 0;
    bench->forked_us = now_us();
    assert(bench->broker_path != NULL);
    bench->broker = fork();
    if (bench->broker == 0) {
        (void)execl(bench->broker_path, bench->broker_path, "--link-dir", bench->link_dir,
                    "--gateways", gateways, "--log-level", "error", (char *)NULL);
        _exit(EXIT_USAGE);
    }
}

static void kill_broker(struct bench *bench)
{
    (void)kill(bench->broker, SIGKILL);
    (void)waitpid(bench->broker, NULL, 0);
}

/* Resident memory of the broker, in kB. */
static long broker_memory_kb(const struct bench *bench)
{
    char path[64];
    char line[128];
    long kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)bench->broker);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", strlen("VmRSS:")) == 0) {
            kb = strtol(line + strlen("VmRSS:"), NULL, DECIMAL);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kb;
}

static bool all_are_ready(const struct bench *bench)
{
    uint32_t i = 0;
    while (i < bench->gateway_count && exchange_is_ready(bench->gateways[i].exchange)) {
        i++;
    }
    return i == bench->gateway_count;
}

static void on_ready(struct bench *bench)
{
    uint64_t ready_us = now_us();
    (void)printf("%8" PRIu32 "  %10.1f  %10.1f  %10.1f  %12ld\n", bench->start_count + 1,
                 (double)(bench->linked_us - bench->forked_us) / 1000,
                 (double)(ready_us - bench->linked_us) / 1000,
                 (double)(ready_us - bench->forked_us) / 1000, broker_memory_kb(bench));
    kill_broker(bench);
    if (++bench->start_count == STARTS) {
        loop_stop(bench->loop);
    } else {
        start_broker(bench);
    }
}

static void on_turn_end(void *arg)
{
    struct bench *bench = arg;
    if (bench->linked_us != 0 && all_are_ready(bench)) {
        on_ready(bench);
    }
    for (uint32_t i = 0; i < bench->gateway_count; i++) {
        exchange_pump(bench->gateways[i].exchange);
        link_flush(bench->gateways[i].link, true);
    }
}

static void on_link_up(void *arg)
{
    struct gateway *gateway = arg;
    if (gateway->bench->linked_us == 0) {
        gateway->bench->linked_us = now_us();
    }
    exchange_link_up(gateway->exchange, link_out(gateway->link));
}

static void on_link_down(void *arg)
{
    struct gateway *gateway = arg;
    exchange_link_down(gateway->exchange);
}

static bool on_link_batch(void *arg, struct slice batch)
{
    struct gateway *gateway = arg;
    return exchange_receive(gateway->exchange, batch, loop_now_ms(gateway->bench->loop));
}

static const struct link_handlers link_handlers = {
    .on_up = on_link_up,
    .on_down = on_link_down,
    .on_batch = on_link_batch,
};

static void on_attached(void *arg, struct session *session)
{
    (void)arg;
    (void)session;
}

static const struct exchange_handlers exchange_handlers = {.on_attached = on_attached};

static bool open_gateway(struct bench *bench, uint32_t slot)
{
    struct gateway *gateway = &bench->gateways[slot];
    struct exchange_config config = {
        .instance_id = slot + 1,
        .outcome_timeout_ms = OUTCOME_TIMEOUT_MS,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
        .unanswered_max_bytes = STORE_MAX_BYTES,
    };
    struct link_config link_config = {
        .role = LINK_DIALS,
        .link_dir = bench->link_dir,
        .slot = slot,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
    };
    gateway->bench = bench;
    gateway->exchange = exchange_new(&config, &exchange_handlers, gateway);
    gateway->link = link_new(bench->loop, &link_config, &link_handlers, gateway);
    if (gateway->exchange == NULL || gateway->link == NULL) {
        return false;
    }
    for (uint32_t i = slot; i < bench->session_count; i += bench->gateway_count) {
        char user[32];
        int len = snprintf(user, sizeof user, "user-%08" PRIu32, i);
        if (exchange_attach(gateway->exchange, gateway, slice_of(user, (size_t)len),
                            slice_of(NULL, 0), false, loop_now_ms(bench->loop)) == NULL) {
            return false;
        }
    }
    return true;
}

static bool read_count(const char *text, uint32_t max, uint32_t *count)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, DECIMAL);
    *count = (uint32_t)value;
    return errno == 0 && *end == '\0' && value > 0 && value <= max;
}

static bool read_arguments(int argc, char **argv, struct bench *bench)
{
    bench->session_count = DEFAULT_SESSIONS;
    bench->gateway_count = DEFAULT_GATEWAYS;
    if (argc < 2 || argc > 4) {
        return false;
    }
    bench->broker_path = argv[1];
    return (argc < 3 || read_count(argv[2], UINT32_MAX / 2, &bench->session_count)) &&
           (argc < 4 || read_count(argv[3], GATEWAYS_MAX, &bench->gateway_count));
}

int main(int argc, char **argv)
{
    static struct bench bench = {.link_dir = "/tmp/switchboard-recovery-XXXXXX"};
    if (!read_arguments(argc, argv, &bench)) {
        (void)fprintf(stderr, "usage: recovery BROKER [SESSIONS [GATEWAYS]]\n");
        return EXIT_USAGE;
    }
    log_set_level(LOG_LEVEL_ERROR);
    bench.loop = loop_new(on_turn_end, &bench);
    if (bench.loop == NULL || !json_arena_init() || mkdtemp(bench.link_dir) == NULL) {
        return 1;
    }
    for (uint32_t i = 0; i < bench.gateway_count; i++) {
        if (!open_gateway(&bench, i)) {
            return 1;
        }
    }
    (void)printf("%" PRIu32 " sessions at %" PRIu32 " gateways\n", bench.session_count,
                 bench.gateway_count);
    (void)printf("   start  to link ms    whole ms    total ms  broker kB\n");
    start_broker(&bench);
    loop_run(bench.loop);
    for (uint32_t i = 0; i < bench.gateway_count; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/slot-%" PRIu32 ".ipc", bench.link_dir, i);
        (void)unlink(path);
    }
    (void)rmdir(bench.link_dir);
    return 0;
}
