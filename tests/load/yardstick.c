/* switchboard-yardstick: the plainest relay that switchboard-load can speak to, as a measure of
 * what the kernel alone costs. One process, one epoll loop; a WebSocket handshake and frames, and
 * nothing else: no JSON, no directory, no outcomes, no timeouts. Client N (of ?userId=PREFIX-N) has
 * one partner, N ^ 1, to whom each of its frames is copied. As in the gateway there is one read a
 * readable connection and turn, and one write a connection and turn. */
#include "common/buffer.h"
#include "common/options.h"
#include "gateway/frame_head.h"
#include "gateway/frame_mask.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    EVENTS_PER_TURN = 256,
    READ_BYTES = 64 * 1024,
    QUEUE_MAX_BYTES = 16 * 1024 * 1024,
    HEAD_MAX_BYTES = 4096,
    LISTEN_BACKLOG = 4096,
    CLIENTS_MAX = 1 << 20,
    KEY_BYTES = 24,
    ACCEPT_BYTES = 28,
    DECIMAL = 10,
    PORT_MAX = 65535,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
};

struct peer {
    int fd;
    uint32_t number;
    bool is_open;    /* the handshake is over */
    bool is_blocked; /* the socket took less than all: wait for EPOLLOUT */
    bool is_dirty;
    bool is_gone; /* freed at the end of the turn */
    struct peer *next_dirty;
    struct buffer in; /* an unfinished head or frame */
    struct buffer out;
};

static struct {
    int epoll_fd;
    int listen_fd;
    struct peer *dirty;
    struct peer *peers[CLIENTS_MAX]; /* by number */
    uint8_t read_buffer[READ_BYTES];
} relay;

static volatile sig_atomic_t is_stopping;

static void on_signal(int signal_no)
{
    (void)signal_no;
    is_stopping = 1;
}

static void mark_dirty(struct peer *peer)
{
    if (!peer->is_dirty) {
        peer->is_dirty = true;
        peer->next_dirty = relay.dirty;
        relay.dirty = peer;
    }
}

/* It is freed when the turn is over: events of this turn may still name it. */
static void end_peer(struct peer *peer)
{
    if (peer->is_gone) {
        return;
    }
    peer->is_gone = true;
    (void)close(peer->fd);
    if (peer->is_open && relay.peers[peer->number] == peer) {
        relay.peers[peer->number] = NULL;
    }
    mark_dirty(peer);
}

static void put_frame(struct peer *peer, uint8_t opcode, const uint8_t *payload, size_t len,
                      const uint8_t *key)
{
    size_t head_bytes = frame_head_size(len);
    uint8_t *room = buffer_reserve(&peer->out, head_bytes + len);
    if (room == NULL) {
        end_peer(peer);
        return;
    }
    frame_head_write(room, opcode, len);
    frame_mask_copy(room + head_bytes, payload, len, key);
    buffer_commit(&peer->out, head_bytes + len);
    mark_dirty(peer);
}

static void on_frame(struct peer *peer, uint8_t first, const uint8_t *payload, size_t len,
                     const uint8_t *key)
{
    uint8_t opcode = first & FRAME_OPCODE;
    struct peer *partner = relay.peers[peer->number ^ 1U];
    if (opcode < OPCODE_CLOSE && partner != NULL) {
        put_frame(partner, opcode, payload, len, key);
    } else if (opcode == OPCODE_PING) {
        put_frame(peer, OPCODE_PONG, payload, len, key);
    } else if (opcode == OPCODE_CLOSE) {
        end_peer(peer);
    }
}

/* The number of bytes that were taken: whole frames. */
static size_t take_frames(struct peer *peer, struct slice bytes)
{
    size_t taken = 0;
    while (!peer->is_gone && bytes.len - taken >= FRAME_HEAD_MIN_BYTES) {
        const uint8_t *head = bytes.data + taken;
        size_t head_bytes = frame_head_bytes(head);
        if (bytes.len - taken < head_bytes) {
            break;
        }
        uint64_t len = frame_head_payload_bytes(head);
        if (bytes.len - taken - head_bytes < len) {
            break;
        }
        if ((head[1] & FRAME_MASK) == 0) {
            end_peer(peer);
            break;
        }
        on_frame(peer, head[0], head + head_bytes, len, head + head_bytes - MASKING_KEY_BYTES);
        taken += head_bytes + len;
    }
    return taken;
}

static bool read_number(const char *head, uint32_t *number)
{
    const char *user_id = strstr(head, "?userId=");
    const char *line_end = strstr(head, "\r\n");
    if (user_id == NULL || user_id > line_end) {
        return false;
    }
    const char *last = strpbrk(user_id, " &\r");
    while (last[-1] >= '0' && last[-1] <= '9') {
        last--;
    }
    unsigned long value = strtoul(last, NULL, DECIMAL);
    *number = (uint32_t)value;
    return value < CLIENTS_MAX;
}

static void put_accept(struct peer *peer, const char *key)
{
    char text[] = "........................258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char accept[ACCEPT_BYTES + 1];
    memcpy(text, key, KEY_BYTES);
    (void)SHA1((const unsigned char *)text, sizeof text - 1, digest);
    (void)EVP_EncodeBlock(accept, digest, sizeof digest);
    buffer_put_format(&peer->out,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                      (char *)accept);
    mark_dirty(peer);
}

/* The number of bytes that were taken: none, or the whole request head. */
static size_t take_head(struct peer *peer, struct slice bytes)
{
    static const char key_name[] = "\r\nsec-websocket-key: ";
    char head[HEAD_MAX_BYTES + 1];
    size_t len = bytes.len < HEAD_MAX_BYTES ? bytes.len : HEAD_MAX_BYTES;
    memcpy(head, bytes.data, len);
    head[len] = '\0';
    const char *end = strstr(head, "\r\n\r\n");
    if (end == NULL && bytes.len < HEAD_MAX_BYTES) {
        return 0;
    }
    const char *key = end == NULL ? NULL : strcasestr(head, key_name);
    if (key == NULL || end - key < KEY_BYTES || !read_number(head, &peer->number)) {
        end_peer(peer);
        return 0;
    }
    put_accept(peer, key + strlen(key_name));
    peer->is_open = true;
    relay.peers[peer->number] = peer;
    return (size_t)(end - head) + strlen("\r\n\r\n");
}

static size_t take_bytes(struct peer *peer, struct slice bytes)
{
    assert(bytes.data != NULL); /* there was something to read */
    size_t taken = peer->is_open ? 0 : take_head(peer, bytes);
    return peer->is_open ? taken + take_frames(peer, slice_drop(bytes, taken)) : taken;
}

static void on_readable(struct peer *peer)
{
    ssize_t count = read(peer->fd, relay.read_buffer, sizeof relay.read_buffer);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) {
            end_peer(peer);
        }
        return;
    }
    struct slice bytes = slice_of(relay.read_buffer, (size_t)count);
    if (buffer_len(&peer->in) == 0) {
        size_t taken = take_bytes(peer, bytes);
        buffer_put(&peer->in, slice_drop(bytes, taken));
    } else {
        buffer_put(&peer->in, bytes);
        size_t taken = take_bytes(peer, buffer_slice(&peer->in));
        buffer_consume(&peer->in, taken);
    }
    if (peer->in.failed) {
        end_peer(peer);
    }
}

static void watch(int operation, struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(relay.epoll_fd, operation, peer->fd, &event) != 0) {
        end_peer(peer);
    }
}

static void accept_all(void)
{
    int fd = -1;
    while ((fd = accept4(relay.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct peer *peer = calloc(1, sizeof *peer);
        if (peer == NULL) {
            (void)close(fd);
            return;
        }
        peer->fd = fd;
        buffer_init(&peer->in, QUEUE_MAX_BYTES);
        buffer_init(&peer->out, QUEUE_MAX_BYTES);
        watch(EPOLL_CTL_ADD, peer, EPOLLIN);
    }
}

/* One write; what is left waits until the socket takes more. */
static void flush(struct peer *peer)
{
    struct slice out = buffer_slice(&peer->out);
    ssize_t count = write(peer->fd, out.data, out.len);
    if (count < 0 && errno != EAGAIN) {
        end_peer(peer);
        return;
    }
    buffer_consume(&peer->out, count < 0 ? 0 : (size_t)count);
    bool is_blocked = buffer_len(&peer->out) > 0;
    if (is_blocked != peer->is_blocked) {
        peer->is_blocked = is_blocked;
        watch(EPOLL_CTL_MOD, peer, is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void end_turn(void)
{
    while (relay.dirty != NULL) {
        struct peer *peer = relay.dirty;
        relay.dirty = peer->next_dirty;
        peer->is_dirty = false;
        if (peer->is_gone) {
            buffer_fini(&peer->in);
            buffer_fini(&peer->out);
            free(peer);
        } else if (!peer->is_blocked) {
            flush(peer);
        }
    }
}

static void run(void)
{
    struct epoll_event events[EVENTS_PER_TURN];
    while (is_stopping == 0) {
        int count = epoll_wait(relay.epoll_fd, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == NULL) {
                accept_all();
            } else if (!peer->is_gone && (events[i].events & EPOLLOUT) != 0) {
                flush(peer);
            } else if (!peer->is_gone) {
                on_readable(peer);
            }
        }
        end_turn();
    }
}

/* `listen_at` is ADDRESS:PORT. */
static bool read_address(const char *listen_at, struct sockaddr_in *address)
{
    char host[INET_ADDRSTRLEN] = "";
    char *end = NULL;
    size_t len = strcspn(listen_at, ":");
    if (len >= sizeof host || listen_at[len] == '\0') {
        return false;
    }
    memcpy(host, listen_at, len);
    unsigned long port = strtoul(listen_at + len + 1, &end, DECIMAL);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return *end == '\0' && port <= PORT_MAX && inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static bool open_listener(const char *listen_at)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (!read_address(listen_at, &address)) {
        (void)fprintf(stderr, "--listen: \"%s\" is not an IPv4 ADDRESS:PORT\n", listen_at);
        return false;
    }
    int on = 1;
    relay.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    relay.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (setsockopt(relay.listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(relay.listen_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(relay.listen_fd, LISTEN_BACKLOG) != 0 ||
        getsockname(relay.listen_fd, (struct sockaddr *)&address, &len) != 0 ||
        epoll_ctl(relay.epoll_fd, EPOLL_CTL_ADD, relay.listen_fd, &event) != 0) {
        perror("cannot listen");
        return false;
    }
    (void)fprintf(stderr, "info listening address=%s:%u\n", inet_ntoa(address.sin_addr),
                  ntohs(address.sin_port));
    return true;
}

static const struct option_row rows[] = {
    {"listen", "HOST:PORT", "Where clients connect; port 0 picks a free one.", "127.0.0.1:8090",
     OPTION_STRING, 0, 0, 0},
};

int main(int argc, char **argv)
{
    const char *listen_at = NULL;
    enum options_result result = options_parse(
        rows, ARRAY_LENGTH(rows),
        "switchboard-yardstick: copies each WebSocket frame of client N to client N ^ 1.", argc,
        argv, &listen_at);
    if (result != OPTIONS_RUN) {
        return result == OPTIONS_HELP ? 0 : EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    if (!open_listener(listen_at)) {
        return 1;
    }
    run();
    return 0;
}
