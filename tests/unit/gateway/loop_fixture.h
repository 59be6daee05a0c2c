/* A loop with a connection set in it, and the far ends of its sockets in the same loop: a test says
 * what must come about and turns until it has; a deadline fails it. */
#pragma once

#include "gateway/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DEADLINE_MS = 20000,
    FAR_MAX_BYTES = 64 * 1024 * 1024,
    FAR_READ_BYTES = 64 * 1024,
};

/* Embedded first in a test's own fixture. */
struct loop_fixture {
    struct loop *loop;
    struct connection_set *set; /* flushed at the end of each turn */
    struct loop_timer deadline;
    struct loop_timer first_turn;
    bool (*is_done)(struct loop_fixture *fixture);
};

/* The other end of a connection, as a test plays it. */
struct far_end {
    struct loop_watch watch;
    struct loop *loop;
    struct buffer received;
    struct slice to_send; /* a piece at each turn */
    size_t piece_bytes;
    bool has_ended; /* the near end has sent its last byte */
    bool is_reset;
};

static inline bool buffer_holds(const struct buffer *buf, struct slice expected)
{
    struct slice bytes = buffer_slice(buf);
    return bytes.data != NULL && slice_equal(bytes, expected);
}

static inline bool buffer_holds_text(const struct buffer *buf, const char *text)
{
    return buffer_holds(buf, slice_from_string(text));
}

static inline void loop_fixture_on_turn_end(void *arg)
{
    struct loop_fixture *fixture = arg;
    connection_set_flush(fixture->set);
    if (fixture->is_done(fixture)) {
        loop_stop(fixture->loop);
    }
}

static inline void loop_fixture_on_deadline(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static inline void loop_fixture_on_first_turn(struct loop_timer *timer)
{
    (void)timer;
}

static inline void loop_fixture_init(struct loop_fixture *fixture, struct connection_set *set)
{
    *fixture = (struct loop_fixture){.set = set};
    fixture->loop = loop_new(loop_fixture_on_turn_end, fixture);
    assert_non_null(fixture->loop);
    fixture->deadline.on_due = loop_fixture_on_deadline;
    fixture->first_turn.on_due = loop_fixture_on_first_turn;
}

/* Turns until `is_done`; the first turn comes at once, and flushes what the test has put. */
static inline void run_until(struct loop_fixture *fixture,
                             bool (*is_done)(struct loop_fixture *fixture))
{
    fixture->is_done = is_done;
    loop_timer_set(fixture->loop, &fixture->deadline, loop_now_ms(fixture->loop) + DEADLINE_MS);
    loop_timer_set(fixture->loop, &fixture->first_turn, loop_now_ms(fixture->loop));
    loop_run(fixture->loop);
    loop_timer_cancel(fixture->loop, &fixture->deadline);
    loop_timer_cancel(fixture->loop, &fixture->first_turn);
}

static inline bool first_turn_is_over(struct loop_fixture *fixture)
{
    return fixture->first_turn.next == NULL;
}

/* At least one turn, and all that is ready by then. */
static inline void run_a_turn(struct loop_fixture *fixture)
{
    run_until(fixture, first_turn_is_over);
}

static inline void far_end_close(struct far_end *far)
{
    if (far->watch.fd >= 0) {
        int fd = far->watch.fd;
        loop_watch_remove(far->loop, &far->watch);
        (void)close(fd);
    }
}

static inline void far_end_on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    struct far_end *far = container_of(watch, struct far_end, watch);
    if ((epoll_events & EPOLLOUT) != 0 && far->to_send.len > 0) {
        size_t count = far->piece_bytes < far->to_send.len ? far->piece_bytes : far->to_send.len;
        ssize_t sent = send(watch->fd, far->to_send.data, count, MSG_NOSIGNAL);
        far->to_send = slice_drop(far->to_send, sent > 0 ? (size_t)sent : 0);
        if (far->to_send.len == 0) {
            loop_watch_change(far->loop, watch, watch->events & ~(uint32_t)EPOLLOUT);
        }
    }
    if ((epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    uint8_t *room = buffer_reserve(&far->received, FAR_READ_BYTES);
    assert_non_null(room);
    ssize_t count = recv(watch->fd, room, FAR_READ_BYTES, 0);
    if (count > 0) {
        buffer_commit(&far->received, (size_t)count);
    } else if (count == 0 || errno != EAGAIN) {
        far->has_ended = count == 0;
        far->is_reset = count < 0;
        far_end_close(far);
    }
}

/* Takes the descriptor. */
static inline void far_end_open(struct far_end *far, struct loop *loop, int fd)
{
    *far = (struct far_end){.loop = loop, .watch = {.on_ready = far_end_on_ready}};
    buffer_init(&far->received, FAR_MAX_BYTES);
    assert_true(loop_watch_add(loop, &far->watch, fd, EPOLLIN));
}

static inline void far_end_fini(struct far_end *far)
{
    far_end_close(far);
    buffer_fini(&far->received);
}

/* Ends the connection the hard way. */
static inline void far_end_reset(struct far_end *far)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(far->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    far_end_close(far);
}

static inline void far_end_read(struct far_end *far, bool reads)
{
    loop_watch_change(far->loop, &far->watch, reads ? EPOLLIN : 0);
}

/* Sends all of it now, as one segment if it fits. */
static inline void far_end_send(struct far_end *far, struct slice bytes)
{
    ssize_t sent = send(far->watch.fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    assert_int_equal(sent, (ssize_t)bytes.len);
}

/* Sends in pieces while the loop turns; `bytes` must stay. */
static inline void far_end_drip(struct far_end *far, struct slice bytes, size_t piece_bytes)
{
    far->to_send = bytes;
    far->piece_bytes = piece_bytes;
    loop_watch_change(far->loop, &far->watch, far->watch.events | EPOLLOUT);
}

/* Connected, non-blocking stream sockets over the loopback; [0] has accepted. */
static inline void tcp_pair(int fds[2], int send_buffer_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    if (send_buffer_bytes > 0) {
        assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes,
                                    sizeof send_buffer_bytes),
                         0);
    }
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(listener, 1), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (send_buffer_bytes > 0) {
        assert_int_equal(
            setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &send_buffer_bytes, sizeof send_buffer_bytes),
            0);
    }
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    (void)close(listener);
    int on = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    }
}
