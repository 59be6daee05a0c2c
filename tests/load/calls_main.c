/* switchboard-calls: what calls cost a server. Pairs of clients make one call after the other, each
 * of sixteen messages, every one of which is checked; the next is sent when the one before has been
 * received, whoever sends it. Callers connect to the first target, callees to the last.
 *
 * With --managed 0 the messages are the same but for one letter: they have no callId. With
 * --standing N so many calls are made and answered, and stay; what they take is the processes'
 * memory behind them, less that before. */
#include "common/loop.h"
#include "common/options.h"
#include "tests/load/call_script.h"
#include "tests/load/process_stats.h"
#include "tests/load/ws_client.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    EXIT_USAGE = 2,
    PAIRS_MAX = 9000,
    MESSAGE_BYTES_MAX = 60000,
    RECEIVED_EXTRA_BYTES = 1024,
    WINDOW_MAX_MS = 1000000,
    STANDING_MAX = 1000000,
    CONNECTING_MAX = 64,
    SERVERS_MAX = 64,
    HOST_MAX_BYTES = 256,
    PATH_MAX_BYTES = 64,
    SHOWN_MAX_BYTES = 300,
    DECIMAL = 10,
    NS_PER_MS = 1000000,
    NS_PER_US = 1000,
    BYTES_PER_KB = 1024,
    SETTLE_MS = 1500, /* until what was needed for a moment only has been given back */
    DRAIN_MS = 10000,
};

struct options {
    const char *targets;
    const char *server_pids;
    uint64_t pairs;
    uint64_t message_bytes;
    uint64_t is_managed;
    uint64_t warmup_ms;
    uint64_t window_ms;
    uint64_t standing;
};

#define FIELD(name) offsetof(struct options, name)

static const struct option_row rows[] = {
    {"targets", "LIST", "HOST:PORT of callers, and behind a comma of callees.", "127.0.0.1:8080",
     OPTION_STRING, 0, 0, FIELD(targets)},
    {"server-pids", "LIST", "The server's processes, comma-separated.", "", OPTION_STRING, 0, 0,
     FIELD(server_pids)},
    {"pairs", "count", "Pairs of clients, each with one call at a time.", "100", OPTION_NUMBER, 1,
     PAIRS_MAX, FIELD(pairs)},
    {"message-bytes", "bytes", "Of each message as sent.", "200", OPTION_NUMBER,
     CALL_MESSAGE_MIN_BYTES, MESSAGE_BYTES_MAX, FIELD(message_bytes)},
    {"managed", "0|1", "0: messages without a callId.", "1", OPTION_NUMBER, 0, 1,
     FIELD(is_managed)},
    {"warmup-ms", "ms", "Calls before the window.", "1000", OPTION_NUMBER, 0, WINDOW_MAX_MS,
     FIELD(warmup_ms)},
    {"window-ms", "ms", "The time in which everything is measured.", "5000", OPTION_NUMBER, 1,
     WINDOW_MAX_MS, FIELD(window_ms)},
    {"standing", "count", "Calls that are answered and stay, instead; 0: none.", "0", OPTION_NUMBER,
     0, STANDING_MAX, FIELD(standing)},
};

struct target {
    char host[HOST_MAX_BYTES]; /* HOST:PORT */
    struct sockaddr_storage address;
    socklen_t address_len;
};

struct party {
    struct ws_client ws;
    struct pair *pair;
    char user[CALL_USER_MAX_BYTES];
};

struct pair {
    struct party caller;
    struct party callee;
    uint64_t number; /* of the call */
    uint64_t made;   /* standing calls */
    unsigned step;   /* whose message is under way */
    bool is_busy;
};

enum phase {
    PHASE_CONNECTING,
    PHASE_WARMUP,
    PHASE_WINDOW,
    PHASE_DRAINING, /* calls that have begun are ended; then it is over, or calls are to stand */
    PHASE_SETTLING, /* standing: before the memory is looked at for the first time */
    PHASE_STANDING, /* they are being made */
    PHASE_STOOD,    /* all stand; before the memory is looked at again */
};

static struct {
    struct options options;
    struct call_script script;
    struct target targets[2];
    pid_t servers[SERVERS_MAX];
    size_t server_count;
    struct loop *loop;
    struct ws_client_set set;
    struct loop_timer tick;
    struct buffer text;
    struct buffer scratch;
    struct pair *pairs;
    uint64_t begun; /* connections */
    uint64_t open_count;
    enum phase phase;
    uint64_t phase_end_ns;
    uint64_t last_number;
    uint64_t busy_count;
    uint64_t done_count; /* calls that have ended */
    /* The window. */
    uint64_t window_begin_ns;
    uint64_t window_begin_done;
    struct process_times times_begin;
    struct process_times times_spent;
    double seconds;
    uint64_t window_done;
    /* Standing calls. */
    uint64_t stood_count;
    uint64_t before_kb[SERVERS_MAX];
    bool is_good;
} load;

/* Says what is wrong and ends the run. */
static void fail(const char *what, struct slice text)
{
    size_t shown = text.len < SHOWN_MAX_BYTES ? text.len : SHOWN_MAX_BYTES;
    (void)fprintf(stderr, "switchboard-calls: %s%.*s\n", what, (int)shown,
                  shown > 0 ? (const char *)text.data : "");
    load.is_good = false;
    loop_stop(load.loop);
}

static struct call_line line_of(const struct pair *pair)
{
    bool is_callers = call_script_is_callers(pair->step);
    return (struct call_line){
        .step = pair->step,
        .number = pair->number,
        .sender = is_callers ? pair->caller.user : pair->callee.user,
        .receiver = is_callers ? pair->callee.user : pair->caller.user,
    };
}

static void send_step(struct pair *pair)
{
    struct call_line line = line_of(pair);
    struct party *sender = call_script_is_callers(pair->step) ? &pair->caller : &pair->callee;
    buffer_clear(&load.text);
    call_script_put(&load.text, &load.script, &line);
    if (load.text.failed || !ws_client_put(&sender->ws, buffer_slice(&load.text))) {
        fail("no room to send", slice_of(NULL, 0));
        return;
    }
    ws_client_flush(&sender->ws);
}

static void begin_call(struct pair *pair)
{
    pair->number = ++load.last_number;
    pair->step = 0;
    if (!pair->is_busy) {
        pair->is_busy = true;
        load.busy_count++;
    }
    send_step(pair);
}

static void end_calls_of(struct pair *pair)
{
    pair->is_busy = false;
    load.busy_count--;
}

/* How many calls of the pair are to stand. */
static uint64_t standing_of(const struct pair *pair)
{
    uint64_t index = (uint64_t)(pair - load.pairs);
    uint64_t pairs = load.options.pairs;
    return load.options.standing * (index + 1) / pairs - load.options.standing * index / pairs;
}

static void begin_standing(struct pair *pair)
{
    if (pair->made < standing_of(pair)) {
        begin_call(pair);
    } else if (pair->is_busy) {
        end_calls_of(pair);
    }
}

static void on_step_done(struct pair *pair)
{
    pair->step++;
    if (load.phase == PHASE_STANDING && pair->step == CALL_STEPS_ANSWERED) {
        pair->made++;
        load.stood_count++;
        begin_standing(pair);
    } else if (pair->step < CALL_STEPS) {
        send_step(pair);
    } else {
        load.done_count++;
        if (load.phase == PHASE_WARMUP || load.phase == PHASE_WINDOW) {
            begin_call(pair);
        } else {
            end_calls_of(pair);
        }
    }
}

static void on_message(struct ws_client *ws, struct slice payload)
{
    struct party *party = container_of(ws, struct party, ws);
    struct pair *pair = party->pair;
    bool is_caller = party == &pair->caller;
    struct call_line line = line_of(pair);
    if (!pair->is_busy || is_caller == call_script_is_callers(pair->step) ||
        !call_script_check(&load.script, &line, payload, &load.scratch)) {
        fail("not what was to come: ", payload);
        return;
    }
    on_step_done(pair);
}

static void on_open(struct ws_client *ws)
{
    (void)ws;
    load.open_count++;
}

static void on_read_end(struct ws_client *ws)
{
    ws_client_flush(ws);
}

static void on_gone(struct ws_client *ws, bool was_open, const char *why)
{
    (void)ws;
    (void)was_open;
    fail("a connection is gone: ", slice_from_string(why));
}

static const struct ws_client_handlers handlers = {
    .on_open = on_open,
    .on_message = on_message,
    .on_read_end = on_read_end,
    .on_gone = on_gone,
};

/* A few handshakes at a time. */
static void connect_some(void)
{
    uint64_t count = 2 * load.options.pairs;
    while (load.is_good && load.begun < count && load.begun - load.open_count < CONNECTING_MAX) {
        struct pair *pair = &load.pairs[load.begun / 2];
        bool is_caller = load.begun++ % 2 == 0;
        struct party *party = is_caller ? &pair->caller : &pair->callee;
        const struct target *target = &load.targets[is_caller ? 0 : 1];
        char path[PATH_MAX_BYTES];
        (void)snprintf(path, sizeof path, "/?userId=%s", party->user);
        struct ws_client_route route = {
            .target = (const struct sockaddr *)&target->address,
            .target_len = target->address_len,
            .host = target->host,
            .path = path,
        };
        ws_client_connect(&party->ws, &load.set, &route);
    }
}

static void on_turn_end(void *arg)
{
    (void)arg;
    if (load.phase == PHASE_CONNECTING) {
        connect_some();
    }
}

/* ---- the phases ---- */

static struct process_times read_times(void)
{
    struct process_times times = {0};
    for (size_t i = 0; i < load.server_count; i++) {
        if (!process_times_add(&times, load.servers[i])) {
            fail("a server process is gone", slice_of(NULL, 0));
        }
    }
    return times;
}

static void read_memory(uint64_t *kb)
{
    for (size_t i = 0; i < load.server_count; i++) {
        struct process_memory memory = {0};
        if (!process_memory_add(&memory, load.servers[i])) {
            fail("a server process is gone", slice_of(NULL, 0));
        }
        kb[i] = memory.rss_kb;
    }
}

static void enter(enum phase phase, uint64_t now_ns, uint64_t ms)
{
    load.phase = phase;
    load.phase_end_ns = now_ns + ms * NS_PER_MS;
}

static void begin_all(void)
{
    for (uint64_t i = 0; i < load.options.pairs; i++) {
        begin_call(&load.pairs[i]);
    }
}

static void begin_window(uint64_t now_ns)
{
    load.window_begin_ns = now_ns;
    load.window_begin_done = load.done_count;
    load.times_begin = read_times();
    enter(PHASE_WINDOW, now_ns, load.options.window_ms);
}

static void end_window(uint64_t now_ns)
{
    struct process_times times = read_times();
    load.times_spent = process_times_since(&load.times_begin, &times);
    load.seconds = (double)(now_ns - load.window_begin_ns) / (double)NS_PER_MS / 1000;
    load.window_done = load.done_count - load.window_begin_done;
    enter(PHASE_DRAINING, now_ns, DRAIN_MS);
}

static void begin_all_standing(uint64_t now_ns)
{
    read_memory(load.before_kb);
    load.script.is_managed = true;
    enter(PHASE_STANDING, now_ns, 0);
    for (uint64_t i = 0; i < load.options.pairs; i++) {
        begin_standing(&load.pairs[i]);
    }
}

static void advance(uint64_t now_ns)
{
    bool is_over = now_ns >= load.phase_end_ns;
    bool are_to_stand = load.options.standing > 0;
    switch (load.phase) {
    case PHASE_CONNECTING:
        if (load.open_count == 2 * load.options.pairs) {
            enter(PHASE_WARMUP, now_ns, load.options.warmup_ms);
            begin_all();
        }
        break;
    case PHASE_WARMUP:
        if (is_over && are_to_stand) {
            enter(PHASE_DRAINING, now_ns, DRAIN_MS);
        } else if (is_over) {
            begin_window(now_ns);
        }
        break;
    case PHASE_WINDOW:
        if (is_over) {
            end_window(now_ns);
        }
        break;
    case PHASE_DRAINING:
        if (load.busy_count == 0 && are_to_stand) {
            enter(PHASE_SETTLING, now_ns, SETTLE_MS);
        } else if (load.busy_count == 0) {
            loop_stop(load.loop);
        } else if (is_over) {
            fail("messages were lost", slice_of(NULL, 0));
        }
        break;
    case PHASE_SETTLING:
        if (is_over) {
            begin_all_standing(now_ns);
        }
        break;
    case PHASE_STANDING:
        if (load.busy_count == 0) {
            enter(PHASE_STOOD, now_ns, SETTLE_MS);
        }
        break;
    case PHASE_STOOD:
        if (is_over) {
            loop_stop(load.loop);
        }
        break;
    }
}

static void on_tick(struct loop_timer *timer)
{
    advance(ws_client_clock_ns());
    loop_timer_set(load.loop, timer, loop_now_ms(load.loop) + LOOP_TIMER_TICK_MS);
}

/* ---- before and after ---- */

static bool complain(const char *what)
{
    (void)fprintf(stderr, "switchboard-calls: %s (see --help)\n", what);
    return false;
}

static bool parse_target(const char *text, size_t len, struct target *target)
{
    const char *colon = memrchr(text, ':', len);
    if (colon == NULL || len >= HOST_MAX_BYTES) {
        return complain("a target is HOST:PORT");
    }
    (void)snprintf(target->host, sizeof target->host, "%.*s", (int)len, text);
    char host[HOST_MAX_BYTES];
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, target->host + (colon - text) + 1, &hints, &found) != 0) {
        return complain("a target is not known");
    }
    target->address_len = found->ai_addrlen;
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static bool parse_targets(void)
{
    const char *text = load.options.targets;
    const char *comma = strchr(text, ',');
    size_t len = comma == NULL ? strlen(text) : (size_t)(comma - text);
    const char *second = comma == NULL ? text : comma + 1;
    return parse_target(text, len, &load.targets[0]) &&
           parse_target(second, strlen(second), &load.targets[1]);
}

static bool parse_servers(void)
{
    const char *at = load.options.server_pids;
    while (*at != '\0') {
        char *end = NULL;
        errno = 0;
        unsigned long pid = strtoul(at, &end, DECIMAL);
        if (errno != 0 || end == at || (*end != ',' && *end != '\0') || pid == 0 ||
            pid > INT32_MAX || load.server_count == SERVERS_MAX) {
            return complain("--server-pids is a list of numbers");
        }
        load.servers[load.server_count++] = (pid_t)pid;
        at = *end == ',' ? end + 1 : end;
    }
    return true;
}

static bool set_up(void)
{
    load.script.is_managed = load.options.is_managed != 0 && load.options.standing == 0;
    load.script.message_bytes = load.options.message_bytes;
    size_t message_max_bytes = load.options.message_bytes + RECEIVED_EXTRA_BYTES;
    buffer_init(&load.text, message_max_bytes);
    buffer_init(&load.scratch, message_max_bytes);
    load.loop = loop_new(on_turn_end, NULL);
    load.pairs = calloc(load.options.pairs, sizeof *load.pairs);
    if (load.loop == NULL || load.pairs == NULL ||
        !ws_client_set_init(&load.set, load.loop, &handlers, message_max_bytes)) {
        return complain("no memory, or no descriptors");
    }
    for (uint64_t i = 0; i < load.options.pairs; i++) {
        struct pair *pair = &load.pairs[i];
        pair->caller.pair = pair->callee.pair = pair;
        (void)snprintf(pair->caller.user, CALL_USER_MAX_BYTES, "caller-%" PRIu64, i);
        (void)snprintf(pair->callee.user, CALL_USER_MAX_BYTES, "callee-%" PRIu64, i);
    }
    load.is_good = true;
    return true;
}

static void tear_down(void)
{
    for (uint64_t i = 0; i < load.options.pairs; i++) {
        ws_client_abort(&load.pairs[i].caller.ws);
        ws_client_abort(&load.pairs[i].callee.ws);
    }
    ws_client_set_fini(&load.set);
    buffer_fini(&load.text);
    buffer_fini(&load.scratch);
    loop_free(load.loop);
    free(load.pairs);
}

/* One JSON object: `bytes` are of each of the server's processes, in the order of --server-pids, for
 * each standing call. */
static void print_report(void)
{
    if (load.options.standing > 0) {
        uint64_t after_kb[SERVERS_MAX];
        read_memory(after_kb);
        (void)printf("{\"standing\":%" PRIu64 ",\"bytes\":[", load.stood_count);
        for (size_t i = 0; i < load.server_count; i++) {
            double grown = ((double)after_kb[i] - (double)load.before_kb[i]) * BYTES_PER_KB;
            (void)printf("%s%.1f", i == 0 ? "" : ",", grown / (double)load.stood_count);
        }
        (void)printf("]}\n");
        return;
    }
    double cpu_us = (double)load.times_spent.cpu_ns / NS_PER_US;
    double calls = load.window_done > 0 ? (double)load.window_done : 1;
    (void)printf("{\"managed\":%s,\"pairs\":%" PRIu64 ",\"seconds\":%.3f,\"calls\":%" PRIu64
                 ",\"per_s\":%.1f,\"cpu_us_per_call\":%.3f,\"cpu_us_per_message\":%.3f}\n",
                 load.script.is_managed ? "true" : "false", load.options.pairs, load.seconds,
                 load.window_done, (double)load.window_done / load.seconds, cpu_us / calls,
                 cpu_us / calls / CALL_STEPS);
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
    enum options_result result = options_parse(
        rows, ARRAY_LENGTH(rows), "switchboard-calls: calls, every message of which is checked.",
        argc, argv, &load.options);
    if (result != OPTIONS_RUN) {
        return result == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    if (!parse_targets() || !parse_servers()) {
        return EXIT_USAGE;
    }
    raise_descriptor_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    if (!set_up()) {
        return 1;
    }
    load.tick.on_due = on_tick;
    loop_timer_set(load.loop, &load.tick, loop_now_ms(load.loop));
    loop_run(load.loop);
    if (load.is_good) {
        print_report();
    }
    tear_down();
    return load.is_good ? 0 : 1;
}
