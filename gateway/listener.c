#include "gateway/listener.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 128, /* so that a wave of newcomers does not hold up who is there */
    RETRY_MS = 100,         /* how long to leave the port alone when the kernel has no more */
    ADDRESS_MAX_BYTES = 256,
};

struct listener {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer retry;
    struct loop_retired retired;
    /* Given up for a moment when descriptors run out, so that a newcomer can be taken and closed
     * instead of being left to hang. */
    int spare_fd;
    void (*on_accept)(void *arg, int fd);
    void *arg;
};

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: who waits at the door is sent away, and the door stays shut for a moment. */
static void shed_one(struct listener *listener)
{
    if (listener->spare_fd >= 0) {
        (void)close(listener->spare_fd);
        int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)close(fd);
        }
        listener->spare_fd = open_spare();
    }
    loop_watch_change(listener->loop, &listener->watch, 0);
    loop_timer_set(listener->loop, &listener->retry, loop_now_ms(listener->loop) + RETRY_MS);
}

static void on_retry(struct loop_timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, retry);
    if (listener->spare_fd < 0) {
        listener->spare_fd = open_spare();
    }
    loop_watch_change(listener->loop, &listener->watch, EPOLLIN);
}

/* Takes in up to `max` waiting sockets. */
static void accept_some(struct listener *listener, int max)
{
    for (int i = 0; i < max; i++) {
        int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            int one = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            listener->on_accept(listener->arg, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_write(LOG_LEVEL_WARN, "accept-failed", "error=\"%s\"", strerror(errno));
            shed_one(listener);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
        /* Any other error is the newcomer's own (RFC 793 reset before accept, and the like). */
    }
}

static void on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    accept_some(container_of(watch, struct listener, watch), ACCEPTS_PER_TURN);
}

/* Splits "HOST:PORT" at the last colon and takes the brackets off an IPv6 address. */
static bool split_address(const char *address, char host[ADDRESS_MAX_BYTES], const char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address) {
        return false;
    }
    const char *begin = address;
    const char *end = colon;
    if (*begin == '[' && end[-1] == ']') {
        begin++;
        end--;
    }
    size_t len = (size_t)(end - begin);
    if (len >= ADDRESS_MAX_BYTES) {
        return false;
    }
    memcpy(host, begin, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

static int open_socket(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void log_listening(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;
    char host[ADDRESS_MAX_BYTES];
    char port[sizeof "65535"];
    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0 &&
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        bool is_ipv6 = bound.ss_family == AF_INET6;
        log_write(LOG_LEVEL_INFO, "listening", "address=%s%s%s:%s", is_ipv6 ? "[" : "", host,
                  is_ipv6 ? "]" : "", port);
    }
}

/* A listening socket, or -1 with the cause logged. */
static int open_address(const char *address)
{
    char host[ADDRESS_MAX_BYTES];
    const char *port = NULL;
    if (!split_address(address, host, &port)) {
        log_write(LOG_LEVEL_ERROR, "listen-failed", "address=\"%s\" error=\"not HOST:PORT\"",
                  address);
        return -1;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *info = NULL;
    int result = getaddrinfo(host, port, &hints, &info);
    if (result != 0) {
        log_write(LOG_LEVEL_ERROR, "listen-failed", "address=\"%s\" error=\"%s\"", address,
                  gai_strerror(result));
        return -1;
    }
    int fd = open_socket(info);
    if (fd < 0) {
        log_write(LOG_LEVEL_ERROR, "listen-failed", "address=\"%s\" error=\"%s\"", address,
                  strerror(errno));
    }
    freeaddrinfo(info);
    return fd;
}

struct listener *listener_open(struct loop *loop, const char *address,
                               void (*on_accept)(void *arg, int fd), void *arg)
{
    struct listener *listener = calloc(1, sizeof *listener);
    int fd = listener != NULL ? open_address(address) : -1;
    if (fd < 0) {
        free(listener);
        return NULL;
    }
    listener->loop = loop;
    listener->watch.on_ready = on_ready;
    listener->retry.on_due = on_retry;
    listener->spare_fd = open_spare();
    listener->on_accept = on_accept;
    listener->arg = arg;
    if (!loop_watch_add(loop, &listener->watch, fd, EPOLLIN)) {
        log_write(LOG_LEVEL_ERROR, "listen-failed", "address=\"%s\" error=\"%s\"", address,
                  strerror(errno));
        (void)close(fd);
        (void)close(listener->spare_fd);
        free(listener);
        return NULL;
    }
    log_listening(fd);
    return listener;
}

static void free_listener(struct loop_retired *retired)
{
    free(container_of(retired, struct listener, retired));
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    accept_some(listener, BACKLOG);
    int fd = listener->watch.fd;
    loop_watch_remove(listener->loop, &listener->watch);
    loop_timer_cancel(listener->loop, &listener->retry);
    (void)close(fd);
    (void)close(listener->spare_fd);
    loop_retire(listener->loop, &listener->retired, free_listener);
}
