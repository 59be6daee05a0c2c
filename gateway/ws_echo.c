/* ws-echo: the gateway's own listener, handshake, connection and websocket modules with an echo
 * behind them, for conformance suites: they meet exactly the code that serves users. */
#include "common/log.h"
#include "common/options.h"
#include "gateway/client_set.h"
#include "gateway/http_response.h"
#include "gateway/listener.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

enum {
    EXIT_USAGE = 2,
    HEAD_MAX_BYTES = 8192,
    HEAD_TIMEOUT_MS = 60000,
    PING_INTERVAL_MS = 60000,
    IDLE_TIMEOUT_MS = 120000,
    CLOSE_TIMEOUT_MS = 5000,
    MESSAGE_LIMIT_MAX_BYTES = 64 * 1024 * 1024,
    QUEUED_MESSAGES = 4, /* of the largest size, in a client's outbound queue */
};

struct echo_options {
    const char *listen;
    uint64_t message_max_bytes;
};

struct echo {
    struct loop *loop;
    struct listener *listener;
    struct client_set clients;
    bool is_stopping;
};

static const struct option_row rows[] = {
    {"listen", "HOST:PORT", "Where clients connect; port 0 picks a free one.", "127.0.0.1:9001",
     OPTION_STRING, 0, 0, offsetof(struct echo_options, listen)},
    {"message-max-bytes", "bytes", "A message; a longer one closes with 1009.", "33554432",
     OPTION_NUMBER, 1, MESSAGE_LIMIT_MAX_BYTES, offsetof(struct echo_options, message_max_bytes)},
};

static void on_fetch(void *arg, const struct http_request *request, struct buffer *out,
                     struct slice *body)
{
    (void)arg;
    (void)request;
    (void)body;
    static const struct http_refusal refusal = {400, "only WebSocket handshakes are answered"};
    http_response_put_refusal(out, &refusal);
}

static void on_handshake(struct client *client, const struct handshake *handshake)
{
    (void)handshake;
    client_accept(client, slice_of(NULL, 0));
}

static void on_message(struct client *client, enum websocket_opcode opcode, struct slice payload)
{
    bool is_sent = client_send(client, opcode, payload);
    (void)is_sent; /* else it has been closed as too slow */
}

static void on_written(struct client *client)
{
    (void)client;
}

static void on_end(struct client *client, uint16_t code)
{
    (void)client;
    (void)code;
}

static const struct client_handlers client_handlers = {
    .on_fetch = on_fetch,
    .on_handshake = on_handshake,
    .on_message = on_message,
    .on_written = on_written,
    .on_end = on_end,
};

static void on_accept(void *arg, int fd)
{
    struct echo *echo = arg;
    client_set_take(&echo->clients, fd);
}

static void on_signal(void *arg, int signal_no)
{
    (void)signal_no;
    struct echo *echo = arg;
    if (!echo->is_stopping) {
        echo->is_stopping = true;
        listener_close(echo->listener);
        echo->listener = NULL;
        client_set_close_all(&echo->clients, CLOSE_GOING_AWAY, "the server is going down");
    }
}

static void on_turn_end(void *arg)
{
    struct echo *echo = arg;
    connection_set_flush(&echo->clients.connections);
    if (echo->is_stopping && client_set_count(&echo->clients) == 0) {
        loop_stop(echo->loop);
    }
}

int main(int argc, char **argv)
{
    struct echo_options options;
    enum options_result result =
        options_parse(rows, ARRAY_LENGTH(rows),
                      "ws-echo: sends every WebSocket message back, for conformance suites.", argc,
                      argv, &options);
    if (result != OPTIONS_RUN) {
        return result == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct client_config config = {
        .head_max_bytes = HEAD_MAX_BYTES,
        .head_timeout_ms = HEAD_TIMEOUT_MS,
        .ping_interval_ms = PING_INTERVAL_MS,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .close_timeout_ms = CLOSE_TIMEOUT_MS,
        .queue_max_bytes = QUEUED_MESSAGES * options.message_max_bytes,
        .rate_max_per_s = 0,
        .connections_max = 1024,
        .websocket = {.message_max_bytes = options.message_max_bytes, .accepts_binary = true},
        .handshake = {.allowed_origins = "", .requires_user_id = false},
    };
    struct echo echo = {0};
    echo.loop = loop_new(on_turn_end, &echo);
    if (echo.loop == NULL || !loop_watch_signals(echo.loop, on_signal, &echo) ||
        !client_set_init(&echo.clients, echo.loop, &config, &client_handlers, &echo)) {
        log_write(LOG_LEVEL_ERROR, "start-failed", "error=memory");
        return 1;
    }
    echo.listener = listener_open(echo.loop, options.listen, on_accept, &echo);
    if (echo.listener == NULL) {
        return 1;
    }
    loop_run(echo.loop);
    client_set_fini(&echo.clients);
    loop_free(echo.loop);
    return 0;
}
