#include "tests/load/pacer.h"

#include <assert.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

static void on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    struct pacer *pacer = container_of(watch, struct pacer, watch);
    uint64_t expirations = 0;
    if (read(watch->fd, &expirations, sizeof expirations) > 0) {
        pacer->on_due(pacer);
    }
}

bool pacer_init(struct pacer *pacer, struct loop *loop, void (*on_due)(struct pacer *pacer))
{
    *pacer = (struct pacer){.watch.on_ready = on_ready, .on_due = on_due};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (!loop_watch_add(loop, &pacer->watch, fd, EPOLLIN)) {
        (void)close(fd);
        return false;
    }
    return true;
}

void pacer_set(struct pacer *pacer, uint64_t due_ns)
{
    struct itimerspec when = {
        .it_value.tv_sec = (time_t)(due_ns / NS_PER_S),
        .it_value.tv_nsec = (long)(due_ns % NS_PER_S),
    };
    int result = timerfd_settime(pacer->watch.fd, TFD_TIMER_ABSTIME, &when, NULL);
    assert(result == 0);
}
