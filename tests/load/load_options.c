#include "tests/load/load_options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_ROW_VALUE = 1,
    DECIMAL = 10,
    MS_PER_S = 1000,
    HOST_MAX_BYTES = 256,
    USER_PREFIX_MAX_BYTES = 64,
    PAIRS_MAX = LOAD_WORKERS_MAX * LOAD_WORKER_CONNECTIONS_MAX / 2,
    IN_FLIGHT_MAX = 100000,
    RATE_MAX = 100000000,
    SOURCE_ADDRESSES_MAX = 65000,
    SECONDS_MAX = 1000000,
    MESSAGE_MIN_BYTES = 96,
    MESSAGE_MAX_BYTES = 65536,
};

enum flag_kind {
    FLAG_NUMBER,
    FLAG_SECONDS, /* a decimal; kept in ms */
    FLAG_TEXT,
    FLAG_ON,  /* takes no value */
    FLAG_OFF, /* the same, for the flag's opposite */
    FLAG_CALL /* may be repeated */
};

struct flag {
    const char *name;
    const char *unit;
    const char *help;
    enum flag_kind kind;
    size_t offset; /* of the field in struct load_options */
    uint64_t min;
    uint64_t max;
    bool (*take)(struct load_options *options, const char *text);
};

/* What the flags --connect-only, --hold and --churn say on their way to the mode. */
static bool is_churn;
static uint64_t hold_ms;

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    char *end = NULL;
    errno = 0;
    *number = strtoull(text, &end, DECIMAL);
    return isdigit((unsigned char)text[0]) && errno == 0 && *end == '\0' && *number >= min &&
           *number <= max;
}

static bool parse_seconds(const char *text, uint64_t *ms)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || !(seconds <= SECONDS_MAX)) {
        return false;
    }
    *ms = (uint64_t)(seconds * MS_PER_S + 0.5);
    return true;
}

static bool take_target(struct load_options *options, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (options->target_count == LOAD_TARGETS_MAX || colon == NULL ||
        colon - text >= HOST_MAX_BYTES) {
        return false;
    }
    char host[HOST_MAX_BYTES];
    size_t len = (size_t)(colon - text);
    bool has_brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    memcpy(host, has_brackets ? text + 1 : text, has_brackets ? len - 2 : len);
    host[has_brackets ? len - 2 : len] = '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return false;
    }
    struct load_target *target = &options->targets[options->target_count++];
    target->text = text;
    target->address_len = found->ai_addrlen;
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static bool take_server_pid(struct load_options *options, const char *text)
{
    uint64_t pid = 0;
    if (options->server_count == LOAD_SERVERS_MAX || !parse_number(text, 1, INT32_MAX, &pid)) {
        return false;
    }
    options->servers[options->server_count++] = (pid_t)pid;
    return true;
}

static bool take_dialect(struct load_options *options, const char *text)
{
    options->dialect = dialect_find(text);
    return options->dialect != NULL;
}

static bool take_user_prefix(struct load_options *options, const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    options->user_prefix = text;
    return len > 0 && len <= USER_PREFIX_MAX_BYTES && text[len] == '\0';
}

static bool take_hold(struct load_options *options, const char *text)
{
    (void)options;
    return parse_seconds(text, &hold_ms);
}

static bool take_churn(struct load_options *options, const char *text)
{
    (void)options;
    (void)text;
    is_churn = true;
    return true;
}

#define FIELD(name) offsetof(struct load_options, name)

static const struct flag flags[] = {
    {"target", "HOST:PORT", "Where to connect (default 127.0.0.1:8080). May be repeated.",
     FLAG_CALL, 0, 0, 0, take_target},
    {"dialect", "NAME",
     "What the server speaks (default switchboard): switchboard, yardstick, "
     "ws-map, uws or peerjs.",
     FLAG_CALL, 0, 0, 0, take_dialect},
    {"pairs", "P", "Pairs of clients that write to each other (default 100).", FLAG_NUMBER,
     FIELD(pairs), 0, PAIRS_MAX, NULL},
    {"in-flight", "K", "Closed loop: messages that bounce in each pair (default 1).", FLAG_NUMBER,
     FIELD(in_flight), 1, IN_FLIGHT_MAX, NULL},
    {"together", "", "What a client has to send in a turn leaves in one write (the default).",
     FLAG_OFF, FIELD(is_alone), 0, 0, NULL},
    {"alone", "", "Each message leaves in a write of its own.", FLAG_ON, FIELD(is_alone), 0, 0,
     NULL},
    {"rate", "R",
     "Open loop: messages a second of all pairs, sent when they are due whatever the "
     "server does; latency is measured from when they were due.",
     FLAG_NUMBER, FIELD(rate), 1, RATE_MAX, NULL},
    {"connect-only", "N", "Hold N idle connections instead.", FLAG_NUMBER, FIELD(connect_only), 1,
     (uint64_t)PAIRS_MAX * 2, NULL},
    {"hold", "S", "How long, in seconds (default 10).", FLAG_CALL, 0, 0, 0, take_hold},
    {"churn", "", "Connect, shake hands, close, --connect-rate times a second, instead.", FLAG_CALL,
     0, 0, 0, take_churn},
    {"connect-rate", "R", "Connections a second; 0: as fast as the server answers (default 0).",
     FLAG_NUMBER, FIELD(connect_rate), 0, RATE_MAX, NULL},
    {"connecting-max", "N", "Handshakes under way at a time, in each worker (default 64).",
     FLAG_NUMBER, FIELD(connecting_max), 1, LOAD_WORKER_CONNECTIONS_MAX, NULL},
    {"flood-pairs", "F", "Further pairs in a closed loop, reported apart (default 0).", FLAG_NUMBER,
     FIELD(flood_pairs), 0, PAIRS_MAX, NULL},
    {"flood-in-flight", "K", "Messages that bounce in each of those (default 1000).", FLAG_NUMBER,
     FIELD(flood_in_flight), 1, IN_FLIGHT_MAX, NULL},
    {"message-bytes", "N", "A message's size, as sent (default 150).", FLAG_NUMBER,
     FIELD(message_bytes), MESSAGE_MIN_BYTES, MESSAGE_MAX_BYTES, NULL},
    {"warmup", "S", "Seconds of load before the window (default 1).", FLAG_SECONDS,
     FIELD(warmup_ms), 0, 0, NULL},
    {"seconds", "S", "Length of the window in which everything is measured (default 10).",
     FLAG_SECONDS, FIELD(window_ms), 0, 0, NULL},
    {"drain", "S",
     "How long to wait for what is under way at the end; what has not come by then is "
     "lost (default 12).",
     FLAG_SECONDS, FIELD(drain_ms), 0, 0, NULL},
    {"workers", "W", "Processes of the load (default 1). Each has at most 19,500 connections.",
     FLAG_NUMBER, FIELD(workers), 1, LOAD_WORKERS_MAX, NULL},
    {"source-addresses", "N",
     "Connect from 127.0.0.1 and the N - 1 addresses behind it (default 1). "
     "An address has about 28,000 connections to each target.",
     FLAG_NUMBER, FIELD(source_addresses), 1, SOURCE_ADDRESSES_MAX, NULL},
    {"user-prefix", "TEXT", "Users are TEXT-0, TEXT-1 and so on (default load).", FLAG_CALL, 0, 0,
     0, take_user_prefix},
    {"first-user", "N", "The first user's number, an even one (default 0).", FLAG_NUMBER,
     FIELD(first_user), 0, INT32_MAX, NULL},
    {"server-pid", "PID",
     "A process whose processor time and memory are reported. May be repeated.", FLAG_CALL, 0, 0, 0,
     take_server_pid},
    {"allow-errors", "", "Errors that the server reported do not make the status 1.", FLAG_ON,
     FIELD(allows_errors), 0, 0, NULL},
    {"json", "",
     "One JSON object on standard output in place of the table; report.h has its "
     "members.",
     FLAG_ON, FIELD(is_json), 0, 0, NULL},
};

static void print_help(void)
{
    (void)printf(
        "switchboard-load: messages between WebSocket clients, every one of them checked.\n\n"
        "usage: switchboard-load [flags]\n\n"
        "  closed loop       --pairs P --in-flight K\n"
        "  open loop         --pairs P --rate R\n"
        "  idle connections  --connect-only N --hold S\n"
        "  handshakes        --churn --connect-rate R\n\n");
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        (void)printf("  --%s %s\n      %s\n", flags[i].name, flags[i].unit, flags[i].help);
    }
    (void)printf("  --help\n      Prints this.\n\n"
                 "Status 0: every message arrived as it should. 1: one was lost, doubled, altered, "
                 "misrouted or\nout of order, or the server reported errors. 2: the flags are "
                 "wrong.\n");
}

static bool set_field(const struct flag *flag, const char *text, struct load_options *options)
{
    void *field = (char *)options + flag->offset;
    switch (flag->kind) {
    case FLAG_NUMBER:
        return parse_number(text, flag->min, flag->max, field);
    case FLAG_SECONDS:
        return parse_seconds(text, field);
    case FLAG_TEXT:
        memcpy(field, &text, sizeof text);
        return true;
    case FLAG_ON:
    case FLAG_OFF:
        *(bool *)field = flag->kind == FLAG_ON;
        return true;
    case FLAG_CALL:
        return flag->take(options, text);
    }
    return false;
}

static bool complain(const char *text)
{
    (void)fprintf(stderr, "switchboard-load: %s\n", text);
    return false;
}

/* Derives the mode, and what only the flags together can say. */
static bool settle(struct load_options *options)
{
    int modes = (options->connect_only > 0) + is_churn + (options->rate > 0);
    if (modes > 1) {
        return complain("--rate, --connect-only and --churn exclude one another");
    }
    if (options->connect_only > 0) {
        options->mode = LOAD_CONNECT_ONLY;
        options->window_ms = hold_ms;
        options->warmup_ms = 0;
    } else if (is_churn) {
        options->mode = LOAD_CHURN;
    } else {
        options->mode = options->rate > 0 ? LOAD_OPEN : LOAD_CLOSED;
    }
    if (options->target_count == 0 && !take_target(options, "127.0.0.1:8080")) {
        return false;
    }
    uint64_t connections = load_connection_count(options);
    if (connections > options->workers * LOAD_WORKER_CONNECTIONS_MAX) {
        return complain("too many connections for so few --workers");
    }
    if (options->mode != LOAD_CHURN && connections == 0) {
        return complain("no pairs, no load");
    }
    if (options->mode == LOAD_OPEN && options->pairs == 0) {
        return complain("--rate needs --pairs");
    }
    if (options->first_user % 2 != 0) {
        return complain("--first-user is to be even");
    }
    return true;
}

enum options_result load_options_parse(struct load_options *options, int argc, char **argv)
{
    *options = (struct load_options){
        .dialect = dialect_find("switchboard"),
        .pairs = 100,
        .in_flight = 1,
        .connecting_max = 64,
        .flood_in_flight = 1000,
        .source_addresses = 1,
        .workers = 1,
        .message_bytes = 150,
        .warmup_ms = 1 * MS_PER_S,
        .window_ms = 10 * MS_PER_S,
        .drain_ms = 12 * MS_PER_S,
        .user_prefix = "load",
    };
    is_churn = false;
    hold_ms = 10 * MS_PER_S;
    struct option longopts[ARRAY_LENGTH(flags) + 2] = {{.name = "help"}};
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        longopts[i + 1] = (struct option){
            .name = flags[i].name,
            .has_arg = flags[i].unit[0] == '\0' ? no_argument : required_argument,
            .val = (int)(FIRST_ROW_VALUE + i),
        };
    }
    int value = 0;
    while ((value = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
        if (value == 0) {
            print_help();
            return OPTIONS_HELP;
        }
        if (value == '?') {
            return OPTIONS_BAD;
        }
        const struct flag *flag = &flags[value - FIRST_ROW_VALUE];
        if (!set_field(flag, optarg, options)) {
            (void)fprintf(stderr, "--%s: \"%s\" will not do (see --help)\n", flag->name, optarg);
            return OPTIONS_BAD;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "unexpected argument \"%s\" (see --help)\n", argv[optind]);
        return OPTIONS_BAD;
    }
    return settle(options) ? OPTIONS_RUN : OPTIONS_BAD;
}

const char *load_mode_name(enum load_mode mode)
{
    static const char *const names[] = {
        [LOAD_CLOSED] = "closed",
        [LOAD_OPEN] = "open",
        [LOAD_CONNECT_ONLY] = "connect-only",
        [LOAD_CHURN] = "churn",
    };
    return names[mode];
}

uint64_t load_connection_count(const struct load_options *options)
{
    switch (options->mode) {
    case LOAD_CLOSED:
    case LOAD_OPEN:
        return 2 * (options->pairs + options->flood_pairs);
    case LOAD_CONNECT_ONLY:
        return options->connect_only;
    case LOAD_CHURN:
        break;
    }
    return 0;
}
