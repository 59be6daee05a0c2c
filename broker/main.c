/* switchboard-broker: the flags, and nothing else. */
#include "broker/broker.h"
#include "common/log.h"
#include "common/options.h"

#include <signal.h>
#include <stddef.h>

/* The upper bounds of flags. */
enum {
    GATEWAYS_MAX = 1024,
    DEVICES_LIMIT_MAX = 10000,
    TRANSFERS_LIMIT_MAX = 1000000000,
    STORE_LIMIT_MIN_BYTES = 1024 * 1024,
    STORE_LIMIT_MAX_BYTES = 1024 * 1024 * 1024,
    HOLD_USERS_LIMIT_MAX = 100000000,
    HOLD_MESSAGES_LIMIT_MAX = 1000000,
    LINGER_MAX_US = 10000,
    CALLS_LIMIT_MAX = 100000000,
    DAY_MS = 24 * 60 * 60 * 1000,
    EXIT_USAGE = 2,
};

#define FIELD(name) offsetof(struct broker_options, name)

static const struct option_row rows[] = {
    {"link-dir", "DIR", "Where the sockets to the gateways are made.", NULL, OPTION_STRING, 0, 0,
     FIELD(link_dir)},
    {"gateways", "N", "Slots for gateways, 0 to N-1.", NULL, OPTION_NUMBER, 1, GATEWAYS_MAX,
     FIELD(gateways)},
    {"devices-max", "count", "Connections a user; a further one replaces the oldest.", "32",
     OPTION_NUMBER, 1, DEVICES_LIMIT_MAX, FIELD(devices_max)},
    {"backlog-max-bytes", "bytes", "What may wait for one gateway; beyond: overloaded.", "67108864",
     OPTION_NUMBER, STORE_LIMIT_MIN_BYTES, STORE_LIMIT_MAX_BYTES, FIELD(backlog_max_bytes)},
    {"transfers-max", "count", "Deliveries under way to one gateway; beyond: overloaded.",
     "1000000", OPTION_NUMBER, 1, TRANSFERS_LIMIT_MAX, FIELD(transfers_max)},
    {"kept-max-bytes", "bytes", "Messages without an outcome, all together; beyond: overloaded.",
     "268435456", OPTION_NUMBER, STORE_LIMIT_MIN_BYTES, STORE_LIMIT_MAX_BYTES,
     FIELD(kept_max_bytes)},
    {"outcome-timeout-ms", "ms", "Time for a gateway to answer a delivery, then unconfirmed.",
     "10000", OPTION_NUMBER, 1, DAY_MS, FIELD(outcome_timeout_ms)},
    {"linger-us", "us",
     "From 10,000 messages a second on: time between two looks for more; 0: none.", "150",
     OPTION_NUMBER, 0, LINGER_MAX_US, FIELD(linger_us)},
    {"recovery-ms", "ms", "After a start, time for gateways to be back; messages wait for them.",
     "2000", OPTION_NUMBER, 0, DAY_MS, FIELD(recovery_ms)},
    {"hold-ms", "ms", "Messages wait this long for a user who has just left; 0: not at all.",
     "5000", OPTION_NUMBER, 0, DAY_MS, FIELD(hold_ms)},
    {"hold-users-max", "count", "Users to wait for at a time; who leaves beyond is offline.",
     "1000000", OPTION_NUMBER, 0, HOLD_USERS_LIMIT_MAX, FIELD(hold_users_max)},
    {"hold-messages-max", "count", "Messages that wait for one user; beyond: overloaded.", "256",
     OPTION_NUMBER, 1, HOLD_MESSAGES_LIMIT_MAX, FIELD(hold_messages_max)},
    {"ring-ms", "ms", "How long a call may ring.", "60000", OPTION_NUMBER, 1, DAY_MS,
     FIELD(ring_ms)},
    {"call-grace-ms", "ms", "How long a device in a call may be away, then connection-lost.",
     "10000", OPTION_NUMBER, 1, DAY_MS, FIELD(call_grace_ms)},
    {"calls-max", "count", "Calls at a time; beyond: too-many-calls.", "1000000", OPTION_NUMBER, 1,
     CALLS_LIMIT_MAX, FIELD(calls_max)},
    {"calls-user-max", "count", "Calls a user has a part in; beyond: too-many-calls.", "16",
     OPTION_NUMBER, 1, CALLS_LIMIT_MAX, FIELD(calls_user_max)},
    {"call-log", "FILE",
     "A line of JSON for each call that ends; opened anew on SIGHUP. Empty: none.", "",
     OPTION_STRING, 0, 0, FIELD(call_log)},
    {"log-level", "LEVEL", "error, warn, info or debug.", "info", OPTION_STRING, 0, 0,
     FIELD(log_level)},
};

int main(int argc, char **argv)
{
    struct broker_options options;
    enum options_result result = options_parse(
        rows, ARRAY_LENGTH(rows),
        "switchboard-broker: owns the directory of userIds and routes between gateways.", argc,
        argv, &options);
    if (result != OPTIONS_RUN) {
        return result == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    if (!log_set_level_by_name(options.log_level)) {
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct broker *broker = broker_new(&options);
    if (broker == NULL) {
        return 1;
    }
    broker_run(broker);
    broker_free(broker);
    return 0;
}
