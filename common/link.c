#include "common/link.h"

#include "common/link_path.h"
#include "common/link_stream.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* So that one busy link cannot hold up a turn: 1 MiB in, 4 MiB out. */
    READS_PER_TURN = 16,
    BATCHES_PER_TURN = 16,
    OPENING_TIMEOUT_MS = 1000,
    DIAL_AGAIN_MS = 1,     /* the next tick of the loop's timers: every LOOP_TIMER_TICK_MS */
    ACCEPT_AGAIN_MS = 100, /* how long to leave the door alone when the kernel has no more */
    /* When to say for the first time that the peer is not back, and the longest pause from then on.
     * Not only for people: supervisord, which may sleep for a second, wakes up when one of its
     * programs says something, and then sees that another has died. */
    WAITING_FIRST_MS = 30,
    WAITING_FACTOR = 4,
    WAITING_MAX_MS = 10000,
};

enum link_state {
    LINK_IDLE,     /* no connection; a gateway waits for its next dial */
    LINK_OPENING,  /* connected; the peer has not said yet what it speaks */
    LINK_UP,       /* between on_up and on_down */
    LINK_DRAINING, /* the same, but the peer takes no more: what it has sent is still read */
};

struct link {
    struct loop *loop;
    const struct link_handlers *handlers;
    void *arg;
    enum link_role role;
    enum link_state state;
    uint32_t slot;
    int last_trouble; /* the errno logged last; 0 after a connection that came up */
    struct link_path path;
    struct loop_watch listen_watch;
    struct loop_watch watch; /* the connection */
    struct loop_timer again; /* to dial or to accept */
    struct loop_timer opening_deadline;
    struct loop_timer company; /* what is in `out` waits for it */
    struct loop_timer waiting; /* for the peer to be back */
    uint64_t waiting_ms;       /* the pause that is under way */
    struct link_stream stream;
    bool is_receiving;   /* a handler may hold a batch: what was read must stay */
    bool waits_to_write; /* until EPOLLOUT */
    struct loop_retired retired;
};

/* Once a cause, however often it is met. */
static void log_trouble(struct link *link, int error)
{
    if (link->last_trouble != error) {
        link->last_trouble = error;
        log_write(LOG_LEVEL_WARN, "link-trouble", "slot=%u path=%s error=\"%s\"", link->slot,
                  link->path.address.sun_path, strerror(error));
    }
}

static bool is_up(const struct link *link)
{
    return link->state == LINK_UP || link->state == LINK_DRAINING;
}

static void set_timer(struct link *link, struct loop_timer *timer, uint64_t delay_ms)
{
    loop_timer_set(link->loop, timer, loop_now_ms(link->loop) + delay_ms);
}

/* Forgets the connection and whatever was under way on it. */
static void close_connection(struct link *link)
{
    assert(link->state != LINK_IDLE);
    link->state = LINK_IDLE;
    int fd = link->watch.fd;
    loop_watch_remove(link->loop, &link->watch);
    (void)close(fd);
    loop_timer_cancel(link->loop, &link->opening_deadline);
    loop_timer_cancel(link->loop, &link->company);
    link_stream_close(&link->stream);
    if (!link->is_receiving) {
        link_stream_trim(&link->stream);
    }
}

void link_end(struct link *link)
{
    if (link->state == LINK_IDLE) {
        return;
    }
    bool was_up = is_up(link);
    close_connection(link);
    if (link->role == LINK_DIALS) {
        set_timer(link, &link->again, DIAL_AGAIN_MS);
    }
    if (was_up) {
        link->handlers->on_down(link->arg);
        link->waiting_ms = WAITING_FIRST_MS;
        set_timer(link, &link->waiting, WAITING_FIRST_MS);
    }
}

static void on_waiting(struct loop_timer *timer)
{
    struct link *link = container_of(timer, struct link, waiting);
    log_write(LOG_LEVEL_INFO, "link-waiting", "slot=%u", link->slot);
    uint64_t next_ms = link->waiting_ms * WAITING_FACTOR;
    link->waiting_ms = next_ms < WAITING_MAX_MS ? next_ms : WAITING_MAX_MS;
    set_timer(link, timer, link->waiting_ms);
}

/* The connection is over before it began. */
static void fail_opening(struct link *link, int error)
{
    assert(link->state == LINK_OPENING);
    log_trouble(link, error);
    link_end(link);
}

static void on_opening_deadline(struct loop_timer *timer)
{
    fail_opening(container_of(timer, struct link, opening_deadline), ETIMEDOUT);
}

static void set_up(struct link *link)
{
    assert(link->state == LINK_OPENING);
    loop_timer_cancel(link->loop, &link->opening_deadline);
    loop_timer_cancel(link->loop, &link->waiting);
    link->state = LINK_UP;
    link->waits_to_write = false;
    link->last_trouble = 0;
    link->handlers->on_up(link->arg);
}

/* The peer takes no more. Its last batches may still be here; behind them is now the end. */
static void set_draining(struct link *link)
{
    assert(link->state == LINK_UP);
    link->state = LINK_DRAINING;
    (void)shutdown(link->watch.fd, SHUT_RDWR);
}

static void take_opening(struct link *link)
{
    switch (link_stream_take_opening(&link->stream)) {
    case PARSE_DONE:
        set_up(link);
        break;
    case PARSE_BAD:
        fail_opening(link, EPROTO);
        break;
    case PARSE_NEED_MORE:
        break;
    }
}

/* Hands on what is whole. Nothing that could be handed on ever waits for the socket to have more.
 */
static void hand_on(struct link *link)
{
    if (link->state == LINK_OPENING) {
        take_opening(link);
    }
    struct slice batch = {0};
    enum parse_result result = PARSE_DONE;
    while (is_up(link) && (result = link_stream_first(&link->stream, &batch)) == PARSE_DONE) {
        bool is_good = link->handlers->on_batch(link->arg, batch);
        link_stream_drop(&link->stream, batch);
        if (!is_good) {
            link_end(link);
        }
    }
    if (result == PARSE_BAD) {
        log_write(LOG_LEVEL_ERROR, "link-bad-frame", "slot=%u", link->slot);
        link_end(link);
    }
}

/* Reads once. False: enough for now, or the connection is over. */
static bool receive_some(struct link *link)
{
    enum stream_result result = link_stream_read(&link->stream);
    if (result == STREAM_ENDED || result == STREAM_FAILED) {
        int error = result == STREAM_FAILED ? errno : ECONNRESET;
        if (link->state == LINK_OPENING || error != ECONNRESET) {
            log_trouble(link, error);
        }
        link_end(link);
        return false;
    }
    hand_on(link);
    return link->state != LINK_IDLE && result == STREAM_MORE;
}

static void receive(struct link *link)
{
    link->is_receiving = true;
    for (int i = 0; i < READS_PER_TURN && receive_some(link); i++) {
    }
    link->is_receiving = false;
    link_stream_trim(&link->stream);
}

static void send_out(struct link *link)
{
    enum stream_result result = STREAM_MORE;
    for (int i = 0; i < BATCHES_PER_TURN && result == STREAM_MORE; i++) {
        result = link_stream_write(&link->stream);
    }
    if (result == STREAM_FAILED) {
        set_draining(link);
        return;
    }
    link->waits_to_write = result != STREAM_ALL;
    loop_watch_change(link->loop, &link->watch,
                      link->waits_to_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
    link_stream_trim(&link->stream);
}

void link_flush(struct link *link, bool is_urgent)
{
    if (link->state != LINK_UP || link->waits_to_write || buffer_len(&link->stream.out) == 0) {
        return;
    }
    if (is_urgent) {
        loop_timer_cancel(link->loop, &link->company);
        send_out(link);
    } else if (link->company.next == NULL) {
        set_timer(link, &link->company, LOOP_TIMER_TICK_MS);
    }
}

static void on_company_over(struct loop_timer *timer)
{
    link_flush(container_of(timer, struct link, company), true);
}

/* The events of a connection that has just ended may come to the next one: they are taken for
 * hints, the socket itself is asked. */
static void on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    struct link *link = container_of(watch, struct link, watch);
    receive(link);
    if ((epoll_events & EPOLLOUT) != 0) {
        link->waits_to_write = false;
        link_flush(link, true);
    }
}

/* Begins a connection with this socket, which it takes over. */
static void open_connection(struct link *link, int fd)
{
    assert(link->state == LINK_IDLE);
    if (!link_stream_open(&link->stream, fd) ||
        !loop_watch_add(link->loop, &link->watch, fd, EPOLLIN)) {
        log_trouble(link, errno);
        link_stream_close(&link->stream);
        (void)close(fd);
        return;
    }
    link->state = LINK_OPENING;
    set_timer(link, &link->opening_deadline, OPENING_TIMEOUT_MS);
}

static void dial(struct link *link)
{
    int fd = link_path_dial(&link->path);
    if (fd < 0) {
        log_trouble(link, errno);
    } else {
        open_connection(link, fd);
    }
    if (link->state == LINK_IDLE) {
        set_timer(link, &link->again, DIAL_AGAIN_MS);
    }
}

static void on_again(struct loop_timer *timer)
{
    struct link *link = container_of(timer, struct link, again);
    if (link->role == LINK_DIALS) {
        dial(link);
    } else {
        loop_watch_change(link->loop, &link->listen_watch, EPOLLIN);
    }
}

/* True: the peer has gone, and reading will come to the end. */
static bool is_ending(const struct link *link)
{
    struct pollfd poll_fd = {.fd = link->watch.fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) > 0;
}

static void on_acceptable(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    struct link *link = container_of(watch, struct link, listen_watch);
    bool is_taken = link->state != LINK_IDLE;
    if (is_taken && is_ending(link)) {
        return; /* the newcomer's turn comes when what is left has been read */
    }
    int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && is_taken) {
        log_trouble(link, EBUSY);
        (void)close(fd);
    } else if (fd >= 0) {
        open_connection(link, fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        log_trouble(link, errno);
        loop_watch_change(link->loop, watch, 0);
        set_timer(link, &link->again, ACCEPT_AGAIN_MS);
    }
}

/* False: errno tells why. */
static bool start_listening(struct link *link)
{
    int fd = link_path_listen(&link->path);
    if (fd < 0) {
        return false;
    }
    if (!loop_watch_add(link->loop, &link->listen_watch, fd, EPOLLIN)) {
        (void)close(fd);
        return false;
    }
    return true;
}

static bool start(struct link *link, const struct link_config *config)
{
    if (!link_path_init(&link->path, config->link_dir, config->slot)) {
        return false;
    }
    if (link->role == LINK_LISTENS) {
        return start_listening(link);
    }
    dial(link);
    return true;
}

struct link *link_new(struct loop *loop, const struct link_config *config,
                      const struct link_handlers *handlers, void *arg)
{
    struct link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        link->loop = loop;
        link->handlers = handlers;
        link->arg = arg;
        link->role = config->role;
        link->slot = config->slot;
        link->listen_watch = (struct loop_watch){.on_ready = on_acceptable, .fd = -1};
        link->watch = (struct loop_watch){.on_ready = on_ready, .fd = -1};
        link->again.on_due = on_again;
        link->opening_deadline.on_due = on_opening_deadline;
        link->waiting.on_due = on_waiting;
        link->company.on_due = on_company_over;
        link_stream_init(&link->stream, config->backlog_max_bytes);
    }
    if (link == NULL || !start(link, config)) {
        log_write(LOG_LEVEL_ERROR, "link-failed", "slot=%u link_dir=%s error=\"%s\"", config->slot,
                  config->link_dir, strerror(errno));
        link_free(link);
        return NULL;
    }
    return link;
}

struct buffer *link_out(struct link *link)
{
    return &link->stream.out;
}

static void free_link(struct loop_retired *retired)
{
    free(container_of(retired, struct link, retired));
}

void link_free(struct link *link)
{
    if (link == NULL) {
        return;
    }
    assert(!link->is_receiving);
    if (link->state != LINK_IDLE) {
        close_connection(link);
    }
    loop_timer_cancel(link->loop, &link->again);
    loop_timer_cancel(link->loop, &link->waiting);
    link_path_unlink(&link->path); /* before the close: what is not ours by now stays */
    if (link->listen_watch.fd >= 0) {
        int fd = link->listen_watch.fd;
        loop_watch_remove(link->loop, &link->listen_watch);
        (void)close(fd);
    }
    link_stream_fini(&link->stream);
    loop_retire(link->loop, &link->retired, free_link);
}
