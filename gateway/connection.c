#include "gateway/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_BUFFER_BYTES = 64 * 1024,
    SPARE_MAX = 256,                /* idle outbound queues kept for the next turn */
    SPARE_CAP_MAX_BYTES = 4 * 1024, /* larger ones give their memory back */
};

/* What waits to be written: the queue, and behind it at most one body that somebody else owns. */
struct outbound {
    struct buffer queue;
    struct slice body;
    struct outbound *next_spare;
};

bool connection_set_init(struct connection_set *set, struct loop *loop,
                         const struct connection_handlers *handlers, size_t queue_max_bytes)
{
    *set = (struct connection_set){
        .loop = loop,
        .handlers = handlers,
        .queue_max_bytes = queue_max_bytes,
        .read_buffer = malloc(READ_BUFFER_BYTES),
    };
    return set->read_buffer != NULL;
}

void connection_set_fini(struct connection_set *set)
{
    assert(set->count == 0);
    while (set->spare != NULL) {
        struct outbound *outbound = set->spare;
        set->spare = outbound->next_spare;
        buffer_fini(&outbound->queue);
        free(outbound);
    }
    free(set->read_buffer);
    set->read_buffer = NULL;
}

static struct outbound *outbound_borrow(struct connection_set *set)
{
    struct outbound *outbound = set->spare;
    if (outbound != NULL) {
        set->spare = outbound->next_spare;
        set->spare_count--;
    } else {
        outbound = calloc(1, sizeof *outbound);
        if (outbound == NULL) {
            return NULL;
        }
        buffer_init(&outbound->queue, set->queue_max_bytes);
    }
    outbound->queue.max_bytes = set->queue_max_bytes;
    return outbound;
}

static void outbound_return(struct connection *conn)
{
    struct outbound *outbound = conn->outbound;
    struct connection_set *set = conn->set;
    conn->outbound = NULL;
    if (outbound == NULL) {
        return;
    }
    outbound->body = slice_of(NULL, 0);
    if (set->spare_count == SPARE_MAX) {
        buffer_fini(&outbound->queue);
        free(outbound);
        return;
    }
    if (outbound->queue.cap > SPARE_CAP_MAX_BYTES) {
        buffer_release(&outbound->queue);
    }
    buffer_clear(&outbound->queue);
    outbound->next_spare = set->spare;
    set->spare = outbound;
    set->spare_count++;
}

bool connection_is_open(const struct connection *conn)
{
    return conn->watch.fd >= 0;
}

/* The events this connection waits for, from its flags. */
static void update_watch(struct connection *conn)
{
    uint32_t events = 0;
    if (!conn->is_held && !conn->is_paused) {
        events |= EPOLLIN;
    }
    if (conn->write_is_blocked) {
        events |= EPOLLOUT;
    }
    loop_watch_change(conn->set->loop, &conn->watch, events);
}

static void on_retired(struct loop_retired *retired)
{
    struct connection *conn = container_of(retired, struct connection, retired);
    conn->set->handlers->free_fn(conn);
}

static void link_paused(struct connection *conn)
{
    struct connection_set *set = conn->set;
    conn->is_paused = true;
    conn->prev_paused = NULL;
    conn->next_paused = set->paused;
    if (set->paused != NULL) {
        set->paused->prev_paused = conn;
    }
    set->paused = conn;
}

static void unlink_paused(struct connection *conn)
{
    if (conn->prev_paused != NULL) {
        conn->prev_paused->next_paused = conn->next_paused;
    } else {
        conn->set->paused = conn->next_paused;
    }
    if (conn->next_paused != NULL) {
        conn->next_paused->prev_paused = conn->prev_paused;
    }
    conn->is_paused = false;
}

void connection_abort(struct connection *conn)
{
    if (!connection_is_open(conn)) {
        return;
    }
    struct connection_set *set = conn->set;
    int fd = conn->watch.fd;
    loop_watch_remove(set->loop, &conn->watch);
    (void)close(fd);
    loop_timer_cancel(set->loop, &conn->timer);
    if (conn->is_paused) {
        unlink_paused(conn);
    }
    set->count--;
    set->handlers->on_gone(conn);
    outbound_return(conn);
    loop_retire(set->loop, &conn->retired, on_retired);
}

static void read_once(struct connection *conn)
{
    struct connection_set *set = conn->set;
    ssize_t count = recv(conn->watch.fd, set->read_buffer, READ_BUFFER_BYTES, 0);
    if (count > 0) {
        set->handlers->on_bytes(conn, slice_of(set->read_buffer, (size_t)count));
    } else if (count == 0) {
        set->handlers->on_end(conn);
    } else if (errno != EAGAIN && errno != EINTR) {
        connection_abort(conn);
    }
}

bool connection_has_pending(const struct connection *conn)
{
    return conn->outbound != NULL &&
           (buffer_len(&conn->outbound->queue) > 0 || conn->outbound->body.len > 0);
}

static ssize_t send_parts(int fd, struct slice queued, struct slice body)
{
    if (body.len == 0) {
        return send(fd, queued.data, queued.len, MSG_NOSIGNAL); /* less work than sendmsg */
    }
    struct iovec parts[] = {
        {.iov_base = (void *)queued.data, .iov_len = queued.len},
        {.iov_base = (void *)body.data, .iov_len = body.len},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_LENGTH(parts)};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* One write of the queue and the body behind it. */
static void write_once(struct connection *conn)
{
    struct outbound *outbound = conn->outbound;
    struct slice queued = buffer_slice(&outbound->queue);
    ssize_t result = send_parts(conn->watch.fd, queued, outbound->body);
    if (result < 0 && errno != EAGAIN && errno != EINTR) {
        connection_abort(conn);
        return;
    }
    size_t count = result > 0 ? (size_t)result : 0;
    size_t from_queue = count < queued.len ? count : queued.len;
    outbound->body = slice_drop(outbound->body, count - from_queue);
    bool is_all = from_queue == queued.len && outbound->body.len == 0;
    buffer_consume(&outbound->queue, from_queue);
    conn->write_is_blocked = !is_all;
    if (is_all) {
        outbound_return(conn);
    }
    update_watch(conn);
    if (count > 0) {
        conn->set->handlers->on_written(conn, is_all ? slice_of(NULL, 0) : queued, from_queue,
                                        is_all);
    }
}

static void on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    struct connection *conn = container_of(watch, struct connection, watch);
    if ((epoll_events & EPOLLOUT) != 0 && connection_has_pending(conn)) {
        write_once(conn);
    }
    if (!connection_is_open(conn)) {
        return;
    }
    bool reads = (watch->events & EPOLLIN) != 0;
    if ((epoll_events & EPOLLIN) != 0 && reads) {
        if (conn->set->reading_is_paused && conn->is_pausable) {
            link_paused(conn);
            update_watch(conn);
        } else {
            read_once(conn);
        }
    } else if ((epoll_events & (EPOLLERR | EPOLLHUP)) != 0) {
        connection_abort(conn);
    }
}

static void on_due(struct loop_timer *timer)
{
    struct connection *conn = container_of(timer, struct connection, timer);
    conn->set->handlers->on_timer(conn);
}

bool connection_open(struct connection *conn, struct connection_set *set, int fd)
{
    conn->set = set;
    conn->watch.on_ready = on_ready;
    conn->timer.on_due = on_due;
    if (!loop_watch_add(set->loop, &conn->watch, fd, EPOLLIN)) {
        return false;
    }
    set->count++;
    return true;
}

void connection_flush(struct connection *conn)
{
    if (connection_is_open(conn) && connection_has_pending(conn) && !conn->write_is_blocked) {
        write_once(conn);
    }
}

void connection_set_flush(struct connection_set *set)
{
    while (set->unflushed != NULL) {
        struct connection *conn = set->unflushed;
        set->unflushed = conn->next_unflushed;
        conn->is_unflushed = false;
        connection_flush(conn);
    }
}

void connection_set_pause_reading(struct connection_set *set, bool pause)
{
    set->reading_is_paused = pause;
    while (!pause && set->paused != NULL) {
        struct connection *conn = set->paused;
        unlink_paused(conn);
        update_watch(conn);
    }
}

struct buffer *connection_outbound(struct connection *conn)
{
    assert(connection_is_open(conn));
    if (conn->outbound == NULL) {
        conn->outbound = outbound_borrow(conn->set);
    }
    return conn->outbound != NULL ? &conn->outbound->queue : NULL;
}

static void mark_unflushed(struct connection *conn)
{
    if (!conn->is_unflushed) {
        conn->is_unflushed = true;
        conn->next_unflushed = conn->set->unflushed;
        conn->set->unflushed = conn;
    }
}

void connection_account(struct connection *conn, size_t len_before)
{
    conn->queued_bytes += buffer_len(&conn->outbound->queue) - len_before;
    mark_unflushed(conn);
}

void connection_allow_reserve(struct connection *conn)
{
    struct buffer *queue = connection_outbound(conn);
    if (queue != NULL) {
        queue->max_bytes = conn->set->queue_max_bytes + CONNECTION_RESERVE_BYTES;
        queue->failed = false;
    }
}

size_t connection_pending_bytes(const struct connection *conn)
{
    return conn->outbound != NULL ? buffer_len(&conn->outbound->queue) : 0;
}

uint64_t connection_written_bytes(const struct connection *conn)
{
    return conn->queued_bytes - connection_pending_bytes(conn);
}

void connection_drop_queued(struct connection *conn, size_t keep_bytes)
{
    size_t pending = connection_pending_bytes(conn);
    assert(keep_bytes <= pending);
    if (pending > 0) {
        buffer_truncate(&conn->outbound->queue, keep_bytes);
        conn->queued_bytes -= pending - keep_bytes;
    }
    if (conn->outbound != NULL && !connection_has_pending(conn)) {
        /* Nothing is left to wait for: without this the loop would turn for nothing. */
        conn->write_is_blocked = false;
        outbound_return(conn);
        update_watch(conn);
    }
}

bool connection_send_body(struct connection *conn, struct slice body)
{
    if (connection_outbound(conn) == NULL) {
        return false;
    }
    conn->outbound->body = body;
    mark_unflushed(conn);
    return true;
}

void connection_hold_reading(struct connection *conn, bool hold)
{
    conn->is_held = hold;
    update_watch(conn);
}

void connection_finish_writing(struct connection *conn)
{
    assert(!connection_has_pending(conn));
    (void)shutdown(conn->watch.fd, SHUT_WR);
}
