#include "tests/load/ws_client.h"

#include "gateway/frame_head.h"
#include "gateway/frame_mask.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
    QUEUE_MAX_BYTES = 4 * 1024 * 1024,
    HEAD_MAX_BYTES = 8192,
    CONTROL_MAX_BYTES = 125,
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
    CLOSE_CODE_BYTES = 2,
    STATUS_AT = 9, /* behind "HTTP/1.1 " */
    STATUS_BYTES = 3,
    WORD_MAX_BYTES = 32,
};

/* RFC 6455's example; a load has no use for a key of its own a connection. */
static const char handshake_key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char handshake_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

uint64_t ws_client_clock_ns(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(result == 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool ws_client_set_init(struct ws_client_set *set, struct loop *loop,
                        const struct ws_client_handlers *handlers, size_t message_max_bytes)
{
    size_t frame_max_bytes = message_max_bytes + FRAME_HEAD_MAX_BYTES;
    *set = (struct ws_client_set){
        .loop = loop,
        .handlers = handlers,
        .message_max_bytes = message_max_bytes,
        .read_max_bytes = READ_BYTES + frame_max_bytes + HEAD_MAX_BYTES,
        .now_ns = ws_client_clock_ns(),
        .random = ws_client_clock_ns() | 1U,
    };
    set->read_buffer = malloc(set->read_max_bytes);
    return set->read_buffer != NULL;
}

void ws_client_set_fini(struct ws_client_set *set)
{
    free(set->read_buffer);
    set->read_buffer = NULL;
}

void ws_client_abort(struct ws_client *ws)
{
    if (ws->state == WS_CLIENT_IDLE) {
        return;
    }
    ws->state = WS_CLIENT_IDLE;
    int fd = ws->watch.fd;
    loop_watch_remove(ws->set->loop, &ws->watch);
    (void)close(fd);
    buffer_fini(&ws->in);
    buffer_fini(&ws->out);
}

static void end_for(struct ws_client *ws, const char *why)
{
    if (ws->state != WS_CLIENT_IDLE) {
        bool was_open = ws->state >= WS_CLIENT_OPEN;
        ws_client_abort(ws);
        ws->set->handlers->on_gone(ws, was_open, why);
    }
}

static void end_for_errno(struct ws_client *ws, int error)
{
    switch (error) {
    case ECONNREFUSED:
        end_for(ws, "connection-refused");
        break;
    case ECONNRESET:
    case EPIPE:
        end_for(ws, "reset");
        break;
    case EADDRNOTAVAIL:
        end_for(ws, "no-free-port");
        break;
    case EMFILE:
    case ENFILE:
        end_for(ws, "no-descriptor");
        break;
    default:
        end_for(ws, "network-error");
    }
}

static uint32_t next_key(struct ws_client_set *set)
{
    set->random ^= set->random << 13U;
    set->random ^= set->random >> 7U;
    set->random ^= set->random << 17U;
    return (uint32_t)(set->random >> 32U);
}

static bool put_frame(struct ws_client *ws, uint8_t opcode, struct slice payload)
{
    size_t plain_bytes = frame_head_size(payload.len);
    size_t head_bytes = plain_bytes + MASKING_KEY_BYTES;
    uint8_t *head = buffer_reserve(&ws->out, head_bytes + payload.len);
    if (head == NULL) {
        ws->out.failed = false;
        return false;
    }
    uint32_t key = next_key(ws->set);
    frame_head_write(head, opcode, payload.len);
    head[1] |= FRAME_MASK;
    memcpy(head + plain_bytes, &key, sizeof key);
    frame_mask_copy(head + head_bytes, payload.data, payload.len, head + plain_bytes);
    buffer_commit(&ws->out, head_bytes + payload.len);
    return true;
}

bool ws_client_put(struct ws_client *ws, struct slice text)
{
    return put_frame(ws, OPCODE_TEXT, text);
}

void ws_client_flush(struct ws_client *ws)
{
    if (ws->write_is_blocked || buffer_len(&ws->out) == 0) {
        return;
    }
    struct slice out = buffer_slice(&ws->out);
    ssize_t count = send(ws->watch.fd, out.data, out.len, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != ENOTCONN) {
        end_for_errno(ws, errno);
        return;
    }
    buffer_consume(&ws->out, count < 0 ? 0 : (size_t)count);
    ws->write_is_blocked = buffer_len(&ws->out) > 0;
    loop_watch_change(ws->set->loop, &ws->watch,
                      ws->write_is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (!ws->write_is_blocked && ws->state == WS_CLIENT_CONNECTING) {
        ws->state = WS_CLIENT_HANDSHAKE;
    }
}

void ws_client_close(struct ws_client *ws, uint16_t code)
{
    uint8_t payload[CLOSE_CODE_BYTES] = {(uint8_t)(code >> 8U), (uint8_t)code};
    if (ws->state == WS_CLIENT_OPEN && put_frame(ws, OPCODE_CLOSE, slice_of(payload, 2))) {
        ws->state = WS_CLIENT_CLOSING;
        ws_client_flush(ws);
    }
}

static void on_close_frame(struct ws_client *ws, struct slice payload)
{
    char why[WORD_MAX_BYTES] = "closed";
    if (payload.len >= CLOSE_CODE_BYTES) {
        (void)snprintf(why, sizeof why, "closed-%u", payload.data[0] << 8U | payload.data[1]);
    }
    end_for(ws, why);
}

static void on_frame(struct ws_client *ws, uint8_t first, struct slice payload)
{
    uint8_t opcode = first & FRAME_OPCODE;
    if ((first & (FRAME_FIN | FRAME_RSV)) != FRAME_FIN) {
        end_for(ws, "fragmented-or-compressed");
    } else if (opcode == OPCODE_TEXT || opcode == OPCODE_BINARY) {
        if (ws->state == WS_CLIENT_OPEN) {
            ws->set->handlers->on_message(ws, payload);
        }
    } else if (opcode == OPCODE_PING && payload.len <= CONTROL_MAX_BYTES) {
        bool is_queued = put_frame(ws, OPCODE_PONG, payload);
        (void)is_queued; /* else the server has stopped reading, and will hang up */
        ws_client_flush(ws);
    } else if (opcode == OPCODE_CLOSE) {
        on_close_frame(ws, payload);
    }
}

/* The number of bytes that were taken: whole frames. */
static size_t take_frames(struct ws_client *ws, struct slice bytes)
{
    size_t taken = 0;
    while (ws->state >= WS_CLIENT_OPEN && bytes.len - taken >= FRAME_HEAD_MIN_BYTES) {
        const uint8_t *head = bytes.data + taken;
        size_t head_bytes = frame_head_bytes(head);
        if (bytes.len - taken < head_bytes) {
            break;
        }
        uint64_t len = frame_head_payload_bytes(head);
        if ((head[1] & FRAME_MASK) != 0 || len > ws->set->message_max_bytes) {
            end_for(ws, "bad-frame");
            break;
        }
        if (bytes.len - taken - head_bytes < len) {
            break;
        }
        on_frame(ws, head[0], slice_of(head + head_bytes, len));
        taken += head_bytes + len;
    }
    return taken;
}

/* The number of bytes that were taken: none, or the whole response head. */
static size_t take_head(struct ws_client *ws, struct slice bytes)
{
    static const char head_end[] = "\r\n\r\n";
    const uint8_t *end = memmem(bytes.data, bytes.len, head_end, strlen(head_end));
    if (end == NULL) {
        if (bytes.len >= HEAD_MAX_BYTES) {
            end_for(ws, "bad-handshake");
        }
        return 0;
    }
    size_t len = (size_t)(end - bytes.data) + strlen(head_end);
    bool has_status =
        len >= STATUS_AT + STATUS_BYTES && memcmp(bytes.data, "HTTP/1.1 ", STATUS_AT) == 0;
    if (has_status && memcmp(bytes.data + STATUS_AT, "101", STATUS_BYTES) != 0) {
        char why[WORD_MAX_BYTES];
        (void)snprintf(why, sizeof why, "refused-%.3s", (const char *)bytes.data + STATUS_AT);
        end_for(ws, why);
    } else if (!has_status ||
               memmem(bytes.data, len, handshake_accept, strlen(handshake_accept)) == NULL) {
        end_for(ws, "bad-handshake");
    } else {
        ws->state = WS_CLIENT_OPEN;
        ws->set->handlers->on_open(ws);
    }
    return len;
}

static void take_bytes(struct ws_client *ws, struct slice bytes)
{
    size_t taken = ws->state == WS_CLIENT_HANDSHAKE ? take_head(ws, bytes) : 0;
    if (ws->state >= WS_CLIENT_OPEN) {
        taken += take_frames(ws, slice_drop(bytes, taken));
    }
    if (ws->state == WS_CLIENT_IDLE) {
        return;
    }
    buffer_put(&ws->in, slice_drop(bytes, taken));
    if (ws->in.failed) {
        end_for(ws, "out-of-memory");
        return;
    }
    ws->set->handlers->on_read_end(ws);
}

static void on_readable(struct ws_client *ws)
{
    struct ws_client_set *set = ws->set;
    size_t kept = buffer_len(&ws->in);
    ssize_t count = recv(ws->watch.fd, set->read_buffer + kept, set->read_max_bytes - kept, 0);
    set->now_ns = ws_client_clock_ns();
    if (count < 0) {
        if (errno != EAGAIN) {
            end_for_errno(ws, errno);
        }
        return;
    }
    if (count == 0) {
        end_for(ws, "ended");
        return;
    }
    struct slice unfinished = buffer_slice(&ws->in);
    if (unfinished.data != NULL) {
        memcpy(set->read_buffer, unfinished.data, kept);
        buffer_clear(&ws->in);
    }
    take_bytes(ws, slice_of(set->read_buffer, kept + (size_t)count));
}

static void on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    struct ws_client *ws = container_of(watch, struct ws_client, watch);
    if ((epoll_events & EPOLLOUT) != 0) {
        ws->write_is_blocked = false;
        ws_client_flush(ws);
    }
    if (ws->state != WS_CLIENT_IDLE && (epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        on_readable(ws);
    }
}

static int open_socket(const struct ws_client_route *route)
{
    int on = 1;
    int fd = socket(route->target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (route->source_address != 0) {
        struct sockaddr_in source = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(route->source_address),
        };
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) {
            int error = errno;
            (void)close(fd);
            errno = error;
            return -1;
        }
    }
    if (connect(fd, route->target, route->target_len) != 0 && errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

void ws_client_connect(struct ws_client *ws, struct ws_client_set *set,
                       const struct ws_client_route *route)
{
    assert(ws->state == WS_CLIENT_IDLE);
    ws->set = set;
    ws->state = WS_CLIENT_CONNECTING;
    ws->write_is_blocked = false;
    ws->watch = (struct loop_watch){.on_ready = on_ready, .fd = -1};
    buffer_init(&ws->in, set->message_max_bytes + FRAME_HEAD_MAX_BYTES + HEAD_MAX_BYTES);
    buffer_init(&ws->out, QUEUE_MAX_BYTES);
    int fd = open_socket(route);
    int error = errno;
    if (fd >= 0 && !loop_watch_add(set->loop, &ws->watch, fd, EPOLLIN)) {
        error = errno;
        (void)close(fd);
        fd = -1;
    }
    if (fd < 0) {
        ws->watch.fd = -1;
        ws->state = WS_CLIENT_IDLE;
        set->handlers->on_gone(ws, false, error == EMFILE ? "no-descriptor" : "no-free-port");
        return;
    }
    buffer_put_format(&ws->out,
                      "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: %s\r\n\r\n",
                      route->path, route->host, handshake_key);
    ws_client_flush(ws); /* on loopback the connection is there by now */
}
