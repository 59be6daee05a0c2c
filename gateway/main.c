/* switchboard-gateway: the flags, and nothing else. */
#include "common/link_codec.h"
#include "common/log.h"
#include "common/options.h"
#include "gateway/gateway.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>

/* The upper bounds of flags. */
enum {
    SLOT_MAX = 1023,
    HEAD_LIMIT_MAX_BYTES = 1024 * 1024,
    MESSAGE_LIMIT_MAX_BYTES = 16 * 1024 * 1024,
    QUEUE_LIMIT_MAX_BYTES = 64 * 1024 * 1024,
    STORE_LIMIT_MIN_BYTES = 1024 * 1024,
    STORE_LIMIT_MAX_BYTES = 1024 * 1024 * 1024,
    REMEMBERED_LIMIT_MAX = 100000000,
    DAY_MS = 24 * 60 * 60 * 1000,
    EXIT_USAGE = 2,
};

static_assert(MESSAGE_LIMIT_MAX_BYTES + 2 * (int)LINK_RECORD_OVERHEAD_BYTES <=
                  (int)LINK_PAYLOAD_MAX_BYTES,
              "the link carries the largest message and its `from`");

#define FIELD(name) offsetof(struct gateway_options, name)

static const struct option_row rows[] = {
    {"link-dir", "DIR", "Where the broker's sockets are.", NULL, OPTION_STRING, 0, 0,
     FIELD(link_dir)},
    {"slot", "K", "Which of the broker's slots this gateway holds.", NULL, OPTION_NUMBER, 0,
     SLOT_MAX, FIELD(slot)},
    {"listen", "HOST:PORT", "Where clients connect; port 0 picks a free one.", "127.0.0.1:8080",
     OPTION_STRING, 0, 0, FIELD(listen)},
    {"static-dir", "DIR", "The files that plain GET requests are served from.", "static",
     OPTION_STRING, 0, 0, FIELD(static_dir)},
    {"allowed-origins", "LIST", "Web origins that may connect, comma-separated; empty: all.", "",
     OPTION_STRING, 0, 0, FIELD(allowed_origins)},
    {"message-max-bytes", "bytes", "A client's message; a longer one closes with 1009.", "65536",
     OPTION_NUMBER, 1, MESSAGE_LIMIT_MAX_BYTES, FIELD(message_max_bytes)},
    {"head-max-bytes", "bytes", "A request head; a longer one gets 431.", "8192", OPTION_NUMBER,
     256, HEAD_LIMIT_MAX_BYTES, FIELD(head_max_bytes)},
    {"head-timeout-ms", "ms", "Time for a request head, and for a handshake's answer.", "10000",
     OPTION_NUMBER, 1, DAY_MS, FIELD(head_timeout_ms)},
    {"ping-interval-ms", "ms", "Silence after which a client is pinged.", "25000", OPTION_NUMBER, 1,
     DAY_MS, FIELD(ping_interval_ms)},
    {"idle-timeout-ms", "ms", "Silence after which a client is closed with 4002.", "60000",
     OPTION_NUMBER, 1, DAY_MS, FIELD(idle_timeout_ms)},
    {"close-timeout-ms", "ms", "Time for a client to go after it was told to.", "5000",
     OPTION_NUMBER, 1, DAY_MS, FIELD(close_timeout_ms)},
    {"queue-max-bytes", "bytes", "A client's outbound queue; when full it closes with 4001.",
     "262144", OPTION_NUMBER, 1024, QUEUE_LIMIT_MAX_BYTES, FIELD(queue_max_bytes)},
    {"rate-max-per-s", "messages/s", "A client's rate; beyond, it is read more slowly; 0: any.",
     "20000", OPTION_NUMBER, 0, 1000000, FIELD(rate_max_per_s)},
    {"rate-burst", "messages", "What a client may send at once beyond its rate.", "40000",
     OPTION_NUMBER, 1, 1000000000, FIELD(rate_burst)},
    {"backlog-max-bytes", "bytes", "What may wait for the broker; near it, clients wait.",
     "67108864", OPTION_NUMBER, STORE_LIMIT_MIN_BYTES, STORE_LIMIT_MAX_BYTES,
     FIELD(backlog_max_bytes)},
    {"unanswered-max-bytes", "bytes", "Messages without an outcome; beyond: overloaded.",
     "268435456", OPTION_NUMBER, STORE_LIMIT_MIN_BYTES, STORE_LIMIT_MAX_BYTES,
     FIELD(unanswered_max_bytes)},
    {"outcome-timeout-ms", "ms", "Time for a message to get its outcome.", "10000", OPTION_NUMBER,
     1, DAY_MS, FIELD(outcome_timeout_ms)},
    {"remembered-max", "count",
     "Deliveries whose outcome is remembered until their time is over, for repeats.", "262144",
     OPTION_NUMBER, 0, REMEMBERED_LIMIT_MAX, FIELD(remembered_max)},
    {"drain-ms", "ms", "At SIGTERM, clients are closed in batches spread over this time.", "5000",
     OPTION_NUMBER, 0, DAY_MS, FIELD(drain_ms)},
    {"connections-max", "count", "Connections; further ones get 503; 0: what descriptors allow.",
     "0", OPTION_NUMBER, 0, 10000000, FIELD(connections_max)},
    {"log-level", "LEVEL", "error, warn, info or debug.", "info", OPTION_STRING, 0, 0,
     FIELD(log_level)},
};

int main(int argc, char **argv)
{
    struct gateway_options options;
    enum options_result result =
        options_parse(rows, ARRAY_LENGTH(rows),
                      "switchboard-gateway: terminates WebSockets and hands call messages to the "
                      "broker.",
                      argc, argv, &options);
    if (result != OPTIONS_RUN) {
        return result == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    if (!log_set_level_by_name(options.log_level)) {
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct gateway *gateway = gateway_new(&options);
    if (gateway == NULL) {
        return 1;
    }
    gateway_run(gateway);
    gateway_free(gateway);
    return 0;
}
