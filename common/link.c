#include "common/link.h"

#include "common/link_codec.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BATCH_MAX_BYTES = 256 * 1024, /* a larger one costs no less a byte, and delays the first */
    BATCHES_PER_TURN = 16,        /* so that one busy link cannot hold up a turn */
    /* Batches that nng may take in before the loop has read them. Not fewer: nng 1.5.2 fails most
     * often when a connection ends while a batch waits for room here (see on_silence). */
    RECEIVE_BUFFER_BATCHES = 128,
    RECONNECT_MIN_MS = 250,
    RECONNECT_MAX_MS = 250,
    /* Not connected again after this long, though somebody listens: many times RECONNECT_MAX_MS. */
    LOST_AFTER_MS = 1500,
    URL_MAX_BYTES = sizeof(((struct sockaddr_un *)NULL)->sun_path) + sizeof "ipc://",
};

/* The largest batch: a batch is cut before it grows beyond BATCH_MAX_BYTES, unless it is one
 * record that is larger by itself. */
static const size_t receive_max_bytes = LINK_PAYLOAD_MAX_BYTES + LINK_RECORD_OVERHEAD_BYTES;

/* Nng tells of connections on threads of its own; those tell the loop through a pipe. A write this
 * small is atomic, and each end of a connection takes at least RECONNECT_MIN_MS, so the pipe's
 * 64 KiB are not filled by a loop that turns at all. */
struct pipe_event {
    uint32_t pipe_id;
    uint32_t is_up;
};

struct link {
    struct loop *loop;
    const struct link_handlers *handlers;
    void *arg;
    nng_socket socket;
    nng_listener listener; /* one of the two, by role; id 0: not there */
    nng_dialer dialer;
    nng_pipe pipe;          /* the connection; id 0: none */
    uint32_t ended_pipe_id; /* the one before: its late news is ignored */
    char url[URL_MAX_BYTES];
    enum link_role role;
    struct loop_timer silence; /* since the connection has ended */
    int events_fds[2];
    struct loop_watch events_watch;
    struct loop_watch recv_watch;
    struct loop_watch send_watch; /* asked for EPOLLIN only while a batch waits for the link */
    struct buffer out;
    nng_msg *next; /* a batch that was refused since one is in flight; more is appended to it */
};

static void tell_loop(struct link *link, nng_pipe pipe, uint32_t is_up)
{
    struct pipe_event event = {.pipe_id = (uint32_t)nng_pipe_id(pipe), .is_up = is_up};
    ssize_t written = write(link->events_fds[1], &event, sizeof event);
    (void)written;
}

/* On a thread of nng's. */
static void on_pipe_added(nng_pipe pipe, nng_pipe_ev kind, void *arg)
{
    (void)kind;
    tell_loop(arg, pipe, 1);
}

/* On a thread of nng's. */
static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev kind, void *arg)
{
    (void)kind;
    tell_loop(arg, pipe, 0);
}

static void set_down(struct link *link)
{
    if (link->pipe.id == 0) {
        return;
    }
    link->ended_pipe_id = link->pipe.id;
    link->pipe.id = 0;
    buffer_release(&link->out);
    nng_msg_free(link->next);
    link->next = NULL;
    loop_watch_change(link->loop, &link->send_watch, 0);
    if (link->role == LINK_DIALS) {
        loop_timer_set(link->loop, &link->silence, loop_now_ms(link->loop) + LOST_AFTER_MS);
    }
    link->handlers->on_down(link->arg);
}

static void set_up(struct link *link, uint32_t pipe_id)
{
    if (link->pipe.id == pipe_id || link->ended_pipe_id == pipe_id) {
        return;
    }
    set_down(link);
    link->pipe.id = pipe_id;
    link->handlers->on_up(link->arg);
}

void link_end(struct link *link)
{
    if (link->pipe.id != 0) {
        (void)nng_pipe_close(link->pipe);
        set_down(link);
    }
}

static void on_pipe_events(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    struct link *link = container_of(watch, struct link, events_watch);
    struct pipe_event event;
    while (read(watch->fd, &event, sizeof event) == (ssize_t)sizeof event) {
        if (event.is_up != 0) {
            set_up(link, event.pipe_id);
        } else if (event.pipe_id == link->pipe.id) {
            set_down(link);
        } else {
            link->ended_pipe_id = event.pipe_id;
        }
    }
}

static void on_receivable(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    struct link *link = container_of(watch, struct link, recv_watch);
    for (int i = 0; i < BATCHES_PER_TURN; i++) {
        nng_msg *msg = NULL;
        if (nng_recvmsg(link->socket, &msg, NNG_FLAG_NONBLOCK) != 0) {
            return;
        }
        /* A connection's first batch may be here before the news of the connection. */
        set_up(link, (uint32_t)nng_pipe_id(nng_msg_get_pipe(msg)));
        bool is_current = nng_pipe_id(nng_msg_get_pipe(msg)) == (int)link->pipe.id;
        bool is_good = !is_current || link->handlers->on_batch(
                                          link->arg, slice_of(nng_msg_body(msg), nng_msg_len(msg)));
        nng_msg_free(msg);
        if (!is_good) {
            link_end(link);
        }
    }
}

/* Moves whole records from `out` behind those in `next`, up to a batch. False: no memory. */
static bool fill_next(struct link *link)
{
    if (link->next == NULL && nng_msg_alloc(&link->next, 0) != 0) {
        link->next = NULL;
        return false;
    }
    size_t filled = nng_msg_len(link->next);
    if (filled >= BATCH_MAX_BYTES || buffer_len(&link->out) == 0) {
        return true;
    }
    size_t count = link_batch_cut(buffer_slice(&link->out), BATCH_MAX_BYTES - filled);
    if (filled + count > receive_max_bytes) {
        return true;
    }
    if (nng_msg_append(link->next, buffer_slice(&link->out).data, count) != 0) {
        return filled > 0;
    }
    buffer_consume(&link->out, count);
    return true;
}

void link_flush(struct link *link)
{
    if (link->pipe.id == 0 || (buffer_len(&link->out) == 0 && link->next == NULL)) {
        return;
    }
    if (!fill_next(link)) {
        log_write(LOG_LEVEL_ERROR, "link-no-memory", "pipe=%u", link->pipe.id);
        link_end(link);
        return;
    }
    if (nng_sendmsg(link->socket, link->next, NNG_FLAG_NONBLOCK) == 0) {
        link->next = NULL;
    }
    bool waits = link->next != NULL || buffer_len(&link->out) > 0;
    loop_watch_change(link->loop, &link->send_watch, waits ? EPOLLIN : 0);
}

static void on_sendable(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    link_flush(container_of(watch, struct link, send_watch));
}

struct buffer *link_out(struct link *link)
{
    return &link->out;
}

/* The first failing step's name, or NULL. */
static const char *set_socket_up(struct link *link)
{
    if (nng_pair0_open(&link->socket) != 0) {
        return "open";
    }
    /* No send buffer in nng: a batch is accepted only by a live connection, and none outlives it.
     */
    if (nng_socket_set_int(link->socket, NNG_OPT_SENDBUF, 0) != 0 ||
        nng_socket_set_int(link->socket, NNG_OPT_RECVBUF, RECEIVE_BUFFER_BATCHES) != 0 ||
        nng_socket_set_size(link->socket, NNG_OPT_RECVMAXSZ, receive_max_bytes) != 0 ||
        nng_socket_set_ms(link->socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS) != 0 ||
        nng_socket_set_ms(link->socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS) != 0) {
        return "options";
    }
    if (nng_pipe_notify(link->socket, NNG_PIPE_EV_ADD_POST, on_pipe_added, link) != 0 ||
        nng_pipe_notify(link->socket, NNG_PIPE_EV_REM_POST, on_pipe_removed, link) != 0) {
        return "notify";
    }
    int recv_fd = -1;
    int send_fd = -1;
    if (nng_socket_get_int(link->socket, NNG_OPT_RECVFD, &recv_fd) != 0 ||
        nng_socket_get_int(link->socket, NNG_OPT_SENDFD, &send_fd) != 0) {
        return "descriptors";
    }
    if (!loop_watch_add(link->loop, &link->recv_watch, recv_fd, EPOLLIN) ||
        !loop_watch_add(link->loop, &link->send_watch, send_fd, 0)) {
        return "watch";
    }
    return NULL;
}

static int start(struct link *link)
{
    if (link->role == LINK_LISTENS) {
        return nng_listen(link->socket, link->url, &link->listener, 0);
    }
    return nng_dial(link->socket, link->url, &link->dialer, NNG_FLAG_NONBLOCK);
}

/* False: the path is too long. */
static bool make_url(struct link *link, const struct link_config *config)
{
    int len = snprintf(link->url, sizeof link->url, "ipc://%s/slot-%u.ipc", config->link_dir,
                       config->slot);
    return len > 0 && (size_t)len < sizeof link->url;
}

/* A new nng socket that dials or listens; what failed, or NULL. */
static const char *open_socket(struct link *link)
{
    const char *failed_step = set_socket_up(link);
    if (failed_step == NULL) {
        int result = start(link);
        failed_step = result == 0 ? NULL : nng_strerror(result);
    }
    return failed_step;
}

static void unwatch(struct link *link, struct loop_watch *watch)
{
    if (watch->fd >= 0) {
        loop_watch_remove(link->loop, watch);
    }
}

/* True: somebody accepts connections at the link's path right now. */
static bool somebody_listens(const struct link *link)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = link->url + strlen("ipc://");
    size_t len = strlen(path);
    if (len >= sizeof address.sun_path) {
        return false;
    }
    memcpy(address.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool listens = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return listens;
}

/* nng 1.5.2 can lose a dialer for good: when the peer dies while messages are under way, the thread
 * that ends connections may wait for one of them for ever, and nothing is dialed or ended in this
 * process any more. Nothing but a new process helps. */
static void on_silence(struct loop_timer *timer)
{
    struct link *link = container_of(timer, struct link, silence);
    if (link->pipe.id != 0) {
        return;
    }
    if (somebody_listens(link)) {
        link->handlers->on_lost(link->arg);
    } else {
        loop_timer_set(link->loop, &link->silence, loop_now_ms(link->loop) + LOST_AFTER_MS);
    }
}

/* NULL: no memory, or no descriptor. */
static struct link *allocate(void)
{
    struct link *link = calloc(1, sizeof *link);
    if (link != NULL && pipe2(link->events_fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        free(link);
        link = NULL;
    }
    return link;
}

struct link *link_new(struct loop *loop, const struct link_config *config,
                      const struct link_handlers *handlers, void *arg)
{
    struct link *link = allocate();
    if (link == NULL) {
        log_write(LOG_LEVEL_ERROR, "link-failed", "slot=%u error=\"%s\"", config->slot,
                  strerror(errno));
        return NULL;
    }
    link->loop = loop;
    link->handlers = handlers;
    link->arg = arg;
    link->role = config->role;
    link->silence.on_due = on_silence;
    link->events_watch = (struct loop_watch){.on_ready = on_pipe_events, .fd = -1};
    link->recv_watch = (struct loop_watch){.on_ready = on_receivable, .fd = -1};
    link->send_watch = (struct loop_watch){.on_ready = on_sendable, .fd = -1};
    buffer_init(&link->out, config->backlog_max_bytes);
    const char *failed_step = NULL;
    if (!make_url(link, config)) {
        failed_step = "the path is too long";
    } else if (!loop_watch_add(loop, &link->events_watch, link->events_fds[0], EPOLLIN)) {
        failed_step = "watch";
    } else {
        failed_step = open_socket(link);
    }
    if (failed_step != NULL) {
        log_write(LOG_LEVEL_ERROR, "link-failed", "slot=%u link_dir=%s step=\"%s\"", config->slot,
                  config->link_dir, failed_step);
        link_abandon(link);
        return NULL;
    }
    return link;
}

void link_abandon(struct link *link)
{
    if (link == NULL) {
        return;
    }
    unwatch(link, &link->recv_watch);
    unwatch(link, &link->send_watch);
    unwatch(link, &link->events_watch);
    loop_timer_cancel(link->loop, &link->silence);
    if (nng_listener_id(link->listener) > 0) {
        (void)nng_listener_close(link->listener);
    }
    if (nng_dialer_id(link->dialer) > 0) {
        (void)nng_dialer_close(link->dialer);
    }
    if (link->pipe.id != 0) {
        (void)nng_pipe_close(link->pipe);
    }
    nng_msg_free(link->next);
    link->next = NULL;
    buffer_fini(&link->out);
    /* nng's threads may still tell of the connection's end: the link and its pipe stay. */
}
